//! Mode `compose`: what an instance of a kind is made of, as templates of objects. Pure.

use std::{collections::BTreeMap, fmt};

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::policy::{AdoptionPolicy, Drift, ManagementPolicies};

/// Most resources of one definition.
pub const MAX_RESOURCES: usize = 64;
/// Most variables of one `forEach`.
pub const MAX_FOR_EACH: usize = 4;

/// An object, or a number of them, that each instance of the kind is made of.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComposedResource {
    /// What other expressions call it. It stands for the object as the cluster has it, with its status; for a list of
    /// objects where `forEach` is given.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z][a-zA-Z0-9]*$"))]
    pub id: String,

    /// The object, with `${…}` around expressions in CEL. They speak of the instance as `self` (or `schema`), of other
    /// resources by their ids and of the variables of `forEach`. Needs apiVersion, kind and metadata.name; is made in the
    /// instance's namespace. An expression that is a whole string keeps its type.
    #[schemars(schema_with = "any_object")]
    pub template: Map<String, Value>,

    /// Makes one object for each element of a list: a variable and the expression that gives the list, such as
    /// `index: ${range(self.spec.jobCount)}`. Several variables make one object for each combination.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MAX_FOR_EACH), inner(length(min = 1, max = 2048)))]
    pub for_each: BTreeMap<String, String>,

    /// Conditions about the instance, such as `${self.spec.monitoring}`: unless all of them hold, the object is not made,
    /// nor is what refers to it; if it is there already, it is deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    pub include_when: Vec<String>,

    /// Conditions about the object, such as `${database.status.phase == 'Running'}`: what refers to it is made once all of
    /// them hold. With `forEach` the id is the single object here. Absent: what is usual for the kind, such as all replicas
    /// of a Deployment being available.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 2048)))]
    pub ready_when: Vec<String>,

    /// What becomes of an object that has the name and no controller: `fail` (reported and left alone), `adopt` (taken over,
    /// waited for while there is none) or `adopt-or-create`. One that has a controller is never taken. An instance's annotation
    /// `colonies.io/adoption-policy` holds instead where this is not `fail`.
    #[serde(default, skip_serializing_if = "AdoptionPolicy::is_default")]
    pub adoption_policy: AdoptionPolicy,

    /// What the operator does about fields that others change. Absent: they are corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,

    /// What may be done about the object: `Observe`, `Create`, `Update`, `Delete`, or `*` for all of it, as when
    /// absent. Actions that are not listed are skipped and reported. With `Observe` alone the object may be
    /// of any owner, and is only read.
    #[serde(default, skip_serializing_if = "ManagementPolicies::is_unset")]
    pub management_policies: ManagementPolicies,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A kind of objects in a version of its API.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKind {
    /// Group and version, such as `apps/v1`; the version alone in the core group.
    pub api_version: String,
    /// The kind, such as `Deployment`.
    pub kind: String,
}

impl ObjectKind {
    /// A kind by its names.
    #[must_use]
    pub fn new(api_version: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { api_version: api_version.into(), kind: kind.into() }
    }

    /// The kind of an object, if it is set.
    #[must_use]
    pub fn of(object: &Value) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        Some(Self::new(text("apiVersion")?, text("kind")?))
    }

    /// The group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// The version without its group.
    #[must_use]
    pub fn version(&self) -> &str {
        self.api_version.split_once('/').map_or(self.api_version.as_str(), |(_, version)| version)
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.kind, self.api_version)
    }
}
