//! Instances of the kinds that users make up: one type for all of them, whose kind is known at run time only. Pure.

use std::{borrow::Cow, hash::Hash, sync::Arc};

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta},
};
use kube::{
    Resource,
    core::{ApiResource, DynamicResourceScope, TypeMeta, object::HasStatus},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    executor_deployment::BlueprintStatus,
    mirror::{MirrorStatus, Mirrored, UsedColony},
    names::BLUEPRINT_ANNOTATION,
    policy::DeletionPolicy,
    resource_definition::{DefinitionScope, Handler, HandlerMode, ObjectKind},
};

/// Fields of the status of an instance that the operator writes, whatever its kind and version. A kind in mode `blueprint` has
/// `blueprint` as well.
pub const OWN_STATUS_FIELDS: [&str; 7] = [
    "colony",
    "composedOf",
    "conditions",
    "finishedParts",
    "mirror",
    "observedGeneration",
    "submittedGeneration",
];

/// An object of a user-defined kind.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
pub struct Instance {
    /// Version and kind, if the source of the object sets them: in lists the API server does not.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub types: Option<TypeMeta>,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// What the user wants.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub spec: Value,
    /// The observed state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<InstanceStatus>,
    /// Whatever else the kind has beside its spec.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The observed state of an instance: its own fields, and those of the kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// The generation of the spec that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The last generation that is known to have reached the colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_generation: Option<i64>,
    /// The colony in which its processes or its blueprint are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colony: Option<UsedColony>,
    /// The process of the instance. Its generation is 0 or less for the process of the clean-up; with handler mode
    /// `blueprint` there is none but that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorStatus>,
    /// The blueprint that mirrors the instance, with handler mode `blueprint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<BlueprintStatus>,
    /// The kinds of the objects that the instance is made of, or was and still has some of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub composed_of: Vec<ObjectKind>,
    /// The objects that have ended what its templates ask for: they are not created again when they are gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finished_parts: Vec<FinishedPart>,
    /// The latest observations of its state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The fields of the kind.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

/// An object of an instance that has ended.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FinishedPart {
    /// The id of its resource.
    pub resource: String,
    /// Its kind.
    #[serde(flatten)]
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// A hash of what it was to do.
    pub run: String,
    /// Whether it ended well.
    #[serde(default)]
    pub succeeded: bool,
    /// Its last status, as far as it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
    /// Whether fields of its status are left out, for it was too large.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "abridged")]
    pub is_abridged: bool,
}

impl Instance {
    /// The name of its blueprint, with handler mode `blueprint`: as on record, since that is where it was added.
    #[must_use]
    pub fn blueprint_name(&self) -> String {
        let recorded = self.status.as_ref().and_then(|status| status.blueprint.as_ref());
        recorded.map_or_else(|| self.wanted_blueprint_name(), |recorded| recorded.name.clone())
    }

    /// The name that its blueprint is to have, as long as there is none: as annotated, else its own.
    #[must_use]
    pub fn wanted_blueprint_name(&self) -> String {
        let named = self.metadata.annotations.as_ref().and_then(|all| all.get(BLUEPRINT_ANNOTATION));
        named.or(self.metadata.name.as_ref()).cloned().unwrap_or_default()
    }

    /// Its spec, by field.
    #[must_use]
    pub fn spec_fields(&self) -> Map<String, Value> {
        self.spec.as_object().cloned().unwrap_or_default()
    }
}

impl Mirrored for Instance {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }

    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>> {
        Some(&mut self.status.as_mut()?.mirror)
    }

    fn used_colony(&self) -> Option<&UsedColony> {
        self.status.as_ref()?.colony.as_ref()
    }

    fn blueprint(&self) -> Option<&str> {
        Some(&self.status.as_ref()?.blueprint.as_ref()?.name)
    }
}

impl HasStatus for Instance {
    type Status = InstanceStatus;

    fn status(&self) -> Option<&InstanceStatus> {
        self.status.as_ref()
    }

    fn status_mut(&mut self) -> &mut Option<InstanceStatus> {
        &mut self.status
    }
}

/// The kind of instances, and their handler. Two are the same if they are the same kind in the same version.
#[derive(Clone, Debug)]
pub struct InstanceKind(Arc<KindTerms>);

/// What is known of a kind.
#[derive(Clone, Debug, PartialEq)]
pub struct KindTerms {
    /// Where its objects are found.
    pub resource: ApiResource,
    /// Whether they are in namespaces.
    pub scope: DefinitionScope,
    /// Their handler.
    pub accepted: AcceptedHandler,
    /// Whether they are released unchanged: the definition goes, and leaves them.
    pub is_released: bool,
    /// The schema in that version, with handler mode `blueprint`: what a colony reports is compared with it.
    pub schema: Option<Value>,
}

