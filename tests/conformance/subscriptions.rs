//! What a follower of a process is told, and what not.

use std::time::Duration;

use colonyos_operator::colony::{ErrorKind, PrivateKey, ProcessId, ProcessState, Subscription, WorkflowSpec};
use serde_json::json;

use crate::backend::{Stage, checks};

checks! {
    a_follower_is_told_at_once_of_what_is_so_already,
    a_follower_is_told_when_it_comes_to_be_so,
    a_follower_of_a_success_is_shown_it_as_it_was_before,
    a_follower_is_told_nothing_of_other_states_and_processes,
    a_subscription_ends_without_a_word_when_its_time_is_over,
    a_follower_of_nothing_is_told_so,
    a_client_that_is_no_member_may_follow,
    no_event_reports_a_cancelled_workflow,
}

const LIMIT: Duration = Duration::from_secs(10);

/// How long nothing has to come to be taken for nothing.
const QUIET: Duration = Duration::from_millis(700);

async fn follow(stage: &Stage, id: &ProcessId, wanted: ProcessState) -> Subscription {
    let subscription = stage.user.subscribe(id, wanted, LIMIT).await.unwrap();
    // The server does not acknowledge a subscription: there is no condition to wait for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    subscription
}

async fn told_nothing(subscription: &mut Subscription) {
    let told = tokio::time::timeout(QUIET, subscription.next()).await;
    assert!(told.is_err(), "{told:?}");
}

async fn a_follower_is_told_at_once_of_what_is_so_already(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    let mut subscription = follow(&stage, &running.id, ProcessState::Running).await;
    let told = subscription.next().await.unwrap().unwrap();
    assert_eq!((told.id, told.state), (running.id, ProcessState::Running));
}

async fn a_follower_is_told_when_it_comes_to_be_so(stage: Stage) {
    let executor = stage.executor().await;
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    let mut running = follow(&stage, &waiting.id, ProcessState::Running).await;
    let mut failed = follow(&stage, &waiting.id, ProcessState::Failed).await;
    executor.assign(Duration::from_secs(5)).await.unwrap().unwrap();
    let told = running.next().await.unwrap().unwrap();
    assert_eq!((told.state, told.assigned_executor.as_ref()), (ProcessState::Running, Some(executor.id())));
    executor.close_failed(&waiting.id, &["no".into()]).await.unwrap();
    let told = failed.next().await.unwrap().unwrap();
    assert_eq!((told.state, told.errors), (ProcessState::Failed, vec!["no".to_owned()]));
    let cancelled = stage.user.submit(&stage.spec("f")).await.unwrap();
    let mut subscription = follow(&stage, &cancelled.id, ProcessState::Cancelled).await;
    stage.user.cancel(&cancelled.id).await.unwrap();
    assert_eq!(subscription.next().await.unwrap().unwrap().id, cancelled.id);
}

/// Hence: read again before believing.
async fn a_follower_of_a_success_is_shown_it_as_it_was_before(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    let mut subscription = follow(&stage, &running.id, ProcessState::Successful).await;
    executor.close_successful(&running.id, &[json!("done")]).await.unwrap();
    let told = subscription.next().await.unwrap().unwrap();
    assert_eq!((told.state, told.output, told.ended_at), (ProcessState::Successful, vec![], None));
    assert_eq!(stage.user.process(&running.id).await.unwrap().output, [json!("done")]);
}

async fn a_follower_is_told_nothing_of_other_states_and_processes(stage: Stage) {
    let executor = stage.executor().await;
    let other = stage.running(&executor, &stage.spec("f")).await;
    let followed = stage.running(&executor, &stage.spec("f")).await;
    let mut subscription = follow(&stage, &followed.id, ProcessState::Successful).await;
    executor.close_successful(&other.id, &[]).await.unwrap();
    executor.close_failed(&followed.id, &["no".into()]).await.unwrap();
    told_nothing(&mut subscription).await;
}

async fn a_subscription_ends_without_a_word_when_its_time_is_over(stage: Stage) {
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    let limit = Duration::from_secs(1);
    let mut subscription = stage.user.subscribe(&waiting.id, ProcessState::Successful, limit).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(4), subscription.next()).await;
    assert_eq!(ended.expect("the server ends it").unwrap(), None);
    assert_eq!(subscription.next().await.unwrap(), None);
}

async fn a_follower_of_nothing_is_told_so(stage: Stage) {
    let missing = ProcessId::new("0".repeat(64));
    let mut subscription = stage.user.subscribe(&missing, ProcessState::Failed, LIMIT).await.unwrap();
    let error = subscription.next().await.unwrap_err();
    assert_eq!((error.status(), error.kind()), (Some(403), ErrorKind::NotFound), "{error}");
    let refused = stage.user.subscribe(&missing, ProcessState::Waiting, LIMIT).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Field);
}

/// A client that knows the id of a process of any colony sees all of it.
async fn a_client_that_is_no_member_may_follow(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f").arg("confidential")).await;
    let stranger = stage.client.session(&stage.colony, PrivateKey::generate().unwrap());
    let mut subscription = stranger.subscribe(&running.id, ProcessState::Running, LIMIT).await.unwrap();
    let told = subscription.next().await.unwrap().unwrap();
    assert_eq!(told.spec.args, [json!("confidential")]);
}

async fn no_event_reports_a_cancelled_workflow(stage: Stage) {
    let node = stage.spec("f").node_name("only").unwrap();
    let spec = WorkflowSpec::new(&stage.colony, vec![node]).unwrap();
    let graph = stage.user.submit_workflow(&spec).await.unwrap();
    let mut subscription = follow(&stage, &graph.processes[0], ProcessState::Cancelled).await;
    stage.user.cancel_process_graph(&graph.id).await.unwrap();
    told_nothing(&mut subscription).await;
    assert_eq!(stage.user.process(&graph.processes[0]).await.unwrap().state, ProcessState::Cancelled);
}
