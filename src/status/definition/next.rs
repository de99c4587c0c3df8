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
        || lacks_what_nothing_tells_of(snapshot)
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

/// Whether a right, a policy or a kind of the parts is missing or unread: no watch says when it comes.
fn lacks_what_nothing_tells_of(snapshot: &DefinitionSnapshot) -> bool {
    let composes = &snapshot.composes;
    !snapshot.missing_rights.known().is_some_and(Vec::is_empty)
        || !snapshot.missing_policies.known().is_some_and(Vec::is_empty)
        || composes.trouble.is_some()
        || !composes.unserved.is_empty()
        || !composes.missing.is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        act::outcome::Outcome,
        api::resource_definition::{ObjectKind, ResourceName},
        diff::definition::DefinitionPlan,
        snapshot::Observed,
        status::definition::tests::snapshot,
    };

    fn looks_again(change: impl Fn(&mut DefinitionSnapshot)) -> Look {
        let mut snapshot = snapshot();
        change(&mut snapshot);
        next(&snapshot, None, Ok((&DefinitionPlan::default(), &Outcome::default())))
    }

    #[test]
    fn what_is_missing_and_cannot_be_watched_is_looked_for_soon() {
        type Change = fn(&mut DefinitionSnapshot);
        assert_eq!(looks_again(|_| {}), Look::About(RESYNC));
        let cases: [(&str, Change); 7] = [
            ("a right", |it| it.missing_rights = Observed::Known(vec!["patch models".to_owned()])),
            ("unread rights", |it| it.missing_rights = Observed::Unknown("away".to_owned())),
            ("a policy", |it| it.missing_policies = Observed::Known(vec!["release-status".to_owned()])),
            ("unread policies", |it| it.missing_policies = Observed::Unknown("away".to_owned())),
            ("unread kinds of parts", |it| it.composes.trouble = Some("away".to_owned())),
            ("a kind of its parts", |it| {
                it.composes.unserved.insert(ObjectKind::new("example.com/v1", "Part"));
            }),
            ("a right over parts", |it| {
                let parts = ResourceName { group: "example.com".to_owned(), resource: "parts".to_owned() };
                it.composes.missing.insert(parts);
            }),
        ];
        for (what, change) in cases {
            assert_eq!(looks_again(change), Look::About(LOOK_UP), "{what}");
        }
    }
}
