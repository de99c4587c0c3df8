//! The migration of a kind's objects to another stored version is a part of each pass over its definition, repeated until there
//! is nothing left: when the next part follows.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::engine::{pass::LOOK_UP, retry::jitter};
use crate::{
    api::resource_definition::ResourceDefinitionStatus, diff::definition::Migration,
    snapshot::DefinitionSnapshot,
};

/// How soon the next part follows.
const NEXT_PART: Duration = Duration::from_millis(20);
/// How soon objects that could not be written are tried again at the earliest. A change of their status wakes the
/// definition.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are tried again; a change of an instance comes first.
const RETRY: Duration = Duration::from_mins(1);

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

/// When the next part follows; none if nothing is left.
pub(super) fn next_part_in(
    snapshot: &DefinitionSnapshot,
    migration: &Migration,
    status: &ResourceDefinitionStatus,
) -> Option<Duration> {
    let recorded = status.storage_migration.as_ref();
    let retries = recorded.is_some_and(|recorded| recorded.listed && !recorded.failures.is_empty());
    match migration {
        Migration::Nothing => None,
        Migration::OutOfReach(_) | Migration::Unread(_) => Some(jitter(LOOK_UP)),
        _ if retries => Some(jitter(RETRY)),
        Migration::Wait => {
            let settling = recorded.and_then(|recorded| recorded.settles_in(snapshot.now));
            Some(settling.unwrap_or(NEXT_PART))
        }
        Migration::Rewrite(_) | Migration::Conclude(_) => Some(NEXT_PART),
    }
}
