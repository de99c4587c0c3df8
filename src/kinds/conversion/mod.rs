//! Objects of a defined kind in one version, made of what they are in another. Pure.
//!
//! The version in which objects are stored stands in the middle: each of the others declares its conversion to and
//! from that version, and two others are converted through it. Nothing is lost on the way ([`kept`]): fields that a
//! version cannot express are preserved in an annotation of the object while it is in that version.
//!
//! ```text
//! object ──carry, move, compute, prune, fill──▶ object in the other version ──▶ put back what was kept of it
//!                                                        │
//!                       keep what this one would lose ◀──┘ by converting back at once
//! ```

mod annotation;
mod check;
mod direction;
mod form;
mod path;
mod preserved_fields;
mod prune;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::ResourceExt as _;
use serde_json::{Map, Value};

use super::SpecError;
use crate::{
    api::{
        metadata::content_hash,
        names::CONVERSIONS_ANNOTATION,
        resource_definition::{ResourceDefinitionSpec, VersionConversion},
    },
    expression::{BUDGET, Budget},
};
use annotation::{store_preserved_fields, take_preserved_fields};
use direction::{Direction, whole};
use form::{Form, schema_of};
use preserved_fields::{PreservedFields, differences, restore};

/// How each version becomes the stored one, by the name of the version.
pub type Conversions = BTreeMap<String, VersionConversion>;

/// Converts the objects of a kind.
#[derive(Clone, Debug)]
pub struct Converter {
    group: String,
    forms: Vec<Form>,
}

impl Converter {
    /// The conversions that a definition declares; none if it declares nothing.
    #[must_use]
    pub fn declared(spec: &ResourceDefinitionSpec) -> Option<Conversions> {
        spec.versions.iter().any(|version| version.conversion.is_some()).then(|| {
            let others = spec.versions.iter().filter(|version| !version.storage);
            others
                .map(|version| (version.name.clone(), version.conversion.clone().unwrap_or_default()))
                .collect()
        })
    }

    /// The conversions that a CRD remembers; none if it has none.
    #[must_use]
    pub fn remembered(crd: &CustomResourceDefinition) -> Option<&str> {
        crd.annotations().get(CONVERSIONS_ANNOTATION).map(String::as_str)
    }

    /// Compiles the conversions of a kind, and checks them against the schemas of its versions.
    ///
    /// # Errors
    ///
    /// The first field of the definition that cannot be followed, with the remedy.
    pub fn check(
        spec: &ResourceDefinitionSpec,
        versions: &[CustomResourceDefinitionVersion],
        conversions: &Conversions,
    ) -> Result<(), SpecError> {
        let converter = Self::compile(&spec.group, versions, conversions)?;
        let Some(stored) = converter.stored() else { return Err(SpecError::Incomplete("storage version")) };
        for (index, form) in converter.forms.iter().enumerate().filter(|(_, form)| !form.is_stored) {
            let given = conversions.get(&form.version).cloned().unwrap_or_default();
            check::check(&format!("spec.versions[{index}].conversion"), &given, form, stored)?;
        }
        Ok(())
    }

    /// The conversion that a CRD declares, if any.
    ///
    /// # Errors
    ///
    /// When that cannot be read, since another client changed it.
    pub fn of(crd: &CustomResourceDefinition) -> Result<Option<Self>, SpecError> {
        let Some(text) = Self::remembered(crd) else { return Ok(None) };
        let conversions: Conversions = serde_json::from_str(text).map_err(|error| {
            let field =
                format!("metadata.annotations['{CONVERSIONS_ANNOTATION}'] of the CustomResourceDefinition");
            SpecError::invalid(field, error.to_string(), "leave it to the operator")
        })?;
        Self::compile(&crd.spec.group, &crd.spec.versions, &conversions).map(Some)
    }

