//! The status of the migration of a kind's objects to another storage version. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use super::super::condition::{Finding, whole_seconds};
use crate::{
    act::outcome::{Effect, Outcome, StepFailure, StepResult, not_leading},
    api::{
        condition::{ConditionType, Reason},
        resource_definition::{
            BrokenInstance, NAMED_INSTANCES, StorageMigration, stored_version, versions_left,
        },
    },
    diff::{
        KubernetesStep, Step,
        definition::{Migration, Rewrite, manual_migration},
    },
    snapshot::{DefinitionSnapshot, Observed},
};

/// Longest reason of an object in characters: ten of them stand in status.
const LONGEST_WHY: usize = 600;

/// What came of the next part of the migration of a kind's objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MigrationOutcome {
    /// How many objects are stored in the version of now.
    pub migrated: usize,
    /// Those that could not be written, and why. The others were all the same.
    pub failures: Vec<BrokenInstance>,
    /// Whether the API server has noted that all are stored in the version.
    pub is_concluded: bool,
    /// Why it was broken off: what is planned is to be done again.
    pub failure: Option<StepFailure>,
}

impl MigrationOutcome {
    /// What came of the steps of a pass that belong to the migration.
    pub fn of(outcome: &Outcome) -> Self {
        let mut migrated = Self::default();
        for (step, result) in outcome.plan.steps.iter().zip(&outcome.results) {
            match (step, result) {
                (Step::Kubernetes(KubernetesStep::ConcludeMigration(_)), StepResult::Done(_)) => {
                    migrated.is_concluded = true;
                }
                (Step::Kubernetes(KubernetesStep::Rewrite { .. }), StepResult::Done(Effect::Gone)) => {}
                (Step::Kubernetes(KubernetesStep::Rewrite { .. }), StepResult::Done(_)) => {
                    migrated.migrated += 1;
                }
                (Step::Kubernetes(KubernetesStep::Rewrite { object, .. }), StepResult::Failed(failure))
                    if step.holds_up_nothing(failure.kind) =>
                {
                    migrated.failures.push(BrokenInstance {
                        namespace: object.namespace.clone(),
                        name: object.name.clone(),
                        why: failure.message.clone(),
                    });
                }
                (
                    Step::Kubernetes(KubernetesStep::ConcludeMigration(_) | KubernetesStep::Rewrite { .. }),
                    StepResult::Failed(_) | StepResult::Skipped,
                ) => {
                    let failure = outcome.holding_failure().cloned();
                    migrated.failure = Some(failure.unwrap_or_else(not_leading));
                }
                _ => {}
            }
        }
        migrated
    }
}

/// What a pass planned and what came of it.
pub(super) type Migrated<'a> = (&'a Migration, &'a MigrationOutcome);

/// How far it is after a pass, at whose end the CRD is this one.
pub(super) fn progress(
    snapshot: &DefinitionSnapshot,
    crd: Option<&CustomResourceDefinition>,
    (plan, outcome): Migrated<'_>,
) -> Option<StorageMigration> {
    let before = snapshot.object.status.as_ref().and_then(|status| status.storage_migration.clone());
    let Some(crd) = crd else { return before };
    let version = stored_version(crd).unwrap_or_default();
    if versions_left(crd).is_empty() || outcome.is_concluded {
        return before.map(|before| completed(before, version, snapshot));
    }
    let recorded = before.clone().filter(|before| before.is_of(crd));
    match (plan, recorded) {
        (Migration::Nothing, _) => before,
        (Migration::Rewrite(rewrite), Some(recorded)) if outcome.failure.is_none() => {
            Some(advanced(recorded, rewrite, outcome))
        }
        (_, Some(recorded)) => Some(recorded),
        (_, None) => {
            let generation = crd.metadata.generation.unwrap_or_default();
            Some(StorageMigration::begin(version.to_owned(), generation, whole_seconds(snapshot.now)))
        }
    }
}

/// A completed migration, even by another client.
fn completed(before: StorageMigration, version: &str, snapshot: &DefinitionSnapshot) -> StorageMigration {
    if before.completed_at.is_some() || before.version != version {
        return before;
    }
    StorageMigration {
        failed: 0,
        remaining: 0,
        failures: Vec::new(),
        continue_token: None,
        listed: true,
        completed_at: Some(whole_seconds(snapshot.now)),
        ..before
    }
}

