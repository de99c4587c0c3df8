//! The status of a `ColonyCron`, and the Events about it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::{
    Problem,
    condition::{Finding, merge},
    event::{Note, transitions},
};
use crate::{
    act::outcome::{CronOutcome, FailureKind},
    api::{
        colony_cron::{ColonyCronStatus, ConcurrencyPolicy},
        condition::{ConditionType, Reason},
        work::WorkState,
    },
    diff::colony_cron::{CronObstacle, CronPlan, CronStep, last_schedule},
    watch::snapshot::ColonyCronSnapshot,
};

/// What status says, and the Events that are to follow once it has been written.
#[must_use]
pub fn compute(
    snapshot: &ColonyCronSnapshot,
    plan: &CronPlan,
    problem: Option<&Problem>,
    outcome: &CronOutcome,
) -> (ColonyCronStatus, Vec<Note>) {
    let object = &snapshot.object;
    let before = object.status.clone().unwrap_or_default();
    let created = outcome.done.iter().find_map(|step| match step {
        CronStep::Create { time, run } => Some((*time, run.name_any())),
        CronStep::Delete { .. } => None,
    });
    let unfinished = snapshot.runs.iter().filter(|run| !run.is_finished()).map(|run| run.name.clone());
    let succeeded = snapshot.runs.iter().filter(|run| run.state == Some(WorkState::Succeeded));
    let well = before.last_successful_time.as_ref().map(|time| time.0);
    let generation = object.metadata.generation;
    let conditions =
        merge(&before.conditions, vec![ready(snapshot, plan, problem, outcome)], generation, snapshot.now);
    let mut notes = transitions(&before.conditions, &conditions);
    notes.extend(news(plan, created.as_ref(), before.next_schedule_time.as_ref().map(|time| time.0)));
    let status = ColonyCronStatus {
        observed_generation: generation,
        active: unfinished.chain(created.as_ref().map(|(_, name)| name.clone())).collect(),
        last_schedule_time: last_schedule(snapshot).max(created.map(|(time, _)| time)).map(Time),
        last_successful_time: succeeded.filter_map(|run| run.ended_at).max().max(well).map(Time),
        next_schedule_time: plan.next.map(Time),
        conditions,
    };
    (status, notes)
}

fn ready(
    snapshot: &ColonyCronSnapshot,
    plan: &CronPlan,
    problem: Option<&Problem>,
    outcome: &CronOutcome,
) -> Finding {
    let kind = ConditionType::Ready;
    if let Some(problem) = problem {
        return Finding::no(kind, problem.reason, problem.message.clone());
    }
    if let Some(failure) = outcome.failure.as_ref().filter(|failure| failure.kind != FailureKind::Conflict) {
        return Finding::no(kind, Reason::ApplyFailed, failure.message.clone());
    }
    let message = match &plan.obstacle {
        Some(CronObstacle::Stranger { name }) => {
            let message = format!(
                "ColonyProcess {name} exists and does not belong to this object, so the run of that name is not created: delete it, or rename this object; it is left alone"
            );
            return Finding::no(kind, Reason::ForeignObject, message);
        }
        _ if snapshot.object.spec.suspend => {
            let message = "suspended: set suspend to false to have runs created";
            return Finding::yes(kind, Reason::Suspended, message);
        }
        Some(CronObstacle::Active { time, names }) => waiting(*time, names),
        Some(CronObstacle::Leaving { names }) => {
            format!("the next run is created when {} is gone", names.join(", "))
        }
        None => "runs are created as the schedule says".to_owned(),
    };
    Finding::yes(kind, Reason::Scheduled, message)
}

fn waiting(time: Timestamp, names: &[String]) -> String {
    format!(
        "the run for {time} is not created while {} has not finished: concurrencyPolicy is {:?}",
        names.join(", "),
        ConcurrencyPolicy::Forbid
    )
}

/// What has happened since status last named the time of the next run: what was due then has been told already.
fn news(plan: &CronPlan, created: Option<&(Timestamp, String)>, promised: Option<Timestamp>) -> Vec<Note> {
    let is_news = |time: Timestamp| promised.is_none_or(|promised| promised <= time);
    let note =
        |warning, reason: Reason, message| Note { warning, reason: reason.as_str().to_owned(), message };
    let mut notes = Vec::new();
    if let Some(latest) = plan.uncounted.filter(|time| is_news(*time)) {
        let message = format!(
            "more than {} runs were missed, and only the latest, for {latest}, is made up for: lower startingDeadlineSeconds to leave out what is late, and look at the clocks of the nodes",
            crate::desired::schedule::COUNTED
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
    if let Some((time, name)) = created {
        let message = format!("created ColonyProcess {name} for {time}");
        notes.push(note(false, Reason::RunCreated, message));
    }
    notes
}
