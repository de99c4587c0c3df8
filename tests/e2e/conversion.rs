//! Conversions between versions of a kind that users make up, as the chart sets them up: the API server asks by the Service,
//! and a replica that goes is no gap.

use std::time::Duration;

use kube::{
    Api,
    api::{DynamicObject, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

use crate::{
    commands::kubectl,
    installation::{self, NAMESPACE, POD_SELECTOR, THINGS_GROUP as GROUP},
    stage::Stage,
    support::wait::eventually,
};

/// How long a kind may take to be served.
const SERVED_LIMIT: Duration = Duration::from_mins(1);

pub async fn objects_are_converted_by_whichever_replica_is_there(stage: Stage) {
    stage.connect().await;
    let version = |name: &str, storage: bool, field: &str| {
        json!({"name": name, "storage": storage, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {field: {"type": "integer"}}}}}}})
    };
    let mut old = version("v1alpha1", false, "size");
    old["conversion"] = json!({"moves": [{"from": "spec.size", "to": "spec.count"}]});
    let definition = json!({
        "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
        "metadata": {"name": format!("things.{GROUP}")},
        "spec": {"group": GROUP, "names": {"kind": "Thing", "plural": "things"},
                 "versions": [version("v1", true, "count"), old],
                 "handler": {"mode": "process", "colony": stage.colony, "executorType": "t", "functionName": "f"},
                 "deletionPolicy": "Orphan"},
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("definition.json");
    std::fs::write(&file, definition.to_string()).unwrap();
    kubectl(&["apply", "-f", file.to_str().unwrap()]).await;
    kubectl(&["wait", "--for=condition=Ready", &format!("rd/things.{GROUP}"), "--timeout=5m"]).await;

    let of = |version: &str| -> Api<DynamicObject> {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, version, "Thing"), "things");
        Api::namespaced_with(stage.namespace.kubernetes.calls.clone(), &stage.namespace.name, &resource)
    };
    let (new, old) = (of("v1"), of("v1alpha1"));
    let thing = json!({"apiVersion": format!("{GROUP}/v1alpha1"), "kind": "Thing", "metadata": {"name": "a"},
                       "spec": {"size": 3}});
    let thing: DynamicObject = serde_json::from_value(thing).unwrap();
    old.create(&PostParams::default(), &thing).await.unwrap();
    assert_eq!(new.get("a").await.unwrap().data["spec"], json!({"count": 3}));

    // One replica after another goes, and the other converts.
    let client = stage.namespace.kubernetes.calls.clone();
    for pod in installation::pods(&client).await.unwrap() {
        let name = pod.metadata.name.unwrap();
        kubectl(&["-n", NAMESPACE, "delete", "pod", &name, "--wait=true"]).await;
        eventually("objects are converted", SERVED_LIMIT, async || {
            let read = old.get("a").await.map_err(|error| error.to_string())?;
            (read.data["spec"] == json!({"size": 3})).then_some(()).ok_or_else(|| read.data.to_string())
        })
        .await;
        kubectl(&[
            "-n",
            NAMESPACE,
            "wait",
            "pod",
            "-l",
            POD_SELECTOR,
            "--for=condition=Ready",
            "--timeout=5m",
        ])
        .await;
    }

    kubectl(&["delete", "rd", &format!("things.{GROUP}"), "--timeout=5m"]).await;
    kubectl(&["delete", "crd", &format!("things.{GROUP}"), "--timeout=5m"]).await;
}
