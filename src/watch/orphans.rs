//! Looks for the object that a process names, where no cache would show it: of a kind that is not looked after any more.

use kube::{
    Api, Client, ResourceExt as _,
    core::{DynamicObject, GroupVersionKind},
    discovery::{Scope, pinned_kind},
};

use super::children::is_unserved;
use crate::{
    api::resource_definition::ObjectKind,
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::Observed,
};

/// Whether there is an object of a name with a UID.
pub async fn exists(
    client: &Client,
    kind: &ObjectKind,
    namespace: Option<&str>,
    name: &str,
    uid: &str,
) -> Observed<bool> {
    let named = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
    let (resource, capabilities) = match call(CALL_TIME_LIMIT, pinned_kind(client, &named)).await {
        Ok(found) => found,
        // Without the kind there are no objects of it.
        Err(error) if is_unserved(&error) => return Observed::Known(false),
        Err(error) => return Observed::Unknown(error.explain(&format!("look for kind {kind}"))),
    };
    let api: Api<DynamicObject> = match (&capabilities.scope, namespace) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, &resource),
        _ => Api::all_with(client.clone(), &resource),
    };
    match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
        Ok(found) => Observed::Known(found.is_some_and(|found| found.uid().as_deref() == Some(uid))),
        Err(error) => Observed::Unknown(error.explain(&format!("get {} {name}", kind.kind))),
    }
}
