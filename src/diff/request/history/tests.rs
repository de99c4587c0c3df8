use std::collections::HashSet;

use proptest::{
    collection::vec,
    prelude::{Strategy as _, any, prop_assert, prop_assert_eq, proptest},
};

use super::*;

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap()
}

fn entry(position: &Position, timestamp: String) -> HistoryEntry {
    HistoryEntry {
        job: position.job.clone(),
        state: position.state.as_str().to_owned(),
        timestamp,
        ..HistoryEntry::default()
    }
}

fn go_time(at: Timestamp) -> String {
    format!("{} +0000 UTC m=+1.5", at.to_string().replace('T', " ").trim_end_matches('Z'))
}

fn flow(text: &str) -> Flow {
    text.parse().unwrap()
}

fn evidence<'a>(flow: &'a Flow, position_log: &'a [PositionRecord]) -> HistoryEvidence<'a> {
    HistoryEvidence {
        flow,
        created: Some(at(0)),
        is_unchanged: false,
        is_truncated: false,
        since: None,
        position_log,
        entering: None,
    }
}

fn position(text: &str) -> Position {
    let (job, state) = text.split_once(' ').unwrap();
    Position::new(job, state.parse().unwrap())
}

fn shown(history: &History) -> Vec<String> {
    history.entries.iter().map(|entry| format!("{} {} {}", entry.job, entry.state, entry.timestamp)).collect()
}

fn places(history: &History) -> Vec<String> {
    history.entries.iter().map(|entry| format!("{} {}", entry.job, entry.state)).collect()
}

/// Programs that record what they leave, with a server that keeps it: nothing twice, and the last state too.
#[test]
fn entries_of_states_left_become_entries_of_states_entered() {
    let flow = flow("A,B");
    let left = ["A REQUESTED", "A STARTED", "A COMPLETED", "B REQUESTED", "B STARTED"];
    let entries: Vec<HistoryEntry> =
        left.iter().zip(1..).map(|(place, step)| entry(&position(place), go_time(at(step * 2000)))).collect();
    let current = position("B COMPLETED");
    let history = complete(&current, &entries, &evidence(&flow, &[]));
    assert_eq!(
        places(&history),
        ["A REQUESTED", "A STARTED", "A COMPLETED", "B REQUESTED", "B STARTED", "B COMPLETED"]
    );
    let times: Vec<Timestamp> =
        history.entries.iter().map(|entry| entry.timestamp.parse().unwrap()).collect();
    assert_eq!(times, [0, 2000, 4000, 6000, 8000, 10000].map(at));
    let again = complete(&current, &history.entries, &evidence(&flow, &[]));
    assert_eq!(again.entries, history.entries);
}

/// With a status subresource the server drops what such programs record; then only one who watched knows.
#[test]
fn what_nobody_wrote_follows_from_sight_and_flow() {
    let flow = flow("A,B");
    let seen = |text: &str, time| PositionRecord { position: position(text), at: at(time) };
    let position_log = [seen("A REQUESTED", 10), seen("A COMPLETED", 4010)];
    let history = complete(&position("A COMPLETED"), &[], &evidence(&flow, &position_log));
    assert_eq!(
        shown(&history),
        [
            "A REQUESTED 2027-01-15T08:00:00.010Z",
            "A STARTED 2027-01-15T08:00:04.010Z",
            "A COMPLETED 2027-01-15T08:00:04.010Z"
        ]
    );
    // A client that writes last.
    let history = complete(&position("B COMPLETED"), &[], &evidence(&flow, &[]));
    assert_eq!(history.entries.len(), 6);
    // An object that was created at its end has no other way behind it.
    let unchanged = HistoryEvidence { is_unchanged: true, ..evidence(&flow, &[]) };
    assert_eq!(places(&complete(&position("B COMPLETED"), &[], &unchanged)), ["B COMPLETED"]);
}

/// Manifests of users have such histories.
#[test]
fn words_of_others_stay_as_they_are() {
    let flow = flow("JOB1,JOB2");
    let entries =
        [("JOB1 STARTED", "t0"), ("JOB1 COMPLETED", "t1"), ("JOB2 STARTED", "t2"), ("JOB2 COMPLETED", "t3")]
            .map(|(place, time)| entry(&position(place), time.to_owned()));
    let history = complete(&position("JOB2 COMPLETED"), &entries, &evidence(&flow, &[]));
    assert_eq!(
        places(&history),
        ["JOB1 STARTED", "JOB1 COMPLETED", "JOB2 REQUESTED", "JOB2 STARTED", "JOB2 COMPLETED"]
    );
    for entry in &entries {
        assert!(history.entries.contains(entry), "{entry:?}");
    }
    let odd = [HistoryEntry { job: "x".to_owned(), state: "PAUSED".to_owned(), ..HistoryEntry::default() }];
    assert_eq!(
        places(&complete(&position("x STARTED"), &odd, &evidence(&flow, &[]))),
        ["x PAUSED", "x STARTED"]
    );
}

