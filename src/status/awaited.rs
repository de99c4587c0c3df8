//! Which executors work waits for, and what keeps them from taking it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    api::{
        condition::Reason,
        function::ExecutorConditions,
        mirror::{MirrorState, MirrorStatus},
    },
    colony::{ProcessId, SubmittedConditions},
    snapshot::{Lack, Wanted, WorkHeader},
};

/// How long an executor may take to register before people are warned that there is none.
const PATIENCE: Duration = Duration::from_secs(30);

/// What work waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Such as `an executor of type encoder: none is registered in colony dev (there are: decoder)`.
    pub what: String,
    /// Whether it will not be taken as things stand.
    pub is_unserved: bool,
    /// Why not yet, if that is known.
    pub why: Option<Reason>,
}

impl Awaited {
    /// What the process of a record waits for, if it waits; `executor_type` where the process was not read.
    pub(super) fn of_record(
        header: &WorkHeader,
        mirror: Option<&MirrorStatus>,
        executor_type: Option<&str>,
    ) -> Option<Self> {
        let mirror = mirror.filter(|mirror| mirror.state == MirrorState::Waiting)?;
        let id = mirror.process_id.as_deref()?;
        let process = header.processes.known().into_iter().flatten().find(|one| one.id.as_str() == id);
        match (process, executor_type) {
            (Some(process), _) if process.waits_for_parents => None,
            (Some(process), _) => {
                Some(Self::executor(header, &of_process(&process.spec.conditions), Some(&process.id)))
            }
            (None, Some(executor_type)) => {
                let wanted = Wanted { executor_type, names: &[], location: None };
                Some(Self::executor(header, &wanted, Some(&ProcessId::new(id))))
            }
            (None, None) => None,
        }
    }

    /// Why, for a process that was submitted at some moment: `usual` where nothing is known to keep it. What keeps it for good is
    /// said once it has waited for long: executors may be about to register.
    pub(super) fn reason(&self, header: &WorkHeader, submitted_at: Option<&Time>, usual: Reason) -> Reason {
        let is_long = warned_at(submitted_at.map(|time| time.0)).is_some_and(|moment| moment <= header.now);
        match self.why {
            Some(_) if self.is_unserved && !is_long => Reason::ExecutorAwaited,
            Some(why) => why,
            None => usual,
        }
    }

    /// Something that comes by itself.
    pub(super) fn usual(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_unserved: false, why: None }
    }

    /// An executor that fits. `id` is the process that waits, if it is known.
    pub(super) fn executor(header: &WorkHeader, wanted: &Wanted<'_>, id: Option<&ProcessId>) -> Self {
        let what = format!("an executor of type {}", wanted.executor_type);
        let lack = header.workforce.as_ref().zip(header.colony.resolved());
        let lack = lack.and_then(|(workforce, colony)| workforce.lack(wanted, id, &colony.spec.colony_name));
        let (is_unserved, why, text) = match lack {
            None => return Self::usual(what),
            Some(Lack::AllBusy(text)) => (false, Reason::ExecutorsBusy, text),
            Some(Lack::NoneFits(text)) => (true, Reason::NoExecutor, text),
            Some(Lack::NotApproved(text)) => (true, Reason::ExecutorsNotApproved, text),
            Some(Lack::Paused(text)) => (true, Reason::AssignmentsPaused, text),
        };
        Self { what: format!("{what}: {text}"), is_unserved, why: Some(why) }
    }
}

/// Whether a reason says that work waits for what a person has to bring about in the colony, for half a minute by then.
#[must_use]
pub fn is_long_unserved(reason: &str) -> bool {
    let all = [Reason::NoExecutor, Reason::ExecutorsNotApproved, Reason::AssignmentsPaused];
    all.iter().any(|one| one.as_str() == reason)
}

/// When people are warned of what is not taken; none for what was not submitted.
#[must_use]
pub fn warned_at(submitted_at: Option<Timestamp>) -> Option<Timestamp> {
    submitted_at?.checked_add(PATIENCE).ok()
}

/// What an object asks for.
pub(super) fn of_spec(conditions: &ExecutorConditions) -> Wanted<'_> {
    Wanted {
        executor_type: &conditions.executor_type,
        names: &conditions.executor_names,
        location: conditions.location.as_deref(),
    }
}

/// What a process asks for.
pub(super) fn of_process(conditions: &SubmittedConditions) -> Wanted<'_> {
    Wanted {
        executor_type: &conditions.executor_type,
        names: &conditions.executor_names,
        location: Some(conditions.location.as_str()).filter(|location| !location.is_empty()),
    }
}

/// What bites of the number of nodes that a call asks for, at `path`: servers assign without regard to it.
pub(super) fn too_many_nodes(
    header: &WorkHeader,
    conditions: &ExecutorConditions,
    path: &str,
) -> Option<(Reason, String)> {
    let wanted = conditions.nodes.map(i64::from)?;
    let most = header.workforce.as_ref()?.most_nodes(&of_spec(conditions))?;
    let executor_type = &conditions.executor_type;
    let message = format!(
        "{path}.nodes: needs {}, and the largest executor of type {executor_type} that fits has {most}; the colony assigns it all the same, and the executor may close it as failed: ask for fewer, or register a larger executor",
        if wanted == 1 { "1 node".to_owned() } else { format!("{wanted} nodes") },
    );
    (wanted > most).then_some((Reason::TooManyNodes, message))
}
