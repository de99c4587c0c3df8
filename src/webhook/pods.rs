//! An `AdmissionReview` of a new pod: gives it a name for its executor, and the Secret of that one in the place of the one that the
//! template of its workload names. Reads and writes nothing.
//!
//! The pods of a workload are alike, and a pod has no name before it is stored: this is the only place where something that is
//! different for each can come into it.

use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, AdmissionReview, Operation},
};
use serde_json::{Value, json};

use crate::api::names::{
    EXECUTOR_DEPLOYMENT_LABEL, EXECUTOR_NAME_ANNOTATION, IDENTITY_LABEL, IDENTITY_PER_POD, executor_prefix,
    identity_secret, pod_identity_secret,
};

/// The answer to an API server that asks about a pod; `end` was never given before.
///
/// # Errors
///
/// When the body is no review.
pub(super) fn answer(body: &[u8], end: &str) -> Result<AdmissionReview<DynamicObject>, String> {
    let no_review = |error: &dyn std::fmt::Display| format!("this is no AdmissionReview: {error}");
    let review: AdmissionReview<DynamicObject> =
        serde_json::from_slice(body).map_err(|error| no_review(&error))?;
    let request: AdmissionRequest<DynamicObject> = review.try_into().map_err(|error| no_review(&error))?;
    let response = AdmissionResponse::from(&request);
    let Some(pod) = request.object.as_ref().filter(|_| request.operation == Operation::Create) else {
        return Ok(response.into_review());
    };
    let before = serde_json::to_value(pod).map_err(|error| no_review(&error))?;
    let mut after = before.clone();
    name(&mut after, request.namespace.as_deref().unwrap_or_default(), end);
    let patched = response.with_patch(json_patch::diff(&before, &after));
    Ok(patched.map_err(|error| error.to_string())?.into_review())
}

