//! Processes of this machine, in words that no other process of it has had: a number is given again, a number with the
//! time of its start is not.

use std::fs;

/// This process.
pub(super) fn own() -> String {
    let id = std::process::id();
    format!("{id}.{}", start(&id.to_string()).unwrap_or_default())
}

/// Whether a process runs; one of another machine does not.
pub(super) fn runs(process: &str) -> bool {
    let Some((id, begun)) = process.split_once('.') else { return false };
    id.bytes().all(|byte| byte.is_ascii_digit()) && start(id).is_some_and(|start| start == begun)
}

/// The name of this machine.
pub(in crate::cli) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "worker".to_owned() } else { name.to_owned() }
}

/// When a process began, in ticks since the machine did.
fn start(id: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program, in parentheses, may hold anything; the state follows, and the start 19 words later.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    if words.next()? == "Z" {
        return None;
    }
    words.nth(18).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_its_start() {
        let own = own();
        assert!(runs(&own), "{own}");
        let (id, begun) = own.split_once('.').unwrap();
        assert!(begun.parse::<u64>().is_ok_and(|ticks| ticks > 0), "{own}");
        for other in [&format!("{id}.1"), "", "1", "x.1", "../self.1"] {
            assert!(!runs(other), "{other}");
        }
    }
}
