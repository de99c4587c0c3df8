//! What happens.

use proptest::{collection::vec, option, prelude::*};

/// What becomes of one call of the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and the answer comes.
    Done,
    /// It is done, and the answer, as of when it was asked, takes that many seconds.
    Slow(u8),
    /// There is no connection.
    Unreachable,
    /// The server refuses, for reasons of its own.
    Refused,
    /// It is done, and the answer is lost.
    Lost,
    /// It never arrives, and the operator cannot know.
    Dropped,
    /// Something between repeats it: a submit is done twice, and no answer comes.
    Twice,
    /// The answer is lost, and it is done that many seconds later: which may be later than the operator waits before it tries again.
    Late(u8),
    /// The server does not find what it has, for a moment: once in a sequence.
    Hidden,
    /// The operator ends before it asks.
    CrashBefore,
    /// It is done, and the operator ends before it hears of it.
    CrashAfter,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// The operator's pass over an object. Its calls meet these fates in turn, and then none but good ones.
    Look {
        /// Which one of those that there are.
        object: usize,
        /// What becomes of its calls.
        fates: Vec<Fate>,
        /// What happens before which of its calls.
        meanwhile: Option<(usize, Box<Event>)>,
        /// Whether the caches show what there is.
        is_fresh: bool,
        /// Whether a process for the operator itself is assigned to it as soon as it is submitted.
        is_assigned: bool,
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
    /// The pods of all objects become ready.
    Ready,
    /// An executor is given a process.
    Assign,
    /// An executor closes its process.
    Close {
        /// How.
        successful: bool,
    },
    /// The operator is told that something has moved in the colony.
    Told,
    /// Another client cancels one of the live processes.
    Cancel {
        /// Which one.
        process: usize,
    },
    /// Another client removes one of the processes that do not run.
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
        14 => Just(Fate::Done),
        1 => (1_u8..15).prop_map(Fate::Slow),
        1 => Just(Fate::Unreachable),
        1 => Just(Fate::Refused),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Dropped),
        1 => Just(Fate::Twice),
        // Beyond the quiet period as well.
        2 => (1_u8..40).prop_map(Fate::Late),
        1 => Just(Fate::Hidden),
        1 => Just(Fate::CrashBefore),
        1 => Just(Fate::CrashAfter),
    ]
}

/// What others than the operator do.
fn others() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (0_usize..2).prop_map(|object| Event::Edit { object }),
        1 => (0_usize..2).prop_map(|object| Event::Delete { object }),
        3 => Just(Event::Ready),
        4 => Just(Event::Assign),
        2 => any::<bool>().prop_map(|successful| Event::Close { successful }),
        2 => Just(Event::Told),
        1 => (0_usize..4).prop_map(|process| Event::Cancel { process }),
        1 => (0_usize..4).prop_map(|process| Event::Remove { process }),
        4 => (1_u8..20).prop_map(|seconds| Event::Pass { seconds }),
    ]
}

fn look() -> impl Strategy<Value = Event> {
    let meanwhile = option::weighted(0.2, (0_usize..8, others().prop_map(Box::new)));
    let whether = (prop::bool::weighted(0.85), any::<bool>());
    (0_usize..4, vec(fate(), 0..10), meanwhile, whether).prop_map(
        |(object, fates, meanwhile, (is_fresh, is_assigned))| Event::Look {
            object,
            fates,
            meanwhile,
            is_fresh,
            is_assigned,
        },
    )
}

/// Anything.
pub fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        14 => look(),
        8 => others(),
        1 => (0_u8..20).prop_map(|after| Event::Crash { after }),
    ]
}
