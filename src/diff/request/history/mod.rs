//! Completes the history of a request: one entry for each state that it has entered, in order, by any client.
//!
//! What is known comes in pieces: entries that others of ours wrote, entries of programs that record a state only as
//! they leave it (and so never the last one), what this process has seen, and where the request is now. The pieces are
//! laid over one another; what is missing between two of them follows from the table of transitions and the flow.
//! Completing twice changes nothing.

use jiff::{SignedDuration, Timestamp};

use super::{Flow, Moment};
use crate::api::request_state::{HistoryEntry, Position, PositionRecord, State};

/// Most entries that a history has; of more, the newest are kept.
pub const LONGEST: usize = 64;

/// How late a state may be seen, or how far two clocks may be apart, before a sighting counts as one of a later try.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// What is known besides the object's position and its entries.
#[derive(Clone, Copy, Debug)]
pub struct HistoryEvidence<'a> {
    /// Which job comes after which.
    pub flow: &'a Flow,
    /// When the object was created.
    pub created: Option<Timestamp>,
    /// Whether the object is as it was created: then it has entered no state but this one.
    pub is_unchanged: bool,
    /// Whether the oldest entries were left out of the history.
    pub is_truncated: bool,
    /// Since when exactly it is where it is, if that is known better than by sight.
    pub since: Option<Timestamp>,
    /// What was seen of its way.
    pub position_log: &'a [PositionRecord],
    /// What is about to be entered, written down before it is: the turn may be over afterwards. The state must be one
    /// that may follow.
    pub entering: Option<&'a HistoryEntry>,
}

/// A history, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The newest entries, at most [`LONGEST`].
    pub entries: Vec<HistoryEntry>,
    /// Older ones that are dropped from now on, to be archived.
    pub dropped: Vec<HistoryEntry>,
}

/// A stay in a state.
#[derive(Clone, Debug)]
struct Visit {
    /// Where; none if the words of the entry are not ours.
    position: Option<Position>,
    /// The entry as it was found, or as it is to be but for its time.
    entry: HistoryEntry,
    entered: Option<Timestamp>,
    seen: Option<Timestamp>,
    left: Option<Timestamp>,
    /// Its time was written by another client, and stays.
    is_verbatim: bool,
}

impl Visit {
    fn found(entry: &HistoryEntry) -> Self {
        let state: Option<State> = entry.state.parse().ok();
        let moment = Moment::read(&entry.timestamp);
        Self {
            position: state.map(|state| Position::new(entry.job.clone(), state)),
            entry: entry.clone(),
            entered: if let Moment::Entered(at) = moment { Some(at) } else { None },
            seen: None,
            left: if let Moment::Left(at) = moment { Some(at) } else { None },
            is_verbatim: matches!(moment, Moment::Unreadable | Moment::Entered(_)),
        }
    }

    fn inferred(position: Position) -> Self {
        let entry = HistoryEntry {
            job: position.job.clone(),
            state: position.state.as_str().to_owned(),
            ..HistoryEntry::default()
        };
        Self { position: Some(position), entry, entered: None, seen: None, left: None, is_verbatim: false }
    }

    /// The same stay, recorded once on entering and once on leaving.
    fn merge(&mut self, other: Self) {
        self.entered = self.entered.or(other.entered);
        self.left = self.left.or(other.left);
        if !self.is_verbatim && other.is_verbatim {
            self.entry.timestamp = other.entry.timestamp;
            self.is_verbatim = true;
        }
        self.entry.reason = self.entry.reason.take().or(other.entry.reason);
        self.entry.message = self.entry.message.take().or(other.entry.message);
    }

    fn known(&self) -> Option<Timestamp> {
        self.entered.or(self.seen)
    }
}

/// The complete history of a request that is at `current` and whose object has `entries`.
#[must_use]
pub fn complete(current: &Position, entries: &[HistoryEntry], evidence: &HistoryEvidence<'_>) -> History {
    let mut visits = found(entries);
    withdraw(&mut visits, current, evidence);
    append(&mut visits, seen(current, evidence), current, evidence);
    let visits = fill(visits, evidence.flow);
    let mut entries = dated(visits, evidence);
    entries.extend(evidence.entering.cloned());
    let surplus = entries.len().saturating_sub(LONGEST);
    let dropped = entries.drain(..surplus).collect();
    History { entries, dropped }
}

