//! Which processes to ask for again, given what a round of lists shows of them. Pure.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::colony::{Process, ProcessId, ProcessState};

/// A process that an object is bound to and that is not over, as far as is known.
#[derive(Clone, Debug)]
pub(in crate::controllers) struct Tracked {
    /// The process as it was last read.
    pub seen: Arc<Process>,
    /// Its state as the object's status has it.
    pub recorded: ProcessState,
    /// How long ago it was last read.
    pub read_ago: Duration,
    /// Whether the lists can show it: they are of what the operator submitted under its present name.
    pub is_listed: bool,
}

/// What was listed of one state.
#[derive(Debug)]
pub(in crate::controllers) struct View {
    /// The state.
    pub state: ProcessState,
    /// What is in it.
    pub processes: Vec<Process>,
    /// What it means that a process is not among them.
    pub absence: AbsenceMeaning,
}

/// What it means that a process is not in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::controllers) enum AbsenceMeaning {
    /// It is not in that state: the list is complete.
    Tells,
    /// Nothing; but if it were over, that would show in another list.
    TellsNothing,
    /// Nothing, and no other list would show its end either.
    Hides,
}

/// What came of a round.
#[derive(Debug, Default)]
pub(in crate::controllers) struct Verdict<'a> {
    /// To be asked for again.
    pub invalidated: Vec<&'a ProcessId>,
    /// As good as read: listed just as it was known.
    pub confirmed: Vec<&'a Process>,
}

/// Compares what is known with what is listed. `one_by_one` is how many may be read singly because no list contains
/// them. A list that could not be read is not among the views and has no effect.
pub(in crate::controllers) fn judge<'a>(
    tracked: &'a [Tracked],
    views: &'a [View],
    one_by_one: usize,
) -> Verdict<'a> {
    let mut by_id: HashMap<&ProcessId, Vec<&Process>> = HashMap::new();
    for shown in views.iter().flat_map(|view| &view.processes) {
        by_id.entry(&shown.id).or_default().push(shown);
    }
    let mut verdict = Verdict::default();
    let mut hidden = Vec::new();
    for process in tracked {
        let shown = by_id.get(&process.seen.id).map_or(&[][..], Vec::as_slice);
        let is_same =
            |shown: &&Process| shown.state == process.recorded && is_same_state(shown, &process.seen);
        let absence = views.iter().find(|view| view.state == process.recorded).map(|view| view.absence);
        match (shown.first(), absence) {
            (Some(same), _) if shown.iter().all(is_same) => verdict.confirmed.push(same),
            (None, _) if !process.is_listed => hidden.push(process),
            (Some(_), _) | (None, Some(AbsenceMeaning::Tells)) => verdict.invalidated.push(&process.seen.id),
            (None, Some(AbsenceMeaning::Hides)) => hidden.push(process),
            (None, Some(AbsenceMeaning::TellsNothing) | None) => {}
        }
    }
    hidden.sort_by_key(|process| std::cmp::Reverse(process.read_ago));
    verdict.invalidated.extend(hidden.into_iter().take(one_by_one).map(|process| &process.seen.id));
    verdict
}

/// Whether two reads of a process cannot show what its executor did in between: lists have all of it.
fn is_same_state(one: &Process, other: &Process) -> bool {
    one.assigned_executor == other.assigned_executor
        && one.output == other.output
        && one.reported() == other.reported()
}

