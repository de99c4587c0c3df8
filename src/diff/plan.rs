//! A plan: the writes in their order, and what is waited for. Pure.

use std::fmt;

use jiff::Timestamp;

use super::{Mirror, Step, Sync};
use crate::api::{executor_deployment::BlueprintStatus, work::StopReason};

/// What a step that fails holds up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those behind it on the same side, cluster or colony, not those on the other: the cluster is kept right while the
    /// colony is away.
    #[default]
    BySide,
    /// All behind it.
    Strict,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The writes, in order.
    pub steps: Vec<Step>,
    /// What a step that fails holds up.
    pub order: Order,
    /// What is waited for before more can be done.
    pub awaiting: Vec<String>,
    /// What others have changed and is left so, with the fields.
    pub drifted: Vec<String>,
    /// What admission has changed and is left so, with the fields.
    pub admitted: Vec<String>,
    /// What policies keep from being done, and how that is changed.
    pub left: Vec<String>,
    /// The status of the mirrored process to record, besides the results of the steps.
    pub mirror: Mirror,
    /// The status of the blueprint to record.
    pub sync: Sync,
    /// Why what was submitted is to be ended: to be recorded in status before it is done.
    pub stop: Option<StopReason>,
    /// When to look again although nothing has happened.
    pub due: Option<Timestamp>,
}

impl Plan {
    /// Whether there is nothing to write, not even to status: the state is as desired, or another party must act
    /// first.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.steps.is_empty()
            && self.mirror == Mirror::Unchanged
            && self.intended_blueprint().is_none()
            && !matches!(self.sync, Sync::Undoes(_))
            && self.stop.is_none()
    }
}

impl Plan {
    /// The blueprint that status is to name before it is added.
    fn intended_blueprint(&self) -> Option<&str> {
        match &self.sync {
            Sync::Agreed(blueprint) if blueprint.agreed.is_empty() => Some(&blueprint.name),
            _ => None,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_idle() {
            writeln!(f, "    nothing to do")?;
        }
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>2}. {step}", number + 1)?;
        }
        if !matches!(self.mirror, Mirror::Unchanged) {
            writeln!(f, "    status      {}", self.mirror)?;
        }
        if let Some(name) = self.intended_blueprint() {
            writeln!(f, "    status      record the intent to add blueprint {name}")?;
        }
        if let Sync::Undoes(BlueprintStatus { name, .. }) = &self.sync {
            writeln!(
                f,
                "    status      record that an edit is undone, of this object or of blueprint {name}"
            )?;
        }
        if let Some(reason) = self.stop {
            writeln!(f, "    status      record that it is to be ended ({reason:?})")?;
        }
        for drifted in &self.drifted {
            writeln!(f, "    unchanged   {drifted}, changed by others")?;
        }
        for admitted in &self.admitted {
            writeln!(f, "    unchanged   {admitted}, changed on admission")?;
        }
        for left in &self.left {
            writeln!(f, "    not done    {left}")?;
        }
        for awaited in &self.awaiting {
            writeln!(f, "    awaiting    {awaited}")?;
        }
        Ok(())
    }
}
