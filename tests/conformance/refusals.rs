//! What the server says when it refuses, and what the client makes of it.

use std::time::Duration;

use colonyos_operator::colony::{
    ErrorKind, FunctionSpec, LogQuery, NewColony, NewExecutor, NewUser, PrivateKey, ProcessId, ProcessQuery,
    ProcessState,
};
use serde_json::json;

use crate::backend::{Stage, checks, refused};

checks! {
    what_is_missing_is_not_found_whatever_the_status,
    who_may_not_is_forbidden,
    what_is_there_already_says_so,
    what_a_state_does_not_allow_is_a_conflict,
    a_cancelled_process_cannot_be_closed_but_its_output_is_overwritten,
}

const ONE_SECOND: Duration = Duration::from_secs(1);

async fn what_is_missing_is_not_found_whatever_the_status(stage: Stage) {
    let executor = stage.executor().await;
    let process = ProcessId::new("0".repeat(64));
    let (user, owner) = (&stage.user, &stage.owner);
    refused(user.process(&process).await, 404, ErrorKind::NotFound);
    refused(user.cancel(&process).await, 500, ErrorKind::NotFound);
    refused(user.logs(&LogQuery::new(process.clone())).await, 500, ErrorKind::NotFound);
    refused(executor.close_successful(&process, &[]).await, 500, ErrorKind::NotFound);
    refused(executor.close_failed(&process, &[]).await, 500, ErrorKind::NotFound);
    refused(executor.set_output(&process, &[json!(1)]).await, 500, ErrorKind::NotFound);
    refused(executor.add_log(&process, "x").await, 500, ErrorKind::NotFound);
    refused(user.executor("missing").await, 500, ErrorKind::NotFound);
    refused(user.executor_by_id(PrivateKey::generate().unwrap().id()).await, 404, ErrorKind::NotFound);
    refused(owner.approve_executor("missing").await, 500, ErrorKind::NotFound);
    refused(owner.remove_executor("missing").await, 500, ErrorKind::NotFound);
    let by_unknown = ProcessQuery::new(ProcessState::Waiting).initiator("missing").unwrap();
    refused(user.processes(&by_unknown).await, 400, ErrorKind::NotFound);
}

async fn who_may_not_is_forbidden(stage: Stage) {
    let (user, owner, executor) = (&stage.user, &stage.owner, stage.executor().await);
    let stranger = stage.client.session(&stage.colony, PrivateKey::generate().unwrap());
    let id = || PrivateKey::generate().unwrap().id().clone();
    refused(owner.submit(&stage.spec("f")).await, 403, ErrorKind::Forbidden);
    refused(stranger.submit(&stage.spec("f")).await, 403, ErrorKind::Forbidden);
    refused(stranger.executors().await, 403, ErrorKind::Forbidden);
    refused(stranger.processes(&ProcessQuery::new(ProcessState::Waiting)).await, 403, ErrorKind::Forbidden);
    let silent = stranger.statistics().await.unwrap_err();
    assert_eq!((silent.status(), silent.kind()), (Some(200), ErrorKind::Ambiguous), "{silent}");
    refused(stranger.assign(ONE_SECOND).await, 403, ErrorKind::Forbidden);
    refused(user.assign(ONE_SECOND).await, 500, ErrorKind::Forbidden);
    let new = NewExecutor::new(&stage.colony, "e", "t", id()).unwrap();
    refused(user.add_executor(&new).await, 403, ErrorKind::Forbidden);
    refused(user.remove_executor("missing").await, 500, ErrorKind::NotFound);
    refused(user.add_user(&NewUser::new(&stage.colony, "u", id()).unwrap()).await, 403, ErrorKind::Forbidden);
    refused(owner.add_colony(&NewColony::new("c", id()).unwrap()).await, 403, ErrorKind::Forbidden);
    let nowhere = stage.client.session("no-such-colony", PrivateKey::generate().unwrap());
    refused(nowhere.executors().await, 403, ErrorKind::Forbidden);
    refused(
        nowhere.submit(&FunctionSpec::new("no-such-colony", "t", "f").unwrap()).await,
        403,
        ErrorKind::Forbidden,
    );

    let running = stage.running(&executor, &stage.spec("f")).await;
    let other = stage.executor().await;
    refused(other.close_successful(&running.id, &[]).await, 403, ErrorKind::Forbidden);
    refused(other.close_failed(&running.id, &[]).await, 403, ErrorKind::Forbidden);
    refused(other.set_output(&running.id, &[json!(1)]).await, 403, ErrorKind::Forbidden);
    refused(stranger.cancel(&running.id).await, 403, ErrorKind::Forbidden);
    refused(stranger.process(&running.id).await, 403, ErrorKind::Forbidden);
}

