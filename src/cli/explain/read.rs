//! Reads what is known of an object from the API server.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::Event;
use kube::{
    Api, Resource, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    super::{Failure, defined},
    facts::Facts,
};
use crate::{
    api::{colony::Colony, kind::Kind, request_flow::RequestFlow, resource_definition::DefinitionScope},
    runtime::kubernetes::{self, CALL_TIME_LIMIT, Kubernetes, call},
};

/// Reads an object and what it depends on.
///
/// # Errors
///
/// When the object cannot be read.
pub(super) async fn read(kind: &str, name: &str, namespace: Option<&str>) -> Result<Facts, Failure> {
    let kubernetes = kubernetes::connect().await?;
    let namespace = namespace.unwrap_or(&kubernetes.namespace).to_owned();
    let mut facts = Facts::default();
    let own = Kind::called(kind).and_then(|kind| Some((kind, kind.info().own.as_ref()?)));
    let (resource, is_namespaced) = if let Some((kind, own)) = own {
        ((own.resource)(), !matches!(kind, Kind::Colony | Kind::ResourceDefinition))
    } else {
        let definition = defined::find(&kubernetes, kind).await?;
        let is_namespaced = definition.spec.scope == DefinitionScope::Namespaced;
        let resource = defined::resource_of(&definition)
            .ok_or_else(|| format!("{} has no version with storage", definition.name_any()))?;
        facts.definition = Some(definition);
        (resource, is_namespaced)
    };
    facts.object = object(&kubernetes, &resource, is_namespaced.then_some(namespace.as_str()), name).await?;
    // Lists and objects of a kind that is known at run time leave them out.
    facts.object["apiVersion"] = json!(resource.api_version);
    facts.object["kind"] = json!(resource.kind);
    if let Some(flow) = facts.flow_name().map(str::to_owned) {
        let api = Api::<RequestFlow>::namespaced(kubernetes.calls.clone(), &namespace);
        facts.flow = noted(&mut facts.unread, get(&api, &flow).await);
    }
    read_colony(&kubernetes, &mut facts).await;
    read_events(&kubernetes, &namespace, &mut facts).await;
    Ok(facts)
}

async fn object(
    kubernetes: &Kubernetes,
    resource: &ApiResource,
    namespace: Option<&str>,
    name: &str,
) -> Result<serde_json::Value, Failure> {
    let client = kubernetes.calls.clone();
    let (api, place) = match namespace {
        Some(namespace) => {
            (Api::<DynamicObject>::namespaced_with(client, namespace, resource), format!("{namespace}/"))
        }
        None => (Api::all_with(client, resource), String::new()),
    };
    let what = format!("get {} {place}{name}", resource.kind);
    let found = call(CALL_TIME_LIMIT, api.get(name)).await.map_err(|error| error.explain(&what))?;
    Ok(serde_json::to_value(found)?)
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
