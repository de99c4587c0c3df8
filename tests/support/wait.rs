//! Waiting for a condition, never for a time.

use std::time::Duration;

use colonyos_operator::runtime::clock::Clock;

/// Shortest and longest pause between two looks.
const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(250)];

/// How many times its limit a test waits before it fails. Limits are those of a machine with nothing else to do; a test
/// shares its processors with other rungs. What holds at once costs no wait, so only a failure takes longer.
const PATIENCE: u32 = 4;

/// How long to pause after a look that took `look`, `waited` after the first one. Looking without a pause takes the processors
/// from what is waited for: a look that costs much, and a wait that has been long, make for a longer pause.
fn pause(look: Duration, waited: Duration) -> Duration {
    (look * 4).max(waited / 20).clamp(PAUSES[0], PAUSES[1])
}

/// Looks until `probe` gives a value; the test stops with the last reason when it has not within [`PATIENCE`] times `limit`.
pub async fn eventually<T>(what: &str, limit: Duration, probe: impl AsyncFnMut() -> Result<T, String>) -> T {
    let limit = limit * PATIENCE;
    within(limit, probe)
        .await
        .unwrap_or_else(|reason| panic!("within {limit:?} it is not true that {what}: {reason}"))
}

/// Looks until `probe` gives a value, but not for longer than `limit`.
///
/// # Errors
///
/// The last reason why it did not.
pub async fn within<T>(
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, String> {
    let clock = Clock::system();
    let start = clock.instant();
    loop {
        let begun = clock.instant();
        let reason = match tokio::time::timeout(limit, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(reason)) => reason,
            Err(_) => "the look itself did not come to an end".to_owned(),
        };
        let now = clock.instant();
        if now - start >= limit {
            return Err(reason);
        }
        tokio::time::sleep(pause(now - begun, now - start)).await;
    }
}

/// Looks for the whole of `span`; the test stops as soon as `probe` gives a reason why it does not hold.
pub async fn throughout(what: &str, span: Duration, mut probe: impl AsyncFnMut() -> Result<(), String>) {
    let clock = Clock::system();
    let start = clock.instant();
    while clock.instant() - start < span {
        let begun = clock.instant();
        if let Err(reason) = probe().await {
            panic!("after {:?} it is not true any more that {what}: {reason}", clock.instant() - start);
        }
        tokio::time::sleep(pause(clock.instant() - begun, Duration::ZERO)).await;
    }
}
