//! The operator as director and worker of requests, on the real servers. The executors are the tests' own.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use colonyos_operator::{
    api::{
        request_flow::RequestFlow,
        request_state::{RequestState, RequestStateStatus, State},
    },
    colony::{ProcessId, ProcessState},
};
use futures::future::join_all;
use k8s_openapi::api::{core::v1::Secret, events::v1::Event};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    conditions::Conditions as _,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

/// Requests that are under way at the same time.
const AT_ONCE: usize = 500;
/// Executors that do their jobs.
const EXECUTORS: usize = 4;
/// How long many requests may take, on a machine of two processors with the servers on it.
const MANY: Duration = Duration::from_mins(5);

async fn create(stage: &Stage, name: &str, annotations: Value) -> RequestState {
    let mut annotations = annotations;
    annotations["colonies.io/colony"] = json!(stage.colony.name);
    let object = json!({
        "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
        "metadata": { "name": name, "annotations": annotations },
        "spec": { "request-uid": format!("uid-{name}"), "job": "JOB1", "state": "REQUESTED" },
    });
    let requests: Api<RequestState> = stage.api();
    requests.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
}

async fn flow(stage: &Stage, name: &str, jobs: Value) {
    let object = json!({
        "apiVersion": "colonies.io/v1", "kind": "RequestFlow", "metadata": { "name": name },
        "spec": { "colony": stage.colony.name, "jobs": jobs },
    });
    let flows: Api<RequestFlow> = stage.api();
    flows.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
}

async fn set(stage: &Stage, name: &str, job: &str, to: &str) -> Result<RequestState, kube::Error> {
    let requests: Api<RequestState> = stage.api();
    let patch = Patch::Merge(json!({ "spec": { "job": job, "state": to } }));
    requests.patch(name, &PatchParams::default(), &patch).await
}

async fn until(
    stage: &Stage,
    name: &str,
    what: &str,
    is_reached: impl Fn(&RequestState, &RequestStateStatus) -> bool,
) -> RequestState {
    let is_so =
        |object: &RequestState| object.status.as_ref().is_some_and(|status| is_reached(object, status));
    stage.until(name, what, is_so).await
}

async fn finished(stage: &Stage, name: &str) -> RequestState {
    until(stage, name, "is finished", |_, status| status.is_true("Finished")).await
}

/// The history as words; every time is RFC 3339, none before the one above it.
fn history(object: &RequestState) -> Vec<String> {
    let entries = &object.status.as_ref().unwrap().history;
    let times: Vec<jiff::Timestamp> = entries.iter().map(|entry| entry.timestamp.parse().unwrap()).collect();
    assert!(times.is_sorted(), "{entries:?}");
    entries.iter().map(|entry| format!("{} {}", entry.job, entry.state)).collect()
}

const WHOLE_WAY: [&str; 6] =
    ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED", "JOB2 REQUESTED", "JOB2 STARTED", "JOB2 COMPLETED"];

#[tokio::test]
async fn a_request_passes_through_its_two_jobs_and_every_step_is_told() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request", async |stage| {
        let executor = stage.colony.executor("one", "request-worker").await;
        create(stage, "order", json!({})).await;
        let first = assigned(&executor).await;
        assert_eq!(first.spec.function, "JOB1");
        let object =
            until(stage, "order", "has started", |object, _| object.spec.state == State::Started).await;
        assert_eq!(object.spec.job, "JOB1");
        executor.close_successful(&first.id, &[json!("done")]).await.unwrap();
        let second = assigned(&executor).await;
        assert_eq!(second.spec.function, "JOB2");
        executor.close_successful(&second.id, &[json!({ "deep": [1] })]).await.unwrap();
        let object = finished(stage, "order").await;
        assert_eq!(history(&object), WHOLE_WAY);
        let status = object.status.as_ref().unwrap();
        assert!(status.is_true("Succeeded"));
        assert_eq!(status.progress.as_deref(), Some("2/2"));
        let outputs: Vec<Value> = status.jobs.iter().map(|job| Value::from(job.output.clone())).collect();
        assert_eq!(outputs, [json!(["done"]), json!([{ "deep": [1] }])]);
        assert_eq!(status.jobs[0].executor.as_deref(), Some("one"));
    })
    .await;
}

