//! The snapshot for a process that originates in a colony.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use kube::{ResourceExt as _, core::DeserializeGuard};

use super::Observed;
use crate::{
    api::{
        colony::ColonySpec,
        executor_deployment::ExecutorDeployment,
        names::{BLUEPRINT_ANNOTATION, PROCESS_ANNOTATION},
        namespace::ColonyTrust,
    },
    colony::model::{Blueprint, Process},
};

/// A process that originates in a colony and is assigned to the operator.
#[derive(Clone, Debug)]
pub struct InboundProcess {
    pub process: Process,
    /// Whether an object that was made for it has been seen.
    pub was_seen: bool,
}

/// What one pass knows of the world in which such a process is to be answered.
#[derive(Clone, Debug)]
pub struct InboundSnapshot {
    /// Name of the `Colony`.
    pub colony: String,
    pub spec: ColonySpec,
    /// The blueprints that it is about: one, or all of the kind.
    pub blueprints: Observed<Vec<Blueprint>>,
    /// The objects that it may be about, made by the operator or not.
    pub objects: InboundObjects,
    /// How many objects of this cluster originate in the colony.
    pub originated: usize,
    /// Whether the namespaces of these objects, and of what may have to be made, can be used.
    pub namespaces: BTreeMap<String, Observed<NamespaceState>>,
}

/// Objects of a cache, found by what a process asks for.
#[derive(Clone, Debug, Default)]
pub struct InboundObjects {
    by_name: HashMap<(String, String), Shared>,
    by_blueprint: HashMap<String, Vec<Shared>>,
    born_of: HashSet<String>,
}

/// An object that the cache holds, too.
type Shared = Arc<DeserializeGuard<ExecutorDeployment>>;

impl InboundObjects {
    /// Those of `objects` that can be read.
    pub fn new(objects: impl IntoIterator<Item = Shared>) -> Self {
        let mut found = Self::default();
        for shared in objects {
            let Ok(object) = &shared.0 else { continue };
            let name = (object.namespace().unwrap_or_default(), object.name_any());
            if found.by_name.contains_key(&name) {
                continue;
            }
            found.born_of.extend(object.annotations().get(PROCESS_ANNOTATION).cloned());
            if let Some(blueprint) = object.annotations().get(BLUEPRINT_ANNOTATION) {
                found.by_blueprint.entry(blueprint.clone()).or_default().push(shared.clone());
            }
            found.by_name.insert(name, shared);
        }
        found
    }

    #[must_use]
    pub fn named(&self, namespace: &str, name: &str) -> Option<&ExecutorDeployment> {
        self.by_name.get(&(namespace.to_owned(), name.to_owned()))?.0.as_ref().ok()
    }

    /// The object of a blueprint of the `Colony` of this name.
    #[must_use]
    pub fn of_blueprint(&self, colony: &str, blueprint: &str) -> Option<&ExecutorDeployment> {
        let mut objects =
            self.by_blueprint.get(blueprint)?.iter().filter_map(|shared| shared.0.as_ref().ok());
        objects.find(|object| object.spec.colony.as_deref() == Some(colony))
    }

    /// The namespaces that they are in.
    pub fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|(namespace, _)| namespace.as_str())
    }

    /// Whether one of them was made for a process.
    #[must_use]
    pub fn has_born_of(&self, process: &str) -> bool {
        self.born_of.contains(process)
    }
}

/// Whether a namespace may be used for objects that originate in a colony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// It may, within these bounds.
    Admitted(ColonyTrust),
    /// The `Colony` does not list it; why, for a person.
    NotReached(String),
    /// The `Colony` does not admit it.
    NotAllowed,
    /// There is none of that name.
    NotFound,
    /// The operator does not look after it.
    NotWatched,
}
