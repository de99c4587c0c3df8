//! A namespace for one test, which shows what is in it when the test fails, and goes with the test.

use std::{
    fmt::Debug,
    panic::{AssertUnwindSafe, resume_unwind},
};

use colonyos_operator::{api::kind::Kind, runtime::kubernetes::Kubernetes};
use futures::FutureExt as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        coordination::v1::Lease,
        core::v1::{Namespace, Pod},
        events::v1::Event,
    },
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject},
};
use rand::Rng as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{kinds, object::until_gone, times::Watch};

/// A namespace for one test.
#[derive(Clone)]
pub struct TestNamespace {
    /// The cluster it is in.
    pub kubernetes: Kubernetes,
    /// Its name.
    pub name: String,
}

impl TestNamespace {
    /// The objects of one kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.kubernetes.calls.clone(), &self.name)
    }
}

/// Runs `test` in a fresh namespace called after it. When it fails, what is in the namespace is printed first.
pub async fn in_namespace(kubernetes: &Kubernetes, test: &str, body: impl AsyncFnOnce(TestNamespace)) {
    let _watch = Watch::start();
    let suffix: u32 = rand::rng().random();
    let name = format!("test-{test}-{suffix:08x}");
    let api: Api<Namespace> = Api::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
    api.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
        .await
        .unwrap_or_else(|error| panic!("failed to create namespace {name}: {error}"));
    let namespace = TestNamespace { kubernetes: kubernetes.clone(), name: name.clone() };
    let result = AssertUnwindSafe(body(namespace.clone())).catch_unwind().await;
    if result.is_err() {
        eprintln!("{}", describe(&namespace).await);
    }
    release_finalizers(&namespace).await;
    Box::pin(kinds::remove(&namespace)).await;
    let deleted = api.delete(&name, &DeleteParams::background()).await;
    match result {
        Err(panic) => resume_unwind(panic),
        Ok(()) => drop(deleted.unwrap_or_else(|error| panic!("failed to delete namespace {name}: {error}"))),
    }
}

/// Waits until nothing of `K` is left in the namespace.
pub async fn wait_until_gone<K>(namespace: &TestNamespace, name: &str)
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    until_gone(&namespace.api::<K>(), name).await;
}

/// The kinds of the operator that are in namespaces.
fn own_kinds() -> impl Iterator<Item = ApiResource> {
    let namespaced = Kind::own().filter(|(_, own)| (own.definition)().spec.scope == "Namespaced");
    namespaced.map(|(_, own)| (own.resource)())
}

/// The operator of the test is gone by now, so that nothing else would remove the finalizers that hold the namespace.
async fn release_finalizers(namespace: &TestNamespace) {
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    for kind in own_kinds() {
        let api: Api<DynamicObject> =
            Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &kind);
        // Without the CRD there is nothing to release.
        let Ok(list) = api.list(&ListParams::default()).await else { continue };
        for object in list.into_iter().filter(|object| object.metadata.finalizers.is_some()) {
            let name = object.name_any();
            if let Err(error) = api.patch(&name, &PatchParams::default(), &patch).await {
                eprintln!("failed to release {name}: {error}");
            }
        }
    }
}

/// What is in the namespace, as YAML, to explain a failed test.
pub async fn describe(namespace: &TestNamespace) -> String {
    let others = [
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<DaemonSet>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<Lease>(&()),
        ApiResource::erase::<Event>(&()),
    ];
    let mut described = format!("──── namespace {} when the test failed ────\n", namespace.name);
    for kind in own_kinds().chain(others) {
        described.push_str(&describe_kind(namespace, &kind).await);
    }
    described
}

async fn describe_kind(namespace: &TestNamespace, kind: &ApiResource) -> String {
    let client = namespace.kubernetes.calls.clone();
    let api: Api<DynamicObject> = Api::namespaced_with(client, &namespace.name, kind);
    let kind = &kind.kind;
    match api.list(&ListParams::default()).await {
        Ok(list) => {
            let shown: Vec<String> =
                list.iter().map(|object| format!("--- {kind}\n{}", as_yaml(object))).collect();
            shown.concat()
        }
        Err(error) => format!("--- {kind}: failed to list: {error}\n"),
    }
}

fn as_yaml(object: &impl Serialize) -> String {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    serde_norway::to_string(&value).unwrap_or_default()
}
