//! When a definition is looked at again: the migration of a kind's objects to another stored version is a part of each pass,
//! repeated until there is nothing left. Pure.

use std::time::Duration;

use super::Pass;
use crate::{
    api::{condition::Reason, resource_definition::ResourceDefinitionStatus},
    diff::definition::{InColony, Migration},
    snapshot::DefinitionSnapshot,
    status::look::{LOOK_UP, Look, RESYNC},
};

/// How soon the next part of a migration follows.
const NEXT_PART: Duration = Duration::from_millis(20);
/// How often objects are tried again that could not be written; a change of an instance comes first.
const RETRY: Duration = Duration::from_mins(1);

/// When to look again after a pass.
#[must_use]
pub fn next(
    snapshot: &DefinitionSnapshot,
    status: Option<&ResourceDefinitionStatus>,
    pass: Pass<'_>,
) -> Look {
    let usual = usually(snapshot, pass);
    let migrating = match (pass, status) {
        (Ok((findings, _)), Some(status)) => next_part_in(snapshot, &findings.migration, status),
        _ => None,
    };
    match (usual, migrating) {
        (Look::About(usual), Some(Look::About(delay) | Look::After(delay))) if usual <= delay => {
            Look::About(usual)
        }
        (usual, migrating) => migrating.unwrap_or(usual),
    }
}

/// When to look again at a definition, if nothing of it is to be stored in another version.
fn usually(snapshot: &DefinitionSnapshot, pass: Pass<'_>) -> Look {
    let Ok((findings, outcome)) = pass else { return Look::About(LOOK_UP) };
    let is_untold = findings.problem.is_some()
        || !snapshot.missing_rights.known().is_some_and(Vec::is_empty)
        // The instances of others, and definitions in a colony, change without a word.
        || matches!(findings.in_colony, InColony::Unknown(_) | InColony::Foreign(_));
    let is_leaving = snapshot.object.metadata.deletion_timestamp.is_some();
    match &findings.held {
        _ if is_untold => Look::About(LOOK_UP),
        // Changes of instances wake the definition; there are no events for the data read here.
        Some(held) if held.reason == Reason::ReadFailed => Look::Backoff,
        Some(_) => Look::About(LOOK_UP),
        None if outcome.plan.awaiting.is_empty() => Look::About(RESYNC),
        None if is_leaving => Look::About(LOOK_UP),
        // Names that another kind has may never be accepted.
        None => Look::Backoff,
    }
}

/// When the next part of the migration follows; none if nothing is left.
fn next_part_in(
    snapshot: &DefinitionSnapshot,
    migration: &Migration,
    status: &ResourceDefinitionStatus,
) -> Option<Look> {
    let recorded = status.storage_migration.as_ref();
    let retries = recorded.is_some_and(|recorded| recorded.listed && !recorded.failures.is_empty());
    match migration {
        Migration::Nothing => None,
        Migration::OutOfReach(_) | Migration::Unread(_) => Some(Look::About(LOOK_UP)),
        _ if retries => Some(Look::About(RETRY)),
        Migration::Wait => {
            let settling = recorded.and_then(|recorded| recorded.settles_in(snapshot.now));
            Some(Look::After(settling.unwrap_or(NEXT_PART)))
        }
        Migration::Rewrite(_) | Migration::Conclude(_) => Some(Look::After(NEXT_PART)),
    }
}