fn advanced(mut now: StorageMigration, rewrite: &Rewrite, outcome: &MigrationOutcome) -> StorageMigration {
    let failures = outcome.failures.iter().map(|failure| BrokenInstance {
        why: failure.why.chars().take(LONGEST_WHY).collect(),
        ..failure.clone()
    });
    if let Some(part) = &rewrite.part {
        if part.is_first {
            (now.migrated, now.failed) = (0, 0);
            now.failures.clear();
        }
        now.failed += counted(outcome.failures.len());
        now.failures.extend(failures);
        now.failures.truncate(NAMED_INSTANCES);
        now.continue_token.clone_from(&part.next);
        now.listed = part.next.is_none();
        now.remaining = if now.listed { 0 } else { part.remaining };
    } else {
        now.failed -= counted(now.failures.len()) - counted(outcome.failures.len());
        now.failures = failures.collect();
        // There are more than could be named: the next round names others.
        if now.failures.is_empty() && now.failed > 0 {
            (now.listed, now.migrated, now.failed) = (false, 0, 0);
            return now;
        }
    }
    now.migrated += counted(outcome.migrated);
    now
}

/// Whether all objects are stored in one version. A kind that never had another version has no such status.
pub(super) fn migrated(
    snapshot: &DefinitionSnapshot,
    crd: Option<&CustomResourceDefinition>,
    (plan, outcome): Migrated<'_>,
    progress: Option<&StorageMigration>,
) -> Option<Finding> {
    let kind = ConditionType::StorageMigrated;
    if matches!(snapshot.crd, Observed::Unknown(_)) {
        return said_before(snapshot);
    }
    let crd = crd?;
    let left = versions_left(crd);
    if left.is_empty() || outcome.is_concluded {
        let has_versions = crd.spec.versions.len() > 1 || progress.is_some();
        let message = format!("all objects are stored in {}", stored_version(crd)?);
        return has_versions.then(|| Finding::yes(kind, Reason::StoredInOneVersion, message));
    }
    let in_others = format!("objects may be stored in {}", left.join(", "));
    Some(match plan {
        Migration::OutOfReach(_) => Finding::no(
            kind,
            Reason::RightsMissing,
            format!("{in_others}: {}", manual_migration(snapshot, crd)),
        ),
        Migration::Unread(why) => {
            Finding::no(kind, Reason::ReadFailed, with_cause(snapshot, Reason::ReadFailed, &in_others, why))
        }
        _ => under_way(snapshot, crd, &in_others, progress, outcome),
    })
}

fn under_way(
    snapshot: &DefinitionSnapshot,
    crd: &CustomResourceDefinition,
    in_others: &str,
    progress: Option<&StorageMigration>,
    outcome: &MigrationOutcome,
) -> Finding {
    let (kind, version) = (ConditionType::StorageMigrated, stored_version(crd).unwrap_or_default());
    let progress = progress.filter(|progress| progress.is_of(crd));
    let (migrated, failed, remaining) =
        progress.map_or((0, 0, 0), |progress| (progress.migrated, progress.failed, progress.remaining));
    if let (Some(first), true) = (progress.and_then(|progress| progress.failures.first()), failed > 0) {
        let message = format!(
            "{failed} of {} objects could not be written in {version}, such as {} ({}): change them; they are retried when they change, and once a minute",
            migrated.saturating_add(failed).saturating_add(remaining),
            first.shown(),
            first.why
        );
        return Finding::no(kind, Reason::StorageMigrationFailed, message);
    }
    let mut message =
        format!("{in_others}: they are being written in {version}, {migrated} are, about {remaining} follow");
    if let Some(failure) = &outcome.failure {
        let said = format!("{message}; it is tried again");
        message = with_cause(snapshot, Reason::StorageMigrating, &said, &failure.message);
    }
    Finding::no(kind, Reason::StorageMigrating, message)
}

/// The message, with its cause. While the message stays the same, the first cause stays: servers name ports and
/// times, and what changes with every try would be a write with every try.
fn with_cause(snapshot: &DefinitionSnapshot, reason: Reason, said: &str, cause: &str) -> String {
    let before = said_before(snapshot).filter(|before| before.reason == reason).map(|before| before.message);
    let said = format!("{said}: ");
    before.filter(|before| before.starts_with(&said)).unwrap_or_else(|| format!("{said}{cause}"))
}

