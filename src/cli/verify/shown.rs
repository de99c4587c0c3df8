//! What `verify` found, and how it is shown; pure.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Value, json};

use crate::{
    cli::process::shown,
    diff::{
        Step,
        verify::{Finding, Sides},
    },
};

/// What came of mending a finding; none if nothing was tried.
type Mended = Option<Result<(), String>>;

/// What was compared.
pub(super) struct Counts {
    objects: usize,
    processes: usize,
    executors: usize,
    secrets: Option<usize>,
    requests: usize,
    calls: usize,
    took: Duration,
}

impl Counts {
    pub(super) fn of(sides: &Sides, requests: usize, calls: usize, took: Duration) -> Self {
        Self {
            objects: sides.objects.len(),
            processes: sides.colonies.iter().map(|side| side.live.len()).sum(),
            executors: sides.colonies.iter().map(|side| side.executors.len()).sum(),
            secrets: sides.secrets.as_ref().map(Vec::len),
            requests,
            calls,
            took,
        }
    }
}

/// What was found.
pub(super) struct Report {
    pub rows: Vec<(Finding, Mended)>,
    /// What could not be read.
    pub problems: Vec<String>,
    pub counts: Counts,
}

impl Report {
    /// Whether everything fits together by now, as far as everything could be read.
    pub(super) fn is_in_order(&self) -> bool {
        self.problems.is_empty() && self.rows.iter().all(|(_, mended)| matches!(mended, Some(Ok(()))))
    }

    /// An aligned table, and a last line that sums up.
    pub(super) fn text(&self) -> String {
        let mut table = vec![["FINDING", "WHAT", "COLONY", "SEEN", "REMEDY"].map(str::to_owned)];
        table.extend(self.rows.iter().map(|(finding, mended)| {
            let class: &'static str = finding.class.into();
            let colony = finding.colony.as_deref().unwrap_or("-");
            [class, &finding.what, colony, &finding.seen, &remedy(finding, mended)].map(shown)
        }));
        let mut text = String::new();
        if !self.rows.is_empty() {
            let width = |column: usize| {
                let cells = table.iter().filter_map(|cells| cells.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
            };
            let widths: Vec<usize> = (0..5).map(width).collect();
            for cells in &table {
                let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
                // Writing to a string does not fail.
                let _ = writeln!(text, "{}", padded.collect::<Vec<_>>().join("  ").trim_end());
            }
            text.push('\n');
        }
        for problem in &self.problems {
            let _ = writeln!(text, "not read: {}", shown(problem));
        }
        let mended = self.rows.iter().filter(|(_, mended)| matches!(mended, Some(Ok(())))).count();
        let Counts { objects, processes, executors, secrets, requests, calls, took } = &self.counts;
        let secrets = secrets.map_or("no".to_owned(), |count| count.to_string());
        let _ = writeln!(
            text,
            "{} findings, {mended} mended; {objects} objects, {processes} live processes, {executors} executors and {secrets} Secrets compared in {:.1} s with {requests} requests to the API server and {calls} to colonies",
            self.rows.len(),
            took.as_secs_f64(),
        );
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let findings = self.rows.iter().map(|(finding, mended)| {
            json!({
                "class": finding.class,
                "what": finding.what,
                "colony": finding.colony,
                "seen": finding.seen,
                "step": finding.step.as_ref().map(step_text),
                "remedy": finding.remedy,
                "mended": mended.as_ref().map(Result::is_ok),
                "failure": mended.as_ref().and_then(|mended| mended.as_ref().err()),
            })
        });
        let counts = &self.counts;
        json!({
            "inOrder": self.is_in_order(),
            "findings": findings.collect::<Vec<_>>(),
            "problems": self.problems,
            "compared": {
                "objects": counts.objects,
                "processes": counts.processes,
                "executors": counts.executors,
                "secrets": counts.secrets,
            },
            "requests": { "kubernetes": counts.requests, "colonies": counts.calls },
            "seconds": counts.took.as_secs_f64(),
        })
    }
}

fn step_text(step: &Step) -> String {
    match step {
        Step::Kubernetes(step) => step.to_string(),
        Step::Colony(step) => step.to_string(),
    }
}

fn remedy(finding: &Finding, mended: &Mended) -> String {
    match (mended, &finding.step, &finding.remedy) {
        (Some(Ok(())), Some(step), _) => format!("done: {}", step_text(step)),
        (Some(Err(failure)), _, _) => failure.clone(),
        (_, Some(step), _) => format!("--fix: {}", step_text(step)),
        (_, None, Some(remedy)) => remedy.clone(),
        (_, None, None) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::documented::printed,
        diff::{ColonyStep, verify::Class},
    };

    fn report(rows: Vec<(Finding, Mended)>, problems: Vec<String>) -> Report {
        let counts = Counts {
            objects: 2,
            processes: 3,
            executors: 4,
            secrets: Some(1),
            requests: 5,
            calls: 6,
            took: Duration::from_millis(1_250),
        };
        Report { rows, problems, counts }
    }

    fn finding() -> Finding {
        let step = ColonyStep::RemoveExecutor { name: "x".to_owned() };
        Finding {
            class: Class::OrphanedExecutor,
            colony: Some("dev".to_owned()),
            what: "executor x".to_owned(),
            seen: "it is gone".to_owned(),
            step: Some(Step::Colony(step)),
            namespace: None,
            remedy: None,
        }
    }

    #[test]
    fn findings_are_a_table_with_what_mends_them() {
        assert_eq!(
            report(vec![(finding(), None)], Vec::new()).text(),
            "FINDING           WHAT        COLONY  SEEN        REMEDY\n\
             OrphanedExecutor  executor x  dev     it is gone  --fix: remove executor x\n\
             \n1 findings, 0 mended; 2 objects, 3 live processes, 4 executors and 1 Secrets compared in 1.2 s with 5 requests to the API server and 6 to colonies\n"
        );
        assert_eq!(
            report(vec![(finding(), None)], Vec::new()).text(),
            printed("colonyos-operator verify"),
            "as the page shows it"
        );
        let mended = report(vec![(finding(), Some(Ok(())))], Vec::new());
        assert!(mended.text().contains("done: remove executor x"), "{}", mended.text());
    }

    /// Scripts read the exit code: what could not be read is not in order.
    #[test]
    fn only_what_was_read_and_fits_together_is_in_order() {
        assert!(report(Vec::new(), Vec::new()).is_in_order());
        assert!(report(vec![(finding(), Some(Ok(())))], Vec::new()).is_in_order());
        assert!(!report(vec![(finding(), None)], Vec::new()).is_in_order());
        assert!(!report(vec![(finding(), Some(Err("refused".to_owned())))], Vec::new()).is_in_order());
        assert!(!report(Vec::new(), vec!["Colony dev cannot be asked".to_owned()]).is_in_order());
        assert_eq!(
            report(vec![(finding(), None)], Vec::new()).json()["findings"][0]["class"],
            "OrphanedExecutor"
        );
    }
}