    /// Identifies the conversions of a CRD, schemas included.
    #[must_use]
    pub fn hash_of(versions: &[CustomResourceDefinitionVersion], conversions: &str) -> String {
        let described = versions.iter().map(|version| {
            Value::from(vec![
                Value::from(version.name.as_str()),
                Value::from(version.storage),
                schema_of(version),
            ])
        });
        content_hash(&Value::from(vec![Value::from(conversions), described.collect()]))
    }

    fn compile(
        group: &str,
        versions: &[CustomResourceDefinitionVersion],
        conversions: &Conversions,
    ) -> Result<Self, SpecError> {
        let nothing = VersionConversion::default();
        let forms = versions.iter().enumerate().map(|(index, version)| {
            let field = format!("spec.versions[{index}].conversion");
            let given = conversions.get(&version.name).filter(|_| !version.storage).unwrap_or(&nothing);
            Form::compile(&field, version, given)
        });
        Ok(Self { group: group.to_owned(), forms: forms.collect::<Result<_, _>>()? })
    }

    fn stored(&self) -> Option<&Form> {
        self.forms.iter().find(|form| form.is_stored)
    }

    #[must_use]
    pub fn knows(&self, version: &str) -> bool {
        self.forms.iter().any(|form| form.version == version)
    }

    /// An object in another version, given as `group/version`.
    ///
    /// # Errors
    ///
    /// When an expression fails, a field has no room, or more would have to be kept than there is room for.
    pub fn convert(&self, object: &Value, api_version: &str) -> Result<Value, SpecError> {
        let said = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let (from, to) = (self.form(said)?, self.form(api_version)?);
        if from.version == to.version {
            return Ok(object.clone());
        }
        if from.is_stored || to.is_stored {
            return self.go(Direction { from, to }, object);
        }
        let stored = self.stored().ok_or(SpecError::Incomplete("storage version"))?;
        let between = self.go(Direction { from, to: stored }, object)?;
        self.go(Direction { from: stored, to }, &between)
    }

    fn form(&self, api_version: &str) -> Result<&Form, SpecError> {
        let version = api_version.strip_prefix(&self.group).and_then(|rest| rest.strip_prefix('/'));
        self.forms.iter().find(|form| Some(form.version.as_str()) == version).ok_or_else(|| {
            let known: Vec<&str> = self.forms.iter().map(|form| form.version.as_str()).collect();
            let remedy = format!("is no version of the kind: use {} of {}", known.join(" or "), self.group);
            SpecError::invalid("apiVersion", api_version, remedy)
        })
    }

    fn go(&self, way: Direction<'_>, object: &Value) -> Result<Value, SpecError> {
        let (mut metadata, notes) = take_preserved_fields(object);
        let mut notes = match notes {
            Ok(notes) => notes,
            // What is written is refused. What is read must be readable: nothing can be kept by what cannot be understood.
            Err(error) if way.to.is_stored => return Err(error),
            Err(_) => PreservedFields::default(),
        };
        let mut budget = Budget::new(BUDGET);
        let was = content(object);
        let mut made = way.transform(&was, &metadata, &self.group, &mut budget)?;
        if let Some(kept) = notes.remove(&way.to.version) {
            restore(&mut made, kept, |names| !way.shows(names));
        }
        let back = way.back().transform(&made, &metadata, &self.group, &mut budget)?;
        let kept = differences(&was, &back, &way.from.schema);
        if kept.is_empty() {
            notes.remove(&way.from.version);
        } else {
            notes.insert(way.from.version.clone(), kept);
        }
        store_preserved_fields(&mut metadata, &notes, &way.to.version)?;
        let kind = object.get("kind").cloned().unwrap_or_default();
        Ok(Value::Object(whole(made, &metadata, &format!("{}/{}", self.group, way.to.version), &kind)))
    }
}

/// What of an object is converted.
fn content(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    for name in ["apiVersion", "kind", "metadata"] {
        fields.remove(name);
    }
    fields
}
