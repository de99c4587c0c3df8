//! What came of the tests: a line for each as it ends, a table, and the line that closes the run.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use parking_lot::Mutex;

use super::rung::Rung;

/// What came of one test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed,
    /// It was not run.
    Skipped,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    time: Duration,
}

/// Collects from rungs that run side by side.
#[derive(Debug, Default)]
pub struct Report {
    rungs: Mutex<BTreeMap<Rung, Tally>>,
    preparations: Mutex<Vec<(String, Duration)>>,
    /// Name and reason of each failed test.
    failures: Mutex<Vec<(String, String)>>,
    /// The same of those that passed by themselves afterwards.
    flaky: Mutex<Vec<(String, String)>>,
    /// How long tests have taken, with rung and name.
    times: Mutex<Vec<(Duration, String)>>,
}

/// Most tests of a run that may pass only by themselves: with more, the run fails.
const FLAKY: usize = 3;

/// How many of the slowest tests are shown: a rung takes as long as they do.
const SLOWEST: usize = 12;

impl Report {
    /// Notes the end of one test and prints its line; `remark` says why, where there is something to say.
    pub fn test(&self, rung: Rung, name: &str, verdict: Verdict, remark: &str) {
        let word = match verdict {
            Verdict::Passed => "ok",
            Verdict::Failed => "FAILED",
            Verdict::Skipped => "SKIPPED",
        };
        let shown = if remark.is_empty() { String::new() } else { format!(": {remark}") };
        println!("{:<9} {name} ... {word}{shown}", rung.name());
        let mut rungs = lock(&self.rungs);
        let tally = rungs.entry(rung).or_default();
        match verdict {
            Verdict::Passed => tally.passed += 1,
            Verdict::Failed => {
                tally.failed += 1;
                lock(&self.failures).push((format!("{} {name}", rung.name()), remark.to_owned()));
            }
            Verdict::Skipped => tally.skipped += 1,
        }
    }

    /// Notes why a test failed, for the summary.
    pub fn reason(&self, rung: Rung, name: &str, reason: &str) {
        let test = format!("{} {name}", rung.name());
        if let Some(failure) = lock(&self.failures).iter_mut().find(|(failed, _)| *failed == test) {
            reason.clone_into(&mut failure.1);
        }
    }

    /// Notes that a failed test has passed by itself.
    pub fn passed_alone(&self, rung: Rung, name: &str) {
        println!("{:<9} {name} ... FLAKY: passed by itself", rung.name());
        let test = format!("{} {name}", rung.name());
        let mut failures = lock(&self.failures);
        let Some(place) = failures.iter().position(|(failed, _)| *failed == test) else { return };
        lock(&self.flaky).push(failures.remove(place));
        let mut rungs = lock(&self.rungs);
        let tally = rungs.entry(rung).or_default();
        tally.failed -= 1;
        tally.passed += 1;
    }

    /// Prints what a failed test said.
    pub fn output(rung: Rung, text: &str) {
        let mut shown = String::new();
        for line in text.lines() {
            // Writing to a string does not fail.
            let _ = writeln!(shown, "{:<9} | {line}", rung.name());
        }
        print!("{shown}");
    }

    /// Notes how long a rung has taken.
    pub fn time(&self, rung: Rung, time: Duration) {
        lock(&self.rungs).entry(rung).or_default().time += time;
    }

    /// Notes how long something beside the tests has taken, such as the build.
    pub fn preparation(&self, name: &str, time: Duration) {
        lock(&self.preparations).push((name.to_owned(), time));
    }

    /// Notes how long tests have taken, which say it in lines of milliseconds and name.
    pub fn times(&self, rung: Rung, text: &str) {
        let time = |line: &str| {
            let (time, name) = line.split_once(' ')?;
            Some((Duration::from_millis(time.parse().ok()?), format!("{} {name}", rung.name())))
        };
        lock(&self.times).extend(text.lines().filter_map(time));
    }

    /// Whether no test has failed, and few were flaky.
    pub fn is_success(&self) -> bool {
        lock(&self.flaky).len() <= FLAKY && lock(&self.rungs).values().all(|tally| tally.failed == 0)
    }

