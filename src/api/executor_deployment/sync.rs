//! Which blueprint says the same as an object, and who owns the spec: what labels, annotations and spec say of it.

use kube::ResourceExt as _;

use super::{ExecutorDeployment, Runtime};
use crate::api::{
    names::{BLUEPRINT_ANNOTATION, ORIGIN_BLUEPRINT, ORIGIN_LABEL},
    policy::SyncPolicy,
};

impl ExecutorDeployment {
    /// The blueprint that says the same as this object, if there is to be one: where it was born of one, and where a
    /// reconciler elsewhere in the colony carries it out.
    #[must_use]
    pub fn blueprint_name(&self) -> Option<String> {
        let named = self.annotations().get(BLUEPRINT_ANNOTATION).cloned();
        named.or_else(|| (self.spec.runtime != Runtime::Kubernetes).then(|| self.name_any()))
    }

    /// Whether the object was made for a blueprint of the colony.
    #[must_use]
    pub fn originates_from_blueprint(&self) -> bool {
        self.labels().get(ORIGIN_LABEL).is_some_and(|origin| origin == ORIGIN_BLUEPRINT)
    }

    /// Who owns the spec: as it says, else the side on which the object was born.
    #[must_use]
    pub fn sync_policy(&self) -> SyncPolicy {
        let default = if self.originates_from_blueprint() {
            SyncPolicy::ColonyWins
        } else {
            SyncPolicy::KubernetesWins
        };
        self.spec.sync_policy.unwrap_or(default)
    }
}
