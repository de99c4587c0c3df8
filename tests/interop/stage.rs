//! A cluster with nothing in it but what a test puts there, with one of the two definitions of requests.

use std::time::Duration;

use colonyos_operator::api::request_state::RequestState;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};

use crate::support::{
    cluster::{Connection, connect_alone, connect_with_crds, install_crds},
    namespace::{TestNamespace, in_namespace},
    wait::eventually,
};

const LIMIT: Duration = Duration::from_secs(30);
const NAME: &str = "requeststates.com.redhat.ecosystem.sample";
/// A definition as others have it: no status subresource, and nothing is checked.
const OTHER_DEFINITION: &str = include_str!("definition-without-status.yaml");

/// Runs a test in a namespace of its own, alone on the cluster, where no request is.
pub async fn alone(test: &str, body: impl AsyncFnOnce(TestNamespace)) {
    let cluster = connect_alone().await;
    clear(&cluster).await;
    in_namespace(&cluster, test, body).await;
}

/// Runs a test in a namespace of its own, beside others: every program of it keeps to that namespace.
pub async fn together(test: &str, body: impl AsyncFnOnce(TestNamespace)) {
    let cluster = connect_with_crds().await;
    in_namespace(&cluster, test, body).await;
}

/// As [`alone`], with the definition of others; ours is back afterwards.
pub async fn alone_with_other_definition(test: &str, body: impl AsyncFnOnce(TestNamespace)) {
    let cluster = connect_alone().await;
    replace(&cluster, async |definitions| {
        let other: CustomResourceDefinition = serde_norway::from_str(OTHER_DEFINITION).unwrap();
        definitions.create(&PostParams::default(), &other).await.unwrap();
    })
    .await;
    wait_until_served(&cluster, false).await;
    in_namespace(&cluster, test, body).await;
    replace(&cluster, async |_| install_crds(&cluster).await).await;
    wait_until_served(&cluster, true).await;
}

async fn replace(cluster: &Connection, create: impl AsyncFnOnce(&Api<CustomResourceDefinition>)) {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.calls.clone());
    // Its objects go with it.
    definitions.delete(NAME, &DeleteParams::default()).await.unwrap();
    eventually("the definition of requests is gone", LIMIT, async || {
        let found = definitions.get_opt(NAME).await.map_err(|error| error.to_string())?;
        found.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
    })
    .await;
    create(&definitions).await;
}

async fn wait_until_served(cluster: &Connection, with_status: bool) {
    eventually("requests are served", LIMIT, async || {
        let group = "com.redhat.ecosystem.sample/v1";
        let list = cluster.calls.list_api_group_resources(group).await.map_err(|error| error.to_string())?;
        let names: Vec<String> = list.resources.into_iter().map(|resource| resource.name).collect();
        let has = |name: &str| names.iter().any(|known| known == name);
        let is_right = has("requeststates") && has("requeststates/status") == with_status;
        is_right.then_some(()).ok_or_else(|| format!("there are {names:?}"))?;
        let all: Api<RequestState> = Api::all(cluster.calls.clone());
        all.list(&ListParams::default()).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
}

/// A director of others ends at any request whose last job is completed, so none may be left of other tests.
async fn clear(cluster: &Connection) {
    wait_until_served(cluster, true).await;
    let all: Api<RequestState> = Api::all(cluster.calls.clone());
    eventually("no request is left", LIMIT, async || {
        let left = all.list(&ListParams::default()).await.map_err(|error| error.to_string())?.items;
        for object in &left {
            let namespace = object.metadata.namespace.clone().unwrap_or_default();
            let api: Api<RequestState> = Api::namespaced(cluster.calls.clone(), &namespace);
            let name = object.metadata.name.clone().unwrap_or_default();
            // One that goes by itself is fine too.
            let _ = api.delete(&name, &DeleteParams::default()).await;
        }
        left.is_empty().then_some(()).ok_or_else(|| format!("{} are there", left.len()))
    })
    .await;
}
