//! What the API server allows for requests, whichever client moves them.

use std::path::Path;

use colonyos_operator::{
    api::request_state::{RequestState, RequestStateSpec, State},
    diff::request::{Position, check},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use strum::VariantArray as _;

use crate::support::{
    cluster::{TESTER, connect_with_crds},
    commands::kubectl,
    namespace::in_namespace,
};

fn request(name: &str, position: &Position) -> RequestState {
    let spec = RequestStateSpec {
        request_uid: "uid-1".to_owned(),
        job: position.job.clone(),
        state: position.state,
    };
    RequestState::new(name, spec)
}

fn positions() -> Vec<Position> {
    let of = |job| State::VARIANTS.iter().map(move |state| Position::new(job, *state));
    ["JOB1", "JOB2"].into_iter().flat_map(of).collect()
}

/// What the server says to a change of the spec, which it does not keep.
async fn admit(api: &Api<RequestState>, name: &str, spec: Value) -> Result<(), String> {
    let parameters = PatchParams { dry_run: true, ..PatchParams::default() };
    match api.patch(name, &parameters, &Patch::Merge(json!({ "spec": spec }))).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 => Err(status.message.clone()),
        Err(other) => panic!("neither taken nor refused as invalid: {other}"),
    }
}

/// The rules stand twice, in CEL for the server and in Rust for those who decide; they must be the same rules.
#[tokio::test]
async fn the_server_allows_what_the_table_allows() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "transitions", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        let mut wrong = Vec::new();
        for (index, from) in positions().iter().enumerate() {
            let name = format!("r{index}");
            api.create(&PostParams::default(), &request(&name, from)).await.unwrap();
            for to in positions() {
                let said = admit(&api, &name, json!({ "job": to.job, "state": to.state })).await;
                let ours = check(from, &to);
                if said.is_ok() != ours.is_ok() {
                    wrong.push(format!("{from} to {to}: the server says {said:?}, the table {ours:?}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    })
    .await;
}

#[tokio::test]
async fn a_refusal_names_field_value_and_remedy() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "refusals", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        for (name, state) in [
            ("requested", State::Requested),
            ("completed", State::Completed),
            ("cancelled", State::Cancelled),
        ] {
            api.create(&PostParams::default(), &request(name, &Position::new("JOB1", state))).await.unwrap();
        }
        let cases: [(&str, Value, &[&str]); 8] = [
            (
                "requested",
                json!({ "state": "COMPLETED" }),
                &["state cannot become COMPLETED after REQUESTED", "set STARTED, FAILED or CANCELLED"],
            ),
            ("completed", json!({ "state": "STARTED" }), &["STARTED after COMPLETED", "set REQUESTED"]),
            (
                "completed",
                json!({ "state": "REQUESTED" }),
                &["job JOB1 is COMPLETED and cannot become REQUESTED again", "name another job"],
            ),
            (
                "cancelled",
                json!({ "state": "REQUESTED" }),
                &["after CANCELLED", "create another RequestState"],
            ),
            (
                "requested",
                json!({ "job": "JOB2" }),
                &["job cannot change from JOB1 to JOB2 while state is REQUESTED", "once the former job is"],
            ),
            (
                "requested",
                json!({ "request-uid": "uid-2" }),
                &["request-uid cannot change from uid-1 to uid-2", "create another RequestState"],
            ),
            ("requested", json!({ "state": "PAUSED" }), &["spec.state", "PAUSED", "CANCELLED"]),
            ("requested", json!({ "job": "" }), &["spec.job", "at least 1 char"]),
        ];
        for (name, spec, expected) in cases {
            let said = admit(&api, name, spec.clone()).await.expect_err(&spec.to_string());
            for text in expected {
                assert!(said.contains(text), "{spec} on {name}: {said}");
            }
        }
    })
    .await;
}

/// Users have such manifests; not a character of them may have to change.
#[tokio::test]
async fn manifests_of_users_apply_unchanged() {
    let _kubernetes = connect_with_crds().await;
    for file in ["request-state.yaml", "request-state-completed.yaml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(file);
        let path = path.to_string_lossy();
        let said = kubectl(&["apply", "--dry-run=server", "--validate=strict", "-f", &path]);
        assert!(said.contains("created"), "{said}");
    }
}

#[tokio::test]
async fn kubectl_shows_where_a_request_is_and_waits_for_its_end() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "kubectl", async |namespace| {
        let api: Api<RequestState> = namespace.api();
        let position = Position::new("JOB2", State::Completed);
        api.create(&PostParams::default(), &request("r", &position)).await.unwrap();
        let status = json!({ "status": { "progress": "2/2", "conditions": [{
            "type": "Finished", "status": "True", "reason": "FlowCompleted", "message": "m",
            "lastTransitionTime": "2026-11-24T10:00:00Z",
        }] } });
        let parameters = PatchParams { field_manager: Some(TESTER.to_owned()), ..PatchParams::default() };
        api.patch_status("r", &parameters, &Patch::Merge(status)).await.unwrap();
        let shown = kubectl(&["get", "requeststates", "-n", &namespace.name]);
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["NAME", "JOB", "STATE", "STEP", "REASON", "PAUSED", "AGE"]);
        assert_eq!(lines[1][..4], ["r", "JOB2", "COMPLETED", "2/2"]);
        let name = namespace.name.as_str();
        let waited = kubectl(&["wait", "--for=condition=Finished", "reqs/r", "-n", name, "--timeout=5m"]);
        assert!(waited.contains("condition met"), "{waited}");
    })
    .await;
}
