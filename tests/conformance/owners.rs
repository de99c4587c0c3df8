//! What only owners may do: remove, pause, reject; and what it leaves behind.

use std::time::Duration;

use colonyos_operator::colony::{
    Blueprint, BlueprintDefinition, ErrorKind, ExecutorState, NewColony, NewUser, PrivateKey, ProcessQuery,
    ProcessState,
};
use serde_json::json;

use crate::{
    backend::{Stage, checks, refused},
    stage::until,
    support::wait::eventually,
};

checks! {
    users_come_and_go,
    a_removed_user_may_do_nothing,
    colonies_are_listed_for_the_servers_owner_alone,
    a_removed_colony_leaves_blueprints_and_a_pause_to_the_next_of_its_name,
    a_rejected_executor_may_do_nothing_until_it_is_approved,
    a_pause_stops_every_executor_and_its_end_wakes_them,
    a_process_is_removed_unless_it_runs,
    processes_are_removed_by_state_but_not_while_they_run,
    all_processes_are_removed_even_while_they_run,
    what_was_submitted_lately_is_listed,
    an_executor_with_a_new_identity_loses_its_process,
    an_identity_that_two_executors_share_is_approved_for_both,
}

const ONE_SECOND: Duration = Duration::from_secs(1);
/// How long the server's clock may take to leave a second behind.
const LIMIT: Duration = Duration::from_secs(10);

async fn users_come_and_go(stage: Stage) {
    let key = PrivateKey::generate().unwrap();
    let new = NewUser::new(&stage.colony, "second", key.id().clone()).unwrap();
    stage.owner.add_user(&new).await.unwrap();
    let mut names: Vec<_> = stage.user.users().await.unwrap().into_iter().map(|user| user.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["ops", "second"]);
    let read = stage.user.user("second").await.unwrap();
    assert_eq!((&read.id, read.colony.as_str()), (key.id(), stage.colony.as_str()));
    stage.owner.remove_user("second").await.unwrap();
    refused(stage.user.user("second").await, 500, ErrorKind::NotFound);
    refused(stage.owner.remove_user("second").await, 400, ErrorKind::NotFound);
    refused(stage.user.remove_user("ops").await, 403, ErrorKind::Forbidden);
    stage.owner.add_user(&new).await.expect("the name and the identity may be used again");
}

async fn a_removed_user_may_do_nothing(stage: Stage) {
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    stage.owner.remove_user("ops").await.unwrap();
    refused(stage.user.process(&waiting.id).await, 403, ErrorKind::Forbidden);
    refused(stage.user.users().await, 403, ErrorKind::Forbidden);
    refused(stage.user.assignments_are_paused().await, 403, ErrorKind::Forbidden);
}

async fn colonies_are_listed_for_the_servers_owner_alone(stage: Stage) {
    let listed = stage.server_owner.colonies().await.unwrap();
    let own: Vec<_> = listed.iter().filter(|colony| colony.name == stage.colony).collect();
    assert_eq!(own.iter().map(|colony| &colony.id).collect::<Vec<_>>(), [stage.owner.id()]);
    for session in [&stage.owner, &stage.user] {
        refused(session.colonies().await, 403, ErrorKind::Forbidden);
        refused(session.remove_colony(&stage.colony).await, 403, ErrorKind::Forbidden);
    }
    refused(stage.server_owner.remove_colony("no-such-colony").await, 400, ErrorKind::NotFound);
}

/// The next owner of the name finds them there.
async fn a_removed_colony_leaves_blueprints_and_a_pause_to_the_next_of_its_name(stage: Stage) {
    let definition =
        BlueprintDefinition::new(&stage.colony, "fleet", "Fleet", &stage.executor_type, "reconcile").unwrap();
    stage.owner.add_blueprint_definition(&definition).await.unwrap();
    let blueprint = Blueprint::new(&stage.colony, "Fleet", "workers").unwrap();
    stage.user.add_blueprint(&blueprint).await.unwrap();
    stage.owner.pause_assignments().await.unwrap();
    stage.executor().await;
    stage.server_owner.remove_colony(&stage.colony).await.unwrap();
    refused(stage.user.executors().await, 403, ErrorKind::Forbidden);

    let owner = stage.client.session(&stage.colony, PrivateKey::generate().unwrap());
    let colony = NewColony::new(&stage.colony, owner.id().clone()).unwrap();
    stage.server_owner.add_colony(&colony).await.unwrap();
    refused(stage.user.executors().await, 403, ErrorKind::Forbidden);
    let user = NewUser::new(&stage.colony, "ops", stage.user.id().clone()).unwrap();
    owner.add_user(&user).await.unwrap();
    assert_eq!(stage.user.executors().await.unwrap(), []);
    assert_eq!(stage.user.crons(10).await.unwrap(), []);
    for state in ProcessState::ALL {
        assert_eq!(stage.user.processes(&ProcessQuery::new(state)).await.unwrap(), []);
    }
    assert!(stage.user.assignments_are_paused().await.unwrap(), "the pause is still there");
    assert_eq!(stage.user.blueprint("workers").await.unwrap().kind, "Fleet");
    assert_eq!(stage.user.blueprint_definitions().await.unwrap().len(), 1);
    owner.resume_assignments().await.unwrap();
    owner.remove_blueprint("workers").await.unwrap();
    owner.remove_blueprint_definition("fleet").await.unwrap();
}

