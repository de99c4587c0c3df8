//! Processes that outlive the command that starts them: started detached, known again by process id and start time, and
//! stopped only when both still fit, so that a process id that was given to another process is never signalled.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::folders;

/// How long a process may take to end after SIGTERM before it gets SIGKILL.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// What Go's runtime is told, by which etcd, the API server and ColonyOS collect garbage: a third as often as they would,
/// while there is memory. A sixth of what the API server computes is that.
pub const GARBAGE: [(&str, &str); 2] = [("GOGC", "300"), ("GOMEMLIMIT", "2GiB")];
/// `PF_EXITING` of the kernel's `include/linux/sched.h`.
const EXITING: u64 = 0x4;
/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(25);

/// A process that `up` started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// Process id as seen from outside any namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot (field 22 of `/proc/PID/stat`).
    pub start_time: u64,
    /// Identity of the boot that the start time counts from.
    pub boot: String,
    /// Where its output goes.
    pub log: PathBuf,
}

impl Process {
    /// The process that has `pid` now.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: i32, log: &Path) -> Result<Self> {
        let start_time = start_time(pid).with_context(|| format!("failed to find process {pid}"))?;
        Ok(Self { pid, start_time, boot: boot(), log: log.to_path_buf() })
    }

    /// Whether it is still there.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start_time) && self.boot == boot()
    }

    /// Whether it is there and not on its way out: the first process of a namespace stays until all others have gone.
    pub fn runs(&self) -> bool {
        self.is_alive() && !is_exiting(self.pid)
    }

    /// Ends it: SIGTERM, and SIGKILL when it takes longer than [`PATIENCE`]. A process that is gone is fine.
    ///
    /// # Errors
    /// When it can be neither signalled nor waited for.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::TERM)?;
        if wait_until(PATIENCE, || !self.is_alive()) { Ok(()) } else { self.kill() }
    }

    /// Ends it at once.
    ///
    /// # Errors
    /// When it can be neither signalled nor waited for.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)?;
        if !wait_until(PATIENCE, || !self.is_alive()) {
            bail!("failed to stop process {}: it survives SIGKILL; see {}", self.pid, self.log.display());
        }
        Ok(())
    }

    /// Sends `signal` if it still runs.
    ///
    /// # Errors
    /// When the signal is refused.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = Pid::from_raw(self.pid).context("a process id is positive")?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error).with_context(|| format!("failed to signal process {}", self.pid)),
        }
    }
}

/// Starts `command` in a session of its own with its output appended to `log`.
///
/// # Errors
/// When the log cannot be opened or the program not started.
pub fn start(command: &mut Command, log: &Path) -> Result<Process> {
    let output = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("failed to open {}", log.display()))?;
    let errors = output.try_clone().with_context(|| format!("failed to open {}", log.display()))?;
    // A process group of its own keeps Ctrl-C in the terminal that ran `up` from reaching it.
    let child = command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("failed to run {}", command.get_program().display()))?;
    let pid = i32::try_from(child.id()).context("a process id fits 32 bits")?;
    Process::of(pid, log).with_context(|| {
        format!(
            "{} ended at once; the log is {}, its last lines:\n{}",
            command.get_program().display(),
            log.display(),
            folders::last_lines(log, 15)
        )
    })
}

/// The only child of `parent`, once it has one: the program that `nsenter` or `unshare` forked.
///
/// # Errors
/// When `parent` ends without one.
pub fn only_child(parent: &Process) -> Result<Process> {
    let list = format!("/proc/{0}/task/{0}/children", parent.pid);
    let mut child = None;
    wait_until(PATIENCE, || {
        child = fs::read_to_string(&list)
            .ok()
            .and_then(|pids| pids.split_whitespace().next().and_then(|pid| pid.parse().ok()));
        child.is_some() || !parent.is_alive()
    });
    match child {
        Some(pid) => Process::of(pid, &parent.log),
        None => bail!(
            "a process ended at once; the log is {}, its last lines:\n{}",
            parent.log.display(),
            folders::last_lines(&parent.log, 15)
        ),
    }
}

/// Looks at `condition` until it holds or `limit` is over; returns whether it held.
pub fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Waits until `ready` holds while `process` lives.
///
/// # Errors
/// When the process ends or the time is over; the message has the last lines of its log.
pub fn wait_ready(
    name: &str,
    process: &Process,
    limit: Duration,
    mut ready: impl FnMut() -> bool,
) -> Result<()> {
    let mut held = false;
    wait_until(limit, || {
        held = ready();
        held || !process.is_alive()
    });
    if held {
        return Ok(());
    }
    let what = if process.is_alive() {
        format!("is not ready after {}s", limit.as_secs())
    } else {
        "ended".to_owned()
    };
    bail!(
        "{name} {what}; the log is {}, its last lines:\n{}",
        process.log.display(),
        folders::last_lines(&process.log, 15)
    )
}

/// Start time of a process that is neither gone nor a zombie.
fn start_time(pid: i32) -> Option<u64> {
    parse_start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn is_exiting(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    parse_is_exiting(&stat)
}

/// The ninth field holds the kernel's flags of the process.
fn parse_is_exiting(stat: &str) -> bool {
    let flags = stat.rsplit_once(") ").and_then(|(_, fields)| fields.split_whitespace().nth(6));
    flags.and_then(|flags| flags.parse::<u64>().ok()).is_none_or(|flags| flags & EXITING != 0)
}

/// The name in the second field may hold blanks and brackets, so fields are counted from the last bracket.
fn parse_start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(") ")?.1.split_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_read_behind_a_strange_name() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time(&stat.replace(" S ", " Z ")), None);
    }

    #[test]
    fn a_process_on_its_way_out_is_told_from_one_that_runs() {
        assert!(!parse_is_exiting("1 (pause) S 0 1 1 0 -1 4194560 8 0"));
        assert!(parse_is_exiting("1 (pause) S 0 1 1 0 -1 4194564 8 0"));
        assert!(parse_is_exiting(""), "one that cannot be read does not run");
    }

    #[test]
    fn a_process_is_known_again_and_a_reused_id_is_not_signalled() {
        let folder = std::env::temp_dir().join(format!("xtask-process-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let process = start(Command::new("sleep").arg("600"), &folder.join("log")).unwrap();
        assert!(process.is_alive());
        let stranger = Process { start_time: process.start_time + 1, ..process.clone() };
        stranger.kill().unwrap();
        assert!(process.is_alive(), "a process with another start time was killed");
        process.stop().unwrap();
        assert!(!process.is_alive());
        fs::remove_dir_all(&folder).unwrap();
    }
}