/// The stays that an object's entries speak of. A state is never entered twice in a row, so two such entries speak of
/// one stay.
fn found(entries: &[HistoryEntry]) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::with_capacity(entries.len());
    for visit in entries.iter().map(Visit::found) {
        match visits.last_mut() {
            Some(last) if last.position.is_some() && last.position == visit.position => last.merge(visit),
            _ => visits.push(visit),
        }
    }
    visits
}

/// Takes back an end that was written down before the request was to enter it, and that it did not enter.
fn withdraw(visits: &mut Vec<Visit>, current: &Position, evidence: &HistoryEvidence<'_>) {
    let Some(last) = visits.last() else { return };
    let Some(position) = &last.position else { return };
    if position == current || position.job != current.job || !position.state.has_ended() {
        return;
    }
    // A job that failed may have been requested again since; then the state it is in is the younger one.
    let since = evidence.since.or_else(|| evidence.position_log.last().map(|seen| seen.at));
    let is_ahead = current.state == State::Started
        && last.entered.zip(since).is_none_or(|(written, since)| {
            // Entries have milliseconds, clocks have more.
            written.as_millisecond() >= since.as_millisecond()
        });
    if is_ahead || between(position, current, evidence.flow).is_none() {
        visits.pop();
    }
}

/// What was seen, ending with where the request is.
fn seen(current: &Position, evidence: &HistoryEvidence<'_>) -> Vec<Visit> {
    let mut all: Vec<Visit> = Vec::with_capacity(evidence.position_log.len() + 1);
    let position_log = evidence.position_log.iter().map(|seen| (&seen.position, Some(seen.at)));
    for (position, at) in position_log.chain([(current, evidence.since)]) {
        if all.last().is_none_or(|last| last.position.as_ref() != Some(position)) {
            all.push(Visit { seen: at, ..Visit::inferred(position.clone()) });
        }
    }
    if let (Some(since), Some(last)) = (evidence.since, all.last_mut()) {
        last.seen = Some(since);
    }
    all
}

/// Appends what was seen to what is written, without what both speak of.
fn append(visits: &mut Vec<Visit>, mut seen: Vec<Visit>, current: &Position, evidence: &HistoryEvidence<'_>) {
    if visits.is_empty() {
        if !evidence.is_unchanged {
            visits.extend(beginning(&seen, current, evidence.flow));
        }
        visits.append(&mut seen);
        return;
    }
    let is_there = visits.last().is_some_and(|visit| visit.position.as_ref() == Some(current));
    let longest = if is_there { seen.len() } else { seen.len() - 1 };
    let common = (1..=longest).rev().find_map(|count| {
        Some((count, counterparts(visits, &seen[..count], count == seen.len(), evidence)?))
    });
    if let Some((count, counterparts)) = common {
        for (index, at) in counterparts {
            if let Some(visit) = visits.get_mut(index) {
                visit.seen = visit.seen.or(at);
            }
        }
        visits.extend(seen.split_off(count));
    } else {
        // The written history ends before the observed one begins, or they contradict each other; what is written
        // stays.
        let last = visits.last().and_then(Visit::known);
        let is_news = |sighting: &Visit| {
            let is_later = last.zip(sighting.seen).is_some_and(|(last, seen)| seen > last);
            is_later || visits.iter().all(|visit| visit.position != sighting.position)
        };
        let old = seen.iter().rposition(|sighting| !is_news(sighting)).map_or(0, |index| index + 1);
        // Where the request is, is certain.
        let rest = seen.split_off(old.min(seen.len() - usize::from(!is_there)));
        visits.extend(rest);
    }
}

/// For each of some sightings the stay that is written of it, and when it was seen; none unless all are written, in
/// their order. Others may have passed unseen in between, and after the last unless `is_all`. Sightings from before a
/// history that is truncated have no counterpart.
fn counterparts(
    visits: &[Visit],
    seen: &[Visit],
    is_all: bool,
    evidence: &HistoryEvidence<'_>,
) -> Option<Vec<(usize, Option<Timestamp>)>> {
    let mut found = Vec::with_capacity(seen.len());
    let mut end = visits.len();
    for sighting in seen.iter().rev() {
        let mut candidates = (0..end).rev().filter(|index| is_of(visits, *index, sighting));
        match candidates.next() {
            Some(index) if !is_all || !found.is_empty() || index + 1 == visits.len() => {
                found.push((index, sighting.seen));
                end = index;
            }
            None if evidence.is_truncated && !found.is_empty() => break,
            _ => return None,
        }
    }
    Some(found)
}

