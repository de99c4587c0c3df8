//! The default readiness of an object: what is usual for its kind.

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, StatefulSet},
    batch::v1::Job,
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    api::resource_definition::ObjectKind,
    snapshot::progress::{self, Phase, Progress},
};

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// What refers to it can be made.
    Ready,
    /// Not yet; what is lacking.
    Waiting(String),
    /// It will not get there by itself; why.
    Failed(String),
}

/// The readiness of an object by the conventions of its kind. `has_ready_condition`: its kind sets a condition
/// `Ready` once its controller has observed it.
pub(super) fn usual(kind: &ObjectKind, object: &Value, has_ready_condition: bool) -> Readiness {
    match (kind.group(), kind.kind.as_str()) {
        ("apps", "Deployment") => Deployment::deserialize(object)
            .map_or_else(|error| unread(&error), |found| of(&progress::of_deployment(&found))),
        ("apps", "DaemonSet") => DaemonSet::deserialize(object)
            .map_or_else(|error| unread(&error), |found| of(&progress::of_daemon_set(&found))),
        ("apps", "StatefulSet") => {
            StatefulSet::deserialize(object).map_or_else(|error| unread(&error), |found| stateful_set(&found))
        }
        ("batch", "Job") => Job::deserialize(object).map_or_else(|error| unread(&error), |found| job(&found)),
        ("", "Pod") => pod(object),
        ("", "Service") => service(object),
        _ => condition(object, has_ready_condition),
    }
}

fn unread(error: &serde_json::Error) -> Readiness {
    Readiness::Waiting(format!("it cannot be read: {error}"))
}

fn of(progress: &Progress) -> Readiness {
    match &progress.phase {
        Phase::Ready | Phase::Completed => Readiness::Ready,
        Phase::Progressing => {
            Readiness::Waiting(format!("{} of {} are ready", progress.ready, progress.desired))
        }
        Phase::Failed { reason, message } => Readiness::Failed(because(reason, message)),
    }
}

/// What depends on a Job wants what it has done.
fn job(job: &Job) -> Readiness {
    let progress = progress::of_job(job);
    match &progress.phase {
        Phase::Completed => Readiness::Ready,
        Phase::Failed { .. } => of(&progress),
        Phase::Ready | Phase::Progressing => Readiness::Waiting("it has not completed".to_owned()),
    }
}

fn stateful_set(set: &StatefulSet) -> Readiness {
    let desired = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &set.status else { return Readiness::Waiting(format!("0 of {desired} are ready")) };
    let ready = status.ready_replicas.unwrap_or_default();
    let is_seen = status.observed_generation >= set.metadata.generation;
    let is_rolled = status.update_revision.is_none() || status.update_revision == status.current_revision;
    if is_seen && is_rolled && ready == desired && status.replicas == desired {
        return Readiness::Ready;
    }
    Readiness::Waiting(format!("{ready} of {desired} are ready"))
}

fn pod(pod: &Value) -> Readiness {
    match pod.pointer("/status/phase").and_then(Value::as_str) {
        Some("Succeeded") => Readiness::Ready,
        Some("Failed") => Readiness::Failed("it failed".to_owned()),
        _ => condition(pod, true),
    }
}

fn service(service: &Value) -> Readiness {
    let is_balanced = service.pointer("/spec/type").and_then(Value::as_str) == Some("LoadBalancer");
    let ingress = service.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    if is_balanced && ingress.is_none_or(Vec::is_empty) {
        return Readiness::Waiting("it has no address".to_owned());
    }
    Readiness::Ready
}

