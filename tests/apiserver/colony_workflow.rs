//! `ColonyWorkflow`: calls that wait for each other, from `kubectl apply` to the output of the last, on the real servers.
//! The executors are the tests' own: for the operator they belong to others.

use colonyos_operator::{
    api::{
        colony_workflow::{ColonyWorkflow, ColonyWorkflowStatus, NodeStatus},
        names::process_label,
        work::WorkState,
    },
    colony::{FunctionSpec, Process, ProcessState, WorkflowSpec},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    stage::{Stage, with_operator},
};

fn node(name: &str, kind: &str, needs: &[&str]) -> Value {
    json!({ "name": name, "dependencies": needs, "function": name, "conditions": { "executorType": kind } })
}

/// Start, then left and right, then join.
fn diamond(kind: &str) -> Value {
    json!([
        node("start", kind, &[]),
        node("left", kind, &["start"]),
        node("right", kind, &["start"]),
        node("join", kind, &["left", "right"]),
    ])
}

async fn apply(stage: &Stage, name: &str, nodes: Value, spec: Value) -> Result<ColonyWorkflow, kube::Error> {
    let mut whole = json!({ "colony": stage.colony.name, "nodes": nodes });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "metadata": { "name": name }, "spec": whole,
    });
    stage.create(object).await
}

fn named<'a>(status: &'a ColonyWorkflowStatus, name: &str) -> &'a NodeStatus {
    status.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("no node {name}: {status:?}"))
}

fn states(status: &ColonyWorkflowStatus) -> Vec<(&str, WorkState)> {
    status.nodes.iter().map(|node| (node.name.as_str(), node.state)).collect()
}

/// Waits until the server has written all nodes. It breaks down over one that is assigned before, and its executor never
/// hears of it.
async fn until_written(stage: &Stage, name: &str) {
    stage.until_state::<ColonyWorkflow>(name, WorkState::Waiting).await;
}

async fn label(stage: &Stage, name: &str, attempt: i64) -> String {
    let objects: Api<ColonyWorkflow> = stage.api();
    process_label(&stage.cluster().await, &objects.get(name).await.unwrap().uid().unwrap(), attempt)
}

async fn labelled(stage: &Stage, name: &str, attempt: i64) -> Vec<Process> {
    let label = label(stage, name, attempt).await;
    stage.colony.member.processes_labelled(&label).await.unwrap()
}

/// Ids of the workflows of a label, the oldest first.
fn graphs(processes: &[Process]) -> Vec<String> {
    let mut ids: Vec<String> = processes.iter().map(|process| process.graph_id.clone()).collect();
    ids.dedup();
    ids
}

