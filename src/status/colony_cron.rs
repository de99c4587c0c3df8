//! The status of a `ColonyCron`, and the Events about it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{
    condition::{Finding, merge},
    event::Note,
    look::{LOOK_UP, Look, RESYNC},
};
use crate::{
    act::outcome::{FailureKind, Outcome},
    api::{
        colony_cron::{ColonyCronStatus, ConcurrencyPolicy, RunKind},
        condition::{ConditionType, Reason},
        kind::Kind,
        work::WorkState,
    },
    desired::schedule::COUNTED,
    diff::{
        KubernetesStep,
        colony_cron::{CronObstacle, CronPlan, last_schedule, recorded_ahead},
    },
    snapshot::ColonyCronSnapshot,
};

/// When to look again after a pass.
#[must_use]
pub fn next(snapshot: &ColonyCronSnapshot, plan: &CronPlan) -> Look {
    let until = plan.next.and_then(|next| Duration::try_from(next.duration_since(snapshot.now)).ok());
    let usual = if matches!(plan.obstacle, Some(CronObstacle::Stranger { .. })) { LOOK_UP } else { RESYNC };
    match until {
        Some(until) if until < usual => Look::After(until),
        _ => Look::About(usual),
    }
}

/// The recorded status.
#[must_use]
pub fn compute(snapshot: &ColonyCronSnapshot, plan: &CronPlan, outcome: &Outcome) -> ColonyCronStatus {
    let object = &snapshot.object;
    let before = object.status.clone().unwrap_or_default();
    let created = created(outcome);
    let unfinished = snapshot.runs.iter().filter(|run| !run.is_finished()).map(|run| run.name.clone());
    let succeeded = snapshot.runs.iter().filter(|run| run.state == Some(WorkState::Succeeded));
    let well = before.last_successful_time.as_ref().map(|time| time.0);
    let generation = object.metadata.generation;
    let ready = ready(snapshot, plan, outcome);
    ColonyCronStatus {
        observed_generation: generation,
        active: unfinished.chain(created.as_ref().map(|(.., name)| name.clone())).collect(),
        last_schedule_time: last_schedule(snapshot).max(created.map(|(time, ..)| time)).map(Time),
        last_successful_time: succeeded.filter_map(|run| run.ended_at).max().max(well).map(Time),
        next_schedule_time: plan.next.map(Time),
        conditions: merge(&before.conditions, vec![ready], generation, snapshot.now),
    }
}

/// The Events that are to follow once status has been written, besides those of conditions that have changed.
#[must_use]
pub fn notes(snapshot: &ColonyCronSnapshot, plan: &CronPlan, outcome: &Outcome) -> Vec<Note> {
    let before = snapshot.object.status.as_ref();
    // Nothing was reported for another spec.
    let told = before.filter(|before| before.observed_generation == snapshot.object.metadata.generation);
    let promised = told.and_then(|before| before.next_schedule_time.as_ref()).map(|time| time.0);
    let mut notes = news(plan, created(outcome).as_ref(), promised);
    if let Some(recorded) = recorded_ahead(snapshot) {
        let message = format!(
            "the last run on record is for {recorded}, which is in the future: runs are created from now on; check the clocks of the nodes"
        );
        let reason = Reason::RunMissed.as_str().to_owned();
        notes.insert(0, Note { warning: true, reason, message });
    }
    notes
}

fn created(outcome: &Outcome) -> Option<(Timestamp, RunKind, String)> {
    outcome.done_kubernetes().find_map(|step| match step {
        KubernetesStep::CreateRun { time, run } => Some((*time, run.kind(), run.name().to_owned())),
        _ => None,
    })
}

fn ready(snapshot: &ColonyCronSnapshot, plan: &CronPlan, outcome: &Outcome) -> Finding {
    let ready = ConditionType::Ready;
    if let Some(problem) = &plan.problem {
        return Finding::no(ready, problem.reason, problem.message.clone());
    }
    if let Some(failure) = outcome.failure().filter(|failure| failure.kind != FailureKind::Conflict) {
        return Finding::no(ready, Reason::ApplyFailed, failure.message.clone());
    }
    let message = match &plan.obstacle {
        Some(CronObstacle::Stranger { kind, name }) => {
            let message = format!(
                "{} {name} exists and does not belong to this object, so the run of that name is not created: delete it, or rename this object; it is left unchanged",
                Kind::from(*kind).name()
            );
            return Finding::no(ready, Reason::ForeignObject, message);
        }
        _ if snapshot.object.spec.suspend => {
            let message = "suspended: set suspend to false to have runs created";
            return Finding::yes(ready, Reason::Suspended, message);
        }
        Some(CronObstacle::Active { time, names }) => waiting(*time, names),
        Some(CronObstacle::Leaving { names }) => {
            format!("the next run is created when {} is gone", names.join(", "))
        }
        None => "runs are created on schedule".to_owned(),
    };
    Finding::yes(ready, Reason::Scheduled, message)
}

