//! Whether a lease is held, for those who take no part in the election. Their clock is compared with that of the holder.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;

/// Whether an operator holds a lease: one that has stopped, or was killed, does not renew it.
#[must_use]
pub fn is_held(lease: &Lease, now: Timestamp) -> bool {
    let Some(spec) = &lease.spec else { return false };
    let is_named = spec.holder_identity.as_ref().is_some_and(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref().map(|time| time.0.as_second());
    let ends = renewed
        .zip(spec.lease_duration_seconds)
        .map(|(time, seconds)| time.saturating_add(i64::from(seconds)));
    is_named && ends.is_some_and(|ends| ends >= now.as_second())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_is_held_until_it_runs_out_or_is_released() {
        let lease = |holder: &str| -> Lease {
            serde_json::from_value(json!({ "spec": { "holderIdentity": holder, "leaseDurationSeconds": 15,
                "renewTime": "2026-11-21T10:00:00.000000Z" } }))
            .unwrap()
        };
        let at = |second: u32| format!("2026-11-21T10:00:{second}Z").parse().unwrap();
        assert!(is_held(&lease("one"), at(10)));
        assert!(!is_held(&lease("one"), at(20)));
        assert!(!is_held(&lease(""), at(10)));
    }
}
