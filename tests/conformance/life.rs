//! The life of a process, from submit to close, as the client shows it.

use std::time::Duration;

use colonyos_operator::colony::{
    AttributeKind, Client, Cpu, Error, ErrorKind, LogQuery, Memory, PrivateKey, ProcessQuery, ProcessState,
    Retries, TimeLimit, Timeouts,
};
use serde_json::json;

use crate::{
    backend::{Stage, checks},
    example,
};

checks! {
    a_server_reports_what_it_is_without_a_key,
    a_new_colony_is_empty_and_that_is_no_error,
    what_is_submitted_comes_back_as_it_was_sent,
    a_process_that_asks_for_resources_is_assigned,
    a_process_lives_from_submit_to_success,
    a_process_without_output_is_closed_all_the_same,
    the_example_of_the_client_waits_for_the_result,
    a_failed_process_keeps_its_reasons_and_is_not_run_again,
    no_text_of_an_executor_is_lost_to_a_nul,
    a_cancelled_process_is_not_assigned,
    an_assign_waits_for_work_and_says_so_when_there_is_none,
    time_limits_fail_or_requeue_and_their_absence_does_neither,
    the_server_accepts_the_signatures_of_many_keys,
    a_process_steps_back_when_its_executor_is_removed,
    a_process_that_is_too_large_is_named_and_hides_no_other,
}

const ONE_SECOND: Duration = Duration::from_secs(1);

async fn a_server_reports_what_it_is_without_a_key(stage: Stage) {
    let info = Client::new(&stage.server, Timeouts::default()).unwrap().server_info().await.unwrap();
    assert!(!info.backends.is_empty(), "{info:?}");
}

/// The server writes empty lists as `null`, and fields that hold nothing too.
async fn a_new_colony_is_empty_and_that_is_no_error(stage: Stage) {
    assert_eq!(stage.user.executors().await.unwrap(), []);
    for state in ProcessState::ALL {
        assert_eq!(stage.user.processes(&ProcessQuery::new(state)).await.unwrap(), []);
    }
    assert_eq!(stage.user.processes_labelled("missing").await.unwrap(), []);
    let process = stage.user.submit(&stage.spec("f")).await.unwrap();
    assert_eq!(stage.user.logs(&LogQuery::new(process.id)).await.unwrap(), []);
    assert_eq!(stage.user.statistics().await.unwrap().waiting, 1);
}

async fn what_is_submitted_comes_back_as_it_was_sent(stage: Stage) {
    let spec = stage.spec("train").arg("text").arg(7).arg(json!({"nested": [1.5, null, true]}));
    let spec =
        spec.kwarg("spec", json!({"replicas": 3})).kwarg("leer", "ä\u{1F600}").env("TOKEN", "t=1").unwrap();
    let spec = spec.label("k8s:cluster/uid/1").unwrap().priority(-7).unwrap().location("lab").unwrap();
    let spec = spec.max_exec(TimeLimit::seconds(60).unwrap()).max_wait(TimeLimit::seconds(600).unwrap());
    let spec = spec.max_retries(Retries::AtMost(2)).cpu(Cpu::millicores(500)).memory(Memory::mebibytes(512));
    let spec = spec.nodes(2, 3).unwrap().executor_name("one").unwrap();

    let submitted = stage.user.submit(&spec).await.unwrap();
    let process = stage.user.process(&submitted.id).await.unwrap();

    assert_eq!(process.id, submitted.id);
    assert_eq!(process.state, ProcessState::Waiting);
    assert_eq!(
        (process.initiator_id.as_str(), process.initiator_name.as_str()),
        (stage.user.id().as_str(), "ops")
    );
    assert_eq!((process.assigned_executor, process.started_at, process.ended_at), (None, None, None));
    let kept = process.spec;
    assert_eq!(kept.function, "train");
    assert_eq!(kept.args, [json!("text"), json!(7), json!({"nested": [1.5, null, true]})]);
    assert_eq!(json!(kept.kwargs), json!({"spec": {"replicas": 3}, "leer": "ä\u{1F600}"}));
    assert_eq!(kept.env.0["TOKEN"], "t=1");
    assert_eq!((kept.label.as_str(), kept.priority), ("k8s:cluster/uid/1", -7));
    assert_eq!((kept.max_exec_seconds, kept.max_wait_seconds, kept.max_retries), (60, 600, 2));
    let conditions = kept.conditions;
    assert_eq!((&conditions.colony, &conditions.executor_type), (&stage.colony, &stage.executor_type));
    assert_eq!((conditions.location.as_str(), conditions.nodes), ("lab", 2));
    assert_eq!((conditions.cpu.as_str(), conditions.mem.as_str()), ("500m", "512Mi"));
    assert_eq!(conditions.executor_names, ["one"]);
    let attribute = process.attributes.first().expect("the environment becomes an attribute");
    assert_eq!(
        (attribute.kind, attribute.key.as_str(), attribute.value.as_str()),
        (AttributeKind::Environment, "TOKEN", "t=1")
    );
}

