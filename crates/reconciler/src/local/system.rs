//! Processes of the machine, as Linux tells of them in `/proc`.

use std::{fs, io};

use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process_group},
};

use super::record::Identified;

/// Which start of the machine this is.
pub(super) fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A process that runs, by its number.
pub(super) fn identify(pid: i32, boot: &str) -> Option<Identified> {
    let stat = Stat::of(pid)?;
    (!stat.is_over).then(|| Identified { pid, start_ticks: stat.start_ticks, boot: boot.to_owned() })
}

/// Whether a process still runs, and is the one that it was.
pub(super) fn runs(process: &Identified, boot: &str) -> bool {
    identify(process.pid, boot).as_ref() == Some(process)
}

/// The processes that have the identity of an executor in their environment, and lead a group.
pub(super) fn leaders_with(variable: &str) -> io::Result<Vec<i32>> {
    Ok(with(variable)?
        .into_iter()
        .filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.group == *pid))
        .collect())
}

/// Whether a group has a process with the identity of an executor in its environment.
pub(super) fn is_group_of(group: i32, variable: &str) -> io::Result<bool> {
    Ok(with(variable)?.into_iter().any(|pid| Stat::of(pid).is_some_and(|stat| stat.group == group)))
}

/// Sends a signal to all processes of a group. That there are none is no error.
pub(super) fn signal(group: i32, signal: Signal) -> io::Result<()> {
    let Some(group) = Pid::from_raw(group) else { return Ok(()) };
    match kill_process_group(group, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn with(variable: &str) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that has ended meanwhile, or is another user's, is none of ours.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// What is needed of `/proc/PID/stat`.
struct Stat {
    is_over: bool,
    group: i32,
    start_ticks: u64,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name of the program stands in parentheses, and may hold some itself.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        Some(Self {
            is_over: matches!(*fields.first()?, "Z" | "X" | "x"),
            group: fields.get(2)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let text = "77 (a) b (c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!((stat.is_over, stat.group, stat.start_ticks), (false, 42, 987_654));
        assert!(Stat::parse("").is_none());
    }

    #[test]
    fn this_process_runs_and_a_number_that_is_used_again_is_not_it() {
        let (boot, pid) = (boot().unwrap(), i32::try_from(std::process::id()).unwrap());
        let own = identify(pid, &boot).unwrap();
        assert!(runs(&own, &boot));
        assert!(!runs(&Identified { start_ticks: own.start_ticks + 1, ..own.clone() }, &boot));
        assert!(!runs(&own, "another boot"));
    }
}
