//! What one pass knows of the world in which a process that was born in a colony is to be answered.

use std::collections::BTreeMap;

use super::Observed;
use crate::{
    api::{colony::ColonySpec, executor_deployment::ExecutorDeployment},
    colony::model::{Blueprint, Process},
};

/// A process that was born in a colony and given to the operator.
#[derive(Clone, Debug)]
pub struct InboundProcess {
    /// The process.
    pub process: Process,
    /// Whether an object that was made for it has been seen.
    pub was_seen: bool,
}

/// What one pass knows of the world in which such a process is to be answered.
#[derive(Clone, Debug)]
pub struct InboundSnapshot {
    /// Name of the `Colony`.
    pub colony: String,
    /// Its spec.
    pub spec: ColonySpec,
    /// The blueprints that it is about: one, or all of the kind.
    pub blueprints: Observed<Vec<Blueprint>>,
    /// All objects, whoever made them.
    pub objects: Vec<ExecutorDeployment>,
    /// Whether the namespaces of what may have to be made can be used.
    pub namespaces: BTreeMap<String, Observed<NamespaceState>>,
}

/// Whether a namespace may be used for what is born in a colony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// It may.
    Admitted,
    /// The `Colony` does not admit it.
    NotAllowed,
    /// There is none of that name.
    NotFound,
    /// The operator does not look after it.
    NotWatched,
}
