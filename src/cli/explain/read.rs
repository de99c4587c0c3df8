//! Reads what is known of an object from the API server.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Resource, ResourceExt as _, api::ListParams};
use serde::de::DeserializeOwned;

use super::{
    super::{Failure, connection::Connection, served::ServedKind},
    facts::Facts,
};
use crate::{
    api::{colony::Colony, kind::Kind, request_flow::RequestFlow},
    runtime::kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
};

/// Reads an object and what it depends on.
///
/// # Errors
///
/// When the object cannot be read.
pub(super) async fn read(kind: &str, name: &str, connection: &Connection) -> Result<Facts, Failure> {
    let kubernetes = connection.connect().await?;
    let namespace = kubernetes.namespace.clone();
    let served = ServedKind::called(&kubernetes, kind).await?;
    let object = served.get(&kubernetes, name).await?;
    let mut facts = Facts { object, definition: served.definition, ..Facts::default() };
    if let Some(flow) = facts.flow_name().map(str::to_owned) {
        let api = Api::<RequestFlow>::namespaced(kubernetes.calls.clone(), &namespace);
        facts.flow = noted(&mut facts.unread, get(&api, &flow).await);
    }
    read_colony(&kubernetes, &mut facts).await;
    read_events(&kubernetes, &namespace, &mut facts).await;
    Ok(facts)
}

/// The Colony that the object names, or the default one.
async fn read_colony(kubernetes: &Kubernetes, facts: &mut Facts) {
    let (kind, named) = (facts.kind(), facts.named_colony());
    if matches!(kind, Kind::Colony) || (matches!(kind, Kind::ResourceDefinition) && named.is_none()) {
        return;
    }
    let api = Api::<Colony>::all(kubernetes.calls.clone());
    if let Some(name) = named {
        facts.colony = noted(&mut facts.unread, get(&api, &name).await);
        return;
    }
    let listed = call(CALL_TIME_LIMIT, api.list(&ListParams::default())).await;
    let listed = listed.map_err(|error| error.explain("list Colonies"));
    let colonies = noted(&mut facts.unread, listed).map(|list| list.items);
    // As the operator has it: of several, the oldest.
    let defaults = colonies.into_iter().flatten().filter(Colony::is_default);
    facts.colony =
        defaults.min_by_key(|colony| (colony.creation_timestamp().map(|time| time.0), colony.name_any()));
}

async fn read_events(kubernetes: &Kubernetes, namespace: &str, facts: &mut Facts) {
    let uid = facts.text("/metadata/uid").to_owned();
    // Events of what is in no namespace are in this one.
    let namespace = if facts.text("/metadata/namespace").is_empty() { "default" } else { namespace };
    let api = Api::<Event>::namespaced(kubernetes.calls.clone(), namespace);
    let parameters = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
    let listed = call(CALL_TIME_LIMIT, api.list(&parameters)).await;
    let listed = listed.map_err(|error| error.explain(&format!("list Events in namespace {namespace}")));
    facts.events = noted(&mut facts.unread, listed).map(|list| list.items).unwrap_or_default();
}

async fn get<K>(api: &Api<K>, name: &str) -> Result<K, String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let what = format!("get {} {name}", K::kind(&()));
    call(CALL_TIME_LIMIT, api.get(name)).await.map_err(|error| error.explain(&what))
}

/// What was read; why not is noted.
fn noted<T>(unread: &mut Vec<String>, read: Result<T, String>) -> Option<T> {
    read.map_err(|why| unread.push(why)).ok()
}
