//! Waiting for a condition, never for a time.

use std::time::Duration;

use colonyos_operator::runtime::clock::Clock;

/// Pause between two looks.
const POLL: Duration = Duration::from_millis(25);

/// Looks until `probe` gives a value; the test stops with the last reason when it has not within `limit`.
pub async fn eventually<T>(
    what: &str,
    limit: Duration,
    mut probe: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let clock = Clock::system();
    let start = clock.instant();
    loop {
        let reason = match tokio::time::timeout(limit, probe()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => reason,
            Err(_) => "the look itself did not come to an end".to_owned(),
        };
        assert!(clock.instant() - start < limit, "within {limit:?} it is not true that {what}: {reason}");
        tokio::time::sleep(POLL).await;
    }
}

/// Looks for the whole of `span`; the test stops as soon as `probe` gives a reason why it does not hold.
pub async fn throughout(what: &str, span: Duration, mut probe: impl AsyncFnMut() -> Result<(), String>) {
    let clock = Clock::system();
    let start = clock.instant();
    while clock.instant() - start < span {
        if let Err(reason) = probe().await {
            panic!("after {:?} it is not true any more that {what}: {reason}", clock.instant() - start);
        }
        tokio::time::sleep(POLL).await;
    }
}
