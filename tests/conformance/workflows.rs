//! Workflows: who waits for whom, what is handed on, and what a failure takes with it.

use std::time::Duration;

use colonyos_operator::colony::{
    Error, ErrorKind, FunctionSpec, Process, ProcessGraph, ProcessState, Session, WorkflowSpec,
};
use serde_json::json;

use crate::backend::{Stage, checks, refused};

checks! {
    a_workflow_goes_from_node_to_node_and_hands_on_what_they_put_out,
    a_failed_parent_fails_the_whole_workflow_what_had_succeeded_too,
    a_failed_node_without_children_leaves_the_others_alone,
    a_cancelled_workflow_is_not_assigned,
    a_cancel_overwrites_what_a_workflow_had_come_to,
    a_node_is_cancelled_and_removed_with_its_workflow_alone,
    a_workflow_is_removed_unless_it_runs,
    workflows_are_listed_by_state_latest_first,
    a_missing_workflow_is_not_found,
    who_is_no_member_submits_no_workflow,
    a_node_that_waits_too_long_fails_its_workflow,
    removing_all_processes_takes_the_environment_of_a_workflows_nodes,
}

const FIVE_SECONDS: Duration = Duration::from_secs(5);

fn node(stage: &Stage, name: &str, needs: &[&str]) -> FunctionSpec {
    let spec = stage.spec(name).node_name(name).unwrap();
    needs.iter().fold(spec, |spec, needed| spec.depends_on(needed).unwrap())
}

async fn submit(stage: &Stage, nodes: Vec<FunctionSpec>) -> ProcessGraph {
    stage.user.submit_workflow(&WorkflowSpec::new(&stage.colony, nodes).unwrap()).await.unwrap()
}

/// Start, then left and right, then join.
async fn diamond(stage: &Stage) -> ProcessGraph {
    let nodes = vec![
        node(stage, "start", &[]),
        node(stage, "left", &["start"]),
        node(stage, "right", &["start"]),
        node(stage, "join", &["left", "right"]),
    ];
    submit(stage, nodes).await
}

async fn take(executor: &Session) -> Process {
    executor.assign(FIVE_SECONDS).await.unwrap().expect("there is a node to run")
}

/// The nodes with where they stand, by name.
async fn nodes(stage: &Stage, graph: &ProcessGraph) -> Vec<(String, ProcessState)> {
    let graph = stage.user.process_graph(&graph.id).await.unwrap();
    let mut nodes = Vec::new();
    for id in &graph.processes {
        let process = stage.user.process(id).await.unwrap();
        nodes.push((process.spec.node_name, process.state));
    }
    nodes.sort();
    nodes
}

fn named(nodes: &[(&str, ProcessState)]) -> Vec<(String, ProcessState)> {
    nodes.iter().map(|(name, state)| ((*name).to_owned(), *state)).collect()
}

async fn state_of(stage: &Stage, graph: &ProcessGraph) -> ProcessState {
    stage.user.process_graph(&graph.id).await.unwrap().state
}

async fn a_workflow_goes_from_node_to_node_and_hands_on_what_they_put_out(stage: Stage) {
    let executor = stage.executor().await;
    let graph = diamond(&stage).await;
    assert_eq!((graph.state, graph.processes.len(), graph.roots.len()), (ProcessState::Waiting, 4, 1));
    assert_eq!((graph.colony.as_str(), graph.initiator_name.as_str()), (stage.colony.as_str(), "ops"));
    let read = stage.user.process_graph(&graph.id).await.unwrap();
    assert!(read.submitted_at.is_some() && read.started_at.is_none() && read.ended_at.is_none(), "{read:?}");

    let start = take(&executor).await;
    assert_eq!((start.spec.node_name.as_str(), &start.graph_id), ("start", &graph.id));
    assert_eq!((start.parents.len(), start.children.len(), start.waits_for_parents), (0, 2, false));
    let blocked = executor.assign(Duration::from_secs(1)).await.unwrap();
    assert_eq!(blocked, None, "the others wait for it");
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Running);
    executor.close_successful(&start.id, &[json!("s")]).await.unwrap();

    for _ in 0..2 {
        let side = take(&executor).await;
        assert_eq!(
            (side.input.as_slice(), side.parents.as_slice()),
            (&[json!("s")][..], &[start.id.clone()][..])
        );
        executor.close_successful(&side.id, &[json!(side.spec.node_name)]).await.unwrap();
    }
    let join = take(&executor).await;
    let mut input = join.input.clone();
    input.sort_by_key(ToString::to_string);
    assert_eq!((join.spec.node_name.as_str(), input), ("join", vec![json!("left"), json!("right")]));
    assert_eq!(stage.user.process(&join.id).await.unwrap().input, join.input);
    executor.close_successful(&join.id, &[]).await.unwrap();
    let ended = stage.user.process_graph(&graph.id).await.unwrap();
    assert_eq!(ended.state, ProcessState::Successful);
    assert!(ended.ended_at >= ended.started_at && ended.started_at.is_some(), "{ended:?}");
}

