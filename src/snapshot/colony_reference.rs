//! Which colony an object uses.

use std::collections::BTreeMap;

use super::Observed;
use crate::api::{
    colony::{ColonySpec, Inbound, InboundPolicy},
    condition::Reason,
    mirror::UsedColony,
    names::ABANDON_ANNOTATION,
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
    /// The `Colony` is being deleted, and the object is not in its colony yet.
    Leaving { name: String },
    /// The `Colony` of the colony in which the object is, by its record, is gone or leads to another colony: what the object has
    /// there is not known.
    Changed {
        used: UsedColony,
        /// The colony to which the `Colony` leads now; none if there is no `Colony` of the name.
        now: Option<String>,
    },
}

impl ColonyReference {
    #[must_use]
    pub const fn resolved(&self) -> Option<&ResolvedColony> {
        match self {
            Self::Resolved(colony) => Some(colony),
            Self::NotFound { .. } | Self::NotAllowed { .. } | Self::Leaving { .. } | Self::Changed { .. } => {
                None
            }
        }
    }

    /// Why there is no colony to use, and what to do about it; none if there is one.
    #[must_use]
    pub fn obstacle(&self) -> Option<(Reason, String)> {
        match self {
            Self::Resolved(_) => None,
            Self::NotFound { name: None } => Some((
                Reason::ColonyNotFound,
                "spec.colony is absent and no Colony is annotated colonies.io/default: \"true\": name one, or annotate one".to_owned(),
            )),
            Self::NotFound { name: Some(name) } => Some((
                Reason::ColonyNotFound,
                format!("spec.colony: {name:?}: there is no such Colony: create it, or name another (kubectl get colonies)"),
            )),
            Self::NotAllowed { name } => Some((
                Reason::NamespaceNotAllowed,
                format!("spec.colony: {name:?} does not admit this namespace: have spec.allowedNamespaces of the Colony changed"),
            )),
            Self::Leaving { name } => Some((
                Reason::ColonyNotReady,
                format!("Colony {name} is being deleted and takes nothing new: name another"),
            )),
            Self::Changed { used: UsedColony { name, colony_name, .. }, now } => {
                let way_out = format!(
                    "or, to leave behind what this object has there, annotate it with {ABANDON_ANNOTATION}=true and delete it"
                );
                Some(match now {
                    None => (
                        Reason::ColonyNotFound,
                        format!("Colony {name}, through which this object is in colony {colony_name}, is gone, and what the object has there is not known: create the Colony again, {way_out}"),
                    ),
                    Some(now) => (
                        Reason::ColonyChanged,
                        format!("this object is in colony {colony_name}, and Colony {name} leads to colony {now} now, so what the object has is not known: have spec.colonyName of the Colony be {colony_name} again, {way_out}"),
                    ),
                })
            }
        }
    }
}

/// A colony that an object may use.
#[derive(Clone, Debug)]
pub struct ResolvedColony {
    /// Name of the `Colony` object.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Whether this very object was connected, and not taken for one that leads elsewhere.
    pub was_connected: bool,
    pub spec: ColonySpec,
    /// Whether the `Colony` admits the object's namespace. An object that is in the colony stays there when it does not any
    /// more, and nothing there changes its spec.
    pub is_admitted: bool,
    /// What the members of the colony may decide in the object's namespace.
    pub access: ColonyAccess,
    /// Id of the operator's own executor there; unknown while the colony is not connected, with the reason.
    pub operator_executor_id: Observed<String>,
}

impl ResolvedColony {
    /// The record of the colony in the status of an object.
    #[must_use]
    pub fn used(&self) -> UsedColony {
        UsedColony {
            name: self.name.clone(),
            uid: self.uid.clone(),
            colony_name: self.spec.colony_name.clone(),
        }
    }
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
        if !inbound.namespaces.iter().any(|listed| listed == namespace) {
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
