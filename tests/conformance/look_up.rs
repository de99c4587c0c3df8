//! How processes are found: by one filter at a time, and by label over all states.

use std::time::Duration;

use colonyos_operator::colony::{ErrorKind, Process, ProcessQuery, ProcessState};

use crate::backend::{Stage, checks};

checks! {
    a_label_finds_its_processes_in_every_state_oldest_first,
    a_label_with_more_than_the_server_lists_is_an_error,
    a_look_up_that_fails_is_an_error_and_not_empty,
    an_executor_finds_all_that_it_runs,
    each_filter_finds_its_own,
}

fn ids(processes: &[Process]) -> Vec<&str> {
    processes.iter().map(|process| process.id.as_str()).collect()
}

async fn a_label_finds_its_processes_in_every_state_oldest_first(stage: Stage) {
    let executor = stage.executor().await;
    let spec = stage.spec("f").label("k8s:c/uid/1").unwrap();
    let mut expected = Vec::new();
    for state in
        [ProcessState::Failed, ProcessState::Successful, ProcessState::Cancelled, ProcessState::Running]
    {
        let process = stage.running(&executor, &spec).await;
        match state {
            ProcessState::Failed => executor.close_failed(&process.id, &["x".into()]).await.unwrap(),
            ProcessState::Successful => executor.close_successful(&process.id, &[]).await.unwrap(),
            ProcessState::Cancelled => stage.user.cancel(&process.id).await.unwrap(),
            _ => {}
        }
        expected.push((process.id, state));
    }
    let waiting = stage.user.submit(&spec).await.unwrap();
    expected.push((waiting.id, ProcessState::Waiting));
    // Neighbours that a prefix, a substring or a case-insensitive match would find.
    for other in ["k8s:c/uid/10", "k8s:c/uid/", "K8S:C/UID/1", "xk8s:c/uid/1"] {
        stage.user.submit(&stage.spec("f").label(other).unwrap()).await.unwrap();
    }

    let found = stage.user.processes_labelled("k8s:c/uid/1").await.unwrap();
    let found: Vec<_> = found.into_iter().map(|process| (process.id, process.state)).collect();
    assert_eq!(found, expected);
}

/// What is beyond the server's longest list cannot be seen, so it must not be taken for absent.
async fn a_label_with_more_than_the_server_lists_is_an_error(stage: Stage) {
    let spec = stage.spec("f").label("many").unwrap();
    for _ in 0..99 {
        stage.user.submit(&spec).await.unwrap();
    }
    let almost = stage.user.processes_labelled("many").await.unwrap();
    assert_eq!(almost.len(), 99);
    let last = stage.user.submit(&spec).await.unwrap();
    let error = stage.user.processes_labelled("many").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    // A caller whose clock is far behind asks for too little: whatever was listed is found all the same.
    let one_more = stage.user.submit(&spec).await.unwrap();
    assert_eq!(stage.user.nodes_labelled("many", 0).await.unwrap().len(), 101);
    // One server serves many runs of these tests, and looks after its first thousand waiting processes alone.
    for process in almost.iter().chain([&last, &one_more]) {
        stage.user.cancel(&process.id).await.unwrap();
    }
}

/// More than the server lists of a state, of which others have some.
async fn an_executor_finds_all_that_it_runs(stage: Stage) {
    let executor = stage.executor().await;
    let mut expected = Vec::new();
    for _ in 0..101 {
        expected.push(stage.running(&executor, &stage.spec("f")).await.id);
    }
    let found = executor.running(&stage.executor_type).await.unwrap();
    let mut found: Vec<_> = found.into_iter().map(|process| process.id).collect();
    for ids in [&mut found, &mut expected] {
        ids.sort();
    }
    assert_eq!(found, expected);
    for id in &expected {
        executor.close_successful(id, &[]).await.unwrap();
    }
}

async fn a_look_up_that_fails_is_an_error_and_not_empty(stage: Stage) {
    stage.user.submit(&stage.spec("f").label("there").unwrap()).await.unwrap();
    assert_eq!(stage.owner.processes_labelled("there").await.unwrap_err().kind(), ErrorKind::Forbidden);
    assert_eq!(stage.user.processes_labelled("").await.unwrap_err().kind(), ErrorKind::Field);
}

async fn each_filter_finds_its_own(stage: Stage) {
    let other_type = format!("{}x", stage.executor_type);
    let other = colonyos_operator::colony::FunctionSpec::new(&stage.colony, &other_type, "f").unwrap();
    let executor = stage.executor().await;
    let by_user = stage.user.submit(&stage.spec("f").label("one").unwrap()).await.unwrap();
    let by_executor = executor.submit(&other.label("two").unwrap()).await.unwrap();
    let waiting = ProcessQuery::new(ProcessState::Waiting);
    for (query, expected) in [
        (waiting.clone(), vec![&by_user, &by_executor]),
        (waiting.clone().executor_type(&stage.executor_type).unwrap(), vec![&by_user]),
        (waiting.clone().executor_type(&other_type).unwrap(), vec![&by_executor]),
        (waiting.clone().initiator("ops").unwrap(), vec![&by_user]),
        (waiting.clone().labelled("two").unwrap(), vec![&by_executor]),
        (waiting.clone().limit(1), vec![&by_user]),
        (ProcessQuery::new(ProcessState::Running), vec![]),
    ] {
        let found = stage.user.processes(&query).await.unwrap();
        let expected: Vec<_> = expected.into_iter().map(|process| process.id.as_str()).collect();
        assert_eq!(ids(&found), expected, "{query:?}");
    }
    assert_eq!(
        executor.assign(Duration::from_secs(5)).await.unwrap().map(|process| process.id),
        Some(by_user.id)
    );
}