#[tokio::test]
async fn nodes_run_in_their_order_and_hand_on_what_they_put_out() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow", async |stage| {
        let executor = stage.colony.executor("worker", "painter").await;
        apply(stage, "diamond", diamond("painter"), json!({})).await.unwrap();
        until_written(stage, "diamond").await;
        let start = assigned(&executor).await;
        assert_eq!(start.spec.node_name, "start");
        let status = stage.until_state::<ColonyWorkflow>("diamond", WorkState::Running).await;
        let who = named(&status, "start").executor.clone().unwrap();
        assert!(who == "worker" || who == executor.id().as_str(), "{who}");
        assert_eq!(named(&status, "join").state, WorkState::Waiting);
        assert_eq!(status.progress.as_deref(), Some("0/4"));
        executor.close_successful(&start.id, &[json!("s")]).await.unwrap();
        for _ in 0..2 {
            let side = assigned(&executor).await;
            assert_eq!(side.input, [json!("s")], "its parent's output");
            executor.close_successful(&side.id, &[json!(side.spec.node_name)]).await.unwrap();
        }
        stage
            .until_status::<ColonyWorkflow>("diamond", "three are done", |status| {
                status.progress.as_deref() == Some("3/4")
            })
            .await;
        let join = assigned(&executor).await;
        let mut input = join.input.clone();
        input.sort_by_key(ToString::to_string);
        assert_eq!((join.spec.node_name.as_str(), input), ("join", vec![json!("left"), json!("right")]));
        executor.add_log(&join.id, "painting").await.unwrap();
        executor.close_successful(&join.id, &[json!({ "picture": "bell \u{7}" })]).await.unwrap();

        let status = stage.until_state::<ColonyWorkflow>("diamond", WorkState::Succeeded).await;
        assert_eq!(named(&status, "join").output, [json!({ "picture": "bell  " })]);
        assert!(named(&status, "start").output.is_empty(), "another node depends on it");
        assert_eq!(status.progress.as_deref(), Some("4/4"));
        let (holds, reason, _) = status.told("Finished");
        assert_eq!((holds.as_str(), reason.as_str()), ("True", "ClosedSuccessfully"));
        assert!(status.start_time.is_some() && status.completion_time >= status.start_time);
        let all = labelled(stage, "diamond", 1).await;
        assert_eq!((all.len(), graphs(&all)), (4, vec![status.graph_id.unwrap()]), "one workflow");

        let logs = stage.command("logs", "colonyworkflow/diamond").output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&logs.stdout), "[join] painting\n");
        let whole =
            stage.command("process", "colonyworkflow/diamond").args(["-o", "json"]).output().await.unwrap();
        let whole: Value = serde_json::from_slice(&whole.stdout).unwrap();
        let nodes: Vec<&Value> = whole.as_array().unwrap().iter().map(|one| &one["node"]).collect();
        assert_eq!(nodes, ["start", "left", "right", "join"]);

        let refusal = stage
            .patch::<ColonyWorkflow>("diamond", json!({ "nodes": [node("other", "painter", &[])] }))
            .await;
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains("what was submitted cannot change"), "{refusal}");
        stage.patch::<ColonyWorkflow>("diamond", json!({ "ttlSecondsAfterFinished": 0 })).await.unwrap();
        stage.until_gone::<ColonyWorkflow>("diamond").await;
    })
    .await;
}

