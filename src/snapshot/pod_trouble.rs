//! What keeps pods from running, in the cluster's own words, and what helps. Pure.

use k8s_openapi::api::{
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
    events::v1::Event,
};

use super::progress::last_of;
use crate::api::condition::Reason;

/// What keeps a pod from running. What a user has to correct comes before what may pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodTrouble {
    /// Whether it passes by waiting; false comes first.
    pub may_pass: bool,
    /// Of what kind it is.
    pub cause: PodCause,
    /// Which pod, and the cluster's words.
    pub what: String,
}

/// Reason of a pod's condition `PodScheduled` while it has scheduling gates.
const GATED: &str = "SchedulingGated";

/// Why a pod does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PodCause {
    /// The API server did not ask for a name for its executor.
    Name,
    /// Its image cannot be pulled.
    Image,
    /// A Secret or `ConfigMap`, or a key of it, is missing.
    Configuration,
    /// A container was killed since it used more memory than its limit.
    Memory,
    /// A container ends.
    Crash,
    /// A container cannot be created or started.
    Creation,
    /// A volume cannot be mounted.
    Volume,
    /// No node takes it.
    Placement,
    /// Its node ended it.
    Eviction,
}

/// After how many restarts waiting does not help a container that ends.
const RESTARTS: i32 = 2;
/// Most characters of what a container said at its end.
const LAST_WORDS: usize = 200;
/// Why the Event is written with which a node tells that a volume cannot be mounted.
pub const FAILED_MOUNT: &str = "FailedMount";

impl PodCause {
    /// The reason in conditions.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::Name => Reason::ExecutorNotNamed,
            Self::Image => Reason::ImageNotPulled,
            Self::Configuration => Reason::ConfigurationMissing,
            Self::Memory => Reason::OutOfMemory,
            Self::Crash => Reason::ContainerFails,
            Self::Creation => Reason::ContainerNotCreated,
            Self::Volume => Reason::VolumeNotMounted,
            Self::Placement => Reason::PodUnschedulable,
            Self::Eviction => Reason::PodEvicted,
        }
    }

    /// What a user can do.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Name => "have the operator installed with podIdentities.enabled, or set identity: Shared",
            Self::Image => "correct spec.image, or name a pull secret in spec.template",
            Self::Configuration => "create what it names, or remove it from spec.config",
            Self::Memory => "raise spec.resources.limits.memory, or have it use less",
            Self::Crash => "see kubectl logs --previous of that pod",
            Self::Creation => "correct what it names in spec.command or spec.template",
            Self::Volume => "create what it names, or correct spec.config.volumes",
            Self::Placement => {
                "add a node that has room, or lower spec.resources; spec.nodeSelector and spec.tolerations must fit one"
            }
            Self::Eviction => "ask for what it needs in spec.resources, or free the node",
        }
    }
}

impl PodCause {
    /// What a user can do about a pod of an object that an instance of a defined kind is made of.
    #[must_use]
    pub fn remedy_in_template(self) -> &'static str {
        match self {
            Self::Name => "have the operator installed with podIdentities.enabled",
            Self::Image => {
                "correct the image or add a pull secret, in the instance or in the template of its kind"
            }
            Self::Configuration => {
                "create what it names, or correct the instance or the template of its kind"
            }
            Self::Memory => "raise the memory limit in the instance or in the template of its kind",
            Self::Crash => "see kubectl logs --previous of that pod",
            Self::Creation => "correct what it names, in the instance or in the template of its kind",
            Self::Volume => "create what it names, or correct the volumes in the template of its kind",
            Self::Placement => {
                "add a node that has room, or lower the requests; node selector and tolerations of the template must fit one"
            }
            Self::Eviction => "set requests in the template of its kind, or free the node",
        }
    }
}

/// What a user can do where the API server refuses pods, by its words.
#[must_use]
pub fn remedy_of_refusal(words: &str) -> &'static str {
    if words.contains("violates PodSecurity") {
        "ask for no more than the standard allows that the namespace enforces, or use a namespace that enforces another"
    } else if words.contains("exceeded quota") {
        "lower replicas or resources, or have the quota of the namespace raised"
    } else {
        "change what it names; events of the workload have the name of the pod"
    }
}

/// The first thing that keeps one of some pods from running; none while all is well or only young. Pods that leave do not count.
#[must_use]
pub fn of_pods(pods: &[Pod]) -> Option<PodTrouble> {
    let staying = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
    // Pods come in no order; the message must not change with it.
    staying.filter_map(of_pod).min()
}

