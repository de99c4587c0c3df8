//! An explanation as aligned text. Pure.

use jiff::Timestamp;

use super::{
    super::{
        process::shown,
        table::{aligned, away},
    },
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
