//! What is to be done for a `ColonyCron`: which run is created now, which are deleted. Pure.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{colony_cron::ConcurrencyPolicy, colony_process::ColonyProcess, names::cron_run, work::WorkState},
    desired::{Error, colony_cron::build, schedule::Schedule},
    watch::snapshot::{ColonyCronSnapshot, CronRun},
};

/// A write.
#[derive(Clone, Debug, PartialEq)]
pub enum CronStep {
    /// Create a run.
    Create {
        /// The time that it is for.
        time: Timestamp,
        /// The run.
        run: Box<ColonyProcess>,
    },
    /// Delete a run.
    Delete {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
        /// Why.
        why: Removal,
    },
}

/// Why a run is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Another takes its place.
    Replaced,
    /// More are kept than the history may hold.
    History,
}

/// What to do, and what there is to say of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CronPlan {
    /// The writes, in order.
    pub steps: Vec<CronStep>,
    /// What stands in the way of the run that is due.
    pub obstacle: Option<CronObstacle>,
    /// The latest run that was not created within `startingDeadlineSeconds`.
    pub too_late: Option<Timestamp>,
    /// More runs than can be counted were missed; the latest of them.
    pub uncounted: Option<Timestamp>,
    /// When the next run is due.
    pub next: Option<Timestamp>,
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
    /// Somebody else's object has its name.
    Stranger {
        /// The name.
        name: String,
    },
}

/// Makes the plan. Without a schedule that can be followed, nothing is created.
///
/// # Errors
///
/// When there is nothing to create.
pub fn plan(snapshot: &ColonyCronSnapshot, schedule: Option<&Schedule>) -> Result<CronPlan, Error> {
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
        plan.steps.extend(runs.into_iter().take(surplus).map(|run| delete(run, Removal::History)));
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
    recorded.map(|time| time.0).max(made)
}

/// Looks whether a run is due, and what follows.
fn start(snapshot: &ColonyCronSnapshot, schedule: &Schedule, plan: &mut CronPlan) -> Result<(), Error> {
    let (object, now) = (&snapshot.object, snapshot.now);
    let created = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let Some(since) = last_schedule(snapshot).or(created) else {
        return Err(Error::Incomplete("metadata.creationTimestamp"));
    };
    let deadline = object.spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    let earliest = deadline.and_then(|deadline| now.checked_sub(deadline).ok());
    let Some(missed) = schedule.missed(earliest.map_or(since, |earliest| earliest.max(since)), now) else {
        plan.too_late = earliest.and_then(|_| schedule.missed(since, now)).map(|missed| missed.latest);
        return Ok(());
    };
    let time = missed.latest;
    plan.uncounted = (missed.count > crate::desired::schedule::COUNTED).then_some(time);
    let name = cron_run(object.metadata.name.as_deref().unwrap_or_default(), time.as_second().div_euclid(60));
    if snapshot.strangers.contains(&name) {
        plan.obstacle = Some(CronObstacle::Stranger { name });
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
            plan.steps.extend(left.map(|run| delete(run, Removal::Replaced)));
        }
        _ => plan.steps.push(CronStep::Create { time, run: Box::new(build(object, time)?) }),
    }
    Ok(())
}

fn delete(run: &CronRun, why: Removal) -> CronStep {
    CronStep::Delete { name: run.name.clone(), uid: run.uid.clone(), why }
}

impl fmt::Display for CronStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { time, run } => {
                let name = run.metadata.name.as_deref().unwrap_or_default();
                write!(f, "create ColonyProcess {name} for {time}")
            }
            Self::Delete { name, why, .. } => {
                let why = match why {
                    Removal::Replaced => "replaced by a later run",
                    Removal::History => "older than the history that is kept",
                };
                write!(f, "delete ColonyProcess {name}: {why}")
            }
        }
    }
}
