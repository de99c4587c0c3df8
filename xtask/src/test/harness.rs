//! Running one test binary, and reading what it says.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{self, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    report::{Report, Verdict},
    rung::Rung,
};
use crate::{cargo::Executable, packages, repository};

/// How long one binary may take; one that takes longer hangs, and is ended so that the run ends too. Four times what
/// the slowest rung takes on two cores: what failed in it is told only when it ends by itself.
const LIMIT: Duration = Duration::from_mins(50);

/// Most characters of a failed test's reason in the summary; all of it stands above.
const LONGEST_REASON: usize = 600;

/// How a binary is to be run.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Only tests whose name contains this.
    pub filter: Option<String>,
    /// Added to the environment.
    pub environment: BTreeMap<String, String>,
}

/// Most failed tests of a binary that are run again: more of them have a cause in common.
const LOOKED_AT_AGAIN: usize = 3;

/// Runs a binary, and reports each of its tests. A test with servers that failed beside others runs once more by itself:
/// one that passes then needs more patience or less company, and is told apart from one that fails.
///
/// # Errors
/// When it cannot be started. A test that fails is no error here.
pub fn run(rung: Rung, executable: &Executable, setting: &Setting, report: &Report) -> Result<()> {
    let mut failed = Vec::new();
    let arguments: Vec<&str> = setting.filter.as_deref().into_iter().collect();
    let ended = execute(rung, executable, setting, &arguments, |name, verdict, remark| {
        report.test(rung, name, verdict, remark);
        if verdict == Verdict::Failed {
            failed.push(name.to_owned());
        }
    })?;
    report.times(rung, &ended.times);
    if !ended.details.is_empty() {
        Report::output(rung, &ended.details);
    }
    for (name, reason) in reasons(&ended.details) {
        report.reason(rung, &name, &reason);
    }
    if let Some(remark) = ended.cut_short {
        report.test(rung, &format!("(binary {})", executable.target), Verdict::Failed, &remark);
        Report::output(rung, &ended.stderr);
    } else if rung.is_looked_at_again() && failed.len() <= LOOKED_AT_AGAIN {
        for name in &failed {
            look_again(rung, executable, setting, name, report)?;
        }
    }
    Ok(())
}

/// Runs a failed test by itself.
fn look_again(
    rung: Rung,
    executable: &Executable,
    setting: &Setting,
    name: &str,
    report: &Report,
) -> Result<()> {
    let mut has_passed = false;
    let ended = execute(rung, executable, setting, &["--exact", name], |again, verdict, _| {
        has_passed |= again == name && verdict == Verdict::Passed;
    })?;
    if has_passed && ended.cut_short.is_none() {
        report.passed_alone(rung, name);
    } else {
        println!("{:<9} {name} ... FAILED again, alone", rung.name());
        Report::output(rung, &ended.details);
    }
    Ok(())
}

/// What a binary that has ended leaves behind.
struct Ended {
    /// What failed tests said.
    details: String,
    /// What it printed for errors.
    stderr: String,
    /// How long its tests took, in lines.
    times: String,
    /// Why it did not come to its closing line.
    cut_short: Option<String>,
}

fn execute(
    rung: Rung,
    executable: &Executable,
    setting: &Setting,
    arguments: &[&str],
    mut each: impl FnMut(&str, Verdict, &str),
) -> Result<Ended> {
    let folder = match executable.package.as_str() {
        "xtask" => repository::root().join("xtask"),
        _ => repository::root().to_path_buf(),
    };
    let times = env::temp_dir().join(format!("times-{}-{}", rung.name(), process::id()));
    let mut command =
        if rung.needs().servers { Command::new(&executable.path) } else { behind(&executable.path) };
    let mut child = command
        .args(arguments)
        .env("TEST_TIMES", &times)
        .envs(rung.at_once().map(|count| ("RUST_TEST_THREADS", count.to_string())))
        // Tests find their files by it, as under `cargo test`.
        .env("CARGO_MANIFEST_DIR", &folder)
        // Of a failed assertion its place and its message tell; frames of an async runtime only hide them.
        .env("RUST_BACKTRACE", "0")
        .envs(&setting.environment)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {}", executable.path.display()))?;
    let mut stderr = child.stderr.take().context("failed to read from a test binary")?;
    let stderr = std::thread::spawn(move || {
        let mut text = String::new();
        // What cannot be read as text is not shown.
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let stdout = child.stdout.take().context("failed to read from a test binary")?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + LIMIT;
    let mut reader = Reader::default();
    let mut is_too_late = false;
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if let Some((name, verdict, remark)) = reader.read(&line) {
                    each(&name, verdict, &remark);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                is_too_late = true;
                child.kill().context("failed to end a test binary that hangs")?;
                break;
            }
        }
    }
    let status = child.wait().context("failed to wait for a test binary")?;
    let cut_short = if is_too_late {
        Some(format!("still running after {} minutes, and ended", LIMIT.as_secs() / 60))
    } else if reader.has_ended {
        None
    } else {
        Some(format!("ended with {status} in the middle of a test"))
    };
    let ended = Ended {
        details: reader.details,
        stderr: if cut_short.is_some() { stderr.join().unwrap_or_default() } else { String::new() },
        times: fs::read_to_string(&times).unwrap_or_default(),
        cut_short,
    };
    // One that stays is small.
    let _ = fs::remove_file(&times);
    Ok(ended)
}

