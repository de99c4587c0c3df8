//! Mode `compose`: what may be done about the objects that an instance is made of. Pure.
//!
//! The words are those of AWS Controllers for Kubernetes (`adoptionPolicy`) and of Crossplane (`managementPolicies`).

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of an object that has the name of one of an instance's and no controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdoptionPolicy {
    /// It is reported and left alone.
    #[default]
    Fail,
    /// It is taken over; while there is none it is waited for, and none is created.
    Adopt,
    /// It is taken over; if there is none, one is created.
    AdoptOrCreate,
}

impl AdoptionPolicy {
    /// Whether the policy is the one that holds where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Reads the policy as it stands in a manifest; none if it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "fail" => Some(Self::Fail),
            "adopt" => Some(Self::Adopt),
            "adopt-or-create" => Some(Self::AdoptOrCreate),
            _ => None,
        }
    }
}

/// What is done about fields that somebody else has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// `Correct`: they are put right. `DetectOnly`: they are reported in condition `Drifted` and left, until instance or
    /// template change, which writes the whole object again.
    #[serde(default)]
    pub policy: DriftPolicy,

    /// Fields that are somebody else's once the object is there, such as `spec.replicas` where an autoscaler sets it: they
    /// are neither compared nor written. Names are separated by dots; `[0]` is an element of a list, `['a.b/c']` a name
    /// with dots in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub ignore_fields: Vec<String>,
}

/// Whether drift is put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is.
    #[default]
    Correct,
    /// It is only reported.
    DetectOnly,
}

/// Something that may be done about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ManagementPolicy {
    /// Everything.
    #[serde(rename = "*")]
    All,
    /// It is looked at, and its fields are there for expressions.
    Observe,
    /// It is created.
    Create,
    /// It is changed.
    Update,
    /// It is deleted; where it is not, it stays when its instance goes.
    Delete,
}
