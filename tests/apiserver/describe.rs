//! What `kubectl describe` says of objects in trouble: those of the golden cases of `explain`, as an API server has them.

use std::{fs, path::Path};

use colonyos_operator::api::kind::{Kind, OwnKind};
use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{DynamicObject, ObjectMeta},
};
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    commands::kubectl,
    namespace::{TestNamespace, in_namespace},
};

const CASES: [&str; 13] = [
    "colony_away",
    "deletion_waits",
    "executors_busy",
    "failed",
    "fleet_crashes",
    "fleet_out_of_memory",
    "fleet_paused",
    "fleet_refused",
    "no_executor",
    "not_looked_at",
    "request_without_flow",
    "suspended",
    "workflow_waits",
];

#[tokio::test]
async fn objects_in_trouble_say_why_to_who_describes_them() {
    let connection = connect_with_crds().await;
    for case in CASES {
        // Cases use the same names.
        in_namespace(&connection, "describe", async |namespace| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/explain").join(case);
            let given = fs::read_to_string(folder.join("given.yaml")).unwrap();
            let documents = serde_norway::Deserializer::from_str(&given);
            let documents: Vec<Value> = documents.map(|one| Value::deserialize(one).unwrap()).collect();
            let (object, others) = documents.split_first().unwrap();
            let says = described(&namespace, object, others).await;
            expect_test::expect_file![folder.join("describe.txt")].assert_eq(&says);
        })
        .await;
    }
}

async fn described(namespace: &TestNamespace, given: &Value, others: &[Value]) -> String {
    let text = |pointer: &str| given.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    let (_, OwnKind { resource, .. }) = Kind::own().find(|(own, _)| own.name() == kind).unwrap();
    let resource = resource();
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &resource);
    let mut wanted = given.clone();
    wanted["metadata"] = json!({
        "name": name, "annotations": given["metadata"]["annotations"], "labels": given["metadata"]["labels"],
        "finalizers": given["metadata"]["finalizers"],
    });
    let object: DynamicObject = serde_json::from_value(wanted).unwrap();
    let created = api.create(&PostParams::default(), &object).await.unwrap();
    if !given["status"].is_null() {
        let status = Patch::Merge(json!({ "status": given["status"] }));
        api.patch_status(name, &PatchParams::default(), &status).await.unwrap();
    }
    for other in others.iter().filter(|other| other["kind"] == "Event") {
        let mut event: Event = serde_json::from_value(other.clone()).unwrap();
        // Neither has it a time, which would be told as an age.
        event.event_time = None;
        event.metadata = ObjectMeta { name: Some(event.name_any()), ..ObjectMeta::default() };
        event.involved_object.namespace = Some(namespace.name.clone());
        event.involved_object.uid = created.uid();
        namespace.api::<Event>().create(&PostParams::default(), &event).await.unwrap();
    }
    if !given["metadata"]["deletionTimestamp"].is_null() {
        api.delete(name, &DeleteParams::default()).await.unwrap();
    }
    let object = format!("{}.{}/{name}", resource.plural, resource.group);
    let says = kubectl(&["-n", &namespace.name, "describe", &object]);
    let says = says.replace(&namespace.name, "research").replace(&created.uid().unwrap(), "u-1");
    says.lines().map(without_chance).collect::<Vec<_>>().join("\n") + "\n"
}

/// A line of the description without what differs from one time to the next.
fn without_chance(line: &str) -> String {
    let of_chance = ["  Creation Timestamp:", "  Deletion Timestamp:", "  Resource Version:"];
    match of_chance.iter().find(|field| line.starts_with(*field)) {
        Some(field) => format!("{field}  …"),
        None => line.trim_end().to_owned(),
    }
}