async fn a_process_that_asks_for_resources_is_assigned(stage: Stage) {
    let executor = stage.executor().await;
    let spec =
        stage.spec("f").cpu(Cpu::millicores(500)).memory(Memory::mebibytes(512)).nodes(127, 1).unwrap();
    stage.running(&executor, &spec).await;
}

async fn a_process_lives_from_submit_to_success(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f").arg(1)).await;
    assert_eq!(running.state, ProcessState::Running);
    assert_eq!(running.assigned_executor.as_ref(), Some(executor.id()));
    assert!(running.started_at >= Some(running.submitted_at), "{running:?}");

    executor.set_output(&running.id, &[json!({"progress": 0.5})]).await.unwrap();
    assert_eq!(stage.user.process(&running.id).await.unwrap().output, [json!({"progress": 0.5})]);
    executor.add_log(&running.id, "half way").await.unwrap();
    executor.add_log(&running.id, "and on").await.unwrap();
    executor.close_successful(&running.id, &[json!("done"), json!([1, {"a": null}])]).await.unwrap();

    let closed = stage.user.process(&running.id).await.unwrap();
    assert_eq!(
        (closed.state, closed.output),
        (ProcessState::Successful, vec![json!("done"), json!([1, {"a": null}])])
    );
    assert!(closed.ended_at >= closed.started_at && closed.errors.is_empty());
    let lines = stage.user.logs(&LogQuery::new(running.id.clone())).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["half way", "and on"]);
    let first = lines[0].written_at;
    let later = stage.user.logs(&LogQuery::new(running.id.clone()).since(first)).await.unwrap();
    assert_eq!(later.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["and on"]);
    assert_eq!(stage.user.logs(&LogQuery::new(running.id.clone()).limit(1)).await.unwrap().len(), 1);
    assert_eq!(stage.user.logs(&LogQuery::new(running.id).latest()).await.unwrap(), later);
    let counts = stage.user.statistics().await.unwrap();
    assert_eq!((counts.waiting, counts.running, counts.successful, counts.active_executors), (0, 0, 1, 1));
}

async fn a_process_without_output_is_closed_all_the_same(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    executor.close_successful(&running.id, &[]).await.unwrap();
    let closed = stage.user.process(&running.id).await.unwrap();
    assert_eq!((closed.state, closed.output), (ProcessState::Successful, vec![]));
}

async fn the_example_of_the_client_waits_for_the_result(stage: Stage) {
    let executor = stage.executor().await;
    let work = async {
        let process = executor.assign(Duration::from_secs(5)).await.unwrap().expect("it submits a process");
        executor.close_successful(&process.id, &process.spec.args).await.unwrap();
        process.id
    };
    let spec = stage.spec("echo").arg("hello");
    let (id, finished) = tokio::join!(work, example::finished(&stage.user, spec));
    let finished = finished.unwrap();
    assert_eq!((finished.id, finished.state), (id, ProcessState::Successful));
    assert_eq!(finished.output, [json!("hello")]);
}

async fn a_failed_process_keeps_its_reasons_and_is_not_run_again(stage: Stage) {
    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    executor.close_failed(&running.id, &["no disk".into(), "no time".into()]).await.unwrap();
    let failed = stage.user.process(&running.id).await.unwrap();
    assert_eq!(
        (failed.state, failed.errors),
        (ProcessState::Failed, vec!["no disk".to_owned(), "no time".to_owned()])
    );
    assert_eq!(executor.assign(ONE_SECOND).await.unwrap(), None);
}

/// The server's database refuses a reason with NUL in it, after it has already stored that the process failed.
async fn no_text_of_an_executor_is_lost_to_a_nul(stage: Stage) {
    let executor = stage.executor().await;
    let text = json!({"nu\0l": ["\0"]});
    let running = stage.running(&executor, &stage.spec("f").arg(text.clone())).await;
    assert_eq!(running.spec.args, [text]);
    executor.set_output(&running.id, &[json!("o\0t")]).await.unwrap();
    executor.add_log(&running.id, "l\0g").await.unwrap();
    executor.close_failed(&running.id, &["r\0n".into()]).await.unwrap();
    let failed = stage.user.process(&running.id).await.unwrap();
    assert_eq!((failed.errors, failed.output), (vec!["r\u{fffd}n".to_owned()], vec![json!("o\0t")]));
    assert_eq!(stage.user.logs(&LogQuery::new(running.id)).await.unwrap()[0].message, "l\u{fffd}g");
}

async fn a_cancelled_process_is_not_assigned(stage: Stage) {
    let executor = stage.executor().await;
    let waiting = stage.user.submit(&stage.spec("f")).await.unwrap();
    stage.user.cancel(&waiting.id).await.unwrap();
    assert_eq!(stage.user.process(&waiting.id).await.unwrap().state, ProcessState::Cancelled);
    assert_eq!(executor.assign(ONE_SECOND).await.unwrap(), None);
}

