//! An object of a defined kind, as its definition's expressions see it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value};

use crate::{
    api::{
        instance::{self, FinishedPart, InstanceKind},
        resource_definition::ObjectKind,
    },
    kinds::SpecError,
};

/// What expressions see of an instance's metadata: what does not change by itself.
const SEEN_METADATA: [&str; 7] =
    ["name", "namespace", "uid", "generation", "creationTimestamp", "labels", "annotations"];

#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub kind: ObjectKind,
    pub name: String,
    pub namespace: String,
    pub uid: String,
    /// Its objects that have ended.
    pub finished: Vec<FinishedPart>,
    /// What expressions see of it.
    pub(super) value: Value,
}

impl Instance {
    /// Reads an object.
    ///
    /// # Errors
    /// When it lacks what the API server always sets.
    pub fn of(object: &Value) -> Result<Self, SpecError> {
        let metadata = object.get("metadata").and_then(Value::as_object);
        let text = |name: &str, field: &'static str| {
            let value = metadata.and_then(|metadata| metadata.get(name)).and_then(Value::as_str);
            value.filter(|value| !value.is_empty()).map(str::to_owned).ok_or(SpecError::Incomplete(field))
        };
        Ok(Self {
            kind: ObjectKind::of(object).ok_or(SpecError::Incomplete("apiVersion or kind"))?,
            name: text("name", "metadata.name")?,
            namespace: text("namespace", "metadata.namespace")?,
            uid: text("uid", "metadata.uid")?,
            finished: Vec::new(),
            value: seen(object),
        })
    }

    /// Reads an object of a kind.
    ///
    /// # Errors
    /// As [`Instance::of`].
    pub fn read(object: &instance::Instance, kind: &InstanceKind) -> Result<Self, SpecError> {
        let mut whole = Map::clone(&object.other);
        let resource = &kind.terms().resource;
        whole.insert("apiVersion".to_owned(), Value::from(resource.api_version.as_str()));
        whole.insert("kind".to_owned(), Value::from(resource.kind.as_str()));
        let metadata =
            serde_json::to_value(&object.metadata).map_err(|_| SpecError::Incomplete("metadata"))?;
        whole.insert("metadata".to_owned(), metadata);
        whole.insert("spec".to_owned(), object.spec.clone());
        let finished = object.status.as_ref().map(|status| status.finished_parts.clone());
        Ok(Self { finished: finished.unwrap_or_default(), ..Self::of(&Value::Object(whole))? })
    }

    /// The controller reference of each of its objects.
    #[must_use]
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.kind.api_version.clone(),
            kind: self.kind.kind.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// Whether an object is controlled by the instance.
    #[must_use]
    pub fn owns(&self, object: &Value) -> bool {
        controller(object)
            .is_some_and(|reference| reference.get("uid").and_then(Value::as_str) == Some(&self.uid))
    }
}

/// The reference of the controller of an object.
pub(crate) fn controller(object: &Value) -> Option<&Value> {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    references.iter().find(|reference| reference.get("controller") == Some(&Value::Bool(true)))
}

/// The instance without what changes by itself and without its status: what is made of it must not depend on that.
fn seen(object: &Value) -> Value {
    let fields = object.as_object().into_iter().flatten().filter(|(name, _)| *name != "status");
    let seen = fields.map(|(name, value)| match (name.as_str(), value) {
        ("metadata", Value::Object(metadata)) => {
            let mut seen: Map<String, Value> = metadata
                .iter()
                .filter(|(name, _)| SEEN_METADATA.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            // Absent and empty are one, and expressions need not ask which it is.
            for map in ["labels", "annotations"] {
                seen.entry(map).or_insert_with(|| Value::Object(Map::new()));
            }
            (name.clone(), Value::Object(seen))
        }
        _ => (name.clone(), value.clone()),
    });
    Value::Object(seen.collect())
}
