//! Builds the snapshot of a process that originates in a colony, and of blueprints without an object.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use super::{
    index::{Index, IndexKey},
    stores::{Filled, GuardedExecutorDeployment},
};
use crate::{
    api::{
        blueprint::namespace_of,
        colony::{Colony, ColonySpec},
        executor_deployment::ExecutorDeployment,
        kind::HasKind as _,
        names::EXECUTOR_DEPLOYMENT_KIND,
        namespace::NamespaceName,
    },
    colony::{Blueprint, Session},
    memory::{
        absences::{Absences, Absent},
        blueprints::Blueprints,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{ColonyAccess, InboundObjects, InboundSnapshot, NamespaceState, Observed},
};

/// Which blueprints a process is about.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// None: it brings the object along.
    Object {
        /// Name of the object.
        name: &'a str,
        /// Id of the process.
        process: &'a str,
    },
    Blueprint(&'a str),
    /// All of the kind.
    All,
}

/// Builds snapshots for processes that originate in a colony.
#[derive(Clone)]
pub struct InboundReader {
    /// For what is not cached.
    pub client: Client,
    pub objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    pub colonies: Store<DeserializeGuard<Colony>>,
    /// The namespace of the operator itself.
    pub operator_namespace: String,
    /// Namespaces that this operator looks after; empty for all.
    pub watched: Vec<String>,
    /// Blueprints as colonies last described them.
    pub blueprints: Blueprints,
    /// What colonies have reported to be gone.
    pub absences: Absences,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
}

impl InboundReader {
    /// The spec of a `Colony`; none if there is none of the name.
    #[must_use]
    pub fn colony(&self, name: &str) -> Option<ColonySpec> {
        self.colony_object(name).map(|colony| colony.spec)
    }

    /// A `Colony`; none if there is none of the name.
    #[must_use]
    pub fn colony_object(&self, name: &str) -> Option<Colony> {
        let guarded = self.colonies.get(&ObjectRef::new(name))?;
        guarded.0.as_ref().ok().cloned()
    }

    /// Builds a snapshot. `namespaces` are those that may be needed besides the ones that blueprints name.
    pub async fn snapshot(
        &self,
        (colony, spec): (&str, &ColonySpec),
        member: &Session,
        about: About<'_>,
        namespaces: &[String],
    ) -> InboundSnapshot {
        let blueprints = self.read_blueprints(colony, member, about).await;
        let mut states = BTreeMap::new();
        let named = blueprints
            .known()
            .into_iter()
            .flatten()
            .filter_map(|blueprint| namespace_of(&blueprint.metadata));
        let wanted =
            namespaces.iter().map(String::as_str).chain(named).chain(spec.inbound.default_namespace());
        let objects = self.objects(about, &wanted);
        for namespace in wanted.chain(objects.namespaces()).filter_map(NamespaceName::parse) {
            let namespace = namespace.as_str();
            if !states.contains_key(namespace) {
                states.insert(namespace.to_owned(), self.namespace((colony, spec), namespace).await);
            }
        }
        let key = IndexKey::OriginatedIn(colony.to_owned());
        let originated = self.objects.iter().map(|(index, _)| index.get(&key).len()).sum();
        let (colony, spec) = (colony.to_owned(), spec.clone());
        InboundSnapshot { colony, spec, blueprints, objects, originated, namespaces: states }
    }

    /// Whether the cache does not show yet what this process last wrote to an object.
    #[must_use]
    pub fn is_behind(&self, namespace: &str, name: &str) -> bool {
        let key = Key::new(ExecutorDeployment::KIND.name(), namespace, name);
        self.writes.is_cache_behind(&key, self.clock.instant())
    }

    /// Blueprints as the colony describes them now: what a process is about was changed right before it was submitted.
    async fn read_blueprints(
        &self,
        colony: &str,
        member: &Session,
        about: About<'_>,
    ) -> Observed<Vec<Blueprint>> {
        let name = match about {
            About::Object { .. } => return Observed::Known(Vec::new()),
            About::All => {
                return match member.blueprints(Some(EXECUTOR_DEPLOYMENT_KIND), None).await {
                    Ok(blueprints) => Observed::Known(blueprints),
                    Err(error) => Observed::Unknown(error.to_string()),
                };
            }
            About::Blueprint(name) => name,
        };
        let (absent, now) = (Absent::Blueprint(colony.to_owned(), name.to_owned()), self.clock.instant());
        let found = match member.blueprint(name).await {
            Ok(blueprint) => Some(blueprint),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Observed::Unknown(error.to_string()),
        };
        // Any member can submit a clean-up, and a fleet is deleted for it.
        if found.is_some() {
            self.absences.present(&absent);
        } else if !self.absences.seen(absent, now) {
            let why = "the server reports no such blueprint, and is asked once more before that is believed";
            return Observed::Unknown(why.to_owned());
        }
        match &found {
            Some(found) => self.blueprints.put(colony, found),
            None => self.blueprints.remove(colony, name),
        }
        Observed::Known(found.into_iter().collect())
    }

    async fn namespace(&self, (colony, spec): (&str, &ColonySpec), name: &str) -> Observed<NamespaceState> {
        if !self.watched.is_empty() && !self.watched.iter().any(|watched| watched == name) {
            return Observed::Known(NamespaceState::NotWatched);
        }
        let api = Api::<Namespace>::all(self.client.clone());
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Err(error) => Observed::Unknown(error.explain(&format!("get Namespace {name}"))),
            Ok(None) => Observed::Known(NamespaceState::NotFound),
            Ok(Some(found)) if spec.allowed_namespaces.admit(found.labels()) => {
                let inbound = (colony, &spec.inbound);
                let access = ColonyAccess::of(inbound, name, found.labels(), &self.operator_namespace);
                Observed::Known(match access {
                    ColonyAccess::Granted(trust) => NamespaceState::Admitted(trust),
                    ColonyAccess::Refused(why) => NamespaceState::NotReached(why),
                })
            }
            Ok(Some(_)) => Observed::Known(NamespaceState::NotAllowed),
        }
    }

    /// The objects that may be asked about and can be read.
    fn objects<'a>(
        &self,
        about: About<'_>,
        namespaces: &(impl Iterator<Item = &'a str> + Clone),
    ) -> InboundObjects {
        let found = self.objects.iter().flat_map(|(index, _)| {
            let named = |name: &str| {
                let references = namespaces.clone().map(|namespace| ObjectRef::new(name).within(namespace));
                references.filter_map(|object| index.store().get(&object)).collect::<Vec<_>>()
            };
            match about {
                About::Object { name, process } => {
                    [index.get(&IndexKey::BornOf(process.to_owned())), named(name)].concat()
                }
                About::Blueprint(name) => {
                    [index.get(&IndexKey::Blueprint(name.to_owned())), named(name)].concat()
                }
                About::All => index.store().state(),
            }
        });
        InboundObjects::new(found)
    }
}
