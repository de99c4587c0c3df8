//! What the parser costs, in bytes that are allocated: a number that is the same on every machine. An expression that
//! nests twice as deep may cost a few times as much and not a thousand times.

use std::{
    alloc::System,
    sync::{Mutex, MutexGuard, PoisonError},
};

use cap::Cap;
use colonyos_expression::{Condition, MAX_BRACKETS, MAX_DEPTH, MAX_EXPRESSION};

/// Allocates, counts, and ends this process rather than the machine.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, 1 << 30);

/// What nests: before, within and after.
const NESTED: [(&str, &str, &str); 34] = [
    ("(", "a", ")"),
    ("!(", "a", ")"),
    ("!!(", "a", ")"),
    ("!!!(", "a", ")"),
    ("!!!!(", "a", ")"),
    ("-(", "a", ")"),
    ("--(", "a", ")"),
    ("----(", "a", ")"),
    ("!![", "a", "]"),
    ("--{1:", "a", "}"),
    ("!!f(", "a", ")"),
    ("--a[", "a", "]"),
    ("[", "a", "]"),
    ("[a,", "a", "]"),
    ("{1:", "a", "}"),
    ("{'a':1,'b':", "a", "}"),
    ("a[", "0", "]"),
    ("size(", "a", ")"),
    ("a.f(", "a", ")"),
    ("has(a.b)&&(", "a", ")"),
    ("a?b:(", "a", ")"),
    ("(", "a", ")?b:c"),
    ("a?(", "a", "):b"),
    ("1+(", "a", ")"),
    ("(", "a", ")+1"),
    ("(", "a", ")*2-1"),
    ("a&&(", "a", ")"),
    ("a||(", "a", ")"),
    ("a==(", "a", ")"),
    ("(", "a", ")in b"),
    ("a.b.c(", "a", ")[0]"),
    ("a.exists(x,", "x", ")"),
    ("T{a:", "a", "}"),
    ("(", "''", ").b.c"),
];

/// What follows one upon another without a bracket.
const CHAINED: [(&str, &str); 21] = [
    ("!", "a"),
    ("-", "a"),
    ("a+", "a"),
    ("a-", "a"),
    ("a*", "a"),
    ("a-1*", "a"),
    ("a&&", "a"),
    ("a||", "a"),
    ("a||b&&", "a"),
    ("a==", "a"),
    ("a<", "a"),
    ("a in ", "a"),
    ("a.", "a"),
    ("a.b().", "a"),
    ("a?b:", "c"),
    ("'a'+", "'a'"),
    ("r'a'+b'a'+", "'''a'''"),
    ("-1u+", "0x1"),
    ("1.5e3*", "1"),
    ("!-", "a"),
    ("a[0]+", "a"),
];

fn nested((before, within, after): (&str, &str, &str), levels: usize) -> String {
    format!("{}{within}{}", before.repeat(levels), after.repeat(levels))
}

/// Held by the test that counts: all of the process allocates here.
static COUNTING: Mutex<()> = Mutex::new(());

fn counting() -> MutexGuard<'static, ()> {
    COUNTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The bytes that are allocated to find out what an expression is, whatever it is.
fn cost(expression: &str) -> usize {
    let before = ALLOCATOR.total_allocated();
    let _ = Condition::parse("spec", expression, &["a", "b", "c"]);
    ALLOCATOR.total_allocated() - before
}

#[test]
fn what_is_twice_as_deep_or_long_costs_a_few_times_as_much() {
    let _alone = counting();
    // What is set up once is paid for before anything is compared.
    for shape in NESTED {
        cost(&nested(shape, 1));
    }
    let mut shapes = Vec::new();
    for shape in NESTED {
        // A conditional counts as well as a bracket.
        let deepest =
            if shape.0.contains('?') || shape.2.contains('?') { MAX_BRACKETS / 2 } else { MAX_BRACKETS };
        shapes.push([deepest / 4, deepest / 2, deepest].map(|levels| nested(shape, levels)));
    }
    for (unit, end) in CHAINED {
        let chain = |times: usize| format!("{}{end}", unit.repeat(times));
        if !unit.contains('?') {
            shapes.push([MAX_DEPTH / 4, MAX_DEPTH / 2, MAX_DEPTH].map(chain));
            shapes.push(
                [MAX_EXPRESSION / 8, MAX_EXPRESSION / 4, MAX_EXPRESSION / 2]
                    .map(|size| chain((size - end.len()) / unit.len())),
            );
        }
        shapes.push([MAX_BRACKETS / 4, MAX_BRACKETS / 2, MAX_BRACKETS].map(chain));
    }
    for [quarter, half, whole] in shapes {
        let costs = [&quarter, &half, &whole].map(|text| cost(text));
        for (less, more) in [(costs[0], costs[1]), (costs[1], costs[2])] {
            assert!(more <= 4 * less, "{whole}: {costs:?}");
        }
        assert!(costs[2] <= 128 * 1024 + 10 * 1024 * whole.len(), "{whole}: {costs:?}");
    }
}

/// A pass over an object compiles what the pass before compiled.
#[test]
fn what_was_parsed_is_not_parsed_again() {
    let _alone = counting();
    let expression = "a.map(x, !!(x > 0 && b.exists(y, y == x + 17)))";
    let (first, again) = (cost(expression), cost(expression));
    assert!(10 * again < first, "{first} {again}");
}

/// Each shape in each other, in turns.
#[test]
fn shapes_within_each_other_cost_no_more_than_by_themselves() {
    let _alone = counting();
    for outer in NESTED {
        for inner in NESTED {
            let both = [outer.0, inner.0].concat();
            let (within, after) = (inner.1, [inner.2, outer.2].concat());
            let costs = [2, 4].map(|times| cost(&nested((&both, within, &after), times)));
            assert!(costs[1] <= 4 * costs[0], "{both}{within}{after}: {costs:?}");
        }
    }
}