/// Names the executor of a pod, if it is to have one of its own.
fn name(pod: &mut Value, namespace: &str, end: &str) {
    let text = |pod: &Value, part: &str, key: &str| {
        Some(pod.get("metadata")?.get(part)?.get(key)?.as_str()?.to_owned())
    };
    if text(pod, "labels", IDENTITY_LABEL).as_deref() != Some(IDENTITY_PER_POD) {
        return;
    }
    let Some(fleet) = text(pod, "labels", EXECUTOR_DEPLOYMENT_LABEL) else { return };
    let prefix = executor_prefix(namespace, &fleet);
    // One that has a name already keeps it.
    if text(pod, "annotations", EXECUTOR_NAME_ANNOTATION).as_deref() != Some(&prefix) {
        return;
    }
    pod["metadata"]["annotations"][EXECUTOR_NAME_ANNOTATION] = json!(format!("{prefix}-{end}"));
    let (shared, own) = (identity_secret(&fleet), pod_identity_secret(&fleet, end));
    for containers in ["containers", "initContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{containers}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            for (list, place) in [("env", "/valueFrom/secretKeyRef/name"), ("envFrom", "/secretRef/name")] {
                let sources = container.get_mut(list).and_then(Value::as_array_mut);
                for name in sources.into_iter().flatten().filter_map(|source| source.pointer_mut(place)) {
                    if name.as_str() == Some(&shared) {
                        *name = json!(own);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn review(pod: &Value, operation: &str) -> Vec<u8> {
        let request = json!({
            "uid": "r1", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}, "requestKind": null, "name": "",
            "namespace": "media", "operation": operation, "userInfo": {}, "object": pod, "dryRun": false,
        });
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
            .to_string()
            .into_bytes()
    }

    fn pod(executor: &str) -> Value {
        let secret =
            |name: &str| json!({"name": "K", "valueFrom": {"secretKeyRef": {"name": name, "key": "K"}}});
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "generateName": "encoders-1-", "annotations": {EXECUTOR_NAME_ANNOTATION: executor},
                "labels": {IDENTITY_LABEL: "PerPod", EXECUTOR_DEPLOYMENT_LABEL: "encoders"},
            },
            "spec": {
                "containers": [{
                    "name": "executor", "env": [secret("encoders-executor-identity"), secret("other"), {"name": "A", "value": "b"}],
                    "envFrom": [{"secretRef": {"name": "encoders-executor-identity"}}, {"configMapRef": {"name": "c"}}],
                }],
                "initContainers": [{"name": "i", "env": [secret("encoders-executor-identity")]}, {"name": "none"}],
            },
        })
    }

    /// A pod as it is after the answer.
    fn after(pod: &Value, operation: &str) -> Value {
        let answered = answer(&review(pod, operation), "abc123").unwrap().response.unwrap();
        assert!(answered.allowed && answered.uid == "r1", "{answered:?}");
        let mut after = pod.clone();
        if let Some(patch) = answered.patch {
            json_patch::patch(&mut after, &serde_json::from_slice::<json_patch::Patch>(&patch).unwrap())
                .unwrap();
        }
        after
    }

    #[test]
    fn a_new_pod_gets_an_executor_and_a_secret_of_its_own() {
        let named = after(&pod("media-encoders"), "CREATE");
        let executor = named["metadata"]["annotations"][EXECUTOR_NAME_ANNOTATION].as_str();
        assert_eq!(executor, Some("media-encoders-abc123"));
        let own = "encoders-executor-identity-abc123";
        let text = named.to_string();
        assert_eq!(text.matches(&format!("\"{own}\"")).count(), 3, "{text}");
        assert_eq!(text.matches("\"encoders-executor-identity\"").count(), 0, "{text}");
        assert_eq!(text.matches("\"other\"").count(), 1, "{text}");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[a-z./-]{0,12}".prop_map(Value::from),
            Just(json!("encoders-executor-identity")),
            Just(json!("media-encoders")),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let keys = prop_oneof![
                Just("env".to_owned()),
                Just("envFrom".to_owned()),
                Just("valueFrom".to_owned()),
                Just("secretKeyRef".to_owned()),
                Just("name".to_owned()),
                "[a-z]{1,4}",
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((keys, inner), 0..4).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Tenants write what a pod is made of.
        #[test]
        fn no_pod_makes_it_panic(containers in any_value(), labels in any_value()) {
            let mut arbitrary = pod("media-encoders");
            arbitrary["spec"]["containers"] = containers.clone();
            arbitrary["spec"]["initContainers"] = containers;
            let _ = answer(&review(&arbitrary, "CREATE"), "abc123");
            let mut arbitrary = pod("media-encoders");
            arbitrary["metadata"]["annotations"] = labels;
            let _ = answer(&review(&arbitrary, "CREATE"), "abc123");
        }
    }

    #[test]
    fn all_others_stay_as_they_are() {
        let unlike = |change: &dyn Fn(&mut Value)| {
            let mut pod = pod("media-encoders");
            change(&mut pod);
            pod
        };
        for (pod, operation) in [
            (pod("media-encoders-def456"), "CREATE"),
            (pod("red-encoders"), "CREATE"),
            (pod("media-encoders"), "UPDATE"),
            (unlike(&|pod| pod["metadata"]["labels"][IDENTITY_LABEL] = json!("Shared")), "CREATE"),
            (unlike(&|pod| pod["metadata"]["labels"] = json!(null)), "CREATE"),
            (unlike(&|pod| pod["metadata"]["annotations"] = json!({})), "CREATE"),
            (json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}), "CREATE"),
        ] {
            assert_eq!(after(&pod, operation), pod, "{operation}");
        }
        for body in [&b"{}"[..], b"[", b"null", b"{\"apiVersion\": \"v1\", \"kind\": \"Pod\"}"] {
            assert!(answer(body, "abc123").is_err(), "{}", String::from_utf8_lossy(body));
        }
    }
}