    /// The failed tests, the table of times, and the closing line.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_summary(&mut text);
        text
    }

    fn write_summary(&self, text: &mut String) -> std::fmt::Result {
        list(text, "failed:", &lock(&self.failures))?;
        let flaky = lock(&self.flaky).clone();
        list(text, "flaky, a bug of the test or of what it tests:", &flaky)?;
        let mut times = lock(&self.times);
        times.sort();
        if !times.is_empty() {
            writeln!(text, "slowest:")?;
            for (time, test) in times.iter().rev().take(SLOWEST) {
                writeln!(text, "  {:>6.1} s  {test}", time.as_secs_f64())?;
            }
            writeln!(text)?;
        }
        writeln!(text, "{:<16}{:>8}{:>8}{:>9}{:>10}", "rung", "passed", "failed", "skipped", "seconds")?;
        for (name, time) in lock(&self.preparations).iter() {
            writeln!(
                text,
                "{:<16}{:>8}{:>8}{:>9}{:>10.1}",
                format!("({name})"),
                "",
                "",
                "",
                time.as_secs_f64()
            )?;
        }
        let mut sum = Tally::default();
        for (rung, tally) in lock(&self.rungs).iter() {
            let Tally { passed, failed, skipped, time } = *tally;
            writeln!(
                text,
                "{:<16}{passed:>8}{failed:>8}{skipped:>9}{:>10.1}",
                rung.name(),
                time.as_secs_f64()
            )?;
            sum.passed += passed;
            sum.failed += failed;
            sum.skipped += skipped;
        }
        write!(text, "\n{} passed, {} failed", sum.passed, sum.failed)?;
        if sum.skipped > 0 {
            write!(text, ", {} skipped", sum.skipped)?;
        }
        if !flaky.is_empty() {
            write!(text, ", {} flaky", flaky.len())?;
        }
        writeln!(text)
    }
}

/// Tests under a heading, each with its reason; nothing when there are none.
fn list(text: &mut String, heading: &str, tests: &[(String, String)]) -> std::fmt::Result {
    if tests.is_empty() {
        return Ok(());
    }
    writeln!(text, "{heading}")?;
    for (test, reason) in tests {
        writeln!(text, "  {test}")?;
        if !reason.is_empty() {
            writeln!(text, "      {reason}")?;
        }
    }
    writeln!(text)
}

/// A panic elsewhere does not make the counts wrong.
fn lock<T>(mutex: &Mutex<T>) -> parking_lot::MutexGuard<'_, T> {
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_counts_every_rung() {
        let report = Report::default();
        report.test(Rung::Unit, "a", Verdict::Passed, "");
        report.test(Rung::Golden, "b", Verdict::Passed, "");
        assert!(report.summary().ends_with("\n2 passed, 0 failed\n"));
        assert!(report.is_success());
        report.test(Rung::Golden, "c", Verdict::Failed, "");
        report.test(Rung::E2e, "d", Verdict::Skipped, "no root");
        assert!(report.summary().ends_with("\n2 passed, 1 failed, 1 skipped\n"));
        report.reason(Rung::Golden, "c", "c.rs:1:1: too late");
        assert!(report.summary().starts_with("failed:\n  golden c\n      c.rs:1:1: too late\n"));
        assert!(!report.is_success());
    }

    #[test]
    fn a_few_flaky_tests_are_shown_and_more_fail_the_run() {
        let report = Report::default();
        for (count, name) in ["a", "b", "c", "d"].iter().enumerate() {
            assert!(report.is_success(), "{count}");
            report.test(Rung::E2e, name, Verdict::Failed, "");
            report.reason(Rung::E2e, name, "too late");
            assert!(!report.is_success());
            report.passed_alone(Rung::E2e, name);
        }
        assert!(!report.is_success());
        let summary = report.summary();
        let start = "flaky, a bug of the test or of what it tests:\n  e2e a\n      too late\n";
        assert!(summary.starts_with(start), "{summary}");
        assert!(summary.ends_with("\n4 passed, 0 failed, 4 flaky\n"), "{summary}");
    }

    #[test]
    fn the_slowest_tests_are_shown() {
        let report = Report::default();
        report.times(Rung::Apiserver, "1200 a::b\nnonsense\n64000 c");
        assert!(
            report.summary().starts_with("slowest:\n    64.0 s  apiserver c\n     1.2 s  apiserver a::b\n\n")
        );
    }
}
