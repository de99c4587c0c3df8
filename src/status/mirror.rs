//! The status of the mirrored process. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition::{Finding, clean, whole_seconds};
use crate::{
    act::outcome::{Effect, FailureKind, Outcome},
    api::{
        condition::{ConditionType, Reason},
        mirror::{MirrorState, MirrorStatus, UsedColony},
    },
    diff::{ColonyStep, Mirror},
    snapshot::{ColonyReference, ResolvedColony},
};

/// The record of the process after a pass.
pub(super) fn record(
    previous: Option<&MirrorStatus>,
    outcome: &Outcome,
    now: Timestamp,
) -> Option<MirrorStatus> {
    let mut mirror = match &outcome.plan.mirror {
        Mirror::Unchanged => previous.cloned(),
        Mirror::Forget => None,
        Mirror::Intend { label, generation } => Some(MirrorStatus {
            label: label.clone(),
            generation: *generation,
            process_id: None,
            state: MirrorState::Intended,
            intended_at: whole_seconds(now),
            submitted_at: None,
            errors: None,
        }),
        Mirror::Found { label, generation, process_id, state, submitted_at } => Some(MirrorStatus {
            label: label.clone(),
            generation: *generation,
            process_id: Some(process_id.clone()),
            state: *state,
            intended_at: whole_seconds(now),
            submitted_at: Some(whole_seconds(*submitted_at)),
            errors: None,
        }),
        Mirror::Observed { process_id, state, submitted_at, errors } => {
            previous.cloned().map(|mut mirror| {
                mirror.errors = errors.as_deref().map(clean);
                mirror.process_id = Some(process_id.clone());
                mirror.state = *state;
                if let Some(moment) = submitted_at {
                    mirror.submitted_at = Some(Time(*moment));
                }
                mirror
            })
        }
        Mirror::Lost => previous.cloned().map(|mut mirror| {
            mirror.state = MirrorState::Lost;
            mirror
        }),
    };
    let Some(record) = &mut mirror else { return None };
    for (step, effect) in outcome.done_colony() {
        match (step, effect) {
            (ColonyStep::Submit(_), Effect::Submitted { process_id, submitted_at, is_running }) => {
                record.process_id = Some(process_id.clone());
                record.state = if *is_running { MirrorState::Running } else { MirrorState::Waiting };
                record.submitted_at = Some(submitted_at.map_or_else(|| whole_seconds(now), whole_seconds));
            }
            (ColonyStep::CloseSuccessful { process_id, .. }, _)
                if record.process_id.as_ref() == Some(process_id) =>
            {
                record.state = MirrorState::Successful;
            }
            (ColonyStep::CloseFailed { process_id, errors }, _)
                if record.process_id.as_ref() == Some(process_id) =>
            {
                record.errors = Some(clean(&errors.join("; ")));
                record.state = MirrorState::Failed;
            }
            // A cancel that was taken is no end yet: the next pass asks what became of the process.
            _ => {}
        }
    }
    mirror
}

/// The record of the colony after a pass: for as long as a process is on record, or something else `is_there`. What has ended
/// without such a record gets none.
pub(super) fn used_colony(
    previous: Option<&UsedColony>,
    colony: &ColonyReference,
    mirror: Option<&MirrorStatus>,
    is_there: bool,
) -> Option<UsedColony> {
    let has_process = mirror.is_some_and(|mirror| previous.is_some() || mirror.may_live());
    // A Colony that was made anew may lead elsewhere: until it is connected, the record stays as evidence.
    let is_believed = |colony: &&ResolvedColony| {
        colony.was_connected || previous.is_none_or(|previous| previous.uid == colony.uid)
    };
    let now = colony.resolved().filter(is_believed).map(ResolvedColony::used);
    now.or_else(|| previous.cloned()).filter(|_| is_there || has_process)
}

/// Whether a process mirrors the current generation.
pub(super) fn finding(
    mirror: Option<&MirrorStatus>,
    generation: i64,
    colony_problem: Option<(Reason, String)>,
) -> Finding {
    let kind = ConditionType::Mirrored;
    let Some(mirror) = mirror else {
        let (reason, message) =
            colony_problem.unwrap_or((Reason::SubmitIntended, "nothing is submitted yet".to_owned()));
        return Finding::no(kind, reason, message);
    };
    let process = mirror.process_id.as_deref().unwrap_or_default();
    if mirror.state == MirrorState::Intended || mirror.generation < generation {
        let (reason, message) = colony_problem.unwrap_or_else(|| {
            let message = if mirror.state == MirrorState::Intended {
                format!("generation {} is about to be submitted", mirror.generation)
            } else {
                format!("generation {} still runs as process {process}", mirror.generation)
            };
            (Reason::SubmitIntended, message)
        });
        return Finding::no(kind, reason, message);
    }
    let says = format!("generation {} is process {process}", mirror.generation);
    match mirror.state {
        MirrorState::Intended | MirrorState::Waiting => {
            Finding::yes(kind, Reason::ProcessWaiting, lagging(&says, colony_problem))
        }
        MirrorState::Running => Finding::yes(kind, Reason::ProcessRunning, lagging(&says, colony_problem)),
        MirrorState::Successful => Finding::yes(kind, Reason::ProcessSuccessful, says),
        MirrorState::Failed => {
            let why = mirror.errors.as_deref().map(|errors| format!(": {errors}")).unwrap_or_default();
            Finding::yes(kind, Reason::ProcessFailed, format!("{says}{why}"))
        }
        MirrorState::Cancelled => Finding::yes(kind, Reason::ProcessCancelled, says),
        MirrorState::Lost => Finding::no(
            kind,
            Reason::ProcessLost,
            format!("{says}, which the server no longer has; it is not submitted again"),
        ),
    }
}

fn lagging(says: &str, problem: Option<(Reason, String)>) -> String {
    problem.map_or_else(|| says.to_owned(), |(_, why)| format!("{says}; its state lags: {why}"))
}

/// What a failed call to the colony means for the mirror.
pub(super) fn colony_problem(outcome: &Outcome) -> Option<(Reason, String)> {
    let failure = outcome.colony_failure()?;
    let reason = match failure.kind {
        FailureKind::Refused | FailureKind::Conflict => Reason::ColonyRefused,
        FailureKind::Unavailable
        | FailureKind::TimedOut
        | FailureKind::Ambiguous
        | FailureKind::NotLeading => Reason::ColonyUnavailable,
    };
    Some((reason, failure.message.clone()))
}