/// The handler and policies of instances: of a definition, what its CRD remembers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AcceptedHandler {
    /// The handler of instances.
    pub handler: Handler,
    /// What deletion leaves.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl InstanceKind {
    /// A kind.
    #[must_use]
    pub fn new(terms: KindTerms) -> Self {
        Self(Arc::new(terms))
    }

    /// The kind that a CRD defines, in the version in which its objects are stored; none if it has no such version.
    #[must_use]
    pub fn of(crd: &CustomResourceDefinition, accepted: AcceptedHandler, is_released: bool) -> Option<Self> {
        let stored = crd.spec.versions.iter().find(|version| version.storage)?;
        let version = stored.name.clone();
        let schema = stored.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
        let schema = schema
            .filter(|_| accepted.handler.mode == HandlerMode::Blueprint)
            .and_then(|schema| serde_json::to_value(schema).ok());
        let is_of_cluster = crd.spec.scope == DefinitionScope::Cluster.as_str();
        Some(Self::new(KindTerms {
            resource: ApiResource {
                group: crd.spec.group.clone(),
                api_version: format!("{}/{version}", crd.spec.group),
                version,
                kind: crd.spec.names.kind.clone(),
                plural: crd.spec.names.plural.clone(),
            },
            scope: if is_of_cluster { DefinitionScope::Cluster } else { DefinitionScope::Namespaced },
            accepted,
            is_released,
            schema,
        }))
    }

    /// The kind in another version.
    #[must_use]
    pub fn in_version(&self, version: &str) -> Self {
        let mut terms = self.terms().clone();
        terms.resource.api_version = format!("{}/{version}", terms.resource.group);
        version.clone_into(&mut terms.resource.version);
        Self::new(terms)
    }

    /// What is known of it.
    #[must_use]
    pub fn terms(&self) -> &KindTerms {
        &self.0
    }

    /// Its name for caches and people, such as `mlmodels.ml.example.com`: that of its definition.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}.{}", self.0.resource.plural, self.0.resource.group)
    }

    /// The handler of its instances.
    #[must_use]
    pub fn handler(&self) -> &Handler {
        &self.0.accepted.handler
    }
}

impl PartialEq for InstanceKind {
    fn eq(&self, other: &Self) -> bool {
        self.0.resource == other.0.resource
    }
}

impl Eq for InstanceKind {}

impl Hash for InstanceKind {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.resource.hash(state);
    }
}

impl Resource for Instance {
    type DynamicType = InstanceKind;
    type Scope = DynamicResourceScope;

    fn kind(kind: &InstanceKind) -> Cow<'_, str> {
        kind.0.resource.kind.as_str().into()
    }

    fn group(kind: &InstanceKind) -> Cow<'_, str> {
        kind.0.resource.group.as_str().into()
    }

    fn version(kind: &InstanceKind) -> Cow<'_, str> {
        kind.0.resource.version.as_str().into()
    }

    fn api_version(kind: &InstanceKind) -> Cow<'_, str> {
        kind.0.resource.api_version.as_str().into()
    }

    fn plural(kind: &InstanceKind) -> Cow<'_, str> {
        kind.0.resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a kind has beside our words must come back as it was: status is written as a whole.
    #[test]
    fn an_instance_loses_nothing_on_its_way() {
        let whole = json!({
            "apiVersion": "ml.example.com/v1", "kind": "MLModel",
            "metadata": { "name": "llama", "namespace": "ml", "generation": 2 },
            "spec": { "image": "i", "deep": [{ "a": 1.5 }] },
            "data": { "beside": "the spec" },
            "status": {
                "observedGeneration": 2, "endpoint": "http://x",
                "conditions": [{ "type": "Ready", "status": "True", "reason": "R", "message": "",
                                 "lastTransitionTime": "2026-11-21T10:00:00Z" }],
            },
        });
        let instance: Instance = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(instance.status.as_ref().unwrap().fields.get("endpoint"), Some(&json!("http://x")));
        assert_eq!(serde_json::to_value(instance).unwrap(), whole);
        let blueprint = json!({ "name": "llama", "generation": 2, "agreed": "4711" });
        let kept = json!({ "metadata": {}, "status": { "blueprint": blueprint } });
        let instance: Instance = serde_json::from_value(kept.clone()).unwrap();
        assert_eq!(serde_json::to_value(instance).unwrap(), kept);
        let bare = json!({ "metadata": { "name": "bare" } });
        let instance: Instance = serde_json::from_value(bare.clone()).unwrap();
        assert_eq!(serde_json::to_value(instance).unwrap(), bare);
    }
}
