//! What one pass knows of an instance of a defined kind and of all that it depends on.

use jiff::Timestamp;
use kube::Resource as _;

use super::{Observed, WorkHeader};
use crate::{
    api::{
        blueprint::is_of_instance,
        instance::{Instance, InstanceKind},
        mirror::MirrorStatus,
        names::parse_process_label,
    },
    colony::model::{Blueprint, Process},
};

/// What one pass knows of an instance.
#[derive(Clone, Debug)]
pub struct InstanceSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: Instance,
    /// Its kind, and the handler of its instances.
    pub kind: InstanceKind,
    /// What the snapshots of work share.
    pub header: WorkHeader,
    /// What there is of it in the colony as a blueprint, with handler mode `blueprint`.
    pub in_colony: ColonyInstanceState,
    /// The last line of the log of the process that is on record; empty if there is none. None while it is not known.
    pub last_line: Option<String>,
}

impl InstanceSnapshot {
    /// Whether a blueprint is that of the instance.
    #[must_use]
    pub fn owns(&self, blueprint: &Blueprint) -> bool {
        let kind = Instance::kind(&self.kind);
        is_of_instance(blueprint, &self.header.cluster, &kind, &self.object.metadata)
    }

    /// Whether what is on record was submitted before the object was restored from a backup.
    #[must_use]
    pub fn is_of_earlier(&self, recorded: &MirrorStatus) -> bool {
        let of = parse_process_label(&recorded.label);
        of.is_some_and(|(_, uid, _)| Some(uid) != self.object.metadata.uid.as_deref())
    }
}

/// What a colony has of an instance that is kept as a blueprint.
#[derive(Clone, Debug)]
pub struct ColonyInstanceState {
    /// Whether blueprints of the kind are handled as the definition declares; none if that was not looked at yet.
    pub handler_state: Option<HandlerState>,
    /// The blueprint of its name, whatever its owner.
    pub blueprint: Observed<Option<Blueprint>>,
    /// Until when an add of the blueprint may still arrive, if one may.
    pub blueprint_in_flight_until: Option<Timestamp>,
    /// Processes under way that clean up after the blueprint, looked for once it is gone from a deleted instance.
    pub cleanups: Observed<Vec<Process>>,
}

impl Default for ColonyInstanceState {
    fn default() -> Self {
        Self {
            handler_state: None,
            blueprint: Observed::Known(None),
            blueprint_in_flight_until: None,
            cleanups: Observed::Known(Vec::new()),
        }
    }
}

/// Whether blueprints of a kind are handled as its definition declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandlerState {
    Handled,
    /// The colony has no definition of the kind yet.
    Missing,
    /// The colony has another definition of the kind; its content, and the remedy.
    Foreign(String),
}