/// A command that leaves the processors to the tests with servers, whose patience has limits.
pub fn behind(program: &Path) -> Command {
    let Some(nice) = packages::find("nice") else { return Command::new(program) };
    let mut command = Command::new(nice);
    command.args(["-n", "10"]).arg(program);
    command
}

/// What libtest prints, line by line.
#[derive(Default)]
struct Reader {
    /// Whether the closing line has been seen.
    has_ended: bool,
    /// What failed tests said.
    details: String,
    is_in_details: bool,
}

impl Reader {
    /// The test that a line is about, if it is about one.
    fn read(&mut self, line: &str) -> Option<(String, Verdict, String)> {
        if line.starts_with("test result: ") {
            self.has_ended = true;
            self.is_in_details = false;
            return None;
        }
        if line == "failures:" {
            // The second list of this name has only the tests' names, which the summary has too.
            self.is_in_details = self.details.is_empty();
            return None;
        }
        if self.is_in_details {
            self.details.push_str(line);
            self.details.push('\n');
            return None;
        }
        let (name, outcome) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
        let (word, remark) = outcome.split_once(", ").unwrap_or((outcome, ""));
        let verdict = match word {
            "ok" => Verdict::Passed,
            "FAILED" => Verdict::Failed,
            "ignored" => Verdict::Skipped,
            _ => return None,
        };
        Some((name.to_owned(), verdict, remark.to_owned()))
    }
}

/// Why each failed test stopped, in one line: the message of its first panic.
fn reasons(details: &str) -> Vec<(String, String)> {
    let mut reasons = Vec::new();
    let mut open = None;
    let mut lines = details.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|line| line.strip_suffix(" ----")) {
            // The harness of rung e2e does not name the stream.
            open = Some(name.strip_suffix(" stdout").unwrap_or(name));
        } else if let Some((_, place)) = line.split_once("panicked at ")
            && let Some(name) = open.take()
        {
            let message: Vec<&str> = lines.by_ref().take_while(|line| !line.is_empty()).take(4).collect();
            let text = format!("{place} {}", message.join(" "));
            reasons.push((name.to_owned(), text.chars().take(LONGEST_REASON).collect()));
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failed_test_has_the_message_of_its_first_panic() {
        let details = "---- a::b stdout ----\n\nthread 'a::b' (7) panicked at tests/a.rs:3:5:\nassertion failed: x\n  left: 1\n\
                       \nthread 'a::b' (7) panicked at tests/a.rs:9:5:\nlater\n\n---- c ----\n\
                       panicked at tests/c.rs:1:1:\ntoo late\n";
        let found = reasons(details);
        let expected =
            [("a::b", "tests/a.rs:3:5: assertion failed: x   left: 1"), ("c", "tests/c.rs:1:1: too late")];
        assert_eq!(found, expected.map(|(name, reason)| (name.to_owned(), reason.to_owned())));
    }

    #[test]
    fn tests_reasons_and_details_are_told_apart() {
        let said = "\nrunning 3 tests\ntest a::b ... ok\ntest c - should panic ... FAILED\ntest d ... ignored, needs root\n\
                    \nfailures:\n\n---- c stdout ----\nassertion failed\n\n\nfailures:\n    c\n\n\
                    test result: FAILED. 1 passed; 1 failed\n";
        let mut reader = Reader::default();
        let found: Vec<_> = said.lines().filter_map(|line| reader.read(line)).collect();
        let test = |name: &str, verdict, remark: &str| (name.to_owned(), verdict, remark.to_owned());
        assert_eq!(
            found,
            [
                test("a::b", Verdict::Passed, ""),
                test("c - should panic", Verdict::Failed, ""),
                test("d", Verdict::Skipped, "needs root"),
            ]
        );
        assert!(reader.has_ended);
        assert!(reader.details.contains("---- c stdout ----\nassertion failed"));
        assert!(!reader.details.contains("    c"));
    }

    #[test]
    fn a_binary_that_dies_has_not_ended() {
        let mut reader = Reader::default();
        assert!(reader.read("test a ... ok").is_some());
        assert!(!reader.has_ended);
    }
}