/// A worker writes the end down before it writes the state; when the request is cancelled in between, there is no
/// end.
#[test]
fn an_end_that_was_announced_and_did_not_come_is_taken_back() {
    let flow = flow("A,B");
    let entries = [("A REQUESTED", 0), ("A STARTED", 5), ("A COMPLETED", 9)]
        .map(|(place, time)| entry(&position(place), Moment::text(at(time))));
    let since = |time| HistoryEvidence { since: Some(at(time)), ..evidence(&flow, &[]) };
    let cancelled = complete(&position("A CANCELLED"), &entries, &since(12));
    assert_eq!(places(&cancelled), ["A REQUESTED", "A STARTED", "A CANCELLED"]);
    let again = complete(&position("A STARTED"), &entries, &since(5));
    assert_eq!(places(&again), ["A REQUESTED", "A STARTED"]);
    // Announced as failed, or failed and then retried: the time decides.
    let mut failed = entries;
    failed[2].state = "FAILED".to_owned();
    assert_eq!(complete(&position("A STARTED"), &failed, &since(5)).entries.len(), 2);
    assert_eq!(complete(&position("A STARTED"), &failed, &since(20)).entries.len(), 5);
}

#[test]
fn a_long_history_keeps_its_newest_and_hands_over_the_rest() {
    let flow = flow("A,B");
    let entries: Vec<HistoryEntry> = (0..LONGEST)
        .map(|step| {
            let job = if (step / 3).is_multiple_of(2) { "A" } else { "B" };
            let state = [State::Requested, State::Started, State::Failed][step % 3];
            entry(&Position::new(job, state), Moment::text(at(i64::try_from(step).unwrap())))
        })
        .collect();
    let next = position("B COMPLETED");
    let last = entries.last().unwrap();
    let current = Position::new(last.job.clone(), last.state.parse().unwrap());
    let announced = entry(&next, Moment::text(at(999)));
    let history =
        complete(&current, &entries, &HistoryEvidence { entering: Some(&announced), ..evidence(&flow, &[]) });
    assert_eq!(history.entries.len(), LONGEST);
    assert_eq!(history.dropped, entries[..1]);
    assert_eq!(history.entries.last(), Some(&announced));
}

/// One of ours that watches a request.
#[derive(Default)]
struct Watcher {
    position_log: Vec<PositionRecord>,
}

impl Watcher {
    fn see(&mut self, world: &HistorySimulation) {
        if self.position_log.last().is_none_or(|last| last.position != world.current) {
            self.position_log.push(PositionRecord { position: world.current.clone(), at: world.now() });
        }
    }
}

/// A request, the server that keeps it, and all that really happened.
struct HistorySimulation {
    flow: Flow,
    /// Whether the server keeps what the programs of others record.
    keeps: bool,
    current: Position,
    since: Timestamp,
    entries: Vec<HistoryEntry>,
    dropped: usize,
    way: Vec<Position>,
    time: i64,
    is_announced: bool,
}

impl HistorySimulation {
    fn now(&self) -> Timestamp {
        at(self.time)
    }

    fn enter(&mut self, to: Position) {
        super::super::check(&self.current, &to).unwrap();
        // What was announced follows at once, everything else takes its time.
        self.time += if to.state.has_ended() && self.is_announced { 5 } else { 7000 };
        self.is_announced = false;
        self.since = self.now();
        self.way.push(to.clone());
        self.current = to;
    }

    /// A program of others moves on.
    fn enter_by_other(&mut self, to: Position) {
        if self.keeps {
            self.entries.push(entry(&self.current, go_time(at(self.time + 7000))));
        }
        self.enter(to);
    }

    fn record(&mut self, watcher: &Watcher, entering: Option<&Position>) {
        self.time += 1;
        self.is_announced = entering.is_some();
        let entering = entering.map(|position| entry(position, Moment::text(self.now())));
        let evidence = HistoryEvidence {
            is_unchanged: self.way.len() == 1,
            is_truncated: self.dropped > 0,
            since: (self.current.state == State::Started).then_some(self.since),
            entering: entering.as_ref(),
            ..evidence(&self.flow, &watcher.position_log)
        };
        let history = complete(&self.current, &self.entries, &evidence);
        self.dropped += history.dropped.len();
        self.entries = history.entries;
    }
}

