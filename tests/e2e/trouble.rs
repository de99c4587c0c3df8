//! Why pods of a fleet do not run is told in the fleet, with the remedy: each cause planted on a real node.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{fleet::Fleet, stage::Stage, support::times::Planted};

/// What is planted, what the cluster says of it, and whether waiting may help.
const CAUSES: [(&str, &str, &str, bool); 5] = [
    ("image", "ImageNotPulled", "cannot be pulled", false),
    ("configuration", "ConfigurationMissing", "secret \"settings\" not found", false),
    ("crash", "ContainerFails", "ended with exit code", false),
    ("volume", "VolumeNotMounted", "secret \"certificates\" not found", false),
    ("placement", "PodUnschedulable", "cannot be placed", true),
];

fn planted(cause: &str) -> Value {
    match cause {
        "image" => json!({ "image": "localhost/no-such-image:1" }),
        "configuration" => json!({ "config": { "envFrom": [{ "secretRef": { "name": "settings" } }] } }),
        "crash" => json!({ "config": { "env": { "COLONIES_SERVER_PORT": "no-port" } } }),
        "volume" => {
            json!({ "config": { "volumes": [{ "target": "/certificates", "secret": "certificates" }] } })
        }
        "placement" => json!({ "nodeSelector": { "no": "such-node" } }),
        other => panic!("{other} is not planted"),
    }
}

pub async fn each_cause_is_told_and_passes_when_it_is_mended(stage: Stage) {
    stage.connect().await;
    let mut fleets = Vec::new();
    let mut times = Vec::new();
    for (cause, ..) in CAUSES {
        times.push(Planted::now(format!("{cause}, fleet")));
        fleets.push(Fleet::create(&stage, cause, planted(cause)).await);
    }
    let told = fleets.iter().zip(CAUSES).zip(times).map(async |((fleet, (_, reason, ..)), time)| {
        let ready = fleet.until_condition("Ready", "False", reason).await;
        time.said(reason);
        ready
    });
    let told = join_all(told).await;
    for ((fleet, (cause, reason, words, may_pass)), ready) in fleets.iter().zip(CAUSES).zip(told) {
        assert!(ready.message.contains(words), "{cause}: {}", ready.message);
        assert!(ready.message.contains(&format!("pod {cause}-")), "which pod: {}", ready.message);
        let (degraded, why) = if may_pass { ("False", "Reconciled") } else { ("True", reason) };
        // A container that ends may be all right the next times.
        fleet.until_condition("Degraded", degraded, why).await;
    }
    let secrets = stage.namespace.api::<Secret>();
    for name in ["settings", "certificates"] {
        let secret = json!({ "metadata": { "name": name }, "stringData": { "a": "b" } });
        secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    }
    fleets[1].until_ready(1).await;
    fleets[3].until_ready(1).await;
    fleets[4].change(json!({ "nodeSelector": null })).await;
    fleets[4].until_ready(1).await;
}
