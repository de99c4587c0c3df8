//! What keeps the pods of an instance's workloads from running. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment, StatefulSet},
        batch::v1::Job,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    pod_trouble::{PodTrouble, remedy_of_refusal},
    progress::{Phase, of_daemon_set, of_deployment, of_job, refusal_of_deployment},
};
use crate::api::{condition::Reason, resource_definition::ObjectKind};

/// Why a workload of an instance has pods that do not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartTrouble {
    pub kind: ObjectKind,
    /// Name of the workload.
    pub name: String,
    /// Whether it passes by waiting.
    pub may_pass: bool,
    pub reason: Reason,
    /// The cluster's words, and what helps.
    pub message: String,
}

/// A workload that has not all of its pods ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadyPart {
    pub kind: ObjectKind,
    pub name: String,
    pub uid: String,
    /// Labels of its pods, as a query has them.
    pub selector: String,
    /// Whether pods are missing of which only Events tell why.
    pub lacks_pods: bool,
    /// Why the API server refuses its pods, if the workload says so itself.
    pub refusal: Option<String>,
}

impl UnreadyPart {
    /// An object of an instance, if it is a workload that is not as it is to be; none of all others.
    #[must_use]
    pub fn of(kind: &ObjectKind, object: &Value) -> Option<Self> {
        let (progress, selector, refusal) = match (kind.group(), kind.kind.as_str()) {
            ("apps", "Deployment") => {
                let found = Deployment::deserialize(object).ok()?;
                let refusal = refusal_of_deployment(&found);
                (of_deployment(&found), found.spec?.selector, refusal)
            }
            ("apps", "DaemonSet") => {
                let found = DaemonSet::deserialize(object).ok()?;
                (of_daemon_set(&found), found.spec?.selector, None)
            }
            ("apps", "StatefulSet") => {
                let found = StatefulSet::deserialize(object).ok()?;
                let spec = found.spec?;
                let desired = spec.replicas.unwrap_or(1);
                let status = found.status.unwrap_or_default();
                let ready = status.ready_replicas.unwrap_or_default();
                if ready >= desired {
                    return None;
                }
                return Self::new(kind, object, &spec.selector, status.replicas < desired, None);
            }
            ("batch", "Job") => {
                let found = Job::deserialize(object).ok()?;
                let is_suspended = found.spec.as_ref()?.suspend == Some(true);
                let progress = of_job(&found);
                if is_suspended {
                    return None;
                }
                (progress, found.spec?.selector?, None)
            }
            _ => return None,
        };
        match progress.phase {
            Phase::Ready | Phase::Completed => None,
            Phase::Progressing | Phase::Failed { .. } => {
                Self::new(kind, object, &selector, progress.replicas < progress.desired, refusal)
            }
        }
    }

    fn new(
        kind: &ObjectKind,
        object: &Value,
        selector: &LabelSelector,
        lacks_pods: bool,
        refusal: Option<String>,
    ) -> Option<Self> {
        let text = |pointer: &str| Some(object.pointer(pointer)?.as_str()?.to_owned());
        let labels: &BTreeMap<String, String> = selector.match_labels.as_ref()?;
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Some(Self {
            kind: kind.clone(),
            name: text("/metadata/name")?,
            uid: text("/metadata/uid")?,
            selector: labels.join(","),
            lacks_pods,
            refusal,
        })
    }

    /// That the API server refuses its pods.
    #[must_use]
    pub fn refused(&self, words: &str) -> PartTrouble {
        let message = format!("{words}: {}", remedy_of_refusal(words));
        self.troubled(false, Reason::PodsRefused, message)
    }

    /// That a pod of it does not run.
    #[must_use]
    pub fn stopped_by(&self, trouble: &PodTrouble) -> PartTrouble {
        let message = format!("{}: {}", trouble.what, trouble.cause.remedy_in_template());
        self.troubled(trouble.may_pass, trouble.cause.reason(), message)
    }

    fn troubled(&self, may_pass: bool, reason: Reason, message: String) -> PartTrouble {
        PartTrouble { kind: self.kind.clone(), name: self.name.clone(), may_pass, reason, message }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::pod_trouble::PodCause, *};

    fn workload(kind: &str, spec: &Value, status: &Value) -> Option<UnreadyPart> {
        let api_version = if kind == "Job" { "batch/v1" } else { "apps/v1" };
        let mut whole = json!({ "selector": { "matchLabels": { "app": "web", "a": "b" } },
                                "template": {}, "serviceName": "web" });
        for (field, value) in spec.as_object().unwrap() {
            whole[field] = value.clone();
        }
        let object = json!({ "metadata": { "name": "web", "uid": "u", "generation": 1 },
                             "spec": whole, "status": status });
        UnreadyPart::of(&ObjectKind::new(api_version, kind), &object)
    }

    #[test]
    fn the_pods_of_workloads_that_lack_some_are_looked_for_by_their_labels() {
        let one = json!({ "replicas": 1 });
        let none = json!({ "observedGeneration": 1, "replicas": 0 });
        let found = workload("Deployment", &one, &none).unwrap();
        assert_eq!(
            (found.selector.as_str(), found.lacks_pods, found.name.as_str()),
            ("a=b,app=web", true, "web")
        );
        let all = json!({ "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1, "readyReplicas": 1 });
        assert_eq!(workload("Deployment", &one, &all), None);
        assert_eq!(workload("StatefulSet", &one, &json!({ "replicas": 1, "readyReplicas": 1 })), None);
        let unready = workload("StatefulSet", &one, &json!({ "replicas": 1 })).unwrap();
        assert!(!unready.lacks_pods);
        assert!(workload("Job", &json!({}), &json!({ "active": 1 })).is_some());
        assert_eq!(workload("Job", &json!({ "suspend": true }), &json!({})), None);
        let done = json!({ "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }] });
        assert_eq!(workload("Job", &json!({}), &done), None);
        assert_eq!(workload("ReplicaSet", &one, &none), None);
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_said_with_what_helps_in_a_template() {
        let part = workload("Deployment", &json!({ "replicas": 1 }), &json!({})).unwrap();
        let what = "pod web-1: image r/x:1 cannot be pulled: not found".to_owned();
        let told = part.stopped_by(&PodTrouble { may_pass: false, cause: PodCause::Image, what });
        assert_eq!(told.reason, Reason::ImageNotPulled);
        assert!(
            told.message.contains("not found: correct the image") && !told.message.contains("spec."),
            "{told:?}"
        );
        let refused = part.refused("exceeded quota: q, requested: pods=1");
        assert!(
            refused.reason == Reason::PodsRefused
                && refused.message.contains("quota of the namespace raised"),
            "{refused:?}"
        );
    }
}