fn waiting(time: Timestamp, names: &[String]) -> String {
    format!(
        "the run for {time} is not created while {} has not finished: concurrencyPolicy is {:?}",
        names.join(", "),
        ConcurrencyPolicy::Forbid
    )
}

/// What has happened since status last named the time of the next run: earlier runs were reported already.
fn news(
    plan: &CronPlan,
    created: Option<&(Timestamp, RunKind, String)>,
    promised: Option<Timestamp>,
) -> Vec<Note> {
    let is_news = |time: Timestamp| promised.is_none_or(|promised| promised <= time);
    let note =
        |warning, reason: Reason, message| Note { warning, reason: reason.as_str().to_owned(), message };
    let mut notes = Vec::new();
    if let Some(latest) = plan.uncounted.filter(|time| is_news(*time)) {
        let message = format!(
            "more than {COUNTED} runs were missed, and only the latest, for {latest}, was started: lower startingDeadlineSeconds to skip late runs, and check the clocks of the nodes",
        );
        notes.push(note(true, Reason::TooManyMissedRuns, message));
    }
    if let Some(latest) = plan.too_late.filter(|time| is_news(*time)) {
        let message =
            format!("the run for {latest} was not created within startingDeadlineSeconds and is left out");
        notes.push(note(true, Reason::RunMissed, message));
    }
    if let Some(CronObstacle::Active { time, names }) = &plan.obstacle
        && is_news(*time)
    {
        notes.push(note(false, Reason::RunActive, waiting(*time, names)));
    }
    if let Some((time, kind, name)) = created {
        let message = format!("created {} {name} for {time}", Kind::from(*kind).name());
        notes.push(note(false, Reason::RunCreated, message));
    }
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::snapshot::fixtures::at;
    use crate::{
        act::outcome::{Effect, StepResult},
        api::{colony_cron::ColonyCron, names::cron_run},
        desired::{colony_cron::build, schedule::Schedule},
        diff::{Step, colony_cron::plan},
        snapshot::CronRun,
        status::event::transitions,
    };

    fn cron(policy: &str) -> ColonyCron {
        serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron",
            "metadata": { "name": "c", "namespace": "n", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-24T10:30:00Z" },
            "spec": {
                "schedule": "0 * * * *", "concurrencyPolicy": policy,
                "processTemplate": { "spec": { "function": "f", "conditions": { "executorType": "t" } } },
            },
        }))
        .unwrap()
    }

    fn run(time: &str, state: WorkState) -> CronRun {
        let minute = at(time).as_second() / 60;
        let (name, ended_at) = (cron_run("c", minute), state.is_final().then(|| at(time)));
        CronRun {
            kind: RunKind::Process,
            name,
            uid: "r".to_owned(),
            minute,
            state: Some(state),
            ended_at,
            is_deleted: false,
        }
    }

    /// What comes of a plan each of whose steps has this result.
    fn outcome(plan: &CronPlan, result: &StepResult) -> Outcome {
        let results = vec![result.clone(); plan.plan.steps.len()];
        Outcome { plan: plan.plan.clone(), results, resource_version: None }
    }

    /// One pass of which every step succeeds: reasons of its Events, and the object with the new status.
    fn pass(object: ColonyCron, runs: Vec<CronRun>, now: &str) -> (Vec<String>, ColonyCron) {
        let snapshot = ColonyCronSnapshot { object, runs, strangers: Vec::new(), now: at(now) };
        let schedule = Schedule::parse(&snapshot.object.spec.schedule, None).unwrap();
        let plan = plan(&snapshot, Some(&schedule)).unwrap();
        let outcome = outcome(&plan, &StepResult::Done(Effect::Nothing));
        let status = compute(&snapshot, &plan, &outcome);
        let before = snapshot.object.status.as_ref().map_or(&[][..], |before| &before.conditions);
        let mut notes = transitions(before, &status.conditions);
        notes.extend(super::notes(&snapshot, &plan, &outcome));
        let mut object = snapshot.object;
        object.status = Some(status);
        (notes.into_iter().map(|note| note.reason).collect(), object)
    }

    /// A wrong clock made a run of next year, and none was made until then.
    #[test]
    fn a_last_run_in_the_future_holds_up_nothing() {
        let mut object = cron("Allow");
        let recorded = Some(Time(at("2027-11-24T12:00:00Z")));
        object.status =
            Some(ColonyCronStatus { last_schedule_time: recorded, ..ColonyCronStatus::default() });
        let (notes, object) = pass(object, Vec::new(), "2026-11-24T11:30:00Z");
        assert_eq!(notes, ["Scheduled", "RunMissed"]);
        let last = object.status.as_ref().and_then(|status| status.last_schedule_time.clone());
        assert_eq!(last, Some(Time(at("2026-11-24T11:30:00Z"))));
        let (notes, _) = pass(object, Vec::new(), "2026-11-24T12:00:01Z");
        assert_eq!(notes, ["RunCreated"]);
        // Clocks that differ a little make no run twice.
        let mut object = cron("Allow");
        let recorded = Some(Time(at("2026-11-24T12:00:00Z")));
        object.status =
            Some(ColonyCronStatus { last_schedule_time: recorded, ..ColonyCronStatus::default() });
        let (_, object) = pass(object, Vec::new(), "2026-11-24T11:59:58Z");
        assert_eq!(pass(object, Vec::new(), "2026-11-24T12:00:01Z").0, [""; 0]);
    }

    /// What is created stands in status at once, so that the pass which the run wakes has nothing to add.
    #[test]
    fn the_pass_after_a_run_was_created_writes_nothing() {
        let (notes, object) = pass(cron("Allow"), Vec::new(), "2026-11-24T11:00:01Z");
        assert_eq!(notes, ["Scheduled", "RunCreated"]);
        let status = object.status.clone().unwrap();
        assert_eq!(status.active, [cron_run("c", at("2026-11-24T11:00:00Z").as_second() / 60)]);
        assert_eq!(status.last_schedule_time, Some(Time(at("2026-11-24T11:00:00Z"))));
        assert_eq!(status.next_schedule_time, Some(Time(at("2026-11-24T12:00:00Z"))));
        let created = run("2026-11-24T11:00:00Z", WorkState::Pending);
        assert_eq!(pass(object.clone(), vec![created], "2026-11-24T11:30:00Z"), (vec![], object));
    }

    /// The same run that cannot start is checked repeatedly, and reported once.
    #[test]
    fn a_run_that_waits_is_told_once() {
        let active = || vec![run("2026-11-24T11:00:00Z", WorkState::Running)];
        let (_, object) = pass(cron("Forbid"), active(), "2026-11-24T11:30:00Z");
        let (notes, object) = pass(object, active(), "2026-11-24T12:00:01Z");
        assert_eq!(notes, ["RunActive"]);
        let message = &object.status.as_ref().unwrap().conditions[0].message;
        assert!(message.contains("the run for 2026-11-24T12:00:00Z is not created while"), "{message}");
        assert_eq!(pass(object.clone(), active(), "2026-11-24T12:10:00Z"), (vec![], object.clone()));
        let (notes, object) = pass(object, active(), "2026-11-24T13:00:01Z");
        assert_eq!(notes, ["RunActive"], "for the next time");
        let finished = vec![run("2026-11-24T11:00:00Z", WorkState::Succeeded)];
        let (notes, object) = pass(object, finished, "2026-11-24T13:20:00Z");
        assert_eq!(notes, ["RunCreated"]);
        assert_eq!(object.status.unwrap().last_successful_time, Some(Time(at("2026-11-24T11:00:00Z"))));
    }

    #[test]
    fn a_run_that_is_too_late_is_told_once() {
        let mut object = cron("Allow");
        object.spec.starting_deadline_seconds = Some(60);
        let (notes, object) = pass(object, Vec::new(), "2026-11-24T14:10:00Z");
        assert_eq!(notes, ["Scheduled", "RunMissed"]);
        assert_eq!(pass(object.clone(), Vec::new(), "2026-11-24T14:20:00Z").0, [] as [&str; 0]);
        let mut changed = object;
        changed.metadata.generation = Some(2);
        assert_eq!(pass(changed, Vec::new(), "2026-11-24T14:20:00Z").0, ["RunMissed"]);
    }

    /// A late write is not reported; what was refused is.
    #[test]
    fn what_failed_is_told() {
        let object = cron("Allow");
        let schedule = Schedule::parse(&object.spec.schedule, None).unwrap();
        let snapshot = ColonyCronSnapshot {
            object,
            runs: Vec::new(),
            strangers: Vec::new(),
            now: at("2026-11-24T11:00:01Z"),
        };
        let plan = plan(&snapshot, Some(&schedule)).unwrap();
        assert_eq!(
            plan.plan.steps,
            [Step::Kubernetes(KubernetesStep::CreateRun {
                time: at("2026-11-24T11:00:00Z"),
                run: build(&snapshot.object, at("2026-11-24T11:00:00Z")).unwrap(),
            })]
        );
        for (kind, expected) in [(FailureKind::Refused, "ApplyFailed"), (FailureKind::Conflict, "Scheduled")]
        {
            let failure = crate::act::outcome::StepFailure { kind, message: "quota".to_owned() };
            let outcome = outcome(&plan, &StepResult::Failed(failure));
            let status = compute(&snapshot, &plan, &outcome);
            assert_eq!(status.conditions[0].reason, expected);
            assert_eq!((status.active.len(), status.last_schedule_time), (0, None));
        }
    }
}
