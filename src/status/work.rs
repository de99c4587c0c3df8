//! The status that all kinds of work share: where it stands and why. Pure.

use super::{condition::Finding, mirror};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        policy::{AdoptionPolicy, ManagementPolicy},
        work::{StopReason, WorkState},
    },
    colony::Process,
    diff::{Problem, Terms, stop_message},
    snapshot::Observed,
};

/// In which states work is what a condition says.
const OF_STATES: [(ConditionType, &[WorkState]); 4] = [
    (ConditionType::Running, &[WorkState::Running]),
    (ConditionType::Succeeded, &[WorkState::Succeeded]),
    (ConditionType::Failed, &[WorkState::Failed]),
    (ConditionType::Finished, WorkState::FINAL),
];

/// Where a piece of work stands, and why.
pub struct StateSummary {
    pub state: WorkState,
    pub reason: Reason,
    pub message: String,
}

pub(super) fn state_summary(state: WorkState, reason: Reason, message: impl Into<String>) -> StateSummary {
    StateSummary { state, reason, message: message.into() }
}

/// Nothing is alive of it: because the spec requested it, or because it was cancelled in the colony. `what` is what
/// was submitted, such as `process 4711`, if anything was.
pub(super) fn stopped(
    stop: Option<StopReason>,
    what: Option<&str>,
    active_deadline_seconds: Option<i32>,
) -> StateSummary {
    use WorkState::{Cancelled, Failed, Pending, Suspended};
    match stop {
        Some(StopReason::Suspended) => {
            state_summary(Suspended, Reason::Suspended, "suspended: set suspend to false to submit it")
        }
        Some(StopReason::Cancelled) => {
            state_summary(Cancelled, Reason::CancelRequested, "cancelled by spec.cancel")
        }
        Some(StopReason::DeadlineExceeded) => {
            let seconds = active_deadline_seconds.unwrap_or_default();
            let message = format!("spec.activeDeadlineSeconds: {seconds}: it took longer and was cancelled");
            state_summary(Failed, Reason::DeadlineExceeded, message)
        }
        None => match what {
            Some(what) => state_summary(
                Cancelled,
                Reason::ProcessCancelled,
                format!("{what} was cancelled in the colony"),
            ),
            None => state_summary(Pending, Reason::SubmitIntended, "nothing is submitted yet"),
        },
    }
}

/// What keeps a piece of work from going on, if anything does.
pub(super) fn blocker(
    processes: &Observed<Vec<Process>>,
    is_recorded: bool,
    outcome: Result<&Outcome, &Problem>,
) -> Option<(Reason, String)> {
    let blocker = match outcome {
        Err(problem) => Some((problem.reason, problem.message.clone())),
        Ok(outcome) => mirror::colony_problem(outcome).or_else(|| {
            let failure = outcome.kubernetes_failure()?;
            Some((Reason::ApplyFailed, failure.message.clone()))
        }),
    };
    blocker.or_else(|| {
        let why = processes.unknown().filter(|_| is_recorded)?;
        Some((Reason::ColonyUnavailable, why.to_owned()))
    })
}

/// What keeps something from being submitted for an object of which nothing is on record: there is nothing to adopt yet, or
/// its policies. `adopted` is what is to be adopted, such as `process 4711`.
pub(super) fn not_submitted(
    adopted: Option<&str>,
    may_submit: bool,
    outcome: Result<&Outcome, &Problem>,
) -> Option<StateSummary> {
    use WorkState::Pending;
    if let Some(what) = adopted {
        let awaited = outcome.ok().and_then(|outcome| outcome.plan.awaiting.first());
        let waits = awaited.map(|awaited| format!("; waiting for {awaited}")).unwrap_or_default();
        return Some(state_summary(
            Pending,
            Reason::AwaitingAdoption,
            format!("{what} is not adopted yet{waits}"),
        ));
    }
    (!may_submit).then(|| {
        let message = format!("nothing is submitted: spec.{}", ManagementPolicy::Create.remedy());
        state_summary(Pending, Reason::LeftAlone, message)
    })
}

/// Work that was resumed, but cannot be submitted again.
pub(super) fn not_resubmitted(what: &str, policy: AdoptionPolicy) -> StateSummary {
    if policy == AdoptionPolicy::Adopt {
        let message =
            format!("{what} was cancelled by spec.suspend, and is only adopted: nothing is submitted again");
        return state_summary(WorkState::Cancelled, Reason::ProcessCancelled, message);
    }
    let message = format!(
        "{what} was cancelled by spec.suspend and is not submitted again: spec.{}",
        ManagementPolicy::Create.remedy()
    );
    state_summary(WorkState::Pending, Reason::LeftAlone, message)
}

/// Work that continues to run against the spec. `what` is such as `process 4711`.
pub(super) fn stop_withheld(terms: &Terms<'_>, what: Option<&str>) -> Option<Finding> {
    let why = stop_message(terms.forbidden_stop()?);
    let (what, remedy) = (what.unwrap_or("what was submitted"), ManagementPolicy::Update.remedy());
    let message = format!("{why}, and {what} is not cancelled: spec.{remedy}");
    Some(Finding::yes(ConditionType::Warnings, Reason::LeftAlone, message))
}

/// The conditions. `submitted` is what was submitted, if it is recorded.
pub(super) fn findings(
    end: &StateSummary,
    submitted: Option<String>,
    blocker: Option<&(Reason, String)>,
) -> Vec<Finding> {
    let (reason, mut message) = (end.reason, end.message.clone());
    let submitted = match (submitted, blocker) {
        (Some(what), _) => Finding::yes(ConditionType::Submitted, reason, what),
        (None, Some((reason, why))) => Finding::no(ConditionType::Submitted, *reason, why),
        (None, None) => Finding::no(ConditionType::Submitted, reason, &message),
    };
    if let (Some((_, why)), false) = (blocker, end.state.is_final()) {
        message = format!("{message}; {why}");
    }
    let holds = |(kind, states): &(ConditionType, &[WorkState])| Finding {
        kind: *kind,
        holds: Some(states.contains(&end.state)),
        reason,
        message: message.clone(),
    };
    std::iter::once(submitted).chain(OF_STATES.iter().map(holds)).collect()
}
