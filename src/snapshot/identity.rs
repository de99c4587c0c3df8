//! The identity of an executor: its Secret, and what the colony knows of it.

use crate::colony::model::ExecutorState;

/// An executor's identity as it stands in its Secret, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// UID of the object that controls the Secret, or with which it goes.
    pub owner_uid: Option<String>,
    /// UID of the Secret: precondition of its deletion. None of one that was not read.
    pub uid: Option<String>,
    /// Version of the Secret: precondition of its replacement. None of one that was not read.
    pub resource_version: Option<String>,
    /// Name of the executor in the colony.
    pub executor_name: String,
    /// Id of the executor, derived from its key.
    pub executor_id: String,
    /// The executor type of its registration, if the Secret records it.
    pub executor_type: Option<String>,
    /// The location of its registration, which may be empty, if the Secret records it.
    pub location: Option<String>,
    /// Hash of the rest of the environment.
    pub content_hash: Option<String>,
}

impl Identity {
    /// Whether it was not read: status says so.
    #[must_use]
    pub const fn is_on_record_only(&self) -> bool {
        self.resource_version.is_none()
    }
}

/// What a colony knows of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It has never heard of it.
    Absent,
    /// It knows it.
    Present(ExecutorState),
}
