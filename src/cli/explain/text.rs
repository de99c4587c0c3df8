//! An explanation as aligned text. Pure.

use jiff::Timestamp;

use super::{
    super::process::shown,
    chain::{Decision, Explanation},
};

/// For people.
pub(super) fn text_of(explanation: &Explanation, now: Timestamp) -> String {
    let place = explanation.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let mut lines = vec![format!(
        "{} {place}{}: {}",
        explanation.kind,
        shown(&explanation.name),
        shown(&explanation.state)
    )];
    section(&mut lines, "Wish", explanation.wish.iter().map(|line| shown(line)));
    let steps = explanation.plan.iter().map(|step| {
        let stands: &str = step.stands.into();
        [stands.to_owned(), step.at.map(|at| away(at, now)).unwrap_or_default(), shown(&step.what)]
    });
    section(&mut lines, "Plan", aligned(&steps.collect::<Vec<_>>()).into_iter());
    section(&mut lines, "Waits for", explanation.waits_for.iter().map(|line| shown(line)));
    section(&mut lines, "Warnings", explanation.warnings.iter().map(|line| shown(line)));
    let decisions = |decisions: &[Decision]| {
        let rows = decisions.iter().map(|decision| {
            let at = decision.at.map(|at| away(at, now)).unwrap_or_default();
            [at, shown(&decision.reason), shown(&decision.message)]
        });
        aligned(&rows.collect::<Vec<_>>()).into_iter()
    };
    section(&mut lines, "Last decision", decisions(explanation.last_decision.as_slice()));
    section(&mut lines, "Events", decisions(&explanation.events));
    section(&mut lines, "What would change it", explanation.would_change_it.iter().map(|line| shown(line)));
    section(&mut lines, "Not read", explanation.unread.iter().map(|line| shown(line)));
    lines.push(String::new());
    lines.join("\n")
}

/// A heading and what is below it; nothing if there is nothing.
fn section(lines: &mut Vec<String>, name: &str, texts: impl Iterator<Item = String>) {
    let below: Vec<String> = texts.map(|text| format!("  {}", text.replace('\n', "\n  "))).collect();
    if !below.is_empty() {
        lines.push(format!("{name}:"));
        lines.extend(below);
    }
}

/// Rows whose cells stand below each other; a column that is empty everywhere is left out.
fn aligned(rows: &[[String; 3]]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |row: &[String; 3]| {
        let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let padded: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// How long ago a moment was, or how far away it is.
fn away(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let text = match seconds.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    };
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}
