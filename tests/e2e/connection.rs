//! A `Colony` that cannot work yet says what is missing, and works as soon as it is there.

use colonyos_operator::{
    api::{
        executor_deployment::ExecutorDeployment,
        names::{ABANDON_ANNOTATION, OWNER_KEY},
    },
    colony::PrivateKey,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::{Fleet, START_LIMIT},
    installation::{NAMESPACE, TEST_LABEL},
    stage::{ColonyAddress, Stage},
    support::{conditions::Conditions as _, namespace::wait_until_gone, wait::eventually},
};

pub async fn it_says_what_is_missing_and_recovers(stage: Stage) {
    let fleet = Fleet::create(&stage, "early", json!({})).await;
    fleet.until_condition("Ready", "False", "ColonyNotFound").await;
    let address =
        ColonyAddress { host: stage.server.host.clone(), port: stage.server.port, is_default: false };
    stage.create_colony(&address).await;
    until_reason(&stage, "CredentialsNotFound").await;
    write_key(&stage, "no key").await;
    until_reason(&stage, "CredentialsInvalid").await;
    write_key(&stage, &PrivateKey::generate().unwrap().to_hex()).await;
    until_reason(&stage, "CredentialsRefused").await;
    write_key(&stage, &stage.keys["the colony's owner"]).await;
    stage.until_connected(true).await;
    fleet.until_ready(1).await;
    fleet.until_mirrored().await;

    // A Colony that is in use stays. One that is gone all the same, and for good, keeps its objects until a user gives up what is
    // there.
    fleet.until_ready(1).await;
    stage.colonies().delete(&stage.colony, &DeleteParams::background()).await.unwrap();
    until_held(&stage).await;
    let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    stage.colonies().patch(&stage.colony, &PatchParams::default(), &release).await.unwrap();
    fleet.until_condition("Ready", "False", "ColonyNotFound").await;
    assert_eq!(fleet.pods().await.unwrap().len(), 1, "what runs is left unchanged");
    fleet.delete().await;
    let (namespace, abandon) = (stage.namespace.name.as_str(), format!("{ABANDON_ANNOTATION}=true"));
    kubectl(&["-n", namespace, "annotate", &fleet.reference(), &abandon]).await;
    wait_until_gone::<ExecutorDeployment>(&stage.namespace, "early").await;
}

/// Waits until the Colony says by what it is held.
async fn until_held(stage: &Stage) {
    eventually("the Colony says that it is in use", START_LIMIT, async || {
        let colony = stage.colonies().get(&stage.colony).await.map_err(|error| error.to_string())?;
        let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
        match conditions.condition("Progressing") {
            Some(held) if held.reason == "ColonyInUse" && held.message.contains("early") => Ok(()),
            other => Err(format!("it is {other:?}")),
        }
    })
    .await;
}

async fn until_reason(stage: &Stage, reason: &str) {
    eventually(&format!("the Colony is not ready for {reason}"), START_LIMIT, async || {
        let colony = stage.colonies().get(&stage.colony).await.map_err(|error| error.to_string())?;
        let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
        match conditions.condition("Ready") {
            Some(ready) if ready.status == "False" && ready.reason == reason && !ready.message.is_empty() => {
                Ok(())
            }
            other => Err(format!("it is {other:?}")),
        }
    })
    .await;
}

async fn write_key(stage: &Stage, key: &str) {
    let secret = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": stage.colony, "labels": {TEST_LABEL: "e2e"}},
        "stringData": {OWNER_KEY: key},
    });
    let api = Api::<Secret>::namespaced(stage.namespace.kubernetes.calls.clone(), NAMESPACE);
    let parameters = PatchParams::apply("colonyos-operator-tests").force();
    api.patch(&stage.colony, &parameters, &Patch::Apply(secret)).await.unwrap();
}
