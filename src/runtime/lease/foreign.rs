//! Another operator that leads when one starts that elects no leader: two on one object do its work twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt as _};

use crate::runtime::kubernetes::{CALL_TIME_LIMIT, call};

/// Who holds the lease of a name, for an operator that elects no leader. Those of other namespaces it may not see: operators of one
/// cluster meet in the colony.
pub async fn held(client: &Client, namespace: &str, name: &str, now: Timestamp) -> Option<String> {
    let leases = Api::<Lease>::namespaced(client.clone(), namespace);
    let lease = call(CALL_TIME_LIMIT, leases.get_opt(name)).await.ok().flatten()?;
    holder(&lease, now)
}

/// Who holds a lease that has not run out.
fn holder(lease: &Lease, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let duration = SignedDuration::from_secs(spec.lease_duration_seconds?.into());
    let renewed = spec.renew_time.as_ref()?.0;
    let is_held = renewed.checked_add(duration).is_ok_and(|until| now < until);
    is_held.then(|| {
        let namespace = lease.namespace().unwrap_or_default();
        format!("{holder} holds Lease {namespace}/{}", lease.name_any())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_lease_counts_while_it_is_held() {
        let lease = |holder: &str| -> Lease {
            serde_json::from_value(json!({
                "metadata": { "name": "colonyos-operator", "namespace": "other" },
                "spec": {
                    "holderIdentity": holder, "leaseDurationSeconds": 15,
                    "renewTime": "2026-11-21T09:58:00.000000Z",
                },
            }))
            .unwrap()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let held = holder(&lease("pod-a"), at("2026-11-21T09:58:10Z"));
        assert_eq!(held.as_deref(), Some("pod-a holds Lease other/colonyos-operator"));
        assert_eq!(holder(&lease("pod-a"), at("2026-11-21T09:58:15Z")), None, "it has run out");
        assert_eq!(holder(&lease(""), at("2026-11-21T09:58:10Z")), None, "it was released");
    }
}