/// Drives one request to its end by chance; who of director and worker is ours is chosen too.
fn play(ours: (bool, bool), keeps: bool, jobs: usize, chances: &[u8]) -> (HistorySimulation, Watcher) {
    let names = ["A", "B", "C", "D"];
    let flow = flow(&format!("{},", names[..jobs].join(",")));
    let current = Position::new(flow.first(), State::Requested);
    let mut world = HistorySimulation {
        flow,
        keeps,
        way: vec![current.clone()],
        current,
        since: at(0),
        entries: Vec::new(),
        dropped: 0,
        time: 0,
        is_announced: false,
    };
    let (mut director, mut worker) = (Watcher::default(), Watcher::default());
    let mut chances = chances.iter().copied().chain(std::iter::repeat(0));
    loop {
        let mut chance = |of: u8| chances.next().unwrap_or(0) % 16 < of;
        // A watch may pass over what lasts too short, and a process may forget everything.
        for watcher in [&mut director, &mut worker] {
            if chance(8) {
                watcher.see(&world);
            }
            if chance(1) {
                watcher.position_log.clear();
            }
        }
        let job = world.current.job.clone();
        let state = world.current.state;
        let is_cancelled = !state.has_ended() && chance(1);
        if is_cancelled {
            director.see(&world);
            worker.see(&world);
            if ours.1 && state == State::Started {
                world.record(&worker, None);
                if chance(8) {
                    world.record(&worker, Some(&Position::new(job.clone(), State::Completed)));
                }
            }
            world.enter(Position::new(job, State::Cancelled));
            break;
        }
        match state {
            State::Requested if ours.1 => {
                worker.see(&world);
                world.enter(Position::new(job, State::Started));
                worker.see(&world);
            }
            State::Requested => world.enter_by_other(Position::new(job, State::Started)),
            State::Started if ours.1 => {
                worker.see(&world);
                if chance(8) {
                    world.record(&worker, None);
                }
                let fails = ours.0 && chance(4);
                let end = Position::new(job, if fails { State::Failed } else { State::Completed });
                world.record(&worker, Some(&end));
                if chance(4) {
                    // The write of the state is lost, and the process with it.
                    worker.position_log.clear();
                    worker.see(&world);
                    world.record(&worker, Some(&end));
                }
                world.enter(end);
            }
            State::Started => world.enter_by_other(Position::new(job, State::Completed)),
            State::Failed | State::Completed => {
                let next = if state == State::Failed {
                    Some(job)
                } else {
                    world.flow.next(&world.current).map(str::to_owned)
                };
                let Some(next) = next else { break };
                let next = Position::new(next, State::Requested);
                if ours.0 {
                    director.see(&world);
                    world.record(&director, None);
                    world.enter(next);
                    director.see(&world);
                } else {
                    world.enter_by_other(next);
                }
            }
            State::Cancelled => break,
        }
    }
    let last = if ours.0 { director } else { worker };
    (world, last)
}

proptest! {
    /// Whatever client moved it, whatever was missed: once each, in order.
    #[test]
    fn a_history_is_the_way_that_the_request_has_come(
        ours in vec(any::<bool>(), 2).prop_filter("one is ours", |ours| ours.contains(&true)),
        keeps: bool,
        jobs in 1_usize..4,
        chances in vec(any::<u8>(), 0..400),
    ) {
        let (mut world, mut watcher) = play((ours[0], ours[1]), keeps, jobs, &chances);
        watcher.see(&world);
        world.record(&watcher, None);
        let way: Vec<String> = world.way.iter().map(Position::to_string).collect();
        let places: Vec<String> =
            world.entries.iter().map(|entry| format!("{} {}", entry.job, entry.state)).collect();
        prop_assert_eq!(&places[..], &way[world.dropped..]);
        prop_assert!(world.entries.len() <= LONGEST);
        let times: Vec<Timestamp> =
            world.entries.iter().map(|entry| entry.timestamp.parse().unwrap()).collect();
        prop_assert!(times.is_sorted(), "{:?}", times);
        let before = world.entries.clone();
        world.record(&watcher, None);
        prop_assert_eq!(&world.entries, &before);
    }
}

#[test]
fn chance_reaches_every_kind_of_way() {
    let mut ends = HashSet::new();
    for seed in 0..=255_u8 {
        let chances: Vec<u8> =
            (0..200_u8).map(|step| step.wrapping_mul(seed).wrapping_add(seed / 3)).collect();
        let (world, _) = play((true, true), false, 2, &chances);
        ends.insert(world.current.state);
        if world.way.iter().any(|place| place.state == State::Failed) {
            ends.insert(State::Failed);
        }
    }
    assert!(
        ends.contains(&State::Completed) && ends.contains(&State::Failed) && ends.contains(&State::Cancelled)
    );
}
