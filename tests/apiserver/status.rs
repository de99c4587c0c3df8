//! Status and scale of an `ExecutorDeployment` on a real API server.

use colonyos_operator::api::executor_deployment::ExecutorDeployment;
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    namespace::{TestNamespace, in_namespace},
};

async fn create(namespace: &TestNamespace, spec: Value) -> Api<ExecutorDeployment> {
    let api: Api<ExecutorDeployment> = namespace.api();
    let mut object = json!({
        "apiVersion": "compute.colonies.io/v1",
        "kind": "ExecutorDeployment",
        "metadata": { "name": "encoders" },
        "spec": { "executorType": "video-encoder", "image": "encoder:1" },
    });
    for (field, value) in spec.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    // Suspended, so that an operator that happens to run in this cluster leaves the object's children alone.
    let object = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    api
}

fn condition(kind: &str) -> Value {
    json!({
        "apiVersion": "compute.colonies.io/v1",
        "kind": "ExecutorDeployment",
        "status": { "replicas": 0, "readyReplicas": 0, "conditions": [{
            "type": kind, "status": "True", "reason": "Test", "message": "",
            "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 1,
        }]},
    })
}

/// Two writers must be able to own a condition each. A plain list would let the second one wipe out the first.
#[tokio::test]
async fn conditions_are_a_map_by_type() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "conditions", async |namespace| {
        let api = create(&namespace, json!({ "suspend": true })).await;
        for (manager, kind) in [("first-writer", "Mirrored"), ("second-writer", "Ready")] {
            let parameters = PatchParams::apply(manager).force();
            api.patch_status("encoders", &parameters, &Patch::Apply(condition(kind))).await.unwrap();
        }
        let conditions = api.get("encoders").await.unwrap().status.unwrap().conditions;
        let mut types: Vec<_> = conditions.into_iter().map(|condition| condition.type_).collect();
        types.sort();
        assert_eq!(types, ["Mirrored", "Ready"]);

        let mut twice = condition("Ready");
        let entry = twice["status"]["conditions"][0].clone();
        twice["status"]["conditions"].as_array_mut().unwrap().push(entry);
        let result = api.patch_status("encoders", &PatchParams::default(), &Patch::Merge(twice)).await;
        match result {
            Err(kube::Error::Api(status)) => {
                assert!(status.message.contains("Duplicate"), "{}", status.message);
            }
            other => panic!("one type twice must be refused: {other:?}"),
        }
    })
    .await;
}

/// The right to write the object must not include its status, nor the other way round.
#[tokio::test]
async fn status_is_written_apart_from_the_object() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "subresource", async |namespace| {
        let api = create(&namespace, json!({ "suspend": true })).await;
        let patch =
            Patch::Merge(json!({ "spec": { "image": "encoder:2" }, "status": { "state": "Forged" } }));
        let object = api.patch("encoders", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(object.spec.image, "encoder:2");
        assert_ne!(object.status.and_then(|status| status.state).as_deref(), Some("Forged"));
        let patch =
            Patch::Merge(json!({ "spec": { "image": "encoder:3" }, "status": { "state": "Written" } }));
        let object = api.patch_status("encoders", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(object.spec.image, "encoder:2");
        assert_eq!(object.status.and_then(|status| status.state).as_deref(), Some("Written"));
    })
    .await;
}

/// `kubectl scale` and autoscalers know nothing but this subresource.
#[tokio::test]
async fn scale_reads_and_writes_replicas() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "scale", async |namespace| {
        let api = create(&namespace, json!({ "suspend": true })).await;
        let scale = api.get_scale("encoders").await.unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(1), "the default is in the schema, so scale finds it");

        let patch = Patch::Merge(json!({ "spec": { "replicas": 4 } }));
        api.patch_scale("encoders", &PatchParams::default(), &patch).await.unwrap();
        assert_eq!(api.get("encoders").await.unwrap().spec.replicas, 4);

        let status =
            Patch::Merge(json!({ "status": { "replicas": 3, "readyReplicas": 2, "selector": "a=b" } }));
        api.patch_status("encoders", &PatchParams::default(), &status).await.unwrap();
        let seen = api.get_scale("encoders").await.unwrap().status.unwrap();
        assert_eq!((seen.replicas, seen.selector.as_deref()), (3, Some("a=b")));
    })
    .await;
}

/// The rules hold on the way over `/scale` too.
#[tokio::test]
async fn scale_does_not_get_around_the_rules() {
    let kubernetes = connect_with_crds().await;
    in_namespace(&kubernetes, "scale-rules", async |namespace| {
        let api = create(&namespace, json!({ "suspend": true, "workload": "DaemonSet" })).await;
        for replicas in [-1, 3] {
            let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
            let result = api.patch_scale("encoders", &PatchParams::default(), &patch).await;
            match result {
                Err(kube::Error::Api(status)) => assert!(status.code == 422, "{status:?}"),
                other => panic!("{replicas} replicas of a DaemonSet must be refused: {other:?}"),
            }
        }
    })
    .await;
}