/// A process that had succeeded is told as failed: who counts successes by state counts it no more.
async fn a_failed_parent_fails_the_whole_workflow_what_had_succeeded_too(stage: Stage) {
    let executor = stage.executor().await;
    let graph = diamond(&stage).await;
    let start = take(&executor).await;
    executor.close_successful(&start.id, &[]).await.unwrap();
    let side = take(&executor).await;
    executor.close_failed(&side.id, &["no".into()]).await.unwrap();
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Failed);
    let failed = ProcessState::Failed;
    let expected = named(&[("join", failed), ("left", failed), ("right", failed), ("start", failed)]);
    assert_eq!(nodes(&stage, &graph).await, expected);
    assert_eq!(executor.assign(Duration::from_secs(1)).await.unwrap(), None);
    let start = stage.user.process(&start.id).await.unwrap();
    assert!(start.errors.is_empty(), "nothing says why: {start:?}");
}

async fn a_failed_node_without_children_leaves_the_others_alone(stage: Stage) {
    let executor = stage.executor().await;
    let graph = submit(&stage, vec![node(&stage, "a", &[]), node(&stage, "b", &[])]).await;
    let first = take(&executor).await;
    executor.close_failed(&first.id, &["no".into()]).await.unwrap();
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Failed);
    let second = take(&executor).await;
    executor.close_successful(&second.id, &[]).await.unwrap();
    assert_eq!(stage.user.process(&second.id).await.unwrap().state, ProcessState::Successful);
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Failed);
}

async fn a_cancelled_workflow_is_not_assigned(stage: Stage) {
    let executor = stage.executor().await;
    let graph = diamond(&stage).await;
    let start = take(&executor).await;
    stage.user.cancel_process_graph(&graph.id).await.unwrap();
    stage.user.cancel_process_graph(&graph.id).await.expect("cancelling again is no error");
    let cancelled = ProcessState::Cancelled;
    assert_eq!(state_of(&stage, &graph).await, cancelled);
    let expected =
        named(&[("join", cancelled), ("left", cancelled), ("right", cancelled), ("start", cancelled)]);
    assert_eq!(nodes(&stage, &graph).await, expected);
    refused(executor.close_successful(&start.id, &[]).await, 400, ErrorKind::Conflict);
    assert_eq!(executor.assign(Duration::from_secs(1)).await.unwrap(), None);
}

async fn a_cancel_overwrites_what_a_workflow_had_come_to(stage: Stage) {
    let executor = stage.executor().await;
    let graph = submit(&stage, vec![node(&stage, "only", &[])]).await;
    let only = take(&executor).await;
    executor.close_successful(&only.id, &[]).await.unwrap();
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Successful);
    stage.user.cancel_process_graph(&graph.id).await.unwrap();
    assert_eq!(state_of(&stage, &graph).await, ProcessState::Cancelled);
    assert_eq!(nodes(&stage, &graph).await, named(&[("only", ProcessState::Successful)]));
}

async fn a_node_is_cancelled_and_removed_with_its_workflow_alone(stage: Stage) {
    let graph = diamond(&stage).await;
    for id in &graph.processes {
        refused(stage.user.cancel(id).await, 400, ErrorKind::Invalid);
        refused(stage.user.remove_process(id).await, 400, ErrorKind::Invalid);
    }
    stage.owner.remove_all_processes(Some(ProcessState::Waiting)).await.unwrap();
    assert_eq!(nodes(&stage, &graph).await.len(), 4);
}

