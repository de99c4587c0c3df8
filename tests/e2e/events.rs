//! What `kubectl describe` tells: what has changed, once, and nothing while nothing changes.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, events::v1::Event};
use kube::{ResourceExt as _, api::ListParams};
use serde_json::json;

use crate::{
    commands::kubectl,
    fleet::{Fleet, START_LIMIT},
    stage::Stage,
    support::wait::{eventually, throughout},
};

/// How long nothing may happen. Longer than a poll of the colony, which takes 10 to 12.5 s.
const QUIET: Duration = Duration::from_secs(15);

pub async fn only_transitions_are_told(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "told", json!({})).await;
    fleet.until_ready(1).await;
    fleet.until_mirrored().await;
    let born = until_told(&fleet, "AllReplicasReady", 1).await;
    let expected = BTreeMap::from([("Normal AllReplicasReady".to_owned(), 1)]);
    assert_eq!(born, expected, "starting is no news, having started is");
    kubectl(&["-n", &stage.namespace.name, "scale", &fleet.reference(), "--replicas=2"]).await;
    fleet.until_ready(2).await;
    fleet.until_mirrored().await;
    let told = until_told(&fleet, "AllReplicasReady", 2).await;
    assert_eq!(told["Normal AllReplicasReady"], 2, "{told:?}");
    let described = kubectl(&["-n", &stage.namespace.name, "describe", &fleet.reference()]).await;
    assert!(described.contains("AllReplicasReady") && described.contains("colonyos-operator"), "{described}");

    let before = versions(&fleet).await;
    throughout("nothing is written while nothing changes", QUIET, async || {
        let (now, events) = (versions(&fleet).await, events(&fleet).await?);
        (now == before && events == told)
            .then_some(())
            .ok_or_else(|| format!("{before:?} and {told:?} are {now:?} and {events:?}"))
    })
    .await;
}

/// How often each reason was told about the object.
async fn events(fleet: &Fleet<'_>) -> Result<BTreeMap<String, i32>, String> {
    let listed = fleet.stage.namespace.api::<Event>().list(&ListParams::default()).await;
    let mut told = BTreeMap::new();
    for event in listed.map_err(|error| error.to_string())? {
        if event.regarding.as_ref().and_then(|regarding| regarding.uid.as_ref()) != Some(&fleet.uid) {
            continue;
        }
        let what = format!("{} {}", event.type_.unwrap_or_default(), event.reason.unwrap_or_default());
        *told.entry(what).or_default() += event.series.map_or(1, |series| series.count);
    }
    Ok(told)
}

async fn until_told(fleet: &Fleet<'_>, reason: &str, count: i32) -> BTreeMap<String, i32> {
    eventually(&format!("{reason} is told {count} times"), START_LIMIT, async || {
        let told = events(fleet).await?;
        let seen = told.get(&format!("Normal {reason}")).copied().unwrap_or_default();
        if seen == count { Ok(told) } else { Err(format!("{told:?}")) }
    })
    .await
}

async fn versions(fleet: &Fleet<'_>) -> [Option<String>; 2] {
    let object = fleet.api().get(&fleet.name).await.unwrap();
    let deployment = fleet.stage.namespace.api::<Deployment>().get(&fleet.name).await.unwrap();
    [object.resource_version(), deployment.resource_version()]
}