/// Whether some pod waits for a Secret or `ConfigMap` that is not there.
#[must_use]
pub fn waits_for_configuration(pods: &[Pod]) -> bool {
    pods.iter().flat_map(containers).any(|container| waiting(container).0 == "CreateContainerConfigError")
}

/// The pods that a node is to start and has not begun to: whether a volume is the cause, only Events tell.
pub fn being_created(pods: &[Pod]) -> impl Iterator<Item = &Pod> {
    pods.iter().filter(|pod| {
        let is_placed = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let mut reasons = containers(pod).map(|container| waiting(container).0);
        is_placed
            && pod.metadata.deletion_timestamp.is_none()
            && reasons.any(|reason| reason == "ContainerCreating")
    })
}

/// Why a volume of a pod cannot be mounted, from the Events about it: the words of the last one.
#[must_use]
pub fn of_events(pod: &Pod, events: &[Event]) -> Option<PodTrouble> {
    let (_, words) = last_of(events, FAILED_MOUNT)?;
    let what = format!("pod {}: {words}", name_of(pod));
    Some(PodTrouble { may_pass: false, cause: PodCause::Volume, what })
}

fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}

fn told(pod: &Pod, reason: &str, message: &str) -> String {
    let message = if message.is_empty() { String::new() } else { format!(": {message}") };
    format!("pod {}: {reason}{message}", name_of(pod))
}

fn of_pod(pod: &Pod) -> Option<PodTrouble> {
    let status = pod.status.as_ref()?;
    if status.phase.as_deref() == Some("Failed")
        && let Some(reason) = status.reason.as_deref()
    {
        let what = told(pod, reason, status.message.as_deref().unwrap_or_default());
        return Some(PodTrouble { may_pass: true, cause: PodCause::Eviction, what });
    }
    if let Some(trouble) = containers(pod).filter_map(|container| of_container(pod, container)).min() {
        return Some(trouble);
    }
    let conditions = status.conditions.iter().flatten();
    // A pod behind a scheduling gate waits for what opens it, not for a node.
    let unplaced = conditions.into_iter().find(|one| {
        one.type_ == "PodScheduled" && one.status == "False" && one.reason.as_deref() != Some(GATED)
    })?;
    let message = unplaced.message.as_deref().unwrap_or_default();
    let what = format!("pod {} cannot be placed: {message}", name_of(pod));
    Some(PodTrouble { may_pass: true, cause: PodCause::Placement, what })
}

fn of_container(pod: &Pod, container: &ContainerStatus) -> Option<PodTrouble> {
    let (reason, message) = waiting(container);
    let lasting = |cause, what: String| Some(PodTrouble { may_pass: false, cause, what });
    let told = |message| told(pod, reason, message);
    match reason {
        "CrashLoopBackOff" | "" | "ContainerCreating" | "PodInitializing" => of_ended(pod, container),
        "CreateContainerConfigError" => lasting(PodCause::Configuration, told(message)),
        // A node tells in turn that it cannot pull the image and that it waits before it tries again.
        "ErrImagePull" | "ImagePullBackOff" => {
            let words = message.split_once("ErrImagePull: ").map_or(message, |(_, words)| words);
            let image = &container.image;
            lasting(PodCause::Image, format!("pod {}: image {image} cannot be pulled: {words}", name_of(pod)))
        }
        "InvalidImageName"
        | "ErrImageNeverPull"
        | "ImageInspectError"
        | "RegistryUnavailable"
        | "SignatureValidationFailed" => lasting(PodCause::Image, told(message)),
        _ => lasting(PodCause::Creation, told(message)),
    }
}

/// A container that has ended and should not have, also while it waits for its next start or is not ready after one.
fn of_ended(pod: &Pod, container: &ContainerStatus) -> Option<PodTrouble> {
    let terminated = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.clone())
    };
    let now = terminated(&container.state);
    let before = terminated(&container.last_state).filter(|_| !container.ready);
    let end = now.clone().or(before)?;
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    let is_to_run_on = policy.is_none_or(|policy| policy == "Always") && !is_init(pod, container);
    if end.exit_code == 0 && !is_to_run_on {
        return None;
    }
    let is_out_of_memory = end.reason.as_deref() == Some("OOMKilled");
    let again = if container.restart_count >= RESTARTS { ", again and again" } else { "" };
    let subject = format!("pod {}: container {}", name_of(pod), container.name);
    let what = if is_out_of_memory {
        let limit = memory_limit(pod, &container.name).map(|limit| format!(" ({limit})")).unwrap_or_default();
        format!("{subject} was killed since it used more memory than its limit{limit}{again}")
    } else {
        format!("{subject} ended with {}{again}{}", exit(&end), last_words(&end))
    };
    let cause = if is_out_of_memory { PodCause::Memory } else { PodCause::Crash };
    Some(PodTrouble { may_pass: container.restart_count < RESTARTS, cause, what })
}

