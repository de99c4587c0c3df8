//! What becomes of a job when its command fails, its request is cancelled or deleted, or its worker is started anew.

use std::{path::Path, time::Duration};

use colonyos_operator::api::{
    names::PAUSED_ANNOTATION,
    request_state::{RequestState, RequestStateSpec, State},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::{
    program::Program,
    record::history,
    stage::together,
    support::{
        conditions::Conditions as _,
        namespace::TestNamespace,
        object,
        operator::Signal,
        wait::{eventually, throughout},
    },
};

const LIMIT: Duration = Duration::from_secs(15);

async fn worker(namespace: &TestNamespace, arguments: &[&str]) -> Program {
    let arguments = [&["worker", "-n", &namespace.name, "--flow", "JOB1,"], arguments].concat();
    let worker = Program::ours("the worker", &arguments);
    worker.wait_for("serves").await;
    worker
}

async fn create(api: &Api<RequestState>, name: &str) {
    let spec = RequestStateSpec {
        request_uid: format!("uid-of-{name}"),
        job: "JOB1".to_owned(),
        state: State::Requested,
    };
    api.create(&PostParams::default(), &RequestState::new(name, spec)).await.unwrap();
}

async fn until(api: &Api<RequestState>, name: &str, state: State) -> RequestState {
    object::until(api, name, &format!("is {state}"), |object: &RequestState| object.spec.state == state).await
}

/// The condition `Finished`, once it is true.
async fn finished(api: &Api<RequestState>, name: &str) -> (RequestState, Condition) {
    let condition = |object: &RequestState| object.status.as_ref()?.condition("Finished");
    let is_finished = |object: &RequestState| condition(object).is_some_and(|one| one.status == "True");
    let object = object::until(api, name, "is finished", is_finished).await;
    let condition = condition(&object).unwrap();
    (object, condition)
}

async fn until_written(file: &Path) -> String {
    eventually(&format!("{} is written", file.display()), LIMIT, async || {
        let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
        text.ends_with('\n').then(|| text.trim().to_owned()).ok_or(text)
    })
    .await
}

async fn until_dead(process: &str) {
    eventually(&format!("process {process} has ended"), LIMIT, async || {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(()).ok_or(stat)
    })
    .await;
}

#[tokio::test]
async fn a_command_that_fails_says_why_and_may_be_requested_again() {
    together("fails", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let command = format!(
            "JOB1=test -e {0} && exit 0; touch {0}; echo 'no space left' >&2; exit 3",
            done.display()
        );
        let _worker = worker(&namespace, &["--exec", &command]).await;
        create(&api, "r").await;
        let (object, condition) = finished(&api, "r").await;
        assert_eq!(object.spec.state, State::Failed);
        assert_eq!(
            (condition.reason.as_str(), condition.message.as_str()),
            ("JobFailed", "exit code 3: no space left")
        );
        let again = Patch::Merge(json!({ "spec": { "state": "REQUESTED" } }));
        api.patch("r", &PatchParams::default(), &again).await.unwrap();
        until(&api, "r", State::Completed).await;
        let way = eventually("all is in the history", LIMIT, async || {
            let way = history(&api.get("r").await.map_err(|error| error.to_string())?);
            (way.len() == 6).then_some(way.clone()).ok_or_else(|| format!("{way:?}"))
        })
        .await;
        assert_eq!(
            way,
            [
                "JOB1 REQUESTED",
                "JOB1 STARTED",
                "JOB1 FAILED",
                "JOB1 REQUESTED",
                "JOB1 STARTED",
                "JOB1 COMPLETED"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_command_ends_when_its_request_is_cancelled_or_deleted() {
    together("ends", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        let folder = tempfile::tempdir().unwrap();
        let command = format!("JOB1=echo $$ > {}/$REQUEST_NAME; sleep 1000; true", folder.path().display());
        let mut worker = worker(&namespace, &["--exec", &command]).await;
        for name in ["cancelled", "deleted"] {
            create(&api, name).await;
        }
        let cancelled = until_written(&folder.path().join("cancelled")).await;
        let deleted = until_written(&folder.path().join("deleted")).await;
        let cancel = Patch::Merge(json!({ "spec": { "state": "CANCELLED" } }));
        api.patch("cancelled", &PatchParams::default(), &cancel).await.unwrap();
        api.delete("deleted", &DeleteParams::default()).await.unwrap();
        until_dead(&cancelled).await;
        until_dead(&deleted).await;
        let (object, condition) = finished(&api, "cancelled").await;
        assert_eq!(condition.reason, "Cancelled");
        assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 CANCELLED"]);
        worker.signal(Signal::Terminate);
        assert!(worker.wait_for_end().await.success());
    })
    .await;
}

async fn pause(api: &Api<RequestState>, name: &str, value: Option<&str>) {
    let patch = Patch::Merge(json!({ "metadata": { "annotations": { PAUSED_ANNOTATION: value } } }));
    api.patch(name, &PatchParams::default(), &patch).await.unwrap();
}

/// Pausing one request must not require stopping director and worker, which serve others.
#[tokio::test]
async fn a_paused_request_is_left_where_it_is() {
    together("paused", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        create(&api, "paused").await;
        pause(&api, "paused", Some("true")).await;
        create(&api, "other").await;
        let mut worker = worker(&namespace, &["--job-duration", "100ms"]).await;
        until(&api, "other", State::Completed).await;
        assert_eq!(api.get("paused").await.unwrap().spec.state, State::Requested);
        pause(&api, "paused", None).await;
        until(&api, "paused", State::Completed).await;
        worker.signal(Signal::Terminate);
        assert!(worker.wait_for_end().await.success());

        let arguments = ["director", "-n", &namespace.name, "--flow", "JOB1,JOB2"];
        let _director = Program::ours("the director", &arguments);
        let driven = eventually("the director has created its request", LIMIT, async || {
            let all = api.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
            let driven = names.iter().find(|name| name.starts_with("request-")).cloned();
            driven.ok_or_else(|| format!("{names:?}"))
        })
        .await;
        pause(&api, &driven, Some("true")).await;
        for state in ["STARTED", "COMPLETED"] {
            let by_hand = Patch::Merge(json!({ "spec": { "state": state } }));
            api.patch(&driven, &PatchParams::default(), &by_hand).await.unwrap();
        }
        throughout("the director requests nothing", Duration::from_secs(1), async || {
            let spec = api.get(&driven).await.map_err(|error| error.to_string())?.spec;
            (spec.job == "JOB1").then_some(()).ok_or_else(|| format!("{spec:?}"))
        })
        .await;
        pause(&api, &driven, None).await;
        let next = until(&api, &driven, State::Requested).await;
        assert_eq!(next.spec.job, "JOB2");
    })
    .await;
}

/// Time can go on where it was; a command may have done its work, or half of it.
#[tokio::test]
async fn a_worker_that_is_started_anew_resumes_time_and_fails_commands() {
    together("anew", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        let timed = worker(&namespace, &["--identity", "w", "--job-duration", "1h"]).await;
        create(&api, "timed").await;
        until(&api, "timed", State::Started).await;
        timed.signal(Signal::Kill);
        drop(timed);
        // Another worker leaves it alone, the same one goes on.
        let other = worker(&namespace, &["--identity", "other", "--job-duration", "1ms"]).await;
        let same = worker(&namespace, &["--identity", "w", "--job-duration", "1ms"]).await;
        let (object, _) = finished(&api, "timed").await;
        assert_eq!(history(&object), ["JOB1 REQUESTED", "JOB1 STARTED", "JOB1 COMPLETED"]);
        assert!(object.metadata.annotations.unwrap()["colonies.io/claim"].contains(r#""identity":"w""#));
        drop((other, same));

        let command = ["--identity", "w", "--exec", "JOB1=sleep 2; true"];
        let first = worker(&namespace, &command).await;
        create(&api, "command").await;
        until(&api, "command", State::Started).await;
        first.signal(Signal::Kill);
        drop(first);
        let _second = worker(&namespace, &command).await;
        let (object, condition) = finished(&api, "command").await;
        assert_eq!((object.spec.state, condition.reason.as_str()), (State::Failed, "WorkerRestarted"));
        assert!(condition.message.contains("request it again"), "{}", condition.message);
    })
    .await;
}
