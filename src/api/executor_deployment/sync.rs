//! Which blueprint mirrors an object, and which side owns the spec, by its labels, annotations and spec.

use kube::ResourceExt as _;

use super::{ExecutorDeployment, Runtime};
use crate::api::{
    names::{BLUEPRINT_ANNOTATION, ORIGIN_BLUEPRINT, ORIGIN_LABEL},
    policy::SyncPolicy,
};

impl ExecutorDeployment {
    /// The blueprint that mirrors this object, if it has one: when it originates from one, or when another reconciler
    /// in the colony handles it.
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

    /// Who owns the spec: as set, else the side on which the object originates.
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
