//! Which colony an object uses.

use std::collections::BTreeMap;

use super::Observed;
use crate::api::{
    colony::{ColonySpec, Inbound, InboundPolicy},
    namespace::ColonyTrust,
};

/// Which colony an object uses, or why none.
#[derive(Clone, Debug)]
pub enum ColonyReference {
    /// The object may use this colony.
    Resolved(Box<ResolvedColony>),
    /// There is no `Colony` of the name; without a name, none is marked as the default.
    NotFound {
        /// The name that the object gives.
        name: Option<String>,
    },
    /// The `Colony` does not admit the object's namespace.
    NotAllowed { name: String },
}

impl ColonyReference {
    #[must_use]
    pub const fn resolved(&self) -> Option<&ResolvedColony> {
        match self {
            Self::Resolved(colony) => Some(colony),
            Self::NotFound { .. } | Self::NotAllowed { .. } => None,
        }
    }
}

/// A colony that an object may use.
#[derive(Clone, Debug)]
pub struct ResolvedColony {
    /// Name of the `Colony` object.
    pub name: String,
    pub spec: ColonySpec,
    /// What the members of the colony may decide in the object's namespace.
    pub access: ColonyAccess,
    /// Id of the operator's own executor there; unknown while the colony is not connected, with the reason.
    pub operator_executor_id: Observed<String>,
}

/// What the members of a colony may decide in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColonyAccess {
    /// Nothing; why, and the remedy, for a person.
    Refused(String),
    /// The specs of objects there, within these bounds.
    Granted(ColonyTrust),
}

impl ColonyAccess {
    /// What `inbound` of the `Colony` named `colony` and the labels of a namespace grant. The operator's own namespace
    /// holds the keys of colonies: it is never reached.
    #[must_use]
    pub fn of(
        (colony, inbound): (&str, &Inbound),
        namespace: &str,
        labels: &BTreeMap<String, String>,
        operator_namespace: &str,
    ) -> Self {
        if inbound.policy == InboundPolicy::Refuse {
            return Self::Refused(format!(
                "Colony {colony} accepts nothing from the colony: use kubectl, or have spec.inbound.policy set to Accept"
            ));
        }
        if namespace == operator_namespace || namespace.starts_with("kube-") {
            return Self::Refused(format!(
                "namespace {namespace} accepts nothing from a colony: name another"
            ));
        }
        if !inbound.reaches(namespace) {
            return Self::Refused(format!(
                "namespace {namespace} accepts nothing from the colony: name another, or have it added to spec.inbound.namespaces of Colony {colony}"
            ));
        }
        Self::Granted(ColonyTrust::of(labels))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_is_reached_when_the_colony_lists_it_and_never_the_operators_own() {
        let inbound: Inbound = serde_json::from_value(
            json!({"policy": "Accept", "namespaces": ["team", "operators", "kube-system"]}),
        )
        .unwrap();
        let of =
            |namespace: &str| ColonyAccess::of(("dev", &inbound), namespace, &BTreeMap::new(), "operators");
        assert_eq!(of("team"), ColonyAccess::Granted(ColonyTrust::Restricted));
        for namespace in ["other", "operators", "kube-system"] {
            assert!(
                matches!(of(namespace), ColonyAccess::Refused(why) if why.contains(namespace)),
                "{namespace}"
            );
        }
        let refused = Inbound { policy: InboundPolicy::Refuse, ..inbound.clone() };
        let refused = ColonyAccess::of(("dev", &refused), "team", &BTreeMap::new(), "operators");
        assert!(matches!(refused, ColonyAccess::Refused(why) if why.contains("spec.inbound.policy")));
    }
}