/// The previous status, which holds until the API server can be read.
fn said_before(snapshot: &DefinitionSnapshot) -> Option<Finding> {
    let kind = ConditionType::StorageMigrated;
    let conditions = &snapshot.object.status.as_ref()?.conditions;
    let said = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    let reasons = [
        Reason::StoredInOneVersion,
        Reason::StorageMigrating,
        Reason::StorageMigrationFailed,
        Reason::RightsMissing,
        Reason::ReadFailed,
    ];
    let reason = reasons.into_iter().find(|reason| reason.as_str() == said.reason)?;
    Some(Finding { kind, holds: Some(said.status == "True"), reason, message: said.message.clone() })
}

fn counted(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        act::outcome::FailureKind,
        api::{
            instance::{AcceptedHandler, InstanceKind},
            resource_definition::ResourceDefinition,
        },
        diff::definition::ListPart,
        kinds::definition::build,
        snapshot::StoredObjects,
        status::definition::{own_crd, tests::snapshot},
    };

    /// A kind whose objects are stored in `v1`, and may be in `v1alpha1` still.
    fn world() -> DefinitionSnapshot {
        let mut world = snapshot();
        let mut whole = serde_json::to_value(&world.object).unwrap();
        let mut old = whole["spec"]["versions"][0].clone();
        (old["name"], old["storage"]) = (json!("v1alpha1"), json!(false));
        whole["spec"]["versions"].as_array_mut().unwrap().push(old);
        world.object = serde_json::from_value::<ResourceDefinition>(whole).unwrap();
        let mut crd = build(&world.object).unwrap();
        crd.metadata.generation = Some(2);
        world.crd = Observed::Known(Some(crd));
        stored_in(&mut world, &["v1alpha1", "v1"]);
        world
    }

    fn crd(world: &mut DefinitionSnapshot) -> &mut CustomResourceDefinition {
        let Observed::Known(Some(crd)) = &mut world.crd else { panic!("no CRD") };
        crd
    }

    fn stored_in(world: &mut DefinitionSnapshot, versions: &[&str]) {
        let versions = versions.iter().map(|&name| name.to_owned()).collect();
        crd(world).status.get_or_insert_default().stored_versions = Some(versions);
    }

    /// A pass: what is recorded after it, and the condition.
    fn pass(
        world: &mut DefinitionSnapshot,
        plan: &Migration,
        outcome: &MigrationOutcome,
    ) -> (StorageMigration, Finding) {
        let now = progress(world, own_crd(world), (plan, outcome)).unwrap();
        let finding = migrated(world, own_crd(world), (plan, outcome), Some(&now)).unwrap();
        world.object.status.get_or_insert_default().storage_migration = Some(now.clone());
        (now, finding)
    }

    fn rewrite(world: &mut DefinitionSnapshot, part: Option<ListPart>) -> Migration {
        let kind = InstanceKind::of(crd(world), AcceptedHandler::default(), false).unwrap();
        Migration::Rewrite(Rewrite { kind, objects: Vec::new(), part })
    }

    fn part(is_first: bool, next: Option<&str>) -> ListPart {
        ListPart { is_first, next: next.map(str::to_owned), remaining: 7 }
    }

    fn outcome(migrated: usize, failed: &[&str]) -> MigrationOutcome {
        let failures = failed.iter().map(|name| BrokenInstance {
            namespace: Some("ml".to_owned()),
            name: (*name).to_owned(),
            why: "because".to_owned(),
        });
        MigrationOutcome { migrated, failures: failures.collect(), ..MigrationOutcome::default() }
    }

    #[test]
    fn it_is_told_from_its_beginning_to_its_end() {
        let mut world = world();
        let calm = MigrationOutcome::default();
        let (now, finding) = pass(&mut world, &Migration::Wait, &calm);
        assert_eq!((now.version.as_str(), now.crd_generation, now.listed), ("v1", 2, false));
        assert_eq!((finding.holds, finding.reason), (Some(false), Reason::StorageMigrating));
        assert_eq!(pass(&mut world, &Migration::Wait, &calm).0, now, "waiting is no news");

        let first = rewrite(&mut world, Some(part(true, Some("t"))));
        let (now, finding) = pass(&mut world, &first, &outcome(50, &[]));
        assert_eq!((now.migrated, now.remaining, now.continue_token.as_deref()), (50, 7, Some("t")));
        assert!(finding.message.contains("50 are, about 7 follow"), "{}", finding.message);
        // What was broken off is done again from where it began.
        let away = StepFailure { kind: FailureKind::Unavailable, message: "away".to_owned() };
        let broken = MigrationOutcome { failure: Some(away), ..outcome(3, &["x"]) };
        let second = rewrite(&mut world, Some(part(false, None)));
        let (same, finding) = pass(&mut world, &second, &broken);
        assert_eq!(same, now);
        assert!(finding.message.ends_with("away"), "{}", finding.message);
        let (now, _) = pass(&mut world, &second, &outcome(7, &[]));
        assert_eq!((now.migrated, now.listed, now.continue_token), (57, true, None));

        let conclusion = Migration::Conclude(Box::new(crd(&mut world).clone()));
        let concluded = MigrationOutcome { is_concluded: true, ..MigrationOutcome::default() };
        let (now, finding) = pass(&mut world, &conclusion, &concluded);
        assert!(now.completed_at.is_some() && finding.holds == Some(true), "{now:?} {finding:?}");
        stored_in(&mut world, &["v1"]);
        world.now = "2026-11-26T11:00:00Z".parse().unwrap();
        assert_eq!(pass(&mut world, &Migration::Nothing, &calm), (now, finding), "zero writes at rest");
    }

    /// A crash after the CRD was updated, and before status was written.
    #[test]
    fn what_the_api_server_knows_is_known_after_a_crash() {
        let mut world = world();
        pass(&mut world, &Migration::Wait, &MigrationOutcome::default());
        stored_in(&mut world, &["v1"]);
        let (now, finding) = pass(&mut world, &Migration::Nothing, &MigrationOutcome::default());
        assert!(now.completed_at.is_some() && finding.holds == Some(true));
    }

    #[test]
    fn those_that_fail_are_named_and_the_others_are_not_held_up() {
        let mut world = world();
        pass(&mut world, &Migration::Wait, &MigrationOutcome::default());
        let all = rewrite(&mut world, Some(part(true, None)));
        let names: Vec<String> = (0..12).map(|number| format!("odd-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (now, finding) = pass(&mut world, &all, &outcome(30, &names));
        assert_eq!((now.migrated, now.failed, now.failures.len()), (30, 12, 10));
        assert_eq!(finding.reason, Reason::StorageMigrationFailed);
        assert!(
            finding
                .message
                .starts_with("12 of 42 objects could not be written in v1, such as ml/odd-0 (because)"),
            "{}",
            finding.message
        );
        let again = rewrite(&mut world, None);
        let (now, _) = pass(&mut world, &again, &outcome(9, &["odd-3"]));
        assert_eq!((now.migrated, now.failed, now.failures.len(), now.listed), (39, 3, 1, true));
        // The named are done, others are not: the next round names them.
        let (now, _) = pass(&mut world, &again, &outcome(1, &[]));
        assert_eq!((now.migrated, now.failed, now.listed, now.continue_token), (0, 0, false, None));
    }

    #[test]
    fn what_cannot_be_done_says_what_to_do() {
        let mut world = world();
        let calm = MigrationOutcome::default();
        world.stored = StoredObjects::OutOfReach(vec!["patch things in group g.example.com".to_owned()]);
        let out_of_reach = Migration::OutOfReach(vec!["patch things in group g.example.com".to_owned()]);
        let (_, finding) = pass(&mut world, &out_of_reach, &calm);
        assert_eq!(finding.reason, Reason::RightsMissing);
        assert!(
            finding.message.contains("may not patch things") && finding.message.contains("storedVersions")
        );
        let (_, finding) = pass(&mut world, &Migration::Unread("away".to_owned()), &calm);
        assert!(finding.reason == Reason::ReadFailed && finding.message.ends_with("away"), "{finding:?}");
    }

    /// A kind that has always had one version has no such condition; an unknown one keeps its condition.
    #[test]
    fn only_kinds_with_versions_speak_of_it() {
        let calm = (&Migration::Nothing, &MigrationOutcome::default());
        assert_eq!(migrated(&snapshot(), own_crd(&snapshot()), calm, None), None);
        let mut world = world();
        stored_in(&mut world, &["v1"]);
        let finding = migrated(&world, own_crd(&world), calm, None).unwrap();
        assert_eq!((finding.holds, finding.reason), (Some(true), Reason::StoredInOneVersion));
        let before = super::super::super::condition::merge(&[], vec![finding.clone()], Some(2), world.now);
        world.object.status.get_or_insert_default().conditions = before;
        world.crd = Observed::Unknown("away".to_owned());
        assert_eq!(migrated(&world, None, calm, None), Some(finding));
    }
}
