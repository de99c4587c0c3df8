//! The migration of a kind's objects to another stored version: a part of each pass over its definition, which plans it,
//! carries it out, and is repeated until there is nothing left.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use kube::ResourceExt as _;
use parking_lot::Mutex;

use super::engine::{context::Machinery, retry::jitter};
use crate::{
    act::{migration::migrate, outcome::MigrationOutcome},
    api::resource_definition::ResourceDefinitionStatus,
    diff::definition::{Migration, plan_migration},
    snapshot::DefinitionSnapshot,
};

/// How soon the next part follows.
const NEXT_PART: Duration = Duration::from_millis(20);
/// How soon objects that could not be written are tried again at the earliest. What status says of them wakes the definition.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often they are tried again; a change of an instance comes first.
const RETRY: Duration = Duration::from_mins(1);
/// How often it is looked whether what kept objects from being listed is over.
const LOOK_UP: Duration = Duration::from_secs(10);

/// When objects that could not be written were last tried again, by the name of their definition.
#[derive(Default)]
pub(super) struct Migrations(Mutex<HashMap<String, Instant>>);

impl Migrations {
    /// Carries out the next part.
    pub(super) async fn go_on(
        &self,
        snapshot: &DefinitionSnapshot,
        machinery: &Machinery,
    ) -> (Migration, MigrationOutcome) {
        let name = snapshot.object.name_any();
        let planned = match plan_migration(snapshot) {
            Migration::Rewrite(rewrite) if rewrite.part.is_none() => {
                if self.may_retry(&name, machinery.clock.instant()) {
                    Migration::Rewrite(rewrite)
                } else {
                    Migration::Wait
                }
            }
            planned => {
                self.lock().remove(&name);
                planned
            }
        };
        let outcome = migrate(&planned, &machinery.to_cluster, &machinery.leadership).await;
        (planned, outcome)
    }

    /// Whether it is time to try again; if so, this is the last time that it was.
    fn may_retry(&self, name: &str, now: Instant) -> bool {
        let mut tried = self.lock();
        let is_soon = tried.get(name).is_some_and(|tried| now.saturating_duration_since(*tried) < PATIENCE);
        if !is_soon {
            tried.insert(name.to_owned(), now);
        }
        !is_soon
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock()
    }
}

/// When the next part follows; none if nothing is left.
pub(super) fn goes_on_in(
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