async fn a_rejected_executor_may_do_nothing_until_it_is_approved(stage: Stage) {
    let executor = stage.named_executor("worker", PrivateKey::generate().unwrap()).await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    stage.owner.reject_executor("worker").await.unwrap();
    stage.owner.reject_executor("worker").await.expect("rejecting again is no error");
    assert_eq!(stage.user.executor("worker").await.unwrap().state, ExecutorState::Rejected);
    refused(executor.assign(ONE_SECOND).await, 403, ErrorKind::Forbidden);
    refused(executor.close_successful(&running.id, &[]).await, 403, ErrorKind::Forbidden);
    refused(executor.add_log(&running.id, "x").await, 403, ErrorKind::Forbidden);
    let kept = stage.user.process(&running.id).await.unwrap();
    assert_eq!((kept.state, kept.assigned_executor.as_ref()), (ProcessState::Running, Some(executor.id())));
    stage.owner.approve_executor("worker").await.unwrap();
    executor.close_successful(&running.id, &[]).await.unwrap();
    refused(stage.owner.reject_executor("missing").await, 500, ErrorKind::NotFound);
    refused(stage.user.reject_executor("worker").await, 403, ErrorKind::Forbidden);
}

async fn a_pause_stops_every_executor_and_its_end_wakes_them(stage: Stage) {
    let executor = stage.executor().await;
    assert!(!stage.user.assignments_are_paused().await.unwrap());
    stage.owner.pause_assignments().await.unwrap();
    stage.owner.pause_assignments().await.expect("pausing again is no error");
    assert!(stage.user.assignments_are_paused().await.unwrap());
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    refused(executor.assign(ONE_SECOND).await, 408, ErrorKind::Paused);
    for session in [&stage.user, &executor] {
        refused(session.pause_assignments().await, 403, ErrorKind::Forbidden);
        refused(session.resume_assignments().await, 403, ErrorKind::Forbidden);
    }
    refused(stage.owner.assignments_are_paused().await, 403, ErrorKind::Forbidden);

    let last_heard_at = async || stage.user.executor_by_id(executor.id()).await.unwrap().last_heard_at;
    let before = last_heard_at().await;
    let assigned = tokio::spawn({
        let executor = executor.clone();
        async move { executor.assign(Duration::from_secs(10)).await }
    });
    until("the server has heard the executor ask", || async {
        Some(last_heard_at().await).filter(|heard_at| *heard_at != before)
    })
    .await;
    stage.owner.resume_assignments().await.unwrap();
    assert_eq!(assigned.await.unwrap().unwrap().map(|process| process.id), Some(waiting.id));
    stage.owner.resume_assignments().await.expect("resuming again is no error");
}

async fn a_process_is_removed_unless_it_runs(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    refused(stage.user.remove_process(&running.id).await, 400, ErrorKind::Conflict);
    executor.close_successful(&running.id, &[]).await.unwrap();
    refused(stage.owner.remove_process(&running.id).await, 403, ErrorKind::Forbidden);
    stage.user.remove_process(&running.id).await.unwrap();
    refused(stage.user.process(&running.id).await, 404, ErrorKind::NotFound);
    refused(stage.user.remove_process(&running.id).await, 500, ErrorKind::NotFound);
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    executor.remove_process(&waiting.id).await.expect("any member may");
    assert_eq!(executor.assign(ONE_SECOND).await.unwrap(), None);
}

