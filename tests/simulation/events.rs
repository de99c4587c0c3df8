//! What happens.

use proptest::{collection::vec, option, prelude::*};

/// What becomes of one thing that the operator asks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and the answer comes.
    Done,
    /// Nothing is done, and the operator knows.
    Refused,
    /// It is done, and the answer is lost.
    Lost,
    /// The answer is lost, and it is done that many seconds later: less than the operator waits before it tries again.
    Late(u8),
    /// The operator ends before it asks.
    CrashBefore,
    /// It is done, and the operator ends before it hears of it.
    CrashAfter,
}

/// What others do.
#[derive(Clone, Debug)]
pub enum Event {
    /// The operator looks at an object. Its calls meet these fates in turn, and then none but good ones.
    Look {
        /// Which one.
        object: usize,
        /// What becomes of its calls.
        fates: Vec<Fate>,
        /// What happens after it has looked and before it acts.
        meanwhile: Option<Box<Event>>,
    },
    /// A user changes the spec.
    Edit {
        /// Of which one.
        object: usize,
    },
    /// A user deletes it.
    Delete {
        /// Which one.
        object: usize,
    },
    /// The pods of an object become ready.
    Ready {
        /// Of which one.
        object: usize,
    },
    /// The operator's executor is given a process.
    Assign,
    /// The operator is told that something has moved in the colony.
    Told,
    /// Somebody cancels one of the live processes.
    Cancel {
        /// Which one.
        process: usize,
    },
    /// Somebody removes one of the processes that do not run.
    Remove {
        /// Which one.
        process: usize,
    },
    /// Waits.
    Pass {
        /// That many seconds.
        seconds: u8,
    },
    /// The operator ends, and another takes over after that many seconds.
    Crash {
        /// Seconds.
        after: u8,
    },
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Done),
        1 => Just(Fate::Refused),
        2 => Just(Fate::Lost),
        2 => (1_u8..15).prop_map(Fate::Late),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::CrashAfter),
    ]
}

/// What others than the operator do.
fn others() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0_usize..2).prop_map(|object| Event::Edit { object }),
        1 => (0_usize..2).prop_map(|object| Event::Delete { object }),
        3 => (0_usize..2).prop_map(|object| Event::Ready { object }),
        4 => Just(Event::Assign),
        2 => Just(Event::Told),
        1 => (0_usize..4).prop_map(|process| Event::Cancel { process }),
        1 => (0_usize..4).prop_map(|process| Event::Remove { process }),
        4 => (1_u8..20).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

/// Anything.
pub fn any() -> impl Strategy<Value = Event> {
    let look = (0_usize..2, vec(fate(), 0..7), option::weighted(0.2, others()));
    prop_oneof![
        12 => look.prop_map(|(object, fates, meanwhile)| {
            Event::Look { object, fates, meanwhile: meanwhile.map(Box::new) }
        }),
        8 => others(),
        1 => (0_u8..20).prop_map(|after| Event::Crash { after }),
    ]
}