/// Whether a sighting can be of a stay: of the same state, and not of a later try of the job. Observations may be
/// late and by another clock, but not by so much.
fn is_of(visits: &[Visit], index: usize, sighting: &Visit) -> bool {
    let next = visits.get(index + 1).and_then(|next| next.entered);
    let is_later =
        sighting.seen.zip(next).is_some_and(|(seen, next)| seen.duration_since(next) >= CLOCK_TOLERANCE);
    let is_same = visits.get(index).is_some_and(|visit| visit.position == sighting.position);
    is_same && !is_later
}

/// What a request must have passed before it was first seen: it begins with the first job of its flow.
fn beginning(seen: &[Visit], current: &Position, flow: &Flow) -> Vec<Visit> {
    let first = seen.first().and_then(|visit| visit.position.as_ref()).unwrap_or(current);
    let job = if flow.contains(&first.job) { flow.first() } else { &first.job };
    let origin = Position::new(job, State::Requested);
    if origin == *first {
        return Vec::new();
    }
    let Some(passed) = between(&origin, first, flow) else { return Vec::new() };
    std::iter::once(origin).chain(passed).map(Visit::inferred).collect()
}

/// Puts in what must lie between two neighbours.
fn fill(visits: Vec<Visit>, flow: &Flow) -> Vec<Visit> {
    let mut filled: Vec<Visit> = Vec::with_capacity(visits.len());
    for visit in visits {
        let before = filled.last().and_then(|last| last.position.clone());
        if let (Some(before), Some(position)) = (before, &visit.position) {
            let passed = between(&before, position, flow).unwrap_or_default();
            filled.extend(passed.into_iter().map(Visit::inferred));
        }
        filled.push(visit);
    }
    filled
}

/// Entries with their times: never one before its predecessor's, unless another client has written it so.
fn dated(visits: Vec<Visit>, evidence: &HistoryEvidence<'_>) -> Vec<HistoryEntry> {
    // For a state whose time is unknown: it began no later than what came after it.
    let mut later: Vec<Option<Timestamp>> = vec![None; visits.len()];
    let mut bound = None;
    for (slot, visit) in later.iter_mut().zip(&visits).rev() {
        *slot = visit.left.or(bound);
        bound = visit.known().or(*slot);
    }
    let (mut floor, mut left) = (None, evidence.created);
    let mut entries = Vec::with_capacity(visits.len());
    for (visit, later) in visits.into_iter().zip(later) {
        let at = visit.known().or(left).or(later).or(floor);
        let mut entry = visit.entry;
        if !visit.is_verbatim {
            let at = at.max(floor);
            entry.timestamp = at.map(Moment::text).unwrap_or_default();
            floor = at;
        } else if visit.entered.is_some() {
            floor = floor.max(visit.entered);
        }
        left = visit.left;
        entries.push(entry);
    }
    entries
}

/// What a request must pass on its way between two positions, the shortest way; none if there is no way.
fn between(from: &Position, to: &Position, flow: &Flow) -> Option<Vec<Position>> {
    let mut passed: Vec<Position> = Vec::new();
    let mut pass = |job: &str, states: &[State]| {
        passed.extend(states.iter().map(|state| Position::new(job, *state)));
    };
    if from == to {
        return Some(passed);
    }
    let is_same = from.job == to.job;
    if is_same && let Some(states) = within(from.state, to.state) {
        pass(&to.job, states);
        return Some(passed);
    }
    // It left its job: well, if another follows, else badly.
    match (from.state, is_same) {
        (State::Cancelled, _) | (State::Completed, true) => return None,
        (State::Failed, _) | (State::Completed, false) => {}
        (State::Requested, false) => pass(&from.job, &[State::Started, State::Completed]),
        (State::Started, false) => pass(&from.job, &[State::Completed]),
        (State::Requested | State::Started, true) => pass(&from.job, &[State::Failed]),
    }
    if from.state != State::Failed {
        for job in flow.between(&from.job, &to.job) {
            pass(job, &[State::Requested, State::Started, State::Completed]);
        }
    }
    if to.state != State::Requested {
        pass(&to.job, &[State::Requested]);
        pass(&to.job, within(State::Requested, to.state)?);
    }
    Some(passed)
}

/// The states between two of one and the same try of a job.
fn within(from: State, to: State) -> Option<&'static [State]> {
    match (from, to) {
        (State::Requested, State::Completed) => Some(&[State::Started]),
        (State::Requested, State::Started | State::Failed | State::Cancelled)
        | (State::Started, State::Completed | State::Failed | State::Cancelled) => Some(&[]),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
