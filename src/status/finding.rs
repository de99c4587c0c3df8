//! What is found of an object, of which conditions are made. Pure.

use crate::api::condition::{ConditionType, Reason};

/// A condition without its times, which the merge fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: ConditionType,
    /// Whether it holds; none if that is not known.
    pub holds: Option<bool>,
    /// Why.
    pub reason: Reason,
    /// For a person.
    pub message: String,
}

impl Finding {
    /// It holds.
    #[must_use]
    pub fn yes(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(true), reason, message: message.into() }
    }

    /// It does not hold.
    #[must_use]
    pub fn no(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds: Some(false), reason, message: message.into() }
    }

    /// What others, or admission, have changed and is left so; where nothing is and some may be, that nothing differs.
    #[must_use]
    pub fn drift(drifted: &[String], admitted: &[String], may_be_left: bool) -> Option<Self> {
        let told = [("not corrected", drifted), ("changed on admission and left so", admitted)];
        let told: Vec<String> = told
            .iter()
            .filter(|(_, fields)| !fields.is_empty())
            .map(|(what, fields)| format!("{what}: {}", fields.join("; ")))
            .collect();
        if !told.is_empty() {
            let reason = if drifted.is_empty() { Reason::ChangedOnAdmission } else { Reason::DriftDetected };
            return Some(Self::yes(ConditionType::Drifted, reason, told.join("; ")));
        }
        may_be_left.then(|| Self::no(ConditionType::Drifted, Reason::InSync, "nothing differs"))
    }

    /// It is not known.
    #[must_use]
    pub fn unknown(kind: ConditionType, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds: None, reason, message: message.into() }
    }
}
