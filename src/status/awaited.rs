//! Which executors work waits for, and what keeps them from taking it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    api::function::ExecutorConditions,
    colony::SubmittedConditions,
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
}

impl Awaited {
    /// Something that comes by itself.
    pub(super) fn usual(what: impl Into<String>) -> Self {
        Self { what: what.into(), is_unserved: false }
    }

    /// An executor that fits.
    pub(super) fn executor(header: &WorkHeader, wanted: &Wanted<'_>) -> Self {
        let what = format!("an executor of type {}", wanted.executor_type);
        let lack = header.workforce.as_ref().zip(header.colony.resolved());
        match lack.and_then(|(workforce, colony)| workforce.lack(wanted, &colony.spec.colony_name)) {
            None => Self::usual(what),
            Some(Lack::AllBusy(why)) => Self::usual(format!("{what}: {why}")),
            Some(Lack::NoneFits(why)) => Self { what: format!("{what}: {why}"), is_unserved: true },
        }
    }
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
