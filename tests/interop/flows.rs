//! The default flow, by every pair of programs: the exact way, the exact history, and no writer out of turn.

use std::time::Duration;

use colonyos_operator::api::{request_flow::RequestFlow, request_state::RequestState};
use kube::api::PostParams;

use crate::{
    program::{Maker, Program},
    record::{Record, assert_times, history},
    stage::{alone, alone_with_other_definition, together},
    support::{namespace::TestNamespace, wait::eventually},
};

pub const WAY: [&str; 6] =
    ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED", "JOB2 REQUESTED", "JOB2 STARTED", "JOB2 COMPLETED"];
const LIMIT: Duration = Duration::from_secs(10);

pub async fn director(maker: Maker, namespace: &str) -> Program {
    match maker {
        Maker::Ours => Program::ours("our director", &["director", "--namespace", namespace]),
        Maker::Other => Program::other("their director", "director", namespace).await,
    }
}

pub async fn worker(maker: Maker, namespace: &str) -> Program {
    match maker {
        Maker::Ours => {
            let worker = Program::ours(
                "our worker",
                &["-mode=worker", "-namespace", namespace, "-job-duration=300ms"],
            );
            worker.wait_for("serves all namespaces").await;
            worker
        }
        Maker::Other => Program::other("their worker", "worker", namespace).await,
    }
}

/// Lets a pair of programs take one request through the default flow.
async fn check(namespace: &TestNamespace, makers: (Maker, Maker)) {
    let record = Record::start(namespace.api::<RequestState>());
    let mut worker = worker(makers.1, &namespace.name).await;
    let mut director = director(makers.0, &namespace.name).await;
    let status = director.wait_for_end().await;
    assert!(status.success(), "the director of {makers:?} ends with {status}");
    let is_ours = makers.0 == Maker::Ours || makers.1 == Maker::Ours;
    let last = eventually("the last state is known, and the history complete", LIMIT, async || {
        let last = record.last().ok_or("nothing is known yet")?;
        let is_complete = record.places().len() == WAY.len() && (!is_ours || history(&last) == WAY);
        is_complete.then_some(last.clone()).ok_or_else(|| format!("{:?}, {last:?}", record.writes()))
    })
    .await;
    worker.assert_running();
    assert_eq!(record.places(), WAY, "the way of {makers:?}");
    if is_ours {
        assert_times(&last);
    }
    // A client that reads an object and writes it two seconds later must find it unchanged.
    for (place, count) in record.writes() {
        let owner = match place.as_str() {
            "JOB1 COMPLETED" => makers.0,
            "JOB2 COMPLETED" => Maker::Ours,
            _ => makers.1,
        };
        assert!(owner == Maker::Ours || count == 1, "{makers:?} wrote {count} times at {place}");
    }
}

#[tokio::test]
async fn our_director_and_our_worker() {
    alone("ours", async |namespace| check(&namespace, (Maker::Ours, Maker::Ours)).await).await;
}

#[tokio::test]
async fn their_director_and_our_worker() {
    alone("our-worker", async |namespace| check(&namespace, (Maker::Other, Maker::Ours)).await).await;
}

#[tokio::test]
async fn our_director_and_their_worker() {
    alone("our-director", async |namespace| check(&namespace, (Maker::Ours, Maker::Other)).await).await;
}

/// What the others do among themselves is what the other tests stand on.
#[tokio::test]
async fn their_director_and_their_worker() {
    alone("theirs", async |namespace| check(&namespace, (Maker::Other, Maker::Other)).await).await;
}

/// A flow of the cluster: what follows a failure, and how long that waits, stands in it.
#[tokio::test]
async fn our_director_follows_a_flow_of_the_cluster() {
    together("named", async |namespace| {
        let function = serde_json::json!({ "name": "f", "executorType": "t" });
        let flow = serde_json::json!({
            "apiVersion": "colonies.io/v1", "kind": "RequestFlow", "metadata": { "name": "transcode" },
            "spec": { "jobs": [
                { "name": "PROBE", "function": function,
                  "onFailure": { "action": "Retry", "maxAttempts": 2, "backoff": "1s" } },
                { "name": "ENCODE", "function": function, "onFailure": { "action": "GoTo", "job": "CLEANUP" } },
                { "name": "PUBLISH", "function": function },
                { "name": "CLEANUP", "function": function },
            ] },
        });
        let flows = namespace.api::<RequestFlow>();
        flows.create(&PostParams::default(), &serde_json::from_value(flow).unwrap()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tried = folder.path().join("tried").display().to_string();
        let probe = format!("PROBE=test -e {tried} && exit 0; touch {tried}; exit 1");
        let words = ["worker", "-n", &namespace.name, "--job-duration", "1ms", "--exec", &probe, "--exec", "ENCODE=exit 2"];
        let worker = Program::ours("our worker", &words);
        worker.wait_for("serves").await;
        let words = ["director", "-n", &namespace.name, "--flow", "transcode", "--name", "movie"];
        let status = Program::ours("our director", &words).wait_for_end().await;
        assert!(status.success(), "{status}");
        let object = namespace.api::<RequestState>().get("movie").await.unwrap();
        assert_eq!(object.metadata.annotations.as_ref().unwrap()["colonies.io/flow"], "transcode");
        let way = [
            "PROBE REQUESTED", "PROBE STARTED", "PROBE FAILED", "PROBE REQUESTED", "PROBE STARTED", "PROBE COMPLETED",
            "ENCODE REQUESTED", "ENCODE STARTED", "ENCODE FAILED",
            "CLEANUP REQUESTED", "CLEANUP STARTED", "CLEANUP COMPLETED",
        ];
        assert_eq!(history(&object), way);
        let times: Vec<jiff::Timestamp> =
            object.status.unwrap().history.iter().map(|entry| entry.timestamp.parse().unwrap()).collect();
        assert!(times[3].duration_since(times[2]).as_millis() >= 1000, "the backoff: {times:?}");
        // One that is there and has ended is ended with, one that follows another flow is refused.
        assert!(Program::ours("the same again", &words).wait_for_end().await.success());
        let mut other = Program::ours("another flow", &["director", "-n", &namespace.name, "--name", "movie", "--flow", "nowhere"]);
        assert!(!other.wait_for_end().await.success());
        other.wait_for("there is no RequestFlow nowhere").await;
    })
    .await;
}

/// One test, since changing the definition takes longer than the flows.
#[tokio::test]
async fn every_pair_without_a_status_subresource() {
    alone_with_other_definition("whole", async |namespace| {
        for makers in [(Maker::Ours, Maker::Ours), (Maker::Other, Maker::Ours), (Maker::Ours, Maker::Other)] {
            check(&namespace, makers).await;
            namespace
                .api::<RequestState>()
                .delete_collection(&kube::api::DeleteParams::default(), &kube::api::ListParams::default())
                .await
                .unwrap();
        }
    })
    .await;
}