/// Whether a list of processes that are over, the latest first and `limit` at most, may lack some that ended after
/// `horizon`, the latest end that an earlier list has shown.
pub(in crate::controllers) fn may_hide_finished(
    listed: &[Process],
    limit: u8,
    horizon: Option<Timestamp>,
) -> bool {
    listed.len() >= usize::from(limit)
        && listed.last().and_then(|oldest| oldest.ended_at).is_none_or(|oldest| Some(oldest) > horizon)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn process(id: &str, state: ProcessState, executor: &str) -> Process {
        serde_json::from_value(json!({
            "processid": id, "state": state.number(), "assignedexecutorid": executor,
            "submissiontime": "2026-11-21T09:58:00Z", "starttime": "2026-11-21T09:58:01Z",
            "endtime": "2026-11-21T09:59:00Z",
            "spec": { "funcname": "f", "label": "l", "maxwaittime": -1, "maxexectime": -1, "maxretries": -1,
                      "conditions": { "colonyname": "c", "executortype": "t" } },
        }))
        .unwrap()
    }

    fn tracked(id: &str, recorded: ProcessState) -> Tracked {
        Tracked {
            seen: Arc::new(process(id, recorded, "")),
            recorded,
            read_ago: Duration::from_secs(5),
            is_listed: true,
        }
    }

    fn view(state: ProcessState, absence: AbsenceMeaning, ids: &[&str]) -> View {
        View { state, absence, processes: ids.iter().map(|id| process(id, state, "")).collect() }
    }

    fn invalidated(tracked: &[Tracked], views: &[View]) -> Vec<String> {
        judge(tracked, views, 1).invalidated.into_iter().map(ToString::to_string).collect()
    }

    use ProcessState::{Cancelled, Running, Waiting};

    /// What is not running any more is asked for, whatever became of it: cancelled, closed, put back, or removed.
    #[test]
    fn a_complete_list_tells_by_what_it_lacks() {
        let known = [tracked("stays", Running), tracked("gone", Running), tracked("waits", Waiting)];
        let views = [view(Running, AbsenceMeaning::Tells, &["stays", "foreign"])];
        assert_eq!(invalidated(&known, &views), ["gone"], "nothing was listed of those that wait");
        let confirmed = judge(&known, &views, 1).confirmed;
        assert_eq!(confirmed.iter().map(|process| process.id.as_str()).collect::<Vec<_>>(), ["stays"]);
        let views = [
            view(Running, AbsenceMeaning::Tells, &["stays", "gone", "waits"]),
            view(Waiting, AbsenceMeaning::Tells, &[]),
        ];
        assert_eq!(invalidated(&known, &views), ["waits"], "it has been assigned");
    }

    /// Unknown is not empty.
    #[test]
    fn a_list_that_failed_says_nothing() {
        assert_eq!(invalidated(&[tracked("p", Running)], &[]), [""; 0]);
        assert_eq!(
            invalidated(&[tracked("p", Running)], &[view(Cancelled, AbsenceMeaning::TellsNothing, &[])]),
            [""; 0]
        );
    }

    /// More than a list can hold: ends show in the lists of what is over.
    #[test]
    fn a_full_list_is_made_up_for_by_the_lists_of_ends() {
        let known = [tracked("beyond", Running), tracked("cancelled", Running)];
        let ends = || view(Cancelled, AbsenceMeaning::TellsNothing, &["cancelled"]);
        let views = [view(Running, AbsenceMeaning::TellsNothing, &["other"]), ends()];
        assert_eq!(invalidated(&known, &views), ["cancelled"]);

        let mut known =
            [tracked("beyond", Running), tracked("older", Running), tracked("cancelled", Running)];
        known[1].read_ago = Duration::from_mins(1);
        let views = [view(Running, AbsenceMeaning::Hides, &["other"]), ends()];
        assert_eq!(
            invalidated(&known, &views),
            ["cancelled", "older"],
            "one by one, the longest unread first"
        );
    }

    #[test]
    fn another_executor_is_a_change_and_another_initiator_is_never_listed() {
        let mut known = [tracked("moved", Running), tracked("strange", Running)];
        known[0].seen = Arc::new(process("moved", Running, &"a".repeat(64)));
        known[1].is_listed = false;
        let mut running = view(Running, AbsenceMeaning::Tells, &[]);
        running.processes.push(process("moved", Running, &"b".repeat(64)));
        assert_eq!(invalidated(&known, &[running]), ["moved", "strange"]);
    }

    /// Progress is found at no cost: lists have what executors attach, in whatever order.
    #[test]
    fn what_an_executor_says_while_it_runs_is_a_change() {
        let attribute = |key: &str, kind: u8| json!({ "attributetype": kind, "key": key, "value": "1" });
        let with = |id: &str, output: &[u8], attributes: &[serde_json::Value]| {
            let mut process = process(id, Running, "");
            process.output = output.iter().map(|one| json!(one)).collect();
            process.attributes = serde_json::from_value(json!(attributes)).unwrap();
            process
        };
        let known = ["output", "attribute", "order"].map(|id| {
            let seen =
                Arc::new(with(id, &[1], &[attribute("A", 3), attribute("one", 1), attribute("two", 1)]));
            Tracked { seen, ..tracked(id, Running) }
        });
        let processes = vec![
            with("output", &[2], &[attribute("one", 1), attribute("two", 1)]),
            with("attribute", &[1], &[attribute("one", 1), attribute("two", 1), attribute("three", 1)]),
            with("order", &[1], &[attribute("two", 1), attribute("one", 1), attribute("A", 3)]),
        ];
        let views = [View { state: Running, absence: AbsenceMeaning::Tells, processes }];
        assert_eq!(invalidated(&known, &views), ["output", "attribute"]);
    }

    #[test]
    fn a_list_of_ends_is_complete_when_it_reaches_back_to_the_one_before() {
        let ended: Timestamp = "2026-11-21T09:59:00Z".parse().unwrap();
        let earlier: Timestamp = "2026-11-21T09:58:00Z".parse().unwrap();
        let list = [process("a", Cancelled, ""), process("b", Cancelled, "")];
        assert!(!may_hide_finished(&list, 3, None), "all there are");
        assert!(may_hide_finished(&list, 2, None));
        assert!(may_hide_finished(&list, 2, Some(earlier)));
        assert!(!may_hide_finished(&list, 2, Some(ended)));
    }
}
