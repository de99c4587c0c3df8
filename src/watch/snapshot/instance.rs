//! What one pass knows of an instance of a defined kind and of all that it depends on.

use jiff::Timestamp;

use super::{ColonyReference, Observed};
use crate::{
    api::instance::{Instance, InstanceKind},
    colony::model::Process,
};

/// What one pass knows of an instance.
#[derive(Clone, Debug)]
pub struct InstanceSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: Instance,
    /// Its kind, and by what its instances are carried out.
    pub kind: InstanceKind,
    /// UID of this cluster's `kube-system` namespace: part of every process label.
    pub cluster: String,
    /// The colony in which it is carried out.
    pub colony: ColonyReference,
    /// Its process: by its id when bound, else everything that has its label, oldest first.
    pub processes: Observed<Vec<Process>>,
    /// The last line of the log of the process that is on record; empty if there is none. None while it is not known.
    pub last_line: Option<String>,
    /// Before this moment nothing may be submitted, since an earlier submit could still arrive.
    pub submit_not_before: Option<Timestamp>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}
