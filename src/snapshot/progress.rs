//! The progress that a workload reports: shared by the stage that closes the process and the one that writes status.
//! Pure.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    events::v1::Event,
};

use crate::api::executor_deployment::FinishedJob;

/// How far a workload is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Progress {
    /// How many pods there should be, as the workload understands it.
    pub desired: i32,
    /// How many there are.
    pub replicas: i32,
    /// How many are ready, or have succeeded.
    pub ready: i32,
    /// What that means.
    pub phase: Phase,
}

/// What a workload's numbers mean.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It is getting there.
    Progressing,
    /// All pods of the current template are ready.
    Ready,
    /// All pods of a Job succeeded.
    Completed,
    /// It will not get there; reason and message of the workload.
    Failed {
        /// Reason that the workload gives.
        reason: String,
        /// Message that it gives.
        message: String,
    },
}

/// How far a Deployment is.
#[must_use]
pub fn of_deployment(deployment: &Deployment) -> Progress {
    let desired = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let Some(status) = &deployment.status else {
        return Progress { desired, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let count = |number: Option<i32>| number.unwrap_or_default();
    let observed = status.observed_generation >= deployment.metadata.generation;
    let failed = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "Progressing"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("ProgressDeadlineExceeded")
    });
    let complete = [status.replicas, status.updated_replicas, status.available_replicas]
        .into_iter()
        .all(|number| count(number) == desired);
    let phase = match failed {
        _ if !observed => Phase::Progressing,
        _ if complete => Phase::Ready,
        Some(condition) => Phase::Failed {
            reason: "ProgressDeadlineExceeded".to_owned(),
            message: condition.message.clone().unwrap_or_default(),
        },
        None => Phase::Progressing,
    };
    Progress { desired, replicas: count(status.replicas), ready: count(status.ready_replicas), phase }
}

/// Controllers try again after pauses of up to a quarter of an hour.
const REFUSAL_IS_RECENT: SignedDuration = SignedDuration::from_mins(20);
/// Why the Event is written with which a controller tells that a pod was refused.
pub const FAILED_CREATE: &str = "FailedCreate";

/// Why the API server refuses the pods of a Deployment, in its own words.
#[must_use]
pub fn refusal_of_deployment(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure = conditions.iter().find(|one| one.type_ == "ReplicaFailure" && one.status == "True")?;
    failure.message.as_deref().map(words)
}

/// Why the API server refuses the pods of a Job or `DaemonSet`, which say so by Events alone: the words of the last one.
#[must_use]
pub fn refusal_of_events(events: &[Event], now: Timestamp) -> Option<String> {
    let (seen, said) = last_of(events, FAILED_CREATE)?;
    (now.duration_since(seen) < REFUSAL_IS_RECENT).then(|| words(said))
}

/// When the last Event with a reason was seen, and its words.
pub(super) fn last_of<'a>(events: &'a [Event], reason: &str) -> Option<(Timestamp, &'a str)> {
    let of_reason = events.iter().filter(|event| event.reason.as_deref() == Some(reason));
    of_reason.filter_map(|event| Some((last_seen(event)?, event.note.as_deref()?))).max()
}

fn last_seen(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().map(|series| series.last_observed_time.0);
    let counted = event.deprecated_last_timestamp.as_ref().map(|time| time.0);
    series.max(counted).or(event.event_time.as_ref().map(|time| time.0))
}

/// What the API server said, without the name of the pod, which is another with each try.
fn words(message: &str) -> String {
    let message = message.trim_start_matches("(combined from similar events): ");
    let message = message.trim_start_matches("Error creating: ");
    let words = message.strip_prefix("pods \"").and_then(|rest| rest.split_once("\" is forbidden: "));
    words.map_or(message, |(_, words)| words).to_owned()
}

/// Whether a workload has fewer pods than it wants and does not say why.
#[must_use]
pub fn lacks_pods(progress: &Progress) -> bool {
    progress.phase == Phase::Progressing && progress.replicas < progress.desired
}

