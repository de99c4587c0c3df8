//! Objects of the name that a fleet needs, and that belong to another owner.

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::{Fleet, START_LIMIT},
    stage::Stage,
    support::{conditions::Conditions as _, wait::eventually},
};

pub async fn what_belongs_to_others_is_left_alone(stage: Stage) {
    stage.connect().await;
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "taken"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": "theirs"}},
            "template": {
                "metadata": {"labels": {"app": "theirs"}},
                "spec": {"containers": [{"name": "theirs", "image": "localhost/theirs:1"}]},
            },
        },
    }))
    .unwrap();
    let deployments = stage.namespace.api::<Deployment>();
    deployments.create(&PostParams::default(), &deployment).await.unwrap();
    let secret = Secret {
        metadata: ObjectMeta { name: Some("robbed-executor-identity".to_owned()), ..ObjectMeta::default() },
        string_data: Some(BTreeMap::from([("theirs".to_owned(), "1".to_owned())])),
        ..Secret::default()
    };
    let secrets = stage.namespace.api::<Secret>();
    let secret = secrets.create(&PostParams::default(), &secret).await.unwrap();

    let taken = Fleet::create(&stage, "taken", json!({})).await;
    let robbed = Fleet::create(&stage, "robbed", json!({})).await;
    for (fleet, kind, name) in
        [(&taken, "Deployment", "taken"), (&robbed, "Secret", "robbed-executor-identity")]
    {
        let degraded = fleet.until_condition("Degraded", "True", "ForeignObject").await;
        assert!(degraded.message.contains(kind) && degraded.message.contains(name), "{}", degraded.message);
        until_event(&stage, fleet).await;
    }
    let theirs = deployments.get("taken").await.unwrap();
    assert_eq!((theirs.metadata.generation, theirs.labels().len()), (Some(1), 0), "{theirs:#?}");
    assert!(theirs.owner_references().is_empty());
    let still = secrets.get("robbed-executor-identity").await.unwrap();
    assert_eq!((still.resource_version(), &still.data), (secret.resource_version(), &secret.data));
    assert_eq!(robbed.workloads().await, [] as [&str; 0], "no pod would get their Secret as its environment");

    deployments.delete("taken", &DeleteParams::background()).await.unwrap();
    secrets.delete("robbed-executor-identity", &DeleteParams::default()).await.unwrap();
    for fleet in [&taken, &robbed] {
        let object = fleet.until_ready(1).await;
        let conditions = &object.status.as_ref().unwrap().conditions;
        assert!(conditions.is_false("Degraded"), "{conditions:#?}");
    }
}

async fn until_event(stage: &Stage, fleet: &Fleet<'_>) {
    eventually(&format!("an Event tells of {}", fleet.name), START_LIMIT, async || {
        let told = kubectl(&["-n", &stage.namespace.name, "describe", &fleet.reference()]).await;
        let line = told.lines().find(|line| line.contains("Warning") && line.contains("ForeignObject"));
        line.map(|_| ()).ok_or(told.clone())
    })
    .await;
}