fn exit(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
    format!("exit code {}{reason}", end.exit_code)
}

fn last_words(end: &ContainerStateTerminated) -> String {
    let words = end.message.as_deref().unwrap_or_default().trim();
    let words: String = words.chars().take(LAST_WORDS).collect();
    if words.is_empty() { words } else { format!(": {words}") }
}

fn is_init(pod: &Pod, container: &ContainerStatus) -> bool {
    let init = pod.status.as_ref().and_then(|status| status.init_container_statuses.as_ref());
    init.is_some_and(|init| init.iter().any(|one| one.name == container.name))
}

fn memory_limit(pod: &Pod, container: &str) -> Option<String> {
    let found = pod.spec.as_ref()?.containers.iter().find(|one| one.name == container)?;
    Some(found.resources.as_ref()?.limits.as_ref()?.get("memory")?.0.clone())
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// Reason and message of a container that waits; empty ones for another.
fn waiting(container: &ContainerStatus) -> (&str, &str) {
    let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
    waiting.map_or(("", ""), |waiting| {
        (waiting.reason.as_deref().unwrap_or_default(), waiting.message.as_deref().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        let spec = json!({ "nodeName": "n", "containers": [
            { "name": "executor", "resources": { "limits": { "memory": "64Mi" } } }] });
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec, "status": status }))
            .unwrap()
    }

    fn of_state(state: &Value, last: &Value, restarts: i32) -> Pod {
        pod(
            "e-1",
            &json!({ "phase": "Running", "containerStatuses": [{
            "name": "executor", "image": "r/e:1", "imageID": "", "ready": false, "restartCount": restarts,
            "state": state, "lastState": last,
        }] }),
        )
    }

    fn seen(pod: Pod) -> Option<(Reason, bool, String)> {
        of_pods(&[pod]).map(|trouble| (trouble.cause.reason(), trouble.may_pass, trouble.what))
    }

    fn waits(reason: &str, message: &str) -> Option<(Reason, bool, String)> {
        seen(of_state(&json!({ "waiting": { "reason": reason, "message": message } }), &json!({}), 0))
    }

    #[test]
    fn what_a_container_waits_for_is_told_in_the_words_of_the_node() {
        let told = |reason, what: &str| Some((reason, false, format!("pod e-1: {what}")));
        let missing = "secret \"db\" not found";
        assert_eq!(
            waits("CreateContainerConfigError", missing),
            told(Reason::ConfigurationMissing, "CreateContainerConfigError: secret \"db\" not found")
        );
        assert_eq!(
            waits("InvalidImageName", "couldn't parse"),
            told(Reason::ImageNotPulled, "InvalidImageName: couldn't parse")
        );
        assert_eq!(
            waits("RunContainerError", "no such file"),
            told(Reason::ContainerNotCreated, "RunContainerError: no such file")
        );
        assert_eq!(waits("ContainerCreating", ""), None);
        assert_eq!(waits("PodInitializing", ""), None);
    }

    /// Nodes tell both in turn: the message stays the same, or each turn would be a write.
    #[test]
    fn an_image_that_cannot_be_pulled_is_told_in_the_same_words_while_the_node_waits() {
        let told = waits("ErrImagePull", "not found");
        assert_eq!(
            told.clone().unwrap(),
            (Reason::ImageNotPulled, false, "pod e-1: image r/e:1 cannot be pulled: not found".to_owned())
        );
        assert_eq!(
            waits("ImagePullBackOff", "Back-off pulling image \"r/e:1\": ErrImagePull: not found"),
            told
        );
    }

    #[test]
    fn a_container_that_ends_is_told_whatever_it_does_at_the_moment() {
        let ended = json!({ "terminated": { "exitCode": 3, "reason": "Error", "message": "no key\n" } });
        let backs_off = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s" } });
        let running = json!({ "running": {} });
        let told = |again: &str| {
            format!("pod e-1: container executor ended with exit code 3 (Error){again}: no key")
        };
        assert_eq!(
            seen(of_state(&ended, &json!({}), 0)).unwrap(),
            (Reason::ContainerFails, true, told("")),
            "it may be all right the next time"
        );
        for state in [&ended, &backs_off, &running] {
            let found = seen(of_state(state, &ended, 2)).unwrap();
            assert_eq!(found, (Reason::ContainerFails, false, told(", again and again")), "{state}");
        }
        let mut ready = of_state(&running, &ended, 5);
        ready.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0].ready = true;
        assert_eq!(seen(ready), None);
        assert_eq!(seen(of_state(&running, &json!({}), 0)), None);
    }

    #[test]
    fn executors_of_a_job_may_end_and_others_may_not() {
        let done = json!({ "terminated": { "exitCode": 0, "reason": "Completed" } });
        let always = of_state(&done, &json!({}), 0);
        assert_eq!(seen(always.clone()).unwrap().0, Reason::ContainerFails);
        let mut of_job = always;
        of_job.spec.as_mut().unwrap().restart_policy = Some("Never".to_owned());
        assert_eq!(seen(of_job), None);
    }

    #[test]
    fn a_container_out_of_memory_is_told_with_its_limit() {
        let killed = json!({ "terminated": { "exitCode": 137, "reason": "OOMKilled" } });
        let (reason, may_pass, what) = seen(of_state(&killed, &json!({}), 4)).unwrap();
        assert_eq!((reason, may_pass), (Reason::OutOfMemory, false));
        assert_eq!(
            what,
            "pod e-1: container executor was killed since it used more memory than its limit (64Mi), again and again"
        );
    }

    #[test]
    fn pods_that_no_node_takes_or_that_a_node_ended_may_yet_run() {
        let unplaced = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/2 nodes are available" }] });
        let evicted = json!({ "phase": "Failed", "reason": "Evicted", "message": "low on memory" });
        let found = seen(pod("e-1", &unplaced)).unwrap();
        let told = "pod e-1 cannot be placed: 0/2 nodes are available".to_owned();
        assert_eq!(found, (Reason::PodUnschedulable, true, told));
        let gated = json!({ "conditions": [{ "type": "PodScheduled", "status": "False",
            "reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates" }] });
        assert_eq!(seen(pod("e-1", &gated)), None);
        let found = seen(pod("e-1", &evicted)).unwrap();
        assert_eq!(found, (Reason::PodEvicted, true, "pod e-1: Evicted: low on memory".to_owned()));
    }

    #[test]
    fn what_a_user_has_to_correct_comes_first_and_pods_that_leave_do_not_count() {
        let evicted = pod("e-0", &json!({ "phase": "Failed", "reason": "Evicted" }));
        let ended = json!({ "terminated": { "exitCode": 1 } });
        let mut pods = vec![evicted, of_state(&ended, &json!({}), 2)];
        assert_eq!(of_pods(&pods).unwrap().cause, PodCause::Crash);
        pods.reverse();
        assert_eq!(of_pods(&pods).unwrap().cause, PodCause::Crash);
        pods[0].metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2026-11-21T10:00:00Z")).unwrap());
        assert_eq!(of_pods(&pods).unwrap().cause, PodCause::Eviction);
    }

    #[test]
    fn only_events_tell_that_a_volume_cannot_be_mounted() {
        let waits = |reason: &str| of_state(&json!({ "waiting": { "reason": reason } }), &json!({}), 0);
        let creating = waits("ContainerCreating");
        assert_eq!(being_created(&[creating.clone(), waits("ErrImagePull")]).count(), 1);
        let event = |reason: &str, note: &str, minute: u32| -> Event {
            serde_json::from_value(json!({ "metadata": {}, "eventTime": null, "reason": reason, "note": note,
                "deprecatedLastTimestamp": format!("2026-11-21T10:{minute:02}:00Z") }))
            .unwrap()
        };
        let missing = "MountVolume.SetUp failed for volume \"v0\": secret \"certs\" not found";
        let events =
            [event("FailedMount", missing, 2), event("FailedMount", "before", 1), event("Pulled", "x", 3)];
        let found = of_events(&creating, &events).unwrap();
        assert_eq!((found.cause.reason(), found.may_pass), (Reason::VolumeNotMounted, false));
        assert_eq!(found.what, format!("pod e-1: {missing}"));
        assert_eq!(of_events(&creating, &events[2..]), None);
    }
}