/// How far a `DaemonSet` is. One that no node matches is ready with nothing.
#[must_use]
pub fn of_daemon_set(daemon_set: &DaemonSet) -> Progress {
    let Some(status) = &daemon_set.status else {
        return Progress { desired: 0, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let desired = status.desired_number_scheduled;
    let observed = status.observed_generation >= daemon_set.metadata.generation;
    let updated = status.updated_number_scheduled.unwrap_or_default() == desired;
    let available = status.number_available.unwrap_or_default() == desired;
    let phase = if observed && updated && available { Phase::Ready } else { Phase::Progressing };
    Progress { desired, replicas: status.current_number_scheduled, ready: status.number_ready, phase }
}

/// How far a Job is.
#[must_use]
pub fn of_job(job: &Job) -> Progress {
    let desired = job.spec.as_ref().and_then(|spec| spec.completions).unwrap_or(1);
    let Some(status) = &job.status else {
        return Progress { desired, replicas: 0, ready: 0, phase: Phase::Progressing };
    };
    let succeeded = status.succeeded.unwrap_or_default();
    let ready = status.ready.unwrap_or_default() + succeeded;
    let condition = |wanted: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == wanted && condition.status == "True")
    };
    let phase = if condition("Complete").is_some() {
        Phase::Completed
    } else if let Some(failed) = condition("Failed") {
        Phase::Failed {
            reason: failed.reason.clone().unwrap_or_default(),
            message: failed.message.clone().unwrap_or_default(),
        }
    } else if ready >= desired {
        Phase::Ready
    } else {
        Phase::Progressing
    };
    Progress { desired, replicas: status.active.unwrap_or_default() + succeeded, ready, phase }
}

/// How far a Job was that is gone.
#[must_use]
pub fn of_finished_job(job: &FinishedJob) -> Progress {
    let phase = job.failure.as_ref().map_or(Phase::Completed, |failure| Phase::Failed {
        reason: failure.reason.clone(),
        message: failure.message.clone(),
    });
    Progress { desired: job.replicas, replicas: job.succeeded, ready: job.succeeded, phase }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const REFUSAL: &str = "violates PodSecurity \"restricted:latest\": host namespaces (hostPID=true)";

    #[test]
    fn a_deployment_says_itself_why_its_pods_are_refused() {
        let deployment = |condition: Value| -> Deployment {
            serde_json::from_value(json!({"status": {"conditions": [condition]}})).unwrap()
        };
        let message = format!("pods \"e-7d9f-x2x4m\" is forbidden: {REFUSAL}");
        let condition = |status: &str| json!({"type": "ReplicaFailure", "status": status, "reason": "FailedCreate", "message": message});
        assert_eq!(refusal_of_deployment(&deployment(condition("True"))).as_deref(), Some(REFUSAL));
        assert_eq!(refusal_of_deployment(&deployment(condition("False"))), None);
        assert_eq!(refusal_of_deployment(&Deployment::default()), None);
    }

    #[test]
    fn the_last_event_says_why_pods_of_a_job_are_refused() {
        let event = |reason: &str, minute: u32, words: &str| -> Event {
            serde_json::from_value(json!({
                "metadata": {}, "eventTime": null, "reason": reason,
                "deprecatedLastTimestamp": format!("2026-11-21T10:{minute:02}:00Z"),
                "note": format!("Error creating: pods \"e-0-{minute}\" is forbidden: {words}"),
            }))
            .unwrap()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let events = [
            event("FailedCreate", 0, "exceeded quota: q"),
            event("FailedCreate", 5, REFUSAL),
            event("SuccessfulCreate", 6, "no refusal"),
        ];
        let mut combined = events[1].clone();
        combined.note = combined.note.map(|note| format!("(combined from similar events): {note}"));
        assert_eq!(refusal_of_events(&[combined], at("2026-11-21T10:07:00Z")).as_deref(), Some(REFUSAL));
        assert_eq!(refusal_of_events(&events, at("2026-11-21T10:07:00Z")).as_deref(), Some(REFUSAL));
        assert_eq!(refusal_of_events(&events[..1], at("2026-11-21T10:21:00Z")), None, "it is old");
        assert_eq!(refusal_of_events(&events[2..], at("2026-11-21T10:07:00Z")), None);
        let unnamed = "Internal error occurred: no answer";
        let other: Event = serde_json::from_value(json!({"metadata": {}, "reason": "FailedCreate",
            "eventTime": "2026-11-21T10:00:00.000000Z", "note": unnamed}))
        .unwrap();
        assert_eq!(refusal_of_events(&[other], at("2026-11-21T10:00:01Z")).as_deref(), Some(unnamed));
    }
}