#[tokio::test]
async fn a_flow_says_what_is_called_and_what_follows_a_failure() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-flow", async |stage| {
        let executor = stage.colony.executor("one", "prober").await;
        // A flow that is not there is waited for, and said.
        create(stage, "movie", json!({ "colonies.io/flow": "transcode", "media/source": "s3://in" })).await;
        let object = until(stage, "movie", "waits for its flow", |_, status| status.is_true("Degraded")).await;
        let (_, reason, message) = object.status.as_ref().unwrap().told("Degraded");
        assert_eq!(reason, "FlowUnusable");
        assert!(message.contains("there is no RequestFlow transcode"), "{message}");
        let source = "${request.metadata.annotations['media/source']}";
        let jobs = json!([
            { "name": "JOB1", "function": { "name": "probe", "executorType": "prober", "args": [source] },
              "onFailure": { "action": "Retry", "maxAttempts": 2, "backoff": "1s" } },
            { "name": "JOB2", "function": { "name": "encode", "executorType": "prober",
              "kwargs": { "source": source, "profile": "${jobs.JOB1.output[0]}", "frames": "${jobs.JOB1.output[1].frames}" } },
              "onFailure": { "action": "GoTo", "job": "CLEANUP" } },
            { "name": "PUBLISH", "function": { "name": "publish", "executorType": "prober" } },
            { "name": "CLEANUP", "function": { "name": "cleanup", "executorType": "prober" } },
        ]);
        flow(stage, "transcode", jobs).await;
        let process = assigned(&executor).await;
        assert_eq!((process.spec.function.as_str(), &process.spec.args[0]), ("probe", &json!("s3://in")));
        executor.close_failed(&process.id, &["no such bucket".to_owned()]).await.unwrap();
        let again = assigned(&executor).await;
        assert_eq!(again.spec.function, "probe");
        executor.close_successful(&again.id, &[json!("hd"), json!({ "frames": 25 })]).await.unwrap();
        let encode = assigned(&executor).await;
        let kwargs = Value::from(encode.spec.kwargs.clone());
        assert_eq!(kwargs, json!({ "source": "s3://in", "profile": "hd", "frames": 25 }));
        executor.close_failed(&encode.id, &["codec".to_owned()]).await.unwrap();
        let cleanup = assigned(&executor).await;
        assert_eq!(cleanup.spec.function, "cleanup");
        executor.close_successful(&cleanup.id, &[]).await.unwrap();
        let object = finished(stage, "movie").await;
        let way = [
            "JOB1 REQUESTED", "JOB1 STARTED", "JOB1 FAILED", "JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED",
            "JOB2 REQUESTED", "JOB2 STARTED", "JOB2 FAILED", "CLEANUP REQUESTED", "CLEANUP STARTED", "CLEANUP COMPLETED",
        ];
        assert_eq!(history(&object), way);
        let failed = &object.status.unwrap().history[2];
        assert_eq!(failed.reason.as_deref(), Some("ProcessFailed"));
        assert!(failed.message.as_ref().unwrap().contains("no such bucket"), "{failed:?}");

        // An expression that fails at run time stops this request, says which, and no other.
        let jobs = json!([{ "name": "JOB1", "function": { "name": "f", "executorType": "prober",
            "args": ["${request.metadata.annotations['absent']}"] } }]);
        flow(stage, "broken", jobs).await;
        create(stage, "stuck", json!({ "colonies.io/flow": "broken" })).await;
        let object = until(stage, "stuck", "is degraded", |_, status| status.is_true("Degraded")).await;
        let (_, reason, message) = object.status.as_ref().unwrap().told("Degraded");
        assert_eq!(reason, "InvalidExpression");
        assert!(message.contains("spec.jobs[0].function.args[0]"), "{message}");
        assert_eq!(history(&object), ["JOB1 REQUESTED"]);
    })
    .await;
}

/// The end of a request ends its process, and a process that ends ends its request.
#[tokio::test]
async fn cancelling_and_deleting_a_request_cancel_its_process() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-end", async |stage| {
        let requests: Api<RequestState> = stage.api();
        let id = async |name: &str| {
            let object = until(stage, name, "is submitted", |_, status| {
                status.mirror.as_ref().is_some_and(|mirror| mirror.process_id.is_some())
            })
            .await;
            ProcessId::new(object.status.unwrap().mirror.unwrap().process_id.unwrap())
        };
        for name in ["cancelled", "deleted", "ended-there", "failed-by-hand"] {
            create(stage, name, json!({})).await;
        }
        let state = async |id: &ProcessId| stage.colony.member.process(id).await.unwrap().state;

        let process = id("cancelled").await;
        set(stage, "cancelled", "JOB1", "CANCELLED").await.unwrap();
        let object = finished(stage, "cancelled").await;
        eventually("its process is cancelled", SOON, async || {
            let state = state(&process).await;
            (state == ProcessState::Cancelled).then_some(()).ok_or(state.to_string())
        })
        .await;
        assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 CANCELLED"]);

        let process = id("deleted").await;
        requests.delete("deleted", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<RequestState>("deleted").await;
        assert_eq!(state(&process).await, ProcessState::Cancelled);

        let process = id("ended-there").await;
        stage.colony.member.cancel(&process).await.unwrap();
        let object = finished(stage, "ended-there").await;
        assert_eq!(object.spec.state, State::Cancelled);
        assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 CANCELLED"]);

        let process = id("failed-by-hand").await;
        set(stage, "failed-by-hand", "JOB1", "FAILED").await.unwrap();
        let object = finished(stage, "failed-by-hand").await;
        assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 FAILED"]);
        eventually("its process is cancelled", SOON, async || {
            let state = state(&process).await;
            (state == ProcessState::Cancelled).then_some(()).ok_or(state.to_string())
        })
        .await;
    })
    .await;
}

