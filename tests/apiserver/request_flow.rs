//! Which flows the API server lets in, and with which words it refuses the others.

use colonyos_operator::{api::request_flow::RequestFlow, desired::request_flow::CompiledFlow};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::admission::{admit, assert_refused, set};
use crate::support::{
    cluster::{TESTER, connect_with_crds},
    namespace::{TestNamespace, in_namespace},
};

/// The example that users copy.
const EXAMPLE: &str = include_str!("../../examples/request-flow.yaml");

fn flow(changes: &[(&str, Value)]) -> Value {
    let mut object: Value = serde_norway::from_str(EXAMPLE).unwrap();
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    for (pointer, value) in changes {
        set(&mut object, pointer, value.clone());
    }
    object
}

fn flows(namespace: &TestNamespace) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<RequestFlow>(&());
    Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &resource)
}

/// What is shown to users must apply, lose nothing on the way, and be a flow that can be followed.
#[tokio::test]
async fn the_example_applies_unchanged() {
    let kubernetes = connect_with_crds().await;
    let sent: Value = serde_norway::from_str(EXAMPLE).unwrap();
    let namespaces: Api<Namespace> = Api::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some("media".to_owned()), ..ObjectMeta::default() };
    let created =
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await;
    assert!(
        created.is_ok() || matches!(&created, Err(kube::Error::Api(status)) if status.code == 409),
        "{created:?}"
    );
    let api: Api<RequestFlow> = Api::namespaced(kubernetes.calls.clone(), "media");
    let parameters = PatchParams::apply(TESTER).validation_strict().dry_run();
    let taken = api.patch("transcode", &parameters, &Patch::Apply(&sent)).await.unwrap();
    assert_eq!(serde_json::to_value(&taken.spec).unwrap(), sent["spec"]);
    CompiledFlow::compile(&taken.spec).unwrap();
}

#[tokio::test]
async fn arguments_may_be_anything() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "flows", async |namespace| {
        let anything = json!(["a", 1, 1.5, true, ["x", [2]], {"deep": {"list": [{}]}}]);
        let changes = [
            ("/spec/jobs/0/function/args", anything.clone()),
            ("/spec/jobs/1/function/kwargs", json!({ "a": anything, "b.c/d": "${request}" })),
        ];
        let taken = admit(&flows(&namespace), flow(&changes)).await.unwrap();
        assert_eq!(taken.data["spec"], flow(&changes)["spec"]);
    })
    .await;
}

/// The longest list of jobs with the longest names: the cost of the rules is checked against what the schema allows, and
/// paid for again when they are run.
#[tokio::test]
async fn the_largest_flow_is_let_in() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "flows", async |namespace| {
        let name = |index: usize| format!("{index:0>63}");
        let job = |index: usize| {
            let function =
                json!({"name": "f".repeat(253), "executorType": "t".repeat(63), "maxExecTime": "999999999h"});
            let next = json!({"action": "GoTo", "job": name((index + 1) % 64), "maxAttempts": 100});
            json!({"name": name(index), "function": function, "onFailure": next})
        };
        let jobs: Vec<Value> = (0..64).map(job).collect();
        admit(&flows(&namespace), flow(&[("/spec/jobs", json!(jobs))])).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_with_field_value_and_remedy() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "flows", async |namespace| {
        let cases: Vec<(&str, Value, &[&str])> = vec![
            ("no jobs", flow(&[("/spec/jobs", json!([]))]), &["spec.jobs", "at least 1"]),
            (
                "two of one name",
                flow(&[("/spec/jobs/2/name", json!("JOB1")), ("/spec/jobs/1/onFailure", Value::Null)]),
                &["spec.jobs[2]", "Duplicate value", "JOB1"],
            ),
            (
                "a name with a space",
                flow(&[("/spec/jobs/0/name", json!("JOB 1"))]),
                &["spec.jobs[0].name", "\"JOB 1\" is not a job name", "use letters"],
            ),
            (
                "a long name",
                flow(&[("/spec/jobs/0/name", json!("a".repeat(64)))]),
                &["spec.jobs[0].name", "63"],
            ),
            (
                "a jump to nowhere",
                flow(&[("/spec/jobs/1/onFailure/job", json!("CLEAN"))]),
                &["spec.jobs", "\"CLEAN\" is no job of this flow", "name one of the list"],
            ),
            (
                "a jump without a target",
                flow(&[("/spec/jobs/1/onFailure/job", Value::Null)]),
                &["spec.jobs[1].onFailure", "needs a job"],
            ),
            (
                "a jump to itself",
                flow(&[("/spec/jobs/1/onFailure/job", json!("JOB2"))]),
                &["spec.jobs[1].onFailure.job", "\"JOB2\" is the job itself", "use action Retry"],
            ),
            (
                "a target without a jump",
                flow(&[("/spec/jobs/1/onFailure/action", json!("Retry"))]),
                &["spec.jobs[1].onFailure.job", "only for action GoTo", "remove it"],
            ),
            (
                "a backoff without a retry",
                flow(&[("/spec/jobs/1/onFailure/backoff", json!("10s"))]),
                &["spec.jobs[1].onFailure.backoff", "only for action Retry"],
            ),
            (
                "attempts without anything to attempt",
                flow(&[("/spec/jobs/1/onFailure", json!({"action": "Stop", "maxAttempts": 2}))]),
                &["spec.jobs[1].onFailure.maxAttempts", "only for actions Retry and GoTo"],
            ),
            (
                "endless attempts",
                flow(&[("/spec/jobs/1/onFailure/maxAttempts", json!(101))]),
                &["spec.jobs[1].onFailure.maxAttempts", "101", "100"],
            ),
            (
                "another action",
                flow(&[("/spec/jobs/1/onFailure/action", json!("Ignore"))]),
                &["spec.jobs[1].onFailure.action", "\"Ignore\"", "\"Stop\", \"Retry\", \"GoTo\""],
            ),
            (
                "days",
                flow(&[("/spec/jobs/1/function/maxExecTime", json!("1d"))]),
                &["spec.jobs[1].function.maxExecTime", "1d"],
            ),
            (
                "no time at all",
                flow(&[("/spec/jobs/1/function/maxExecTime", json!("0s"))]),
                &["spec.jobs[1].function.maxExecTime", "is 0", "leave it out"],
            ),
            (
                "a type with a colon",
                flow(&[("/spec/jobs/1/function/executorType", json!("a:b"))]),
                &["spec.jobs[1].function.executorType", "\"a:b\" is not a type", "use letters"],
            ),
            (
                "a function without a name",
                flow(&[("/spec/jobs/1/function/name", json!(""))]),
                &["spec.jobs[1].function.name", "is empty", "give the name"],
            ),
            (
                "no deadline at all",
                flow(&[("/spec/activeDeadlineSeconds", json!(0))]),
                &["spec.activeDeadlineSeconds", "greater than or equal to 1"],
            ),
            (
                "a priority that no server takes",
                flow(&[("/spec/jobs/0/function/priority", json!(50_001))]),
                &["spec.jobs[0].function.priority", "50000"],
            ),
        ];
        assert_refused(&flows(&namespace), cases).await;
    })
    .await;
}
