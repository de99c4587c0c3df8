//! When objects that could not be stored in another version are tried again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::diff::definition::Migration;

/// How soon objects that could not be written are tried again at the earliest. A change of their status wakes the
/// definition.
const PATIENCE: Duration = Duration::from_secs(3);

/// When objects that could not be written were last tried again, by the name of their definition.
#[derive(Default)]
pub(super) struct Migrations(Mutex<HashMap<String, Instant>>);

impl Migrations {
    /// Whether it is time to try them again.
    pub(super) fn may_retry(&self, name: &str, now: Instant) -> bool {
        let tried = self.0.lock();
        tried.get(name).is_none_or(|tried| now.saturating_duration_since(*tried) >= PATIENCE)
    }

    /// Notes what a pass planned.
    pub(super) fn note(&self, name: &str, planned: &Migration, now: Instant) {
        let mut tried = self.0.lock();
        match planned {
            Migration::Rewrite(rewrite) if rewrite.part.is_none() => {
                tried.insert(name.to_owned(), now);
            }
            Migration::Wait => {}
            _ => {
                tried.remove(name);
            }
        }
    }
}
