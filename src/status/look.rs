//! When an object is looked at again. Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::awaited::warned_at;
use crate::{
    act::outcome::Outcome,
    api::mirror::{MirrorState, MirrorStatus},
    diff::Problem,
    snapshot::WorkHeader,
};

/// How often something is looked for of which no server would tell.
pub const LOOK_UP: Duration = Duration::from_secs(10);
/// How often an object is looked at for which nothing is expected to happen.
pub const RESYNC: Duration = Duration::from_mins(8);

/// How much later than it is due a pass comes: what it waits for is over by then.
const MARGIN: Duration = Duration::from_millis(20);

/// When to look at an object again that nothing happens to meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// After this time and a little more, chosen by chance.
    About(Duration),
    /// After exactly this time.
    After(Duration),
    /// After a delay that grows with every pass in a row.
    Backoff,
    /// When the object changes.
    Never,
}

impl Look {
    /// Or when people are to be warned of work that has stood still since a moment, if that is sooner.
    #[must_use]
    pub fn or_when_stalled(self, stalled_since: Option<Timestamp>, now: Timestamp) -> Self {
        let warned_at = warned_at(stalled_since).filter(|moment| *moment > now);
        match (self, warned_at.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok())) {
            (Self::About(usual), Some(due)) if due < usual => Self::After(due + MARGIN),
            _ => self,
        }
    }
}

/// When to look again at an object that a process carries, or will.
#[must_use]
pub fn next_of_work(
    header: &WorkHeader,
    mirror: Option<&MirrorStatus>,
    pass: Result<&Outcome, &Problem>,
) -> Look {
    let Ok(outcome) = pass else { return Look::Backoff };
    let (now, not_before) = (header.now, header.submit_not_before);
    let until = |moment: Timestamp| Duration::try_from(moment.duration_since(now)).ok();
    // What could not be read is in no list that is compared.
    let is_followed =
        header.processes.known().is_some() && mirror.is_some_and(|mirror| mirror.state.is_live());
    let usual = if outcome.plan.awaiting.is_empty() || is_followed { RESYNC } else { LOOK_UP };
    // A long wait without an executor is worth a warning.
    let waiting = mirror.filter(|mirror| mirror.state == MirrorState::Waiting);
    let warned_at = waiting.and_then(|mirror| warned_at(mirror.submitted_at.as_ref().map(|time| time.0)));
    let warned_at = warned_at.filter(|moment| *moment > now);
    let due = [outcome.plan.due, not_before, warned_at].into_iter().flatten().filter_map(until).min();
    match due {
        Some(due) if due < usual => Look::After(due + MARGIN),
        _ => Look::About(usual),
    }
}