/// The operator does not write an object while another party owns its next transition.
#[tokio::test]
async fn a_role_that_is_not_ours_is_left_to_its_owner() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-roles", async |stage| {
        let executor = stage.colony.executor("one", "request-worker").await;
        // Their worker: nothing is written before the job is done.
        let created = create(stage, "theirs", json!({ "colonies.io/roles": "Director" })).await;
        create(stage, "ours", json!({})).await;
        let process = assigned(&executor).await;
        let requests: Api<RequestState> = stage.api();
        let seen = requests.get("theirs").await.unwrap();
        assert_eq!(seen.resource_version(), created.resource_version(), "it was written to");
        set(stage, "theirs", "JOB1", "STARTED").await.unwrap();
        let completed = set(stage, "theirs", "JOB1", "COMPLETED").await.unwrap();
        let next =
            until(stage, "theirs", "the next job is requested", |object, _| object.spec.job == "JOB2").await;
        assert_eq!(history(&next), ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED"]);
        assert_ne!(next.resource_version(), completed.resource_version());
        set(stage, "theirs", "JOB2", "STARTED").await.unwrap();
        set(stage, "theirs", "JOB2", "COMPLETED").await.unwrap();
        assert_eq!(history(&finished(stage, "theirs").await), WHOLE_WAY);
        executor.close_successful(&process.id, &[]).await.unwrap();

        // Their director: the end stands in the history when the spec says COMPLETED, and after that nothing is written.
        create(stage, "directed", json!({ "colonies.io/roles": "Worker" })).await;
        let mut done = 0;
        while done < 2 {
            let process = assigned(&executor).await;
            executor.close_successful(&process.id, &[]).await.unwrap();
            done += usize::from(
                process.spec.label.contains(&requests.get("directed").await.unwrap().uid().unwrap()),
            );
            let object = requests.get("directed").await.unwrap();
            if done == 1 && object.spec.job == "JOB1" {
                let object = until(stage, "directed", "JOB1 is done", |object, _| {
                    object.spec.state == State::Completed
                })
                .await;
                assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED"]);
                set(stage, "directed", "JOB2", "REQUESTED").await.expect("nothing was written since");
            }
        }
        assert_eq!(history(&finished(stage, "directed").await), WHOLE_WAY);
    })
    .await;
}

/// Many at once, with the operator killed in between: every job's process ran once and every history is whole.
#[tokio::test]
async fn many_requests_at_once_survive_kills_of_the_operator() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-many", async |stage| {
        let ran: Arc<Mutex<Vec<String>>> = Arc::default();
        let mut executors = JoinSet::new();
        for index in 0..EXECUTORS {
            let executor = stage.colony.executor(&format!("e{index}"), "request-worker").await;
            let ran = ran.clone();
            executors.spawn(async move {
                while ran.lock().unwrap().len() < 2 * AT_ONCE {
                    let Some(process) = executor.assign(Duration::from_secs(1)).await.unwrap() else {
                        continue;
                    };
                    ran.lock().unwrap().push(process.spec.label.clone());
                    executor.close_successful(&process.id, &[json!(process.spec.function)]).await.unwrap();
                }
            });
        }
        let names: Vec<String> = (0..AT_ONCE).map(|index| format!("order-{index:03}")).collect();
        join_all(names.iter().map(|name| create(stage, name, json!({})))).await;
        for count in [AT_ONCE / 2, AT_ONCE, AT_ONCE * 3 / 2] {
            eventually(&format!("{count} jobs are done"), MANY, async || {
                let done = ran.lock().unwrap().len();
                (done >= count).then_some(()).ok_or_else(|| format!("{done} are"))
            })
            .await;
            stage.restart().await;
        }
        let requests: Api<RequestState> = stage.api();
        let all = eventually("all are finished", MANY, async || {
            let list = requests.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let finished = |object: &&RequestState| {
                object.status.as_ref().is_some_and(|status| status.is_true("Finished"))
            };
            let count = list.iter().filter(finished).count();
            if count == AT_ONCE { Ok(list) } else { Err(format!("{count} of {AT_ONCE}")) }
        })
        .await;
        for object in &all {
            assert_eq!(history(object), WHOLE_WAY, "{}", object.name_any());
        }
        executors.join_all().await;
        let ran = ran.lock().unwrap().clone();
        let labels: BTreeSet<&String> = ran.iter().collect();
        assert_eq!((labels.len(), ran.len()), (2 * AT_ONCE, 2 * AT_ONCE), "a job ran twice");
        let last = stage.colony.executor("last", "request-worker").await;
        assert!(last.assign(Duration::from_secs(1)).await.unwrap().is_none(), "a process is left");
    })
    .await;
}

