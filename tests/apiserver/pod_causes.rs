//! Why pods of a user's kind do not run is told in the instance, at which people look: each cause planted on the real API server.

use k8s_openapi::api::{core::v1::ResourceQuota, events::v1::Event};
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    namespace::in_namespace,
    operator::{Operator, Turn, configuration},
    own_kind::OwnKind,
    stage::SOON,
    times::Planted,
    wait::eventually,
};

/// A kind whose instances are a workload of the kind that they name.
fn definition() -> String {
    let pod = |policy: &str| {
        json!({
            "metadata": { "labels": { "app": "${self.metadata.name}" } },
            "spec": { "restartPolicy": policy, "containers": [{ "name": "c", "image": "none", "resources": {
                "requests": { "cpu": "${self.spec.cpu}" } } }] },
        })
    };
    let selector = json!({ "matchLabels": { "app": "${self.metadata.name}" } });
    let spec = |policy: &str, more: Value| {
        let mut spec = json!({ "template": pod(policy) });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        spec
    };
    let resource = |api_version: &str, kind: &str, spec: Value| {
        json!({
            "id": kind.to_lowercase(),
            "includeWhen": [format!("${{self.spec.workload == '{kind}'}}")],
            "template": { "apiVersion": api_version, "kind": kind,
                          "metadata": { "name": "${self.metadata.name}" }, "spec": spec },
        })
    };
    let replicated = || spec("Always", json!({ "replicas": 1, "selector": selector }));
    let resources = [
        resource("apps/v1", "Deployment", replicated()),
        resource(
            "apps/v1",
            "StatefulSet",
            spec("Always", json!({ "serviceName": "s", "selector": selector })),
        ),
        resource("batch/v1", "Job", spec("Never", json!({}))),
    ];
    let properties =
        json!({ "workload": { "type": "string" }, "cpu": { "type": "string", "default": "1m" } });
    let schema = json!({ "type": "object", "properties": { "spec": {
        "type": "object", "required": ["workload"], "properties": properties } } });
    json!({
        "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition", "metadata": { "name": "runs.causes.example.com" },
        "spec": {
            "group": "causes.example.com", "scope": "Namespaced", "names": { "kind": "Run", "plural": "runs" },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema } }],
            "handler": { "mode": "compose", "resources": resources },
        },
    })
    .to_string()
}

const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "Job"];

#[tokio::test]
async fn pods_that_do_not_run_are_told_at_the_instance_of_a_kind() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "podcauses", async |namespace| {
        let turn = Turn::take().await;
        let operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        let quotas = namespace.api::<ResourceQuota>();
        let quota = json!({ "metadata": { "name": "none" }, "spec": { "hard": { "pods": "0" } } });
        quotas.create(&PostParams::default(), &serde_json::from_value(quota).unwrap()).await.unwrap();
        eventually("the quota counts", SOON, async || {
            let quota = quotas.get("none").await.map_err(|error| error.to_string())?;
            quota.status.and_then(|status| status.hard).map(drop).ok_or("it does not".to_owned())
        })
        .await;
        let runs = OwnKind::new(&namespace, &definition());
        runs.define_until_ready().await;
        for workload in WORKLOADS {
            let name = workload.to_lowercase();
            let planted = Planted::now(format!("quota, {workload} of an instance"));
            runs.create(&name, json!({ "workload": workload })).await;
            let refused =
                |status: &Value| status.reason("Degraded") == "PodsRefused" && status.is_true("Degraded");
            let seen = runs.until_settled(&name, "its pods are refused", refused).await;
            planted.said("PodsRefused");
            let message = seen.data["status"].message("Ready");
            assert!(
                message.contains("exceeded quota: none") && message.contains("quota of the namespace raised"),
                "{message}"
            );
        }
        let events = namespace.api::<Event>().list(&ListParams::default()).await.unwrap();
        let warned = |name: &str| {
            let is_it = |event: &&Event| {
                event.reason.as_deref() == Some("PodsRefused")
                    && event.type_.as_deref() == Some("Warning")
                    && event
                        .regarding
                        .as_ref()
                        .is_some_and(|regarding| regarding.name.as_deref() == Some(name))
            };
            events.iter().filter(is_it).count()
        };
        assert_eq!(WORKLOADS.map(|workload| warned(&workload.to_lowercase())), [1, 1, 1], "one Warning each");

        quotas.delete("none", &DeleteParams::default()).await.unwrap();
        let planted = Planted::now("no node with room, Deployment of an instance");
        runs.create("large", json!({ "workload": "Deployment", "cpu": "100000" })).await;
        let waits =
            |status: &Value| status.reason("Ready") == "PodUnschedulable" && status.is_false("Degraded");
        let seen = runs.until_settled("large", "no node takes its pod", waits).await;
        planted.said("PodUnschedulable");
        let message = seen.data["status"].message("Ready");
        assert!(
            message.contains("cannot be placed: ") && message.contains("lower the requests"),
            "{message}"
        );
        drop(operator);
    })
    .await;
}