/// By condition `Ready`. An object of a kind without that condition is ready once it exists.
fn condition(object: &Value, is_expected: bool) -> Readiness {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let named = |name: &str| {
        conditions.into_iter().flatten().find(|one| one.get("type").and_then(Value::as_str) == Some(name))
    };
    let text = |condition: &Value, name: &str| {
        condition.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let because_of = |condition: &Value| because(&text(condition, "reason"), &text(condition, "message"));
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    // Work reports how it ended instead.
    let is_true = |condition: &&Value| text(condition, "status") == "True";
    if named("Succeeded").as_ref().is_some_and(is_true) {
        return Readiness::Ready;
    }
    if let Some(failed) = named("Failed").filter(is_true) {
        return Readiness::Failed(because_of(failed));
    }
    let Some(ready) = named("Ready") else {
        let waiting = Readiness::Waiting("it has no condition Ready".to_owned());
        return if is_expected { waiting } else { Readiness::Ready };
    };
    let seen = ready.get("observedGeneration").and_then(Value::as_i64);
    if seen.is_some() && seen < generation {
        return Readiness::Waiting("its change has not been seen".to_owned());
    }
    if text(ready, "status") == "True" {
        return Readiness::Ready;
    }
    match named("Degraded").filter(|degraded| text(degraded, "status") == "True") {
        Some(degraded) => Readiness::Failed(because_of(degraded)),
        None => Readiness::Waiting(because_of(ready)),
    }
}

fn because(reason: &str, message: &str) -> String {
    match (reason, message) {
        ("", "") => "it is not ready".to_owned(),
        (one, "") | ("", one) => one.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usual(api_version: &str, kind: &str, object: &Value, is_expected: bool) -> Readiness {
        super::usual(&ObjectKind::new(api_version, kind), object, is_expected)
    }

    /// Ready too early makes what depends on it too early.
    #[test]
    fn an_object_that_was_just_made_is_not_ready_where_its_kind_says_more() {
        let new = json!({"metadata": {"generation": 1}, "spec": {}});
        for (api_version, kind, is_expected) in [
            ("apps/v1", "Deployment", false),
            ("apps/v1", "StatefulSet", false),
            ("apps/v1", "DaemonSet", false),
            ("batch/v1", "Job", false),
            ("v1", "Pod", false),
            ("app.colonies.io/v1", "Database", true),
        ] {
            let new = match kind {
                "Deployment" | "StatefulSet" | "DaemonSet" | "Job" => json!({"metadata": {"generation": 1}}),
                _ => new.clone(),
            };
            let readiness = usual(api_version, kind, &new, is_expected);
            assert!(matches!(readiness, Readiness::Waiting(_)), "{kind}: {readiness:?}");
        }
        for (api_version, kind) in [("v1", "ConfigMap"), ("v1", "Service"), ("example.com/v1", "Thing")] {
            assert_eq!(usual(api_version, kind, &new, false), Readiness::Ready, "{kind}");
        }
    }

    #[test]
    fn a_condition_counts_for_the_generation_that_it_speaks_of() {
        let thing = |generation: i64, status: &str| {
            json!({"metadata": {"generation": 2}, "status": {"conditions": [
                {"type": "Ready", "status": status, "observedGeneration": generation, "reason": "Why", "message": "so"}]}})
        };
        assert_eq!(usual("a/v1", "A", &thing(2, "True"), false), Readiness::Ready);
        assert!(matches!(usual("a/v1", "A", &thing(1, "True"), false), Readiness::Waiting(_)));
        assert_eq!(usual("a/v1", "A", &thing(2, "False"), false), Readiness::Waiting("Why: so".to_owned()));
    }

    #[test]
    fn a_job_is_ready_when_its_work_is_done() {
        let job = |status: Value| json!({"metadata": {"generation": 1}, "status": status});
        let done = json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
        let failed = json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "it did"}]});
        assert!(matches!(usual("batch/v1", "Job", &job(json!({"ready": 1})), false), Readiness::Waiting(_)));
        assert_eq!(usual("batch/v1", "Job", &job(done), false), Readiness::Ready);
        assert_eq!(
            usual("batch/v1", "Job", &job(failed), false),
            Readiness::Failed("BackoffLimitExceeded: it did".to_owned())
        );
    }

    /// What depends on a process wants what it has put out.
    #[test]
    fn work_is_ready_when_it_has_succeeded() {
        let work = |succeeded: &str, failed: &str| {
            json!({"metadata": {"generation": 1}, "status": {"conditions": [
                {"type": "Succeeded", "status": succeeded, "reason": "S", "message": ""},
                {"type": "Failed", "status": failed, "reason": "F", "message": "m"}]}})
        };
        let usual = |succeeded: &str, failed: &str| {
            usual("colonies.io/v1", "ColonyProcess", &work(succeeded, failed), true)
        };
        assert_eq!(usual("True", "False"), Readiness::Ready);
        assert_eq!(usual("False", "True"), Readiness::Failed("F: m".to_owned()));
        assert!(matches!(usual("False", "False"), Readiness::Waiting(_)));
    }

    #[test]
    fn a_balanced_service_is_ready_with_its_address() {
        let waiting = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {}}});
        let ready = json!({"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": [{"ip": "1.2.3.4"}]}}});
        assert!(matches!(usual("v1", "Service", &waiting, false), Readiness::Waiting(_)));
        assert_eq!(usual("v1", "Service", &ready, false), Readiness::Ready);
    }
}