/// What a call of a flow may have besides arguments.
#[tokio::test]
async fn a_job_gets_its_environment_and_its_guarantee_from_the_flow() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-env", async |stage| {
        let executor = stage.colony.executor("one", "prober").await;
        let from = json!({ "secretKeyRef": { "name": "store", "key": "token" } });
        let jobs = json!([{ "name": "JOB1", "function": {
            "name": "probe", "executorType": "prober", "executionGuarantee": "Strict",
            "env": [{ "name": "MODE", "value": "fast" }, { "name": "TOKEN", "valueFrom": from }],
            "resources": { "cpu": "500m" },
        } }]);
        flow(stage, "guarded", jobs).await;
        create(stage, "movie", json!({ "colonies.io/flow": "guarded" })).await;
        let object =
            until(stage, "movie", "waits for the Secret", |_, status| status.is_true("Degraded")).await;
        let (_, reason, message) = object.status.as_ref().unwrap().told("Degraded");
        assert_eq!(reason, "SourceNotFound");
        let words = ["RequestFlow guarded", "spec.jobs[0].function.env[1]", "key token of Secret store"];
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        let secret = json!({ "metadata": { "name": "store" }, "stringData": { "token": "t0k3n" } });
        let secrets: Api<Secret> = stage.api();
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
        let process = assigned(&executor).await;
        let env = &process.spec.env.0;
        assert_eq!((env["MODE"].as_str(), env["TOKEN"].as_str()), ("fast", "t0k3n"));
        assert_eq!((process.spec.node_name.as_str(), process.spec.conditions.cpu.as_str()), ("run", "500m"));
        executor.close_successful(&process.id, &[]).await.unwrap();
        let object = finished(stage, "movie").await;
        assert_eq!(history(&object), WHOLE_WAY[..3]);
        assert!(!serde_json::to_string(&object).unwrap().contains("t0k3n"));
    })
    .await;
}

/// A flow that is longer than a history: nothing is lost, it stands in Events.
#[tokio::test]
async fn what_a_long_history_leaves_out_stands_in_events() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "request-long", async |stage| {
        let executor = stage.colony.executor("one", "request-worker").await;
        let jobs: Vec<String> = (1..=25).map(|number| format!("J{number}")).collect();
        let object = json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "long", "annotations": {
                "colonies.io/flow": jobs.join(","), "colonies.io/colony": stage.colony.name,
            } },
            "spec": { "request-uid": "uid-long", "job": "J1", "state": "REQUESTED" },
        });
        let requests: Api<RequestState> = stage.api();
        requests.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        for job in &jobs {
            let process = assigned(&executor).await;
            assert_eq!(process.spec.function, *job);
            executor.close_successful(&process.id, &[]).await.unwrap();
        }
        let object = finished(stage, "long").await;
        let status = object.status.as_ref().unwrap();
        assert_eq!((status.history.len(), status.history_dropped), (64, Some(75 - 64)));
        let way: Vec<String> = jobs
            .iter()
            .flat_map(|job| ["REQUESTED", "STARTED", "COMPLETED"].map(|state| format!("{job} {state}")))
            .collect();
        assert_eq!(history(&object), way[75 - 64..]);
        let events: Api<Event> = stage.api();
        let events = events.list(&ListParams::default()).await.unwrap().items;
        let dropped = events.iter().filter(|event| event.reason.as_deref() == Some("HistoryDropped"));
        let notes: Vec<&str> = dropped.filter_map(|event| event.note.as_deref()).collect();
        for place in &way[..75 - 64] {
            assert!(notes.iter().any(|note| note.contains(&format!("{place} "))), "{place} in {notes:?}");
        }
    })
    .await;
}
