//! Holds back what repeats itself: writes that others undo, that admission changes, or that have no effect.

use std::time::{Duration, Instant};

use kube::core::object::HasStatus;
use serde::Serialize;
use serde_json::Value;

use crate::{
    act::outcome::{Outcome, StepResult},
    api::metadata::content_hash,
    diff::{ColonyStep, KubernetesStep, OWN_SPEC, Order, Plan, Step, Sync},
    memory::repeats::{FREE, Repeats, Write},
};

/// The object of a pass.
pub struct Subject<'a> {
    pub uid: &'a str,
    pub generation: i64,
}

impl Subject<'_> {
    /// The generation to which a write belongs: one of the own spec makes the next.
    fn of(&self, write: &Write) -> i64 {
        if write.target == OWN_SPEC { 0 } else { self.generation }
    }
}

/// Takes out of a plan what has to wait; how long the first of it waits.
pub fn hold_back(
    repeats: &Repeats,
    subject: &Subject<'_>,
    plan: &mut Plan,
    now: Instant,
) -> Option<Duration> {
    let mut soonest: Option<Duration> = None;
    let mut is_unequal = false;
    let is_strict = plan.order == Order::Strict;
    let mut steps = Vec::with_capacity(plan.steps.len());
    for step in std::mem::take(&mut plan.steps) {
        let write = write_of(&step);
        let held = write.as_ref().and_then(|write| repeats.held(subject.uid, subject.of(write), write, now));
        match held {
            None if soonest.is_some() && is_strict => {}
            None => steps.push(step),
            Some((wait, count)) => {
                soonest = Some(soonest.map_or(wait, |soonest| soonest.min(wait)));
                is_unequal |= is_of_blueprint(&step);
                if count < FREE && write.is_some_and(|write| write.deleted.is_some()) {
                    // The watch is about to show what has been deleted.
                    continue;
                }
                let what = match &step {
                    Step::Kubernetes(step) => step.to_string(),
                    Step::Colony(step) => step.to_string(),
                };
                plan.awaiting
                    .push(format!("the time to {what}, which is delayed: it has been done {count} times"));
                plan.drifted.push(format!("{what}, which was done {count} times and does not last"));
            }
        }
    }
    plan.steps = steps;
    if is_unequal {
        // Both sides differ until it is written.
        plan.sync = Sync::Unchanged;
    }
    soonest
}

/// Whether a step makes an object and its blueprint equal.
fn is_of_blueprint(step: &Step) -> bool {
    matches!(
        step,
        Step::Kubernetes(KubernetesStep::UpdateSpec { .. })
            | Step::Colony(ColonyStep::AddBlueprint(_) | ColonyStep::UpdateBlueprint { .. })
    )
}

/// Notes what was done.
pub fn note(repeats: &Repeats, subject: &Subject<'_>, outcome: &Outcome, now: Instant) {
    for (step, result) in outcome.plan.steps.iter().zip(&outcome.results) {
        if let (StepResult::Done(_), Some(write)) = (result, write_of(step)) {
            repeats.note(subject.uid, subject.of(&write), &write, now);
        }
    }
}

fn write_of(step: &Step) -> Option<Write> {
    let repetition = step.repetition()?;
    Some(Write { target: repetition.target, wish: repetition.wish, deleted: repetition.deleted })
}

/// The write of a status. One that never reads as it was written, as with a CRD of another release, would be written for ever.
pub fn of_status<K: HasStatus<Status: Clone> + Serialize + Clone>(object: &K, status: &K::Status) -> Write {
    let mut written = object.clone();
    *written.status_mut() = Some(status.clone());
    let written = serde_json::to_value(&written).unwrap_or_default();
    let wish = content_hash(written.get("status").unwrap_or(&Value::Null));
    Write { target: "status".to_owned(), wish: Some(wish), deleted: None }
}
