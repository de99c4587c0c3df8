//! What is to be done for a `ColonyCron`: which run is created now, which are deleted. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{KubernetesStep, Plan, Problem, Removal, Step};
use crate::{
    api::{
        colony_cron::{ConcurrencyPolicy, RunKind},
        condition::Reason,
        work::WorkState,
    },
    desired::{
        colony_cron::{build, schedule},
        schedule::{COUNTED, Schedule},
    },
    kinds::SpecError,
    snapshot::{ColonyCronSnapshot, CronRun},
};

/// How far ahead of the own clock that of another operator may have been.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

/// The plan and the status to report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CronPlan {
    /// The writes.
    pub plan: Plan,
    /// What stands in the way of the run that is due.
    pub obstacle: Option<CronObstacle>,
    /// The latest run that was not created within `startingDeadlineSeconds`.
    pub too_late: Option<Timestamp>,
    /// More runs than can be counted were missed; the latest of them.
    pub uncounted: Option<Timestamp>,
    /// When the next run is due.
    pub next: Option<Timestamp>,
    /// Why runs cannot be created, if they cannot; old ones are deleted all the same.
    pub problem: Option<Problem>,
}

/// What stands in the way of a run that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CronObstacle {
    /// `Forbid`: runs have not finished.
    Active {
        /// The time of the run that is due.
        time: Timestamp,
        /// Those that have not finished.
        names: Vec<String>,
    },
    /// `Replace`: runs are not gone yet.
    Leaving {
        /// Those that are not gone.
        names: Vec<String>,
    },
    /// An object of another owner has its name.
    Stranger { kind: RunKind, name: String },
}

/// Stage 3. A schedule that cannot be followed does not keep old runs from being deleted.
#[must_use]
pub fn plan_desired(snapshot: &ColonyCronSnapshot, desired: &Result<Schedule, Problem>) -> CronPlan {
    let mut plan = plan(snapshot, desired.as_ref().ok()).unwrap_or_else(|error| CronPlan {
        problem: Some(Problem { reason: Reason::InvalidSpec, message: error.to_string() }),
        ..CronPlan::default()
    });
    if let Err(problem) = desired {
        plan.problem.get_or_insert_with(|| problem.clone());
    }
    plan
}

/// Stages 2 and 3.
#[must_use]
pub fn decide(snapshot: &ColonyCronSnapshot) -> CronPlan {
    plan_desired(snapshot, &schedule(snapshot))
}

/// Makes the plan. Without a schedule that can be followed, nothing is created.
///
/// # Errors
///
/// When there is nothing to create.
pub fn plan(snapshot: &ColonyCronSnapshot, schedule: Option<&Schedule>) -> Result<CronPlan, SpecError> {
    let mut plan = CronPlan::default();
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return Ok(plan);
    }
    if let Some(schedule) = schedule.filter(|_| !snapshot.object.spec.suspend) {
        plan.next = schedule.next_after(snapshot.now);
        start(snapshot, schedule, &mut plan)?;
    }
    let spec = &snapshot.object.spec;
    let (succeeded, failed): (Vec<_>, Vec<_>) = snapshot
        .runs
        .iter()
        .filter(|run| run.is_finished() && !run.is_deleted)
        .partition(|run| run.state == Some(WorkState::Succeeded));
    for (runs, limit) in [(succeeded, spec.successful_history_limit), (failed, spec.failed_history_limit)] {
        let surplus = runs.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
        plan.plan.steps.extend(runs.into_iter().take(surplus).map(|run| delete(run, Removal::History)));
    }
    Ok(plan)
}

/// The time of the last run that is known to have been created: the one on record, or that of a run which was created
/// right before a crash kept it from being recorded.
#[must_use]
pub fn last_schedule(snapshot: &ColonyCronSnapshot) -> Option<Timestamp> {
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
    let times =
        snapshot.runs.iter().filter_map(|run| Timestamp::from_second(run.minute.checked_mul(60)?).ok());
    // A name that speaks of the future was not given by this operator, and must not hold it up.
    let made = times.filter(|time| *time <= snapshot.now).max();
    let recorded = recorded.map(|time| if is_ahead(time.0, snapshot) { snapshot.now } else { time.0 });
    recorded.max(made)
}