async fn an_assign_waits_for_work_and_says_so_when_there_is_none(stage: Stage) {
    let executor = stage.executor().await;
    let before = tokio::time::Instant::now();
    assert_eq!(
        executor.assign(Duration::ZERO).await.unwrap(),
        None,
        "zero is rounded up: the server refuses it"
    );
    assert!(before.elapsed() >= Duration::from_millis(900), "it is a long-poll");

    let waiting = tokio::spawn({
        let executor = executor.clone();
        async move { executor.assign(Duration::from_secs(10)).await }
    });
    let submitted = stage.user.submit(&stage.spec("f")).await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().map(|process| process.id), Some(submitted.id));
}

/// A process submitted with a limit of 0 would fail as soon as it runs; ours either has no limit or a real
/// one.
async fn time_limits_fail_or_requeue_and_their_absence_does_neither(stage: Stage) {
    let executor = stage.executor().await;
    let unlimited = stage.running(&executor, &stage.spec("f")).await;
    let limit = TimeLimit::seconds(1).unwrap();
    let once =
        stage.running(&executor, &stage.spec("f").max_exec(limit).max_retries(Retries::AtMost(0))).await;
    let failed = stage.until_state(&once.id, ProcessState::Failed).await;
    assert_eq!(failed.errors, ["Maximum execution time limit exceeded"]);

    let again =
        stage.running(&executor, &stage.spec("f").max_exec(limit).max_retries(Retries::AtMost(1))).await;
    let requeued = stage.until_state(&again.id, ProcessState::Waiting).await;
    assert_eq!((requeued.retries, requeued.assigned_executor), (1, None));
    let refused = executor.close_successful(&again.id, &[]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "{refused}");

    // The server looks at the first thousand waiting processes alone, over all colonies: this one is among them.
    let first = stage.spec("f").max_wait(limit).executor_name("missing").unwrap().priority(50_000).unwrap();
    let unassigned = stage.user.submit(&first).await.unwrap();
    let failed = stage.until_state(&unassigned.id, ProcessState::Failed).await;
    assert_eq!(failed.errors, ["Maximum waiting time limit exceeded"]);
    assert_eq!(stage.user.process(&unlimited.id).await.unwrap().state, ProcessState::Running);
}

/// A thousandth of all signatures would be wrong if their parts lost a leading zero.
async fn the_server_accepts_the_signatures_of_many_keys(stage: Stage) {
    let calls = (0..300).map(|number| {
        let session = stage.client.session(&stage.colony, PrivateKey::generate().unwrap());
        let name = format!("executor-{number}");
        let executor = stage.new_executor(&name, &session);
        let owner = &stage.owner;
        async move {
            owner.add_executor(&executor).await.unwrap();
            owner.approve_executor(&name).await.unwrap();
            assert_eq!(session.executor_by_id(session.id()).await.unwrap().name, name);
        }
    });
    for call in calls {
        call.await;
    }
    assert_eq!(stage.user.executors().await.unwrap().len(), 300, "executors are listed without a limit");
}

/// Removing an executor puts its process back into the queue, as if it had never run.
async fn a_process_steps_back_when_its_executor_is_removed(stage: Stage) {
    let key = PrivateKey::generate().unwrap();
    let executor = stage.named_executor("leaver", key).await;
    let running = stage.running(&executor, &stage.spec("f")).await;
    stage.owner.remove_executor("leaver").await.unwrap();
    let requeued = stage.until_state(&running.id, ProcessState::Waiting).await;
    assert_eq!((requeued.started_at, requeued.assigned_executor), (None, None));
}

/// More than is read of one process, and less than is read of a list.
async fn a_process_that_is_too_large_is_named_and_hides_no_other(stage: Stage) {
    let large = stage.user.submit(&stage.spec("f").arg("x".repeat(9 << 20))).await.unwrap_err();
    assert!(large.may_have_happened(), "{large}");
    let Error::TooLarge { first, .. } = large else { panic!("{large}") };
    let other = stage.user.submit(&stage.spec("g")).await.unwrap();
    let waiting = stage.user.processes(&ProcessQuery::new(ProcessState::Waiting)).await.unwrap();
    let ids: Vec<_> = waiting.into_iter().map(|process| process.id).filter(|id| *id != other.id).collect();
    let [large] = ids.as_slice() else { panic!("{ids:?}") };
    // The one in memory writes the fields of a process in another order.
    assert!(first.map_or(!stage.is_real(), |first| *first == *large));
    assert_eq!(stage.user.process(large).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(stage.user.process(&other.id).await.unwrap(), other);
    for id in [large, &other.id] {
        stage.user.cancel(id).await.unwrap();
    }

    let executor = stage.executor().await;
    let running = stage.running(&executor, &stage.spec("h")).await;
    let closed = executor.close_successful(&running.id, &[json!("x".repeat(9 << 20))]).await;
    closed.unwrap();
    let ended = stage.user.process(&running.id).await.unwrap_err().into_known(&running.id);
    assert_eq!(ended.is_ok(), stage.is_real(), "{ended:?}");
    if let Ok(process) = ended {
        assert_eq!((process.state, process.is_cut), (ProcessState::Successful, true));
    }
}
