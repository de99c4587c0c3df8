//! Which colony an object may use, and the connection to it. Looks at caches only.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    ResourceExt as _,
    core::PartialObjectMeta,
    runtime::reflector::{ObjectRef, Store},
};

use crate::{
    api::{
        colony::{Colony, NamespacesFrom},
        names::{CONTROLLER_EXECUTOR_TYPE, DEFAULT_COLONY_ANNOTATION},
    },
    memory::connections::{Connection, Connections},
    snapshot::{ColonyAccess, ColonyReference, Observed, ResolvedColony},
};

/// Finds the colony of an object.
#[derive(Clone)]
pub struct Colonies {
    pub colonies: Store<Colony>,
    /// Metadata of namespaces.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    pub connections: Connections,
    /// The namespace of the operator itself.
    pub operator_namespace: String,
}

impl Colonies {
    /// The colony that an object of `namespace` uses, which names it or takes the default one, and the connection to it.
    #[must_use]
    pub fn find(&self, name: Option<&str>, namespace: &str) -> (ColonyReference, Option<Arc<Connection>>) {
        if let Some(colony) = self.named(name).filter(|colony| !self.admits(colony, namespace)) {
            return (ColonyReference::NotAllowed { name: colony.name_any() }, None);
        }
        let (mut reference, connection) = self.find_any(name);
        if let ColonyReference::Resolved(resolved) = &mut reference {
            resolved.access = self.access(resolved, namespace);
        }
        (reference, connection)
    }

    fn access(&self, colony: &ResolvedColony, namespace: &str) -> ColonyAccess {
        let inbound = (colony.name.as_str(), &colony.spec.inbound);
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        let labels = found.as_ref().map(|found| found.labels().clone()).unwrap_or_default();
        ColonyAccess::of(inbound, namespace, &labels, &self.operator_namespace)
    }

    /// As [`Colonies::find`], for what is in no namespace and asks for nothing there.
    #[must_use]
    pub fn find_any(&self, name: Option<&str>) -> (ColonyReference, Option<Arc<Connection>>) {
        let Some(colony) = self.named(name) else {
            return (ColonyReference::NotFound { name: name.map(str::to_owned) }, None);
        };
        let name = colony.name_any();
        let connection = self.connections.get(&name);
        let operator_executor_id = match &connection {
            None => Observed::Unknown("not connected yet".to_owned()),
            Some(connection) => match (&connection.problem, connection.operator(CONTROLLER_EXECUTOR_TYPE)) {
                (Some(problem), _) => Observed::Unknown(problem.clone()),
                (None, None) => Observed::Unknown("the operator is not registered there yet".to_owned()),
                (None, Some(operator)) => Observed::Known(operator.id.clone()),
            },
        };
        let access = ColonyAccess::Refused("it is in no namespace".to_owned());
        let resolved = ResolvedColony { name, spec: colony.spec.clone(), access, operator_executor_id };
        (ColonyReference::Resolved(Box::new(resolved)), connection)
    }

    fn named(&self, name: Option<&str>) -> Option<Arc<Colony>> {
        if let Some(name) = name {
            return self.colonies.get(&ObjectRef::new(name));
        }
        let is_default = |colony: &Colony| {
            colony.annotations().get(DEFAULT_COLONY_ANNOTATION).is_some_and(|value| value == "true")
        };
        let mut defaults = self.colonies.state_filter(is_default);
        // Two defaults are a mistake; which one is taken must at least not change from pass to pass.
        defaults.sort_by_key(|colony| colony.name_any());
        defaults.into_iter().next()
    }

    fn admits(&self, colony: &Colony, namespace: &str) -> bool {
        let allowed = &colony.spec.allowed_namespaces;
        if allowed.from == NamespacesFrom::All {
            return true;
        }
        let found = self.namespaces.get(&ObjectRef::new(namespace));
        found.is_some_and(|found| allowed.admit(found.labels()))
    }
}
