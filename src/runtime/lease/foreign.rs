//! Another operator that is there when one starts: two on one object do its work twice.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, ResourceExt as _, api::ListParams};

use crate::{
    api::{colony::Colony, installation::is_status_manager},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
};

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

/// For how long a status tells of an operator after it was written: one that works writes those of Colonies again and again.
const RECENT: SignedDuration = SignedDuration::from_mins(10);

/// Which other installations have lately written statuses of the Colonies that a label selector selects, and of which. Those that
/// it may not list tell of none.
pub async fn writers(client: &Client, selector: &str, own: &str, now: Timestamp) -> Vec<String> {
    let colonies = Api::<Colony>::all(client.clone());
    let served = ListParams::default().labels(selector);
    let listed = call(CALL_TIME_LIMIT, colonies.list_metadata(&served)).await;
    let listed = listed.map_or_else(|_| Vec::new(), |listed| listed.items);
    listed.iter().filter_map(|colony| writer(&colony.metadata, own, now)).collect()
}

/// Which other installation has lately written the status of an object.
fn writer(object: &ObjectMeta, own: &str, now: Timestamp) -> Option<String> {
    let entries = object.managed_fields.iter().flatten();
    let mut others = entries.filter_map(|entry| {
        let manager = entry.manager.as_deref().filter(|other| is_status_manager(other) && *other != own)?;
        let at = entry.time.as_ref()?.0;
        (entry.subresource.as_deref() == Some("status") && now.duration_since(at) < RECENT)
            .then_some((at, manager))
    });
    let (at, manager) = others.next()?;
    let name = object.name.as_deref().unwrap_or_default();
    Some(format!("{manager} wrote the status of Colony {name} at {at}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::installation::status_manager;

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
    #[test]
    fn another_installation_counts_while_it_writes() {
        let entry = |manager: &str, subresource: &str| json!({ "manager": manager, "operation": "Update", "subresource": subresource, "time": "2026-11-21T09:58:00Z" });
        let written = |entries: Vec<serde_json::Value>| -> ObjectMeta {
            serde_json::from_value(json!({ "name": "dev", "managedFields": entries })).unwrap()
        };
        let (own, other) = (status_manager("one", "l"), status_manager("other", "l"));
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let now = at("2026-11-21T10:00:00Z");
        let all = written(vec![entry("kubectl", "status"), entry(&own, "status"), entry(&other, "status")]);
        let says = "colonyos-operator:other/l wrote the status of Colony dev at 2026-11-21T09:58:00Z";
        assert_eq!(writer(&all, &own, now).as_deref(), Some(says));
        assert_eq!(writer(&all, &own, at("2026-11-21T10:08:00Z")), None, "it has stopped");
        let earlier = written(vec![entry("colonyos-operator", "status"), entry(&other, "")]);
        assert_eq!(writer(&earlier, &own, now), None, "an earlier version, and no status");
    }
}