async fn what_is_there_already_says_so(stage: Stage) {
    let owner = &stage.owner;
    let id = || PrivateKey::generate().unwrap().id().clone();
    let first = id();
    let executor = |name: &str, id| NewExecutor::new(&stage.colony, name, "t", id).unwrap();
    owner.add_executor(&executor("e", first.clone())).await.unwrap();
    refused(owner.add_executor(&executor("e", id())).await, 400, ErrorKind::AlreadyExists);
    refused(owner.add_executor(&executor("e", first.clone())).await, 400, ErrorKind::AlreadyExists);
    let user = |name: &str, id| NewUser::new(&stage.colony, name, id).unwrap();
    refused(owner.add_user(&user("ops", id())).await, 400, ErrorKind::AlreadyExists);
    let colony = NewColony::new(&stage.colony, id()).unwrap();
    refused(stage.server_owner.add_colony(&colony).await, 400, ErrorKind::AlreadyExists);
}

async fn what_a_state_does_not_allow_is_a_conflict(stage: Stage) {
    let (user, executor) = (&stage.user, stage.executor().await);
    let waiting = user.submit(&stage.spec("f")).await.unwrap();
    refused(executor.close_successful(&waiting.id, &[]).await, 403, ErrorKind::Conflict);
    refused(executor.close_failed(&waiting.id, &[]).await, 403, ErrorKind::Conflict);
    user.cancel(&waiting.id).await.unwrap();
    refused(user.cancel(&waiting.id).await, 400, ErrorKind::Conflict);

    let successful = stage.running(&executor, &stage.spec("f")).await;
    executor.close_successful(&successful.id, &[json!(1)]).await.unwrap();
    refused(user.cancel(&successful.id).await, 400, ErrorKind::Conflict);
    refused(executor.close_failed(&successful.id, &["late".into()]).await, 400, ErrorKind::Conflict);
    refused(executor.set_output(&successful.id, &[json!(3)]).await, 403, ErrorKind::Conflict);
    executor
        .close_successful(&successful.id, &[json!(2)])
        .await
        .expect("closing again overwrites the output");
    assert_eq!(user.process(&successful.id).await.unwrap().output, [json!(2)]);

    let failed = stage.running(&executor, &stage.spec("f")).await;
    executor.close_failed(&failed.id, &["x".into()]).await.unwrap();
    refused(user.cancel(&failed.id).await, 400, ErrorKind::Conflict);
    refused(executor.close_successful(&failed.id, &[]).await, 400, ErrorKind::Conflict);
    refused(executor.close_failed(&failed.id, &[]).await, 400, ErrorKind::Conflict);
}

/// An executor is not told of a cancel: it learns when it closes. The server then keeps the output all the
/// same.
async fn a_cancelled_process_cannot_be_closed_but_its_output_is_overwritten(stage: Stage) {
    let executor = stage.executor().await;
    let cancelled = stage.running(&executor, &stage.spec("f")).await;
    stage.user.cancel(&cancelled.id).await.unwrap();
    refused(executor.close_failed(&cancelled.id, &["late".into()]).await, 400, ErrorKind::Conflict);
    refused(executor.close_successful(&cancelled.id, &[json!("late")]).await, 400, ErrorKind::Conflict);
    let process = stage.user.process(&cancelled.id).await.unwrap();
    assert_eq!((process.state, process.output), (ProcessState::Cancelled, vec![json!("late")]));
}
