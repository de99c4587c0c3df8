//! What one pass knows of an instance of a defined kind and of all that it depends on.

use super::{Observed, WorkHeader};
use crate::{
    api::instance::{Instance, InstanceKind},
    colony::model::{Blueprint, Process},
};

/// What one pass knows of an instance.
#[derive(Clone, Debug)]
pub struct InstanceSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: Instance,
    /// Its kind, and by what its instances are carried out.
    pub kind: InstanceKind,
    /// What all work has in common.
    pub header: WorkHeader,
    /// What there is of it in the colony as a blueprint, with handler mode `blueprint`.
    pub kept: KeptInstance,
    /// The last line of the log of the process that is on record; empty if there is none. None while it is not known.
    pub last_line: Option<String>,
}

/// What a colony has of an instance that is kept as a blueprint.
#[derive(Clone, Debug)]
pub struct KeptInstance {
    /// Whether blueprints of the kind are carried out as the definition says; none if that was not looked at yet.
    pub standing: Option<Standing>,
    /// The blueprint of its name, whoever made it.
    pub blueprint: Observed<Option<Blueprint>>,
    /// Processes under way that clean up after the blueprint, looked for once it is gone from a deleted instance.
    pub cleanups: Observed<Vec<Process>>,
}

impl Default for KeptInstance {
    fn default() -> Self {
        Self { standing: None, blueprint: Observed::Known(None), cleanups: Observed::Known(Vec::new()) }
    }
}

/// Whether blueprints of a kind are carried out as its definition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They are.
    Handled,
    /// The colony has no definition of the kind yet.
    Missing,
    /// The colony has another definition of the kind; what it says, and what to do.
    Foreign(String),
}
