//! Kinds that a test made up, which belong to the cluster and not to its namespace: their group is `<namespace>.example.com`.

use std::time::Duration;

use colonyos_operator::api::resource_definition::ResourceDefinition;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;

use super::{namespace::TestNamespace, wait::eventually};

/// How long a kind may take to go.
const DELETION_LIMIT: Duration = Duration::from_secs(30);

/// The group of the kinds of a test.
pub fn group(namespace: &TestNamespace) -> String {
    format!("{}.example.com", namespace.name)
}

/// Deletes the kinds of a test and their objects, whatever holds them. No operator handles them any more.
pub async fn remove(namespace: &TestNamespace) {
    let client = &namespace.kubernetes.calls;
    let (group, release) = (group(namespace), Patch::Merge(json!({ "metadata": { "finalizers": null } })));
    let definitions: Api<ResourceDefinition> = Api::all(client.clone());
    // Without the CRD there is nothing to take away.
    let listed = definitions.list(&ListParams::default()).await;
    for definition in listed.into_iter().flatten().filter(|definition| definition.spec.group == group) {
        let name = definition.name_any();
        // The owner of a finalizer may be faster.
        let _ = definitions.patch(&name, &PatchParams::default(), &release).await;
        let _ = definitions.delete(&name, &DeleteParams::default()).await;
    }
    let crds: Api<CustomResourceDefinition> = Api::all(client.clone());
    let listed = crds.list(&ListParams::default()).await.unwrap();
    for crd in listed.into_iter().filter(|crd| crd.spec.group == group) {
        let name = crd.name_any();
        let version = crd.spec.versions.iter().find(|version| version.storage).unwrap();
        let gvk = GroupVersionKind::gvk(&group, &version.name, &crd.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &crd.spec.names.plural);
        let _ = crds.delete(&name, &DeleteParams::default()).await;
        eventually(&format!("CRD {name} is gone"), DELETION_LIMIT, async || {
            let everywhere: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            // Once it is gone, its objects cannot be listed.
            for object in everywhere.list(&ListParams::default()).await.into_iter().flatten() {
                let place = object.namespace().unwrap_or_default();
                let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), &place, &resource);
                let _ = objects.patch(&object.name_any(), &PatchParams::default(), &release).await;
            }
            let left = crds.get_opt(&name).await.map_err(|error| error.to_string())?;
            left.map_or(Ok(()), |left| Err(format!("{:?}", left.metadata.finalizers)))
        })
        .await;
    }
}