async fn a_workflow_is_removed_unless_it_runs(stage: Stage) {
    let executor = stage.executor().await;
    let graph = submit(&stage, vec![node(&stage, "only", &[])]).await;
    let only = take(&executor).await;
    refused(stage.user.remove_process_graph(&graph.id).await, 400, ErrorKind::Conflict);
    executor.close_successful(&only.id, &[]).await.unwrap();
    refused(stage.owner.remove_process_graph(&graph.id).await, 403, ErrorKind::Forbidden);
    stage.user.remove_process_graph(&graph.id).await.unwrap();
    refused(stage.user.process(&only.id).await, 404, ErrorKind::NotFound);
    refused(stage.user.process_graph(&graph.id).await, 500, ErrorKind::NotFound);
}

async fn workflows_are_listed_by_state_latest_first(stage: Stage) {
    assert_eq!(stage.user.process_graphs(ProcessState::Waiting, 100).await.unwrap(), []);
    let mut submitted = Vec::new();
    for name in ["a", "b", "c"] {
        submitted.insert(0, submit(&stage, vec![node(&stage, name, &[])]).await.id);
    }
    let ids = |graphs: Vec<ProcessGraph>| graphs.into_iter().map(|graph| graph.id).collect::<Vec<_>>();
    assert_eq!(ids(stage.user.process_graphs(ProcessState::Waiting, 0).await.unwrap()), submitted[..1]);
    assert_eq!(ids(stage.user.process_graphs(ProcessState::Waiting, 255).await.unwrap()), submitted);
    stage.user.cancel_process_graph(&submitted[1]).await.unwrap();
    assert_eq!(ids(stage.user.process_graphs(ProcessState::Cancelled, 9).await.unwrap()), submitted[1..2]);
    assert_eq!(stage.user.process_graphs(ProcessState::Waiting, 9).await.unwrap().len(), 2);
    let statistics = stage.user.statistics().await.unwrap();
    assert_eq!((statistics.waiting, statistics.cancelled), (2, 1));
}

async fn a_missing_workflow_is_not_found(stage: Stage) {
    let missing = "0".repeat(64);
    refused(stage.user.process_graph(&missing).await, 500, ErrorKind::NotFound);
    refused(stage.user.cancel_process_graph(&missing).await, 500, ErrorKind::NotFound);
    refused(stage.user.remove_process_graph(&missing).await, 500, ErrorKind::NotFound);
}

async fn who_is_no_member_submits_no_workflow(stage: Stage) {
    let spec = WorkflowSpec::new(&stage.colony, vec![node(&stage, "only", &[])]).unwrap();
    refused(stage.owner.submit_workflow(&spec).await, 403, ErrorKind::Forbidden);
    refused(stage.owner.process_graphs(ProcessState::Waiting, 1).await, 403, ErrorKind::Forbidden);
    let graph = stage.user.submit_workflow(&spec).await.unwrap();
    refused(stage.owner.process_graph(&graph.id).await, 403, ErrorKind::Forbidden);
    refused(stage.owner.cancel_process_graph(&graph.id).await, 403, ErrorKind::Forbidden);
    let checked: Result<_, Error> = WorkflowSpec::new(&stage.colony, vec![]).map_err(Error::Field);
    assert_eq!(checked.unwrap_err().kind(), ErrorKind::Field);
}

async fn a_node_that_waits_too_long_fails_its_workflow(stage: Stage) {
    let limit = colonyos_operator::colony::TimeLimit::seconds(1).unwrap();
    let first = node(&stage, "first", &[]).max_wait(limit).priority(50_000).unwrap();
    let graph = submit(&stage, vec![first, node(&stage, "second", &["first"])]).await;
    let ended = stage.until_ended(&graph.roots[0]).await;
    assert_eq!(ended.errors, ["Maximum waiting time limit exceeded"]);
    let failed = ProcessState::Failed;
    crate::stage::until("the workflow has failed", || async {
        (state_of(&stage, &graph).await == failed).then_some(())
    })
    .await;
    assert_eq!(nodes(&stage, &graph).await, named(&[("first", failed), ("second", failed)]));
}

async fn removing_all_processes_takes_the_environment_of_a_workflows_nodes(stage: Stage) {
    let only = node(&stage, "only", &[]).env("TOKEN", "t").unwrap();
    let graph = submit(&stage, vec![only]).await;
    let id = &graph.processes[0];
    assert_eq!(stage.user.process(id).await.unwrap().spec.env.0["TOKEN"], "t");
    stage.owner.remove_all_processes(None).await.unwrap();
    let left = stage.user.process(id).await.unwrap();
    assert_eq!((left.spec.env.0.len(), left.attributes.len()), (0, 0));
}
