//! A kind of a test's own: a definition of the examples, or of the test's, in a group of its own, so that tests do not meet.

use std::{
    fs,
    path::{Path, PathBuf},
};

use colonyos_operator::api::resource_definition::{ResourceDefinition, ResourceDefinitionStatus};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use super::{
    conditions::Conditions as _, kinds, namespace::TestNamespace, object, operator::TEST_LABEL, stage::Stage,
};

/// The kind, and the clients of its objects.
pub struct OwnKind {
    pub definitions: Api<ResourceDefinition>,
    pub crds: Api<CustomResourceDefinition>,
    pub instances: Api<DynamicObject>,
    pub resource: ApiResource,
    /// The definition, until it is created.
    pub whole: Value,
    /// Name of the definition and of its CRD.
    pub name: String,
    /// Name of the test's namespace.
    pub namespace: String,
}

/// Where a file of `examples/kinds` is.
pub fn shipped_file(example: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kinds").join(example).join(file)
}

/// A file of `examples/kinds`.
pub fn shipped(example: &str, file: &str) -> Value {
    serde_norway::from_str(&fs::read_to_string(shipped_file(example, file)).unwrap()).unwrap()
}

impl OwnKind {
    /// The shipped kind of `MLModels`, for the stage's colony.
    pub fn of(stage: &Stage) -> Self {
        Self::within(&stage.namespace, &stage.colony.name, "ml-model")
    }

    /// A kind of `examples/kinds`, for a colony.
    pub fn within(namespace: &TestNamespace, colony: &str, example: &str) -> Self {
        let mut kind = Self::example(namespace, example);
        kind.whole["spec"]["handler"]["colony"] = json!(colony);
        kind
    }

    /// A kind of `examples/kinds`.
    pub fn example(namespace: &TestNamespace, example: &str) -> Self {
        Self::new(namespace, &fs::read_to_string(shipped_file(example, "definition.yaml")).unwrap())
    }

    /// The kind of a definition, whose group becomes the test's own wherever it is named.
    pub fn new(namespace: &TestNamespace, definition: &str) -> Self {
        let group = kinds::group(namespace);
        let theirs: Value = serde_norway::from_str(definition).unwrap();
        let text = definition.replace(theirs["spec"]["group"].as_str().unwrap(), &group);
        let mut whole: Value = serde_norway::from_str(&text).unwrap();
        let resources = whole.pointer_mut("/spec/handler/resources").and_then(Value::as_array_mut);
        for resource in resources.into_iter().flatten() {
            // On nodes that pretend: there may be others, which would have to pull images.
            if let Some(pod) = resource.pointer_mut("/template/spec/template/spec") {
                pod["nodeSelector"] = json!({ "colonies.io/node": "kwok" });
                pod["tolerations"] = json!([{ "operator": "Exists" }]);
            }
        }
        let text = |pointer: &str| whole.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let (kind, plural) = (text("/spec/names/kind"), text("/spec/names/plural"));
        let gvk = GroupVersionKind::gvk(&group, &text("/spec/versions/0/name"), &kind);
        let resource = ApiResource::from_gvk_with_plural(&gvk, &plural);
        let name = format!("{plural}.{group}");
        whole["metadata"]["name"] = json!(name);
        whole["metadata"]["labels"] = json!({ TEST_LABEL: namespace.name });
        whole["spec"]["group"] = json!(group);
        whole["spec"]["names"]["shortNames"] = json!([]);
        let client = &namespace.kubernetes.calls;
        Self {
            definitions: Api::all(client.clone()),
            crds: Api::all(client.clone()),
            instances: Api::namespaced_with(client.clone(), &namespace.name, &resource),
            resource,
            whole,
            name,
            namespace: namespace.name.clone(),
        }
    }

    /// A kind with one field, `text`, whose instances are made of `resources`, a list in YAML.
    pub fn of_text(namespace: &TestNamespace, kind: &str, resources: &str) -> Self {
        let mut definition = json!({
            "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition", "metadata": {},
            "spec": {
                "group": "test.example.com",
                "names": { "kind": kind, "plural": format!("{}s", kind.to_lowercase()) },
                "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "properties": { "spec": { "type": "object", "properties": { "text": { "type": "string" } } } },
                } } }],
            },
        });
        let resources: Value = serde_norway::from_str(resources).unwrap();
        definition["spec"]["handler"] = json!({ "mode": "compose", "resources": resources });
        Self::new(namespace, &definition.to_string())
    }

    pub fn definition(&self) -> ResourceDefinition {
        serde_json::from_value(self.whole.clone()).unwrap()
    }

    pub async fn define(&self) {
        self.definitions.create(&PostParams::default(), &self.definition()).await.unwrap();
    }

    pub async fn define_until_ready(&self) {
        self.define().await;
        self.until_ready().await;
    }

    /// Changes the definition.
    pub async fn change(&self, patch: Value) {
        self.definitions.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// Waits until the status of the latest generation satisfies `is_reached`.
    pub async fn until(
        &self,
        what: &str,
        is_reached: impl Fn(&ResourceDefinitionStatus) -> bool,
    ) -> ResourceDefinitionStatus {
        let is_so = |object: &ResourceDefinition| {
            let status = object.status.as_ref();
            let current = status.filter(|status| status.observed_generation == object.metadata.generation);
            current.is_some_and(&is_reached)
        };
        object::until(&self.definitions, &self.name, what, is_so).await.status.unwrap()
    }

    pub async fn until_ready(&self) {
        self.until("is ready", |status| status.is_true("Ready")).await;
    }

    /// Waits until the definition is not ready; why.
    pub async fn until_refused(&self) -> String {
        self.until("is refused", |status| status.is_false("Ready")).await.message("Ready")
    }

    pub async fn create(&self, name: &str, spec: Value) -> DynamicObject {
        let object = DynamicObject::new(name, &self.resource).data(json!({ "spec": spec }));
        self.instances.create(&PostParams::default(), &object).await.unwrap()
    }

    /// Changes an instance.
    pub async fn change_instance(&self, name: &str, patch: Value) {
        self.instances.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub async fn until_instance(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&DynamicObject) -> bool,
    ) -> DynamicObject {
        object::until(&self.instances, name, what, is_reached).await
    }

    /// Waits until the status of the latest generation of an instance satisfies `is_reached`.
    pub async fn until_settled(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&Value) -> bool,
    ) -> DynamicObject {
        self.until_instance(name, what, |object| is_current(object) && is_reached(&object.data["status"]))
            .await
    }

    pub async fn until_gone(&self, name: &str) {
        object::until_gone(&self.instances, name).await;
    }

    /// Takes the definition away.
    pub async fn remove(&self) {
        self.definitions.delete(&self.name, &DeleteParams::default()).await.unwrap();
        object::until_gone(&self.definitions, &self.name).await;
    }

    /// Waits until the definition and its CRD are gone.
    pub async fn until_removed(&self) {
        object::until_gone(&self.definitions, &self.name).await;
        object::until_gone(&self.crds, &self.name).await;
    }
}

/// Whether status speaks of the latest generation.
fn is_current(instance: &DynamicObject) -> bool {
    let seen = instance.data["status"]["observedGeneration"].as_i64();
    seen.is_some() && seen == instance.metadata.generation
}

/// Whether the latest generation of an instance is ready.
pub fn is_ready(instance: &DynamicObject) -> bool {
    is_current(instance) && instance.is_true("Ready")
}
