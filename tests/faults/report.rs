//! Tables for people.

use std::{collections::BTreeMap, collections::BTreeSet, fmt::Write as _, time::Duration};

use crate::{
    fleet::Asked,
    ledger::{Tally, tally},
    proxy::{
        journal::Journal,
        point::Point,
        rule::{Fault, Hit},
    },
    stack::Row,
};

/// A table whose columns are as wide as their widest cell.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = || {
        std::iter::once(head.to_vec()).chain(rows.iter().map(|row| row.iter().map(String::as_str).collect()))
    };
    let widths: Vec<usize> = (0..head.len())
        .map(|column| cells().map(|row: Vec<&str>| row[column].chars().count()).max().unwrap_or_default())
        .collect();
    let mut text = String::new();
    for row in cells() {
        let line: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        writeln!(text, "{}", line.join("  ").trim_end()).unwrap();
    }
    text
}

/// What is counted of a fault that befalls many objects, and not one call.
#[derive(Clone, Debug)]
pub struct Befallen {
    pub fault: String,
    /// How many objects there were.
    pub objects: usize,
    /// Before it, and when everything had settled.
    pub counted: [Tally; 2],
    /// Objects that are gone although no test deleted them.
    pub deleted: usize,
}

/// What came of such faults: processes that were intended and submitted meanwhile, and what is wrong in the end.
pub fn of_befallen(faults: &[Befallen]) -> String {
    let lines: Vec<Vec<String>> = faults
        .iter()
        .map(|Befallen { fault, objects, counted: [before, after], deleted }| {
            let numbers = [
                *objects,
                after.intended - before.intended,
                after.on_server - before.on_server,
                after.collapsed - before.collapsed,
                after.left.len(),
                after.orphans.len(),
                *deleted,
            ];
            std::iter::once(fault.clone()).chain(numbers.map(|number| number.to_string())).collect()
        })
        .collect();
    let head =
        ["fault", "objects", "intended", "submitted", "collapsed", "left", "orphans", "deleted by mistake"];
    markdown(&head, &lines)
}

/// A table as docs/promise.md has it.
fn markdown(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: &[&str]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<&str> = head.iter().map(|_| "---").collect();
    let rows = rows.iter().map(|row| line(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    [line(head), line(&rule)].into_iter().chain(rows).collect()
}

/// What came of each fault at each point.
pub fn of_hits(hits: &[Hit], journal: &Journal, asked: &BTreeMap<String, Asked>, rows: &[Row]) -> String {
    let mut groups: BTreeMap<(&Point, String), Vec<&Hit>> = BTreeMap::new();
    for hit in hits {
        let fault = match hit.fault {
            Fault::Refuse(_) => "refused".to_owned(),
            fault => fault.to_string(),
        };
        groups.entry((&hit.point, fault)).or_default().push(hit);
    }
    let lines: Vec<Vec<String>> = groups
        .iter()
        .map(|((point, fault), hits)| {
            let subjects: BTreeSet<&str> = hits.iter().filter_map(|hit| hit.subject.as_deref()).collect();
            let tally = tally(asked, rows, |name| subjects.contains(name));
            let mut line = vec![point.to_string(), fault.clone(), hits.len().to_string()];
            line.extend(counts(&tally));
            line.extend(recovery(hits, journal));
            line
        })
        .collect();
    table(
        &[
            "point",
            "fault",
            "hits",
            "intended",
            "on server",
            "collapsed",
            "left",
            "orphans",
            "again after",
            "max",
        ],
        &lines,
    )
}

fn counts(tally: &Tally) -> [String; 5] {
    [
        tally.intended.to_string(),
        tally.on_server.to_string(),
        tally.collapsed.to_string(),
        tally.left.len().to_string(),
        tally.orphans.len().to_string(),
    ]
}

/// The median and the longest time until the next write about the same object; none where nothing was left to do.
fn recovery(hits: &[&Hit], journal: &Journal) -> [String; 2] {
    let mut times: Vec<Duration> = hits
        .iter()
        .filter_map(|hit| Some(journal.next_about(hit.subject.as_deref()?, hit.at)? - hit.at))
        .collect();
    times.sort_unstable();
    let shown = |time: Option<&Duration>| {
        time.map_or_else(|| "-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
    };
    [shown(times.get(times.len() / 2)), shown(times.last())]
}
