//! Mode `blueprint`: how instances of a kind are kept as blueprints of a colony. Pure.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::policy::SyncPolicy;

/// How instances are kept as blueprints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueprintTerms {
    /// Who owns a spec, which stands in the instance and in its blueprint: the owner's edit goes to the other side, an edit
    /// of the other side is replaced and shown in condition Conflict. With `Observe` both sides stay as they are.
    #[serde(default = "of_kubernetes")]
    pub sync_policy: SyncPolicy,

    /// What happens to rules that the schemas of a colony cannot express, such as `minimum`. `Refuse`: the definition
    /// has no effect. `KeepHere`: the API server checks it, and the colony does not.
    #[serde(default)]
    pub untranslatable: Untranslatable,

    /// Conditions about the blueprint, such as `${blueprint.status.phase == 'Running'}`: the instance is ready once all of them
    /// hold. They may speak of `blueprint` and of `self`. Absent: it is ready once its reconciler has written a status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 2048)))]
    pub ready_when: Vec<String>,
}

impl Default for BlueprintTerms {
    fn default() -> Self {
        Self {
            sync_policy: of_kubernetes(),
            untranslatable: Untranslatable::default(),
            ready_when: Vec::new(),
        }
    }
}

const fn of_kubernetes() -> SyncPolicy {
    SyncPolicy::KubernetesWins
}

/// What happens to rules that the schemas of a colony cannot express.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Untranslatable {
    /// It is refused, with the field.
    #[default]
    Refuse,
    /// This cluster alone checks it.
    KeepHere,
}