/// The last run on record, if a wrong clock has put it into the future: runs go on from now.
#[must_use]
pub fn recorded_ahead(snapshot: &ColonyCronSnapshot) -> Option<Timestamp> {
    let recorded = snapshot.object.status.as_ref()?.last_schedule_time.as_ref()?.0;
    is_ahead(recorded, snapshot).then_some(recorded)
}

fn is_ahead(recorded: Timestamp, snapshot: &ColonyCronSnapshot) -> bool {
    recorded.duration_since(snapshot.now) > AHEAD
}

/// Looks whether a run is due, and what follows.
fn start(snapshot: &ColonyCronSnapshot, schedule: &Schedule, plan: &mut CronPlan) -> Result<(), SpecError> {
    let (object, now) = (&snapshot.object, snapshot.now);
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let Some(since) = last_schedule(snapshot).or(created) else {
        return Err(SpecError::Incomplete("metadata.creationTimestamp"));
    };
    let deadline = object.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    let earliest = deadline.and_then(|deadline| now.checked_sub(deadline).ok());
    let Some(missed) = schedule.missed(earliest.map_or(since, |earliest| earliest.max(since)), now) else {
        plan.too_late = earliest.and_then(|_| schedule.missed(since, now)).map(|missed| missed.latest);
        return Ok(());
    };
    let time = missed.latest;
    plan.uncounted = (missed.count > COUNTED).then_some(time);
    let run = build(object, time)?;
    let is_taken = |(kind, name): &&(RunKind, String)| *kind == run.kind() && name.as_str() == run.name();
    if let Some((kind, name)) = snapshot.strangers.iter().find(is_taken).cloned() {
        plan.obstacle = Some(CronObstacle::Stranger { kind, name });
        return Ok(());
    }
    let active: Vec<&CronRun> = snapshot.runs.iter().filter(|run| !run.is_finished()).collect();
    let names = || active.iter().map(|run| run.name.clone()).collect();
    match object.spec.concurrency_policy {
        ConcurrencyPolicy::Forbid if !active.is_empty() => {
            plan.obstacle = Some(CronObstacle::Active { time, names: names() });
        }
        ConcurrencyPolicy::Replace if !active.is_empty() => {
            plan.obstacle = Some(CronObstacle::Leaving { names: names() });
            let left = active.iter().filter(|run| !run.is_deleted);
            plan.plan.steps.extend(left.map(|run| delete(run, Removal::Replaced)));
        }
        _ => plan.plan.steps.push(Step::Kubernetes(KubernetesStep::CreateRun { time, run })),
    }
    Ok(())
}

