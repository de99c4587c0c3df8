//! What is known of the kinds that templates make: the types of their fields, and when an object of them is ready. Built
//! into Kubernetes, ours, or defined by users; everything else is taken as it comes.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        autoscaling::v2::HorizontalPodAutoscaler,
        batch::v1::{CronJob, Job},
        core::v1::{
            ConfigMap, LimitRange, PersistentVolumeClaim, Pod, ResourceQuota, Secret, Service, ServiceAccount,
        },
        networking::v1::{Ingress, NetworkPolicy},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
    schemars::{JsonSchema, SchemaGenerator},
};
use kube::Resource;
use serde_json::Value;

use crate::{
    api::{custom_resource_definitions, kind::Kind, resource_definition::ObjectKind},
    expression::{Rest, Type},
};

/// Kinds of which it is known what their objects look like: ours, and those that users define.
#[derive(Debug, Clone, Default)]
pub struct Kinds(BTreeMap<ObjectKind, Type>);

impl Kinds {
    /// The operator's own kinds.
    #[must_use]
    pub fn ours() -> Self {
        let mut kinds = Self::default();
        for definition in custom_resource_definitions() {
            for version in &definition.spec.versions {
                let kind = ObjectKind::new(
                    format!("{}/{}", definition.spec.group, version.name),
                    definition.spec.names.kind.clone(),
                );
                let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
                let schema = serde_json::to_value(schema).unwrap_or_default();
                kinds.define(kind, &schema);
            }
        }
        kinds
    }

    /// Adds a kind that is defined, with its `OpenAPI` schema.
    pub fn define(&mut self, kind: ObjectKind, schema: &Value) {
        self.0.insert(kind, object_type(schema));
    }

    pub(super) fn get(&self, kind: &ObjectKind) -> Type {
        self.0.get(kind).cloned().or_else(|| built_in(kind)).unwrap_or_else(unknown)
    }
}

/// The operator's own kinds whose objects report readiness by a condition `Ready`, or by how they ended.
pub fn builtin_kinds_with_readiness() -> impl Iterator<Item = ObjectKind> {
    let tells = |kind: &Kind| !kind.info().ready_conditions.is_empty();
    Kind::own().filter(move |(kind, _)| tells(kind)).map(|(kind, own)| {
        let resource = (own.resource)();
        ObjectKind::new(resource.api_version, kind.name())
    })
}

/// The type of objects that a definition's schema describes. What every object has is not in such schemas.
pub(in crate::kinds) fn object_type(schema: &Value) -> Type {
    match Type::of_schema(schema, Rest::Nothing) {
        Type::Object(object) => {
            let mut fields = object.fields.clone();
            fields.extend(common());
            Type::object(fields, object.rest)
        }
        _ => unknown(),
    }
}

/// An object of which nothing is known but what all have.
fn unknown() -> Type {
    Type::object(common(), Rest::Anything)
}

fn common() -> [(String, Type); 3] {
    [
        ("apiVersion".to_owned(), Type::Text),
        ("kind".to_owned(), Type::Text),
        ("metadata".to_owned(), metadata()),
    ]
}

/// The metadata of which expressions can speak.
fn metadata() -> Type {
    let texts = ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "resourceVersion"];
    let texts = texts.into_iter().map(|name| (name.to_owned(), Type::Text));
    let maps = ["labels", "annotations"].into_iter().map(|name| (name.to_owned(), Type::map(Type::Text)));
    let generation = ("generation".to_owned(), Type::Int);
    Type::object(texts.chain(maps).chain([generation]), Rest::Newer)
}

/// The type of the objects of a kind that is built into Kubernetes. A cluster may be newer than what is known here.
fn built_in(kind: &ObjectKind) -> Option<Type> {
    let known: [fn(&ObjectKind) -> Option<Type>; 18] = [
        of::<ConfigMap>,
        of::<CronJob>,
        of::<DaemonSet>,
        of::<Deployment>,
        of::<HorizontalPodAutoscaler>,
        of::<Ingress>,
        of::<Job>,
        of::<LimitRange>,
        of::<NetworkPolicy>,
        of::<PersistentVolumeClaim>,
        of::<Pod>,
        of::<PodDisruptionBudget>,
        of::<ResourceQuota>,
        of::<Role>,
        of::<RoleBinding>,
        of::<Secret>,
        of::<Service>,
        of::<ServiceAccount>,
    ];
    known.iter().find_map(|of| of(kind)).or_else(|| of::<StatefulSet>(kind))
}

fn of<K: Resource<DynamicType = ()> + JsonSchema>(kind: &ObjectKind) -> Option<Type> {
    let is_meant = K::api_version(&()) == kind.api_version && K::kind(&()) == kind.kind;
    is_meant.then(|| {
        let schema = SchemaGenerator::default().into_root_schema_for::<K>();
        Type::of_schema(schema.as_value(), Rest::Newer)
    })
}