async fn processes_are_removed_by_state_but_not_while_they_run(stage: Stage) {
    let executor = stage.executor().await;
    let done = stage.running(&executor, &stage.spec("f")).await;
    executor.close_successful(&done.id, &[]).await.unwrap();
    let running = stage.running(&executor, &stage.spec("f")).await;
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    let remove = |state| stage.owner.remove_all_processes(Some(state));
    refused(remove(ProcessState::Running).await, 400, ErrorKind::Invalid);
    refused(stage.user.remove_all_processes(None).await, 403, ErrorKind::Forbidden);
    remove(ProcessState::Cancelled).await.unwrap();
    remove(ProcessState::Failed).await.unwrap();
    remove(ProcessState::Successful).await.unwrap();
    refused(stage.user.process(&done.id).await, 404, ErrorKind::NotFound);
    assert_eq!(stage.user.process(&waiting.id).await.unwrap().state, ProcessState::Waiting);
    remove(ProcessState::Waiting).await.unwrap();
    refused(stage.user.process(&waiting.id).await, 404, ErrorKind::NotFound);
    assert_eq!(stage.user.process(&running.id).await.unwrap().state, ProcessState::Running);
}

async fn all_processes_are_removed_even_while_they_run(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    stage.owner.remove_all_processes(None).await.unwrap();
    refused(stage.user.process(&running.id).await, 404, ErrorKind::NotFound);
    refused(executor.close_successful(&running.id, &[json!(1)]).await, 500, ErrorKind::NotFound);
    assert_eq!(stage.user.statistics().await.unwrap().running, 0);
}

async fn what_was_submitted_lately_is_listed(stage: Stage) {
    let (one, other) = (stage.executor().await, stage.executor().await);
    let first = stage.running(&one, &stage.spec("f")).await;
    let second = stage.running(&other, &stage.spec("f")).await;
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    let ids = |processes: Vec<colonyos_operator::colony::Process>| {
        processes.into_iter().map(|process| process.id).collect::<Vec<_>>()
    };
    let all = stage.user.process_history(None, 60, ProcessState::Running).await.unwrap();
    assert_eq!(ids(all), [first.id.clone(), second.id]);
    let of_one = stage.user.process_history(Some(one.id()), 60, ProcessState::Running).await.unwrap();
    assert_eq!(ids(of_one), [first.id]);
    let queued = stage.user.process_history(None, 60, ProcessState::Waiting).await.unwrap();
    assert_eq!(ids(queued), [waiting.id]);
    assert_eq!(stage.user.process_history(None, 60, ProcessState::Failed).await.unwrap(), []);
    eventually("nothing was submitted within the last second", LIMIT, async || {
        let lately = stage.user.process_history(None, 1, ProcessState::Waiting).await.unwrap();
        lately.is_empty().then_some(()).ok_or_else(|| format!("{lately:?}"))
    })
    .await;
    let silent = stage.owner.process_history(None, 60, ProcessState::Waiting).await.unwrap_err();
    assert_eq!((silent.status(), silent.kind()), (Some(200), ErrorKind::Ambiguous), "{silent}");
}

async fn an_executor_with_a_new_identity_loses_its_process(stage: Stage) {
    let executor = stage.named_executor("worker", PrivateKey::generate().unwrap()).await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    let key = PrivateKey::generate().unwrap();
    executor.change_executor_id(key.id()).await.unwrap();
    let renewed = stage.client.session(&stage.colony, key);
    refused(executor.close_successful(&running.id, &[]).await, 403, ErrorKind::Forbidden);
    refused(renewed.close_successful(&running.id, &[]).await, 403, ErrorKind::Forbidden);
    let worker = stage.user.executor("worker").await.unwrap();
    assert_eq!((&worker.id, worker.state), (renewed.id(), ExecutorState::Approved));
    assert_eq!(renewed.assign(ONE_SECOND).await.unwrap(), None);
    refused(stage.user.change_executor_id(renewed.id()).await, 400, ErrorKind::Forbidden);
}

async fn an_identity_that_two_executors_share_is_approved_for_both(stage: Stage) {
    let session = stage.named_executor("first", PrivateKey::generate().unwrap()).await;
    stage.owner.remove_executor("first").await.unwrap();
    stage.owner.add_executor(&stage.new_executor("second", &session)).await.unwrap();
    assert_eq!(stage.user.executor("first").await.unwrap().state, ExecutorState::Unregistered);
    stage.owner.approve_executor("second").await.unwrap();
    assert_eq!(stage.user.executor("first").await.unwrap().state, ExecutorState::Approved);
}