fn delete(run: &CronRun, why: Removal) -> Step {
    let (kind, name, uid) = (run.kind, run.name.clone(), run.uid.clone());
    Step::Kubernetes(KubernetesStep::DeleteRun { kind, name, uid, why })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{colony_cron::ColonyCron, names::cron_run};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// An hourly cron that was created at 10:30 on some day.
    fn snapshot(spec: &Value, now: &str) -> ColonyCronSnapshot {
        let mut whole = json!({
            "schedule": "0 * * * *",
            "processTemplate": { "spec": { "function": "f", "conditions": { "executorType": "t" } } },
        });
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let object: ColonyCron = serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyCron",
            "metadata": { "name": "c", "namespace": "n", "uid": "u", "creationTimestamp": "2026-11-24T10:30:00Z" },
            "spec": whole,
        }))
        .unwrap();
        ColonyCronSnapshot { object, runs: Vec::new(), strangers: Vec::new(), now: at(now) }
    }

    fn minute(time: &str) -> i64 {
        at(time).as_second() / 60
    }

    fn run(time: &str, state: Option<WorkState>) -> CronRun {
        let minute = minute(time);
        CronRun {
            kind: RunKind::Process,
            name: cron_run("c", minute),
            uid: format!("u-{minute}"),
            minute,
            state,
            ended_at: None,
            is_deleted: false,
        }
    }

    fn planned(snapshot: &ColonyCronSnapshot) -> CronPlan {
        let spec = &snapshot.object.spec;
        let schedule = Schedule::parse(&spec.schedule, spec.time_zone.as_deref()).unwrap();
        plan(snapshot, Some(&schedule)).unwrap()
    }

    fn steps(snapshot: &ColonyCronSnapshot) -> Vec<String> {
        planned(snapshot)
            .plan
            .steps
            .iter()
            .map(|step| step.to_string().trim_start_matches("kubernetes").trim_start().to_owned())
            .collect()
    }

    fn creates(time: &str) -> String {
        format!("create ColonyProcess {} for {time}", cron_run("c", minute(time)))
    }

    fn record(snapshot: &mut ColonyCronSnapshot, last: &str) {
        let status = json!({ "lastScheduleTime": last });
        snapshot.object.status = Some(serde_json::from_value(status).unwrap());
    }

    #[test]
    fn one_run_is_created_for_each_time_and_only_the_latest_is_made_up_for() {
        let before = planned(&snapshot(&json!({}), "2026-11-24T10:59:59Z"));
        assert_eq!(before.plan.steps, []);
        assert_eq!(before.next, Some(at("2026-11-24T11:00:00Z")));
        let mut snapshot = snapshot(&json!({}), "2026-11-24T14:10:00Z");
        assert_eq!(steps(&snapshot), [creates("2026-11-24T14:00:00Z")]);
        record(&mut snapshot, "2026-11-24T14:00:00Z");
        assert_eq!(steps(&snapshot), [] as [&str; 0], "also if it was deleted since");
    }

    /// A crash between the creation and the record of it must neither double nor, with the policies, end the run.
    #[test]
    fn a_run_that_is_there_counts_as_created_although_it_is_not_on_record() {
        for policy in ["Allow", "Forbid", "Replace"] {
            let mut snapshot = snapshot(&json!({ "concurrencyPolicy": policy }), "2026-11-24T14:10:00Z");
            snapshot.runs = vec![run("2026-11-24T14:00:00Z", None)];
            assert_eq!(steps(&snapshot), [] as [&str; 0], "{policy}");
            assert_eq!(last_schedule(&snapshot), Some(at("2026-11-24T14:00:00Z")));
            snapshot.runs.push(run("2036-01-01T00:00:00Z", Some(WorkState::Succeeded)));
            assert_eq!(last_schedule(&snapshot), Some(at("2026-11-24T14:00:00Z")), "a made-up name");
        }
    }

    #[test]
    fn forbid_waits_and_replace_deletes_first() {
        let active = || run("2026-11-24T13:00:00Z", Some(WorkState::Running));
        let now = "2026-11-24T14:10:00Z";
        let mut allow = snapshot(&json!({}), now);
        allow.runs = vec![active()];
        assert_eq!(steps(&allow), [creates("2026-11-24T14:00:00Z")]);

        let mut forbid = snapshot(&json!({ "concurrencyPolicy": "Forbid" }), now);
        forbid.runs = vec![active()];
        let plan = planned(&forbid);
        assert_eq!(plan.plan.steps, []);
        let (time, names) = (at("2026-11-24T14:00:00Z"), vec![active().name]);
        assert_eq!(plan.obstacle, Some(CronObstacle::Active { time, names: names.clone() }));
        forbid.runs[0].state = Some(WorkState::Failed);
        assert_eq!(steps(&forbid), [creates("2026-11-24T14:00:00Z")]);
        // Whether an unreadable run has finished is unknown.
        forbid.runs[0].state = None;
        assert_eq!(steps(&forbid), [] as [&str; 0]);

        let mut replace = snapshot(&json!({ "concurrencyPolicy": "Replace" }), now);
        replace.runs = vec![active()];
        let deleted = format!("delete ColonyProcess {}: replaced by a later run", active().name);
        assert_eq!(steps(&replace), [deleted]);
        replace.runs[0].is_deleted = true;
        let plan = planned(&replace);
        assert_eq!((plan.plan.steps, plan.obstacle), (vec![], Some(CronObstacle::Leaving { names })));
        replace.runs.clear();
        assert_eq!(steps(&replace), [creates("2026-11-24T14:00:00Z")]);
    }

    #[test]
    fn what_is_later_than_the_deadline_is_left_out_and_told() {
        let spec = json!({ "startingDeadlineSeconds": 600 });
        assert_eq!(steps(&snapshot(&spec, "2026-11-24T14:09:00Z")), [creates("2026-11-24T14:00:00Z")]);
        let late = planned(&snapshot(&spec, "2026-11-24T14:10:01Z"));
        assert_eq!((late.plan.steps, late.too_late), (vec![], Some(at("2026-11-24T14:00:00Z"))));
        let mut done = snapshot(&spec, "2026-11-24T14:10:01Z");
        record(&mut done, "2026-11-24T14:00:00Z");
        assert_eq!(planned(&done).too_late, None);
    }

    #[test]
    fn more_than_a_hundred_missed_runs_are_told() {
        let spec = json!({ "schedule": "* * * * *" });
        let plan = planned(&snapshot(&spec, "2026-11-24T12:10:30Z"));
        assert_eq!(plan.uncounted, None, "exactly a hundred");
        let plan = planned(&snapshot(&spec, "2026-11-24T12:11:30Z"));
        assert_eq!(plan.uncounted, Some(at("2026-11-24T12:11:00Z")));
        assert_eq!(plan.plan.steps.len(), 1);
    }

    #[test]
    fn a_name_that_somebody_else_has_is_left_alone() {
        let mut snapshot = snapshot(&json!({}), "2026-11-24T14:10:00Z");
        let name = cron_run("c", minute("2026-11-24T14:00:00Z"));
        snapshot.strangers = vec![(RunKind::Workflow, name.clone())];
        assert_eq!(steps(&snapshot), [creates("2026-11-24T14:00:00Z")], "names of another kind are others");
        snapshot.strangers = vec![(RunKind::Process, name.clone())];
        let plan = planned(&snapshot);
        let stranger = CronObstacle::Stranger { kind: RunKind::Process, name };
        assert_eq!((plan.plan.steps, plan.obstacle), (vec![], Some(stranger)));
    }

    /// The oldest go; what runs, and what is going already, is neither counted nor deleted.
    #[test]
    fn the_history_keeps_the_latest_of_each_kind() {
        let mut snapshot =
            snapshot(&json!({ "successfulHistoryLimit": 1, "suspend": true }), "2026-11-24T20:10:00Z");
        snapshot.runs = vec![
            run("2026-11-24T11:00:00Z", Some(WorkState::Running)),
            run("2026-11-24T12:00:00Z", Some(WorkState::Succeeded)),
            run("2026-11-24T13:00:00Z", Some(WorkState::Failed)),
            run("2026-11-24T14:00:00Z", Some(WorkState::Succeeded)),
            run("2026-11-24T15:00:00Z", Some(WorkState::Cancelled)),
            run("2026-11-24T16:00:00Z", Some(WorkState::Succeeded)),
        ];
        snapshot.runs[3].is_deleted = true;
        let deleted = |index: usize| {
            format!("delete ColonyProcess {}: older than the history that is kept", snapshot.runs[index].name)
        };
        assert_eq!(steps(&snapshot), [deleted(1), deleted(2)], "also while it is suspended");
        let plan = plan(&snapshot, None).unwrap();
        assert_eq!(
            (plan.plan.steps.len(), plan.next),
            (2, None),
            "and while the schedule cannot be followed"
        );
    }

    #[test]
    fn nothing_is_created_for_what_is_suspended_or_deleted() {
        let mut snapshot = snapshot(&json!({ "suspend": true }), "2026-11-24T14:10:00Z");
        assert_eq!(planned(&snapshot), CronPlan::default());
        snapshot.object.spec.suspend = false;
        snapshot.object.metadata.deletion_timestamp = snapshot.object.metadata.creation_timestamp.clone();
        assert_eq!(planned(&snapshot), CronPlan::default());
    }
}
