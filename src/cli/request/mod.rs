//! What `director` and `worker` share: the watch of requests, what is known of each, and their status.

pub(super) mod director;
mod flow;
mod follow;
mod job;
mod process;
pub(super) mod spelling;
mod tracked_request;
pub(super) mod worker;

use std::time::Duration;

pub(super) use process::host;

use super::output;
use crate::runtime::clock::Clock;

/// The delay after a failed call.
const RETRY: Duration = Duration::from_secs(1);

/// Prints a line about a request, with the time. The work goes on when nothing reads it any more.
fn say(clock: &Clock, text: impl std::fmt::Display) {
    let _ = output::print(&format!("{:.3} {text}\n", clock.now()));
}

/// A span of time as people and Go write it: `500ms`, `2s`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration: give one such as 500ms, 2s or 1m30s"))?;
    Duration::try_from(span).map_err(|_| format!("{text:?} is a negative span of time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time_are_read_as_people_write_them() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("2").is_err() && duration("-2s").is_err());
    }
}