#[tokio::test]
async fn a_failing_node_fails_the_rest_and_is_named() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow-fails", async |stage| {
        let executor = stage.colony.executor("worker", "crasher").await;
        apply(stage, "broken", diamond("crasher"), json!({})).await.unwrap();
        until_written(stage, "broken").await;
        let start = assigned(&executor).await;
        executor.close_successful(&start.id, &[]).await.unwrap();
        let side = assigned(&executor).await;
        executor.close_failed(&side.id, &["disk full".to_owned()]).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("broken", WorkState::Failed).await;
        let (holds, reason, message) = status.told("Finished");
        assert_eq!((holds.as_str(), reason.as_str()), ("True", "ProcessFailed"));
        let expected = format!("node {} failed: disk full", side.spec.node_name);
        assert!(message.starts_with(&expected), "{message}");
        assert_eq!(named(&status, &side.spec.node_name).errors, ["disk full"]);
        assert_eq!(named(&status, "start").state, WorkState::Succeeded, "whatever the server makes of it");
        assert_eq!(named(&status, "join").state, WorkState::Failed);
        assert_eq!(status.progress.as_deref(), Some("1/4"));
        assert_eq!(graphs(&labelled(stage, "broken", 1).await).len(), 1, "it is not submitted again");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_end_is_refused() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow-bad", async |stage| {
        let kind = "unserved";
        let circle = json!([
            node("a", kind, &["c"]),
            node("b", kind, &["a"]),
            node("c", kind, &["b"]),
            node("d", kind, &["c"])
        ]);
        apply(stage, "circle", circle, json!({})).await.unwrap();
        let status = stage
            .until_status::<ColonyWorkflow>("circle", "is refused", |status| !status.conditions.is_empty())
            .await;
        let (holds, reason, message) = status.told("Submitted");
        assert_eq!((holds.as_str(), reason.as_str()), ("False", "InvalidSpec"));
        assert!(message.contains("a needs c needs b needs a"), "{message}");
        assert_eq!(status.mirror, None, "nothing is intended");
        assert_eq!(labelled(stage, "circle", 1).await, []);

        let many: Vec<Value> = (0..101).map(|index| node(&format!("n{index}"), kind, &[])).collect();
        for (nodes, expected) in [
            (json!([node("a", kind, &["missing"])]), "dependencies name nodes that are not there"),
            (json!([node("a", kind, &["a"])]), "node a depends on itself"),
            (json!([node("a", kind, &[]), node("b", kind, &["a", "a"])]), "Duplicate"),
            (json!([node("a", kind, &[]), node("a", kind, &[])]), "Duplicate"),
            (json!([node("a b", kind, &[])]), "nodes[0].name"),
            (json!([]), "nodes"),
            (json!(many), "Too many"),
        ] {
            let refusal = apply(stage, "bad", nodes.clone(), json!({})).await.expect_err(&nodes.to_string());
            assert!(refusal.to_string().contains(expected), "{nodes}: {refusal}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_suspended_cancelled_late_or_deleted_is_ended_as_a_whole() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow-ends", async |stage| {
        let kind = "unserved";
        apply(stage, "paused", diamond(kind), json!({ "suspend": true })).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("paused", WorkState::Suspended).await;
        assert_eq!(status.mirror, None);
        assert_eq!(labelled(stage, "paused", 1).await, [], "it is never submitted");
        stage.patch::<ColonyWorkflow>("paused", json!({ "suspend": false })).await.unwrap();
        stage.until_state::<ColonyWorkflow>("paused", WorkState::Waiting).await;
        stage.patch::<ColonyWorkflow>("paused", json!({ "suspend": true })).await.unwrap();
        stage.until_state::<ColonyWorkflow>("paused", WorkState::Suspended).await;
        stage.patch::<ColonyWorkflow>("paused", json!({ "suspend": false })).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("paused", WorkState::Waiting).await;
        assert_eq!(status.attempts, 2);
        stage.patch::<ColonyWorkflow>("paused", json!({ "cancel": true })).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("paused", WorkState::Cancelled).await;
        assert_eq!(status.reason("Finished"), "CancelRequested");
        assert!(status.nodes.iter().all(|node| node.state == WorkState::Cancelled), "{:?}", states(&status));
        for attempt in [1, 2] {
            let nodes = labelled(stage, "paused", attempt).await;
            assert_eq!(nodes.len(), 4);
            assert!(nodes.iter().all(|node| node.state == ProcessState::Cancelled), "{nodes:#?}");
        }

        apply(stage, "late", diamond(kind), json!({ "activeDeadlineSeconds": 2 })).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("late", WorkState::Failed).await;
        assert_eq!(status.reason("Failed"), "DeadlineExceeded");

        // A member of the colony may end it too, without an event.
        apply(stage, "taken", diamond(kind), json!({})).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("taken", WorkState::Waiting).await;
        stage.colony.member.cancel_process_graph(&status.graph_id.unwrap()).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("taken", WorkState::Cancelled).await;
        assert_eq!(status.reason("Finished"), "ProcessCancelled");

        let objects: Api<ColonyWorkflow> = stage.api();
        for (name, policy, end) in
            [("ended", "Delete", ProcessState::Cancelled), ("kept", "Orphan", ProcessState::Waiting)]
        {
            apply(stage, name, diamond(kind), json!({ "deletionPolicy": policy })).await.unwrap();
            let status = stage.until_state::<ColonyWorkflow>(name, WorkState::Waiting).await;
            objects.delete(name, &DeleteParams::default()).await.unwrap();
            stage.until_gone::<ColonyWorkflow>(name).await;
            let graph = stage.colony.member.process_graph(&status.graph_id.unwrap()).await.unwrap();
            assert_eq!(graph.state, end, "{name}");
        }
    })
    .await;
}

