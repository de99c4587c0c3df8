//! What may be done about the objects that something is made of, and what annotations on an object of any kind ask of the
//! operator. Pure.
//!
//! The words are those of AWS Controllers for Kubernetes (`adoptionPolicy`) and of Crossplane (`managementPolicies`).

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names::{PAUSED_ANNOTATION, RECONCILE_ANNOTATION};

/// What becomes of an object that has a name that is needed and no controller.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::EnumString,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
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
    /// Whether the policy is the default.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What the operator does about fields that others change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// `Correct`: they are corrected. `DetectOnly`: they are only reported in condition `Drifted`, until the desired
    /// state changes, which writes the whole object again.
    #[serde(default)]
    pub policy: DriftPolicy,

    /// Fields that other controllers own once the object exists, such as `spec.replicas` where an autoscaler sets it:
    /// they are neither compared nor written. Names are separated by dots; `[0]` is an element of a list, `['a.b/c']`
    /// a name with dots in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub ignore_fields: Vec<String>,
}

/// Whether drift is corrected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is.
    #[default]
    Correct,
    /// It is only reported.
    DetectOnly,
}

/// What happens to work that was submitted before its object was restored from a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum RestorePolicy {
    /// Its last process is the object's again, and nothing is submitted.
    #[default]
    Keep,
    /// It is submitted as for a new object.
    Resubmit,
}

impl RestorePolicy {
    /// Whether it is what applies where nothing is said.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Something that may be done about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum ManagementPolicy {
    /// Everything.
    #[serde(rename = "*")]
    #[strum(serialize = "*")]
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

impl ManagementPolicy {
    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// What to do about something that is not done since this is not listed, for a person.
    #[must_use]
    pub fn remedy(self) -> String {
        let name = self.as_str();
        format!("managementPolicies do not list {name}: add {name} to have it done")
    }
}

/// What may be done about an object: only the listed actions are allowed; the default allows all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct ManagementPolicies(Vec<ManagementPolicy>);

impl ManagementPolicies {
    /// Whether the field is not set, so that every action is allowed.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something may be done.
    #[must_use]
    pub fn allow(&self, what: ManagementPolicy) -> bool {
        self.is_unset() || self.0.contains(&ManagementPolicy::All) || self.0.contains(&what)
    }

    /// Whether the object is only observed, whatever its owner.
    #[must_use]
    pub fn only_observe(&self) -> bool {
        use ManagementPolicy::{Create, Delete, Update};
        ![Create, Update, Delete].into_iter().any(|what| self.allow(what))
    }

    /// What deletion does to the other side: the deletion policy of the spec, unless `Delete` is not allowed.
    #[must_use]
    pub fn deletion(&self, said: DeletionPolicy) -> DeletionPolicy {
        if self.allow(ManagementPolicy::Delete) { said } else { DeletionPolicy::Orphan }
    }
}

impl JsonSchema for ManagementPolicies {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ManagementPolicies".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "minItems": 1,
            "maxItems": 4,
            "items": generator.subschema_for::<ManagementPolicy>(),
            "x-kubernetes-validations": [{
                "rule": "self.exists(policy, policy in ['*', 'Observe'])",
                "message": "managementPolicies: nothing can be done without looking: add Observe",
            }],
        })
    }
}

/// Whether nothing is to be written for an object but its status.
#[must_use]
pub fn is_paused(metadata: &ObjectMeta) -> bool {
    annotation(metadata, PAUSED_ANNOTATION) == Some("true")
}

/// What asks for a pass over an object; another value asks for another pass.
#[must_use]
pub fn reconcile_at(metadata: &ObjectMeta) -> Option<&str> {
    annotation(metadata, RECONCILE_ANNOTATION)
}

fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// What deletion does to the colony's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// Cancel the process if it still runs.
    #[default]
    Delete,
    /// Leave the process as it is.
    Orphan,
}

/// What a new generation does to the old one's process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum UpdatePolicy {
    /// Cancel it, then submit the new one.
    #[default]
    CancelRunning,
    /// Let it finish, then submit the new one.
    WaitForRunning,
}

/// Who owns a spec that stands on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum SyncPolicy {
    /// This object: edits of the blueprint are replaced.
    KubernetesWins,
    /// The blueprint: edits of this object are replaced.
    ColonyWins,
    /// Neither side: differences are shown, and both sides left as they are.
    Observe,
}

impl SyncPolicy {
    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotated(name: &str, value: &str) -> ObjectMeta {
        let annotations = [(name.to_owned(), value.to_owned())];
        ObjectMeta { annotations: Some(annotations.into()), ..ObjectMeta::default() }
    }

    fn policies(listed: &[&str]) -> ManagementPolicies {
        serde_json::from_value(serde_json::json!(listed)).unwrap()
    }

    /// Everything is the default; what is listed is all there is.
    #[test]
    fn what_is_not_listed_may_not_be_done() {
        use ManagementPolicy::{Create, Delete, Observe, Update};
        for all in [&[][..], &["*"], &["Observe", "*"]] {
            assert!(
                [Observe, Create, Update, Delete].iter().all(|what| policies(all).allow(*what)),
                "{all:?}"
            );
        }
        let some = policies(&["Observe", "Update"]);
        assert!(some.allow(Update) && !some.allow(Create) && !some.allow(Delete) && !some.only_observe());
        assert!(policies(&["Observe"]).only_observe() && !policies(&[]).only_observe());
    }

    /// Without `Delete`, everything stays, whatever other fields are set.
    #[test]
    fn without_delete_everything_is_left() {
        let left = policies(&["Observe", "Create", "Update"]);
        assert_eq!(left.deletion(DeletionPolicy::Delete), DeletionPolicy::Orphan);
        for said in [DeletionPolicy::Delete, DeletionPolicy::Orphan] {
            assert_eq!(policies(&["*"]).deletion(said), said);
        }
    }

    /// `false` resumes too, so that a user does not need to remove the annotation.
    #[test]
    fn only_true_pauses() {
        assert!(is_paused(&annotated(PAUSED_ANNOTATION, "true")));
        for other in ["false", "", "True"] {
            assert!(!is_paused(&annotated(PAUSED_ANNOTATION, other)), "{other}");
        }
        assert!(!is_paused(&ObjectMeta::default()));
        assert_eq!(reconcile_at(&annotated(RECONCILE_ANNOTATION, "now")), Some("now"));
    }
}
