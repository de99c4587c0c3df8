//! What one pass knows of a `ColonyCron` and of its runs.

use jiff::Timestamp;

use crate::api::{
    colony_cron::{ColonyCron, RunKind},
    work::WorkState,
};

/// What one pass knows of a `ColonyCron`.
#[derive(Clone, Debug)]
pub struct ColonyCronSnapshot {
    /// The object as applied, with the status that was last written.
    pub object: ColonyCron,
    /// Its runs, oldest first.
    pub runs: Vec<CronRun>,
    /// Objects of others in its namespace whose names look like those of its runs.
    pub strangers: Vec<(RunKind, String)>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

/// A run of a `ColonyCron`, whatever its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronRun {
    pub kind: RunKind,
    /// Name of the object.
    pub name: String,
    pub uid: String,
    /// The time that it is for, in minutes since 1970.
    pub minute: i64,
    /// Where it stands, as far as that is known.
    pub state: Option<WorkState>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it is being deleted.
    pub is_deleted: bool,
}

impl CronRun {
    /// Whether the state is final.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.state.is_some_and(WorkState::is_final)
    }
}