/// The server lists a hundred at most, and says of no full list whether it is all.
#[tokio::test]
async fn as_many_nodes_as_a_list_of_the_server_holds_are_bound_and_followed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow-large", async |stage| {
        let nodes: Vec<Value> = (0..99).map(|index| node(&format!("n{index}"), "unserved", &[])).collect();
        let names: Vec<Value> = nodes.iter().map(|node| node["name"].clone()).collect();
        let last = json!({ "name": "last", "dependencies": names, "function": "f", "conditions": { "executorType": "unserved" } });
        apply(stage, "large", Value::from([nodes, vec![last]].concat()), json!({})).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("large", WorkState::Waiting).await;
        assert_eq!(status.nodes.iter().filter(|node| node.process_id.is_some()).count(), 100);
        stage.patch::<ColonyWorkflow>("large", json!({ "cancel": true })).await.unwrap();
        let status = stage.until_state::<ColonyWorkflow>("large", WorkState::Cancelled).await;
        assert!(status.nodes.iter().all(|node| node.state == WorkState::Cancelled), "{:?}", states(&status));
        let graphs = stage.colony.member.process_graphs(ProcessState::Cancelled, 10).await.unwrap();
        assert_eq!(graphs.len(), 1);
    })
    .await;
}

async fn submit(stage: &Stage, label: &str, nodes: &[(&str, &[&str])]) -> String {
    let colony = &stage.colony.name;
    let function = |(name, needs): &(&str, &[&str])| {
        let spec = FunctionSpec::new(colony, "unserved", name).unwrap().label(label).unwrap();
        let spec = spec.node_name(name).unwrap();
        needs.iter().fold(spec, |spec, needed| spec.depends_on(needed).unwrap())
    };
    let workflow = WorkflowSpec::new(colony, nodes.iter().map(function).collect()).unwrap();
    stage.operators_member().await.submit_workflow(&workflow).await.unwrap().id
}

/// What a lost answer leaves behind: unknown workflows of the label, whole or in part.
#[tokio::test]
async fn of_several_workflows_of_a_label_the_oldest_whole_one_is_kept() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "workflow-twice", async |stage| {
        let whole: [(&str, &[&str]); 4] =
            [("start", &[]), ("left", &["start"]), ("right", &["start"]), ("join", &["left", "right"])];
        stage.admit(false).await;
        for name in ["doubled", "partial"] {
            apply(stage, name, diamond("unserved"), json!({})).await.unwrap();
        }
        let doubled = label(stage, "doubled", 1).await;
        let mut submitted = Vec::new();
        for nodes in [&whole[..3], &whole[..], &whole[..]] {
            submitted.push(submit(stage, &doubled, nodes).await);
        }
        let part = submit(stage, &label(stage, "partial", 1).await, &whole[..3]).await;
        let nodes = |name: &str| {
            let nodes = json!(["start", "left", "right", "join"].map(|node| json!({ "name": node, "state": "Pending" })));
            json!({ "status": { "attempts": 1, "nodes": nodes, "mirror": { "label": name, "generation": 1, "state": "Intended", "intendedAt": "2026-01-01T00:00:00Z" } } })
        };
        // As an operator leaves it that submitted and died.
        let objects: Api<ColonyWorkflow> = stage.api();
        for name in ["doubled", "partial"] {
            let status = nodes(&label(stage, name, 1).await);
            objects.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        }
        stage.admit(true).await;

        let status = stage.until_status::<ColonyWorkflow>("doubled", "is bound", |status| status.state == Some(WorkState::Waiting)).await;
        assert_eq!(status.graph_id.as_ref(), Some(&submitted[1]), "the oldest that is whole");
        for process in labelled(stage, "doubled", 1).await {
            let expected = if process.graph_id == submitted[1] { ProcessState::Waiting } else { ProcessState::Cancelled };
            assert_eq!(process.state, expected, "{process:#?}");
        }

        let status = stage.until_status::<ColonyWorkflow>("partial", "has failed", |status| status.state == Some(WorkState::Failed)).await;
        let (_, reason, message) = status.told("Finished");
        assert_eq!(reason, "WorkflowIncomplete");
        assert!(message.contains("lacks join"), "{message}");
        let left = labelled(stage, "partial", 1).await;
        assert_eq!(graphs(&left), [part], "it is not submitted again");
        assert!(left.iter().all(|process| process.state == ProcessState::Cancelled), "{left:#?}");
    })
    .await;
}
