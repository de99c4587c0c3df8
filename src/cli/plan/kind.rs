//! The kinds that the files define, and whether an API server would take an object of one.

use std::collections::{BTreeSet, HashSet};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    CustomResourceExt, ResourceExt as _,
    core::cel::{ValidationErrors, validate_cel},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::unreadable::parse;
use crate::{
    api::{
        colony::Colony,
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
        instance::{Instance, InstanceKind},
        kind::Kind as OwnKind,
        request_flow::RequestFlow,
        request_state::RequestState,
        resource_definition::{DefinitionScope, HandlerMode, ObjectKind, ResourceDefinition},
    },
    kinds::{
        composition::{Composition, builtin_kinds_with_readiness},
        definition::{Validator, composition_of},
        schema::with_defaults,
    },
};

/// A kind that is defined.
pub(super) struct Kind {
    /// Its instances, and their handler.
    pub instances: InstanceKind,
    crd: CustomResourceDefinition,
    composition: Option<Composition>,
}

impl Kind {
    pub fn new(instances: InstanceKind, crd: CustomResourceDefinition) -> Self {
        let is_composed = instances.handler().mode == HandlerMode::Compose;
        let composition = if is_composed { composition_of(&instances).ok() } else { None };
        Self { instances, crd, composition }
    }

    /// What instances are made of, if they are made of something.
    pub fn composition(&self) -> Option<&Composition> {
        self.composition.as_ref()
    }
}

/// The kinds that the files define.
#[derive(Default)]
pub(super) struct Kinds {
    kinds: Vec<Kind>,
    /// Group and kind of invalid definitions.
    invalid: HashSet<(String, String)>,
}

/// What a file's object is.
pub(super) enum ManifestKind<'k> {
    /// An instance of a kind.
    Instance(&'k Kind),
    /// An instance of a kind with an invalid definition.
    OfInvalidDefinition,
    /// Something else.
    Other,
}

impl Kinds {
    pub fn add(&mut self, kind: Kind) {
        self.kinds.push(kind);
    }

    pub fn has(&self, crd: &CustomResourceDefinition) -> bool {
        let name = crd.name_any();
        self.kinds.iter().any(|kind| kind.crd.name_any() == name)
            || self.invalid.contains(&(crd.spec.group.clone(), crd.spec.names.kind.clone()))
    }

    /// Records an invalid definition, for its instances to report.
    pub fn record_invalid(&mut self, written: &Value) {
        let text =
            |pointer: &str| written.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        self.invalid.insert((text("/spec/group"), text("/spec/names/kind")));
    }

    /// What an object is.
    pub fn of(&self, object: &Value) -> ManifestKind<'_> {
        let Some(named) = ObjectKind::of(object) else { return ManifestKind::Other };
        let is_of = |kind: &&Kind| {
            let resource = &kind.instances.terms().resource;
            resource.group == named.group() && resource.kind == named.kind
        };
        match self.kinds.iter().find(is_of) {
            Some(kind) => ManifestKind::Instance(kind),
            None if self.invalid.contains(&(named.group().to_owned(), named.kind.clone())) => {
                ManifestKind::OfInvalidDefinition
            }
            None => ManifestKind::Other,
        }
    }

    /// The kinds whose objects report readiness by a condition `Ready`.
    pub fn kinds_with_readiness(&self) -> BTreeSet<ObjectKind> {
        let defined = self.kinds.iter().map(|kind| {
            let resource = &kind.instances.terms().resource;
            ObjectKind::new(resource.api_version.clone(), resource.kind.clone())
        });
        defined.chain(builtin_kinds_with_readiness()).collect()
    }

    /// Why an API server would refuse an object of a kind that is known here, defined or the operator's own; if not, what it
    /// would store.
    pub fn stored(&self, object: &Value) -> Result<Value, String> {
        if let ManifestKind::Instance(kind) = self.of(object) {
            let terms = kind.instances.terms();
            let mut object = judge(&kind.crd, object, true)?;
            object["apiVersion"] = json!(terms.resource.api_version);
            if terms.scope == DefinitionScope::Cluster
                && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
            {
                metadata.remove("namespace");
            }
            parse::<Instance>(&object)?;
            return Ok(object);
        }
        let own = ObjectKind::of(object).and_then(|named| OwnKind::find(named.group(), &named.kind));
        let Some((kind, own)) = own.and_then(|kind| Some((kind, kind.info().own.as_ref()?))) else {
            return Ok(object.clone());
        };
        let object = judge(&(own.definition)(), object, false)?;
        rules(kind, &object)?;
        Ok(object)
    }
}

/// Whether an object of an own kind fits its type, and the rules of its schema.
fn rules(kind: OwnKind, object: &Value) -> Result<(), String> {
    match kind {
        OwnKind::Colony => typed::<Colony>(object),
        OwnKind::ExecutorDeployment => typed::<ExecutorDeployment>(object),
        OwnKind::ColonyProcess => typed::<ColonyProcess>(object),
        OwnKind::ColonyWorkflow => typed::<ColonyWorkflow>(object),
        OwnKind::ColonyCron => typed::<ColonyCron>(object),
        OwnKind::RequestFlow => typed::<RequestFlow>(object),
        OwnKind::RequestState => typed::<RequestState>(object),
        OwnKind::ResourceDefinition => typed::<ResourceDefinition>(object),
        OwnKind::Instance => Ok(()),
    }
}

fn typed<K: CustomResourceExt + DeserializeOwned + Serialize>(object: &Value) -> Result<(), String> {
    let object: K = parse(object)?;
    let joined = |errors: ValidationErrors| {
        let messages: Vec<String> = errors.into_vec().iter().map(ToString::to_string).collect();
        messages.join("; ")
    };
    validate_cel(&object).map_err(joined)
}

fn judge(crd: &CustomResourceDefinition, object: &Value, has_simple_rules: bool) -> Result<Value, String> {
    let api_version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let served = || crd.spec.versions.iter().filter(|version| version.served);
    let Some(found) = served().find(|served| served.name == version) else {
        let names: Vec<&str> = served().map(|version| version.name.as_str()).collect();
        return Err(format!("apiVersion: {api_version}: is not served: use one of {}", names.join(", ")));
    };
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Err("metadata.name: missing: name the object".to_owned());
    }
    let schema = found.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let mut schema = serde_json::to_value(schema).unwrap_or_default();
    if !has_simple_rules {
        without_rules(&mut schema);
    }
    Validator::default().check(&schema, None, object).map_err(|violation| violation.to_string())?;
    Ok(with_defaults(&schema, object))
}

pub(super) fn without_rules(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.remove("x-kubernetes-validations");
            fields.values_mut().for_each(without_rules);
        }
        Value::Array(elements) => elements.iter_mut().for_each(without_rules),
        _ => {}
    }
}
