//! Other operators that are about when this one starts: each elects among its own replicas alone, and two on one object do its
//! work twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::runtime::kubernetes::{CALL_TIME_LIMIT, call};

/// The leases of a name that others hold, as far as this operator may see them: its own namespace's where it elects no leader,
/// and those of other namespaces.
pub async fn held(client: &Client, namespace: &str, name: &str, elects: bool, now: Timestamp) -> Vec<String> {
    let named = ListParams::default().fields(&format!("metadata.name={name}"));
    let all = Api::<Lease>::all(client.clone());
    let leases = match call(CALL_TIME_LIMIT, all.list(&named)).await {
        Ok(found) => found.items,
        // Mostly it may see its own alone.
        Err(_) => {
            let own = Api::<Lease>::namespaced(client.clone(), namespace);
            call(CALL_TIME_LIMIT, own.get_opt(name)).await.ok().flatten().into_iter().collect()
        }
    };
    let is_foreign = |lease: &&Lease| !elects || lease.namespace().as_deref() != Some(namespace);
    leases.iter().filter(is_foreign).filter_map(|lease| holder(lease, now)).collect()
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
