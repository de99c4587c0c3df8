//! Crons: when they run, when they do not, and who may say so.

use std::{num::NonZeroU32, time::Duration};

use colonyos_operator::colony::{Cron, ErrorKind, NewCron, ProcessState, Schedule, WorkflowSpec};
use serde_json::json;

use crate::{
    backend::{Stage, checks, refused},
    stage::until,
};

checks! {
    a_cron_comes_back_as_it_was_added,
    a_cron_runs_again_and_again,
    a_cron_runs_when_it_is_told_to_and_hands_on_what_came_of_it,
    a_cron_that_waits_is_frozen_by_a_cancelled_workflow,
    a_cron_runs_for_who_may_not_run_it,
    crons_are_refused_and_removed,
}

fn cron(stage: &Stage, name: &str, schedule: Schedule) -> NewCron {
    let node = stage.spec("f").node_name("only").unwrap();
    NewCron::new(name, schedule, WorkflowSpec::new(&stage.colony, vec![node]).unwrap()).unwrap()
}

fn every(seconds: u32) -> Schedule {
    Schedule::Every(NonZeroU32::new(seconds).unwrap())
}

async fn until_it_has_run(stage: &Stage, id: &str, before: &str) -> Cron {
    until("the cron has run", || async {
        let cron = stage.user.cron(id).await.unwrap();
        Some(cron).filter(|cron| !cron.previous_graph_id.is_empty() && cron.previous_graph_id != before)
    })
    .await
}

async fn a_cron_comes_back_as_it_was_added(stage: Stage) {
    assert_eq!(stage.user.crons(100).await.unwrap(), []);
    let added = stage.user.add_cron(&cron(&stage, "hourly", every(3600)).wait_for_previous()).await.unwrap();
    assert_eq!((added.name.as_str(), added.interval_seconds), ("hourly", 3600));
    assert_eq!((added.colony.as_str(), added.initiator_name.as_str()), (stage.colony.as_str(), "ops"));
    assert!(added.waits_for_previous && added.last_run_at.is_none() && added.previous_graph_id.is_empty());
    let expression = Schedule::Expression("0 0 3 1 1 *".into());
    let yearly = stage.user.add_cron(&cron(&stage, "yearly", expression)).await.unwrap();
    assert_eq!((yearly.expression.as_str(), yearly.interval_seconds), ("0 0 3 1 1 *", -1));
    let mut names: Vec<_> = stage.user.crons(100).await.unwrap().into_iter().map(|cron| cron.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["hourly", "yearly"]);
    assert_eq!(stage.user.crons(1).await.unwrap().len(), 1);
    assert_eq!(stage.user.cron(&added.id).await.unwrap().workflow, added.workflow);
}

async fn a_cron_runs_again_and_again(stage: Stage) {
    let added = stage.user.add_cron(&cron(&stage, "often", every(1))).await.unwrap();
    let first = until_it_has_run(&stage, &added.id, "").await;
    assert!(first.last_run_at.is_some() && first.next_run_at > first.last_run_at, "{first:?}");
    until_it_has_run(&stage, &added.id, &first.previous_graph_id).await;
    stage.user.remove_cron(&added.id).await.unwrap();
    let graph = stage.user.process_graph(&first.previous_graph_id).await.unwrap();
    assert_eq!((graph.state, graph.initiator_name.as_str()), (ProcessState::Waiting, "ops"));
}

async fn a_cron_runs_when_it_is_told_to_and_hands_on_what_came_of_it(stage: Stage) {
    let executor = stage.executor().await;
    let added = stage.user.add_cron(&cron(&stage, "hourly", every(3600))).await.unwrap();
    until("it has been looked at", || async {
        stage.user.cron(&added.id).await.unwrap().next_run_at.map(drop)
    })
    .await;
    let told = stage.user.run_cron(&added.id).await.unwrap();
    assert_eq!(told.previous_graph_id, "", "the answer shows it as it was before");
    let first = stage.user.cron(&added.id).await.unwrap().previous_graph_id;
    let process = executor.assign(Duration::from_secs(5)).await.unwrap().unwrap();
    assert_eq!((&process.graph_id, process.input.len()), (&first, 0));
    executor.close_successful(&process.id, &[json!("once")]).await.unwrap();
    stage.user.run_cron(&added.id).await.unwrap();
    let process = executor.assign(Duration::from_secs(5)).await.unwrap().unwrap();
    assert_eq!(process.input, [json!("once")], "what the workflow before put out");
    assert_ne!(process.graph_id, first);
}

async fn a_cron_that_waits_is_frozen_by_a_cancelled_workflow(stage: Stage) {
    let new = cron(&stage, "hourly", every(3600)).wait_for_previous();
    let added = stage.user.add_cron(&new).await.unwrap();
    until("it has been looked at", || async {
        stage.user.cron(&added.id).await.unwrap().next_run_at.map(drop)
    })
    .await;
    stage.user.run_cron(&added.id).await.unwrap();
    let first = stage.user.cron(&added.id).await.unwrap().previous_graph_id;
    stage.user.run_cron(&added.id).await.expect("it is not run, and no error says so");
    assert_eq!(stage.user.cron(&added.id).await.unwrap().previous_graph_id, first);
    stage.user.cancel_process_graph(&first).await.unwrap();
    stage.user.run_cron(&added.id).await.unwrap();
    assert_eq!(stage.user.cron(&added.id).await.unwrap().previous_graph_id, first, "for ever");
}

async fn a_cron_runs_for_who_may_not_run_it(stage: Stage) {
    let added = stage.user.add_cron(&cron(&stage, "hourly", every(3600))).await.unwrap();
    until("it has been looked at", || async {
        stage.user.cron(&added.id).await.unwrap().next_run_at.map(drop)
    })
    .await;
    refused(stage.owner.run_cron(&added.id).await, 403, ErrorKind::Forbidden);
    until_it_has_run(&stage, &added.id, "").await;
}

async fn crons_are_refused_and_removed(stage: Stage) {
    let (user, owner) = (&stage.user, &stage.owner);
    let hourly = cron(&stage, "hourly", every(3600));
    refused(owner.add_cron(&hourly).await, 403, ErrorKind::Forbidden);
    let added = user.add_cron(&hourly).await.unwrap();
    refused(user.add_cron(&hourly).await, 400, ErrorKind::AlreadyExists);
    let unreadable = cron(&stage, "never", Schedule::Expression("soon".into()));
    refused(user.add_cron(&unreadable).await, 400, ErrorKind::Invalid);
    refused(owner.cron(&added.id).await, 403, ErrorKind::Forbidden);
    refused(owner.remove_cron(&added.id).await, 403, ErrorKind::Forbidden);
    user.remove_cron(&added.id).await.unwrap();
    refused(user.remove_cron(&added.id).await, 500, ErrorKind::NotFound);
    refused(user.cron(&added.id).await, 500, ErrorKind::NotFound);
    refused(user.run_cron(&added.id).await, 400, ErrorKind::NotFound);
    user.add_cron(&hourly).await.expect("the name may be used again");
}
