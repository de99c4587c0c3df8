//! Executors, users and colonies: how they come and go.

use std::time::Duration;

use colonyos_operator::colony::{ErrorKind, ExecutorState, NewExecutor, PrivateKey};

use crate::backend::{Stage, checks};

checks! {
    an_executor_waits_for_approval_then_works_and_its_name_is_used_up,
    approving_a_removed_executor_brings_it_back,
    a_session_knows_who_it_is_and_hides_its_key,
}

async fn an_executor_waits_for_approval_then_works_and_its_name_is_used_up(stage: Stage) {
    let session = stage.client.session(&stage.colony, PrivateKey::generate().unwrap());
    let new = stage.new_executor("worker", &session).location("lab").unwrap().blueprint("bp-1", 4);
    let added = stage.owner.add_executor(&new).await.unwrap();
    assert_eq!((added.state, added.name.as_str()), (ExecutorState::Pending, "worker"));
    assert_eq!(session.assign(Duration::from_secs(1)).await.unwrap_err().kind(), ErrorKind::Forbidden);

    stage.owner.approve_executor("worker").await.unwrap();
    stage.owner.approve_executor("worker").await.expect("approving again is no error");
    assert_eq!(session.assign(Duration::from_secs(1)).await.unwrap(), None);
    let worker = stage.user.executor("worker").await.unwrap();
    assert_eq!(worker, stage.user.executor_by_id(session.id()).await.unwrap());
    assert_eq!((worker.state, &worker.id), (ExecutorState::Approved, session.id()));
    assert_eq!(
        (worker.colony.as_str(), &worker.executor_type),
        (stage.colony.as_str(), &stage.executor_type)
    );
    assert_eq!(
        (worker.location.as_str(), worker.blueprint_id.as_str(), worker.blueprint_generation),
        ("lab", "bp-1", 4)
    );
    assert!(worker.added_at.is_some() && worker.last_heard_at >= worker.added_at, "{worker:?}");

    stage.owner.remove_executor("worker").await.unwrap();
    let listed = stage.user.executors().await.unwrap();
    let states: Vec<_> = listed.iter().map(|executor| (executor.name.as_str(), executor.state)).collect();
    assert_eq!(states, [("worker", ExecutorState::Unregistered)]);
    assert_eq!(session.assign(Duration::from_secs(1)).await.unwrap_err().kind(), ErrorKind::Forbidden);
    let again =
        NewExecutor::new(&stage.colony, "worker", "t", PrivateKey::generate().unwrap().id().clone()).unwrap();
    assert_eq!(stage.owner.add_executor(&again).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
}

/// This is how an executor comes back that the server held for stale.
async fn approving_a_removed_executor_brings_it_back(stage: Stage) {
    let executor = stage.named_executor("worker", PrivateKey::generate().unwrap()).await;
    stage.owner.remove_executor("worker").await.unwrap();
    stage.owner.remove_executor("worker").await.expect("removing again is no error");
    stage.owner.approve_executor("worker").await.unwrap();
    assert_eq!(stage.user.executor("worker").await.unwrap().state, ExecutorState::Approved);
    assert_eq!(executor.assign(Duration::from_secs(1)).await.unwrap(), None);
}

async fn a_session_knows_who_it_is_and_hides_its_key(stage: Stage) {
    let key = PrivateKey::generate().unwrap();
    let (id, secret) = (key.id().clone(), key.to_hex());
    let session = stage.client.session(&stage.colony, key);
    assert_eq!((session.id(), session.colony()), (&id, stage.colony.as_str()));
    assert!(!format!("{session:?} {:?}", session.clone().client()).contains(secret.as_str()));
}
