//! The desired state of a fleet of executors.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use kube::{CustomResource, KubeSchema, ResourceExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Config, Drain, ExecutorDeploymentStatus, Resources, Workload};
use crate::api::{
    mirror::{MirrorStatus, Mirrored, UsedColony},
    names::QUEUE_LABEL,
    policy::{
        AdoptionPolicy, DeletionPolicy, Drift, ManagementPolicies, RestorePolicy, SyncPolicy, UpdatePolicy,
    },
};

/// A fleet of ColonyOS executors of one type.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "compute.colonies.io",
    version = "v1",
    kind = "ExecutorDeployment",
    namespaced,
    status = "ExecutorDeploymentStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "ed",
    shortname = "edeploy",
    doc = "A fleet of ColonyOS executors of one type: which image, how many, and where they run.",
    validation = Rule::new("self.metadata.name.size() <= 52").message(Message::Expression("'metadata.name: ' + self.metadata.name + ' has more than 52 characters: pods and labels are named after it; shorten it'".into())),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn = r#"{"name": "Runtime", "type": "string", "jsonPath": ".spec.runtime"}"#,
    printcolumn = r#"{"name": "Workload", "type": "string", "jsonPath": ".spec.workload"}"#,
    printcolumn = r#"{"name": "Desired", "type": "integer", "jsonPath": ".status.desiredReplicas"}"#,
    printcolumn = r#"{"name": "Ready", "type": "integer", "jsonPath": ".status.readyReplicas"}"#,
    printcolumn = r#"{"name": "Busy", "type": "integer", "jsonPath": ".status.executors.busy"}"#,
    printcolumn = r#"{"name": "Idle", "type": "integer", "jsonPath": ".status.executors.idle"}"#,
    printcolumn = r#"{"name": "Type", "type": "string", "jsonPath": ".spec.executorType"}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".status.state"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"}"#,
    printcolumn = r#"{"name": "Mirror", "type": "string", "jsonPath": ".status.mirror.state"}"#,
    printcolumn = r#"{"name": "Image", "type": "string", "jsonPath": ".spec.image", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.colony) == has(oldSelf.colony) && (!has(self.colony) || self.colony == oldSelf.colony)").message("colony cannot change: executor and process of this object are in the old colony; create another ExecutorDeployment").field_path(".colony"))]
#[x_kube(validation = Rule::new("has(self.location) == has(oldSelf.location) && (!has(self.location) || self.location == oldSelf.location)").message("location cannot change: executors and blueprint of this object are at the old one; create another ExecutorDeployment").field_path(".location"))]
#[x_kube(validation = Rule::new("self.workload != 'DaemonSet' || self.replicas == 1").message(Message::Expression("'replicas: ' + (self.replicas < 10 ? ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'][self.replicas] : 'a number above 9') + ' cannot be set with workload DaemonSet, which runs one executor on each node: remove replicas, or choose workload Deployment'".into())).field_path(".replicas"))]
#[x_kube(validation = Rule::new("!has(self.drain) || self.runtime == 'kubernetes'").message("drain is for runtime kubernetes: remove drain, or choose runtime kubernetes").field_path(".drain"))]
pub struct ExecutorDeploymentSpec {
    /// The name of the Colony in which the executors serve. Defaults to the Colony annotated `colonies.io/default:
    /// "true"`. It cannot be changed: executors and process of this object would remain in the old colony.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub colony: Option<String>,

    /// The runtime of the executors: `kubernetes` is this operator; `docker` and `local` are other reconcilers in the
    /// colony.
    #[serde(default)]
    pub runtime: Runtime,

    /// Where the executors run: the location in the colony at which they register, and whose reconciler carries out runtimes `docker` and
    /// `local`. Defaults to the location of the Colony. It cannot be changed: executors and blueprint of this object would remain at
    /// the old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("!self.matches('[[:space:][:cntrl:]]')").message("location has white space: give the name of a location of the colony"))]
    #[schemars(length(min = 1, max = 253))]
    pub location: Option<String>,

    /// The kind of workload in this cluster. A Deployment keeps `replicas` running, a DaemonSet one on each node, a
    /// Job runs `replicas` of them to completion.
    #[serde(default)]
    pub workload: Workload,

    /// How many executors. Not for DaemonSet.
    #[serde(default = "default_replicas")]
    #[x_kube(validation = Rule::new("self >= 0").message("is negative: give 0 or more"))]
    #[schemars(range(max = 100_000))]
    pub replicas: i32,

    /// Type as which the executors register; processes name it in their conditions. Keep it unique on the server, and
    /// never a variant of another type that only adds digits: such executors miss wake-ups.
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')").message(Message::Expression("'executorType: \"' + self + '\" is not a type: use letters, digits, \"-\", \"_\" and \".\", beginning and ending with a letter or digit (a \":\" breaks the colony)'".into())))]
    #[x_kube(validation = Rule::new("!(self in ['executor-deployment-controller', 'kubernetes-reconciler'])").message(Message::Expression("'executorType: ' + self + ' is reserved for the operator: name another type'".into())))]
    #[schemars(length(max = 63))]
    pub executor_type: String,

    /// Container image of the executor.
    #[x_kube(validation = Rule::new("self.size() > 0 && !self.matches('[[:space:]]')").message(Message::Expression("'image: \"' + self + '\" is not an image: name one, such as registry.example.com/executor:1.0'".into())))]
    #[schemars(length(max = 1024))]
    pub image: String,

    /// Entry point; the image's own when absent. Not run in a shell, and `$(NAME)` is not expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub command: Option<Vec<String>>,

    /// Arguments of the entry point; the image's own when absent. `$(NAME)` is not expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub args: Option<Vec<String>>,

    /// Environment and volumes of the executors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,

    /// What one executor needs and may use; the operator's defaults when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Labels of the nodes on which executors may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_selector: Option<BTreeMap<String, String>>,

    /// Taints that executors tolerate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub tolerations: Option<Vec<Toleration>>,

    /// Service account of the pods, if the operator's configuration allows it; without one, pods get no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,

    /// Anything else of a pod template, merged over what the operator makes. The container is called `executor`.
    /// What the restricted pod security standard forbids is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_form_object")]
    pub template: Option<serde_json::Map<String, serde_json::Value>>,

    /// Who the executors are in the colony. `Shared`: all pods serve as one executor, with one key. `PerPod`: each pod is an executor
    /// of its own, with a key of its own, registered before the pod starts and removed after it has gone. Defaults to `Shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityMode>,

    /// How an executor is drained before its pod goes, whatever the reason. Without, a pod has 30 s to end, and then its processes are
    /// interrupted. Only for runtime `kubernetes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,

    /// Run nothing, but keep everything.
    #[serde(default)]
    pub suspend: bool,

    /// What deletion does to the process of this object in the colony: `Delete` cancels it, `Orphan` leaves it.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// What a new generation does to the old one's process that still runs: `CancelRunning`, or `WaitForRunning`.
    #[serde(default)]
    pub update_policy: UpdatePolicy,

    /// How duplicates of the process of a generation are prevented. `Standard`: when the reply to a submit is lost,
    /// the process is looked up, and the oldest of several is kept; two may run briefly. `Strict`: the process waits
    /// behind a gate process, which the operator opens once status records which of several it is; this costs one
    /// more process.
    #[serde(default)]
    pub execution_guarantee: ExecutionGuarantee,

    /// Which side owns the spec when a blueprint in the colony mirrors this object. An edit on the other side is
    /// replaced by the owner's, and shown in condition Conflict; with `Observe` nothing is written to either side.
    /// Defaults to the side on which the object originates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_policy: Option<SyncPolicy>,

    /// What happens to a Deployment, `DaemonSet` or Job that has this object's name and no controller, such as one
    /// left by `kubectl delete --cascade=orphan`, and to its Secret: `fail` reports it and leaves it unchanged;
    /// `adopt` adopts it and creates none; `adopt-or-create` adopts it, or creates one if there is none.
    #[serde(default, skip_serializing_if = "AdoptionPolicy::is_default")]
    pub adoption_policy: AdoptionPolicy,

    /// What happens when this object, with workload Job, is restored from a backup, with another UID and without status, while the
    /// colony still has its last process: `Keep`, a Job that had run this spec to its end is not run again; `Resubmit`, it is.
    #[serde(default, skip_serializing_if = "RestorePolicy::is_default")]
    pub restore_policy: RestorePolicy,

    /// What happens to fields of the workload that others change, such as an autoscaler. By default, they are
    /// corrected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,

    /// The actions that the operator may take for this object: `Observe`, `Create`, `Update`, `Delete`, or `*` for
    /// all, the default. Without `Create`, no workload is created, nor key, registration or process for a missing
    /// one; without `Update`, a workload that differs from the spec is reported in condition Drifted and not changed;
    /// without `Delete` everything stays when this object is deleted, whatever `deletionPolicy` is. With `Observe`
    /// alone, the workload may have any owner: it is only read, and status shows its counts.
    #[serde(default, skip_serializing_if = "ManagementPolicies::is_unset")]
    pub management_policies: ManagementPolicies,
}

/// One executor by default; in the schema, so that `/scale` always finds a value.
const fn default_replicas() -> i32 {
    1
}

/// An object whose fields the schema does not know.
fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Who the executors of a fleet are in its colony.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum IdentityMode {
    /// All pods serve as one executor.
    #[default]
    Shared,
    /// Each pod is an executor of its own.
    PerPod,
}

/// Who runs the executors.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Runtime {
    /// Pods in this cluster.
    #[default]
    Kubernetes,
    /// Containers, by a docker-reconciler in the colony.
    Docker,
    /// Programs on a machine, by a reconciler there.
    Local,
}

impl Runtime {
    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How certain it is that a process is not assigned twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ExecutionGuarantee {
    /// A duplicate is found and cancelled.
    #[default]
    Standard,
    /// A duplicate is never assigned.
    Strict,
}

impl ExecutorDeploymentSpec {
    /// Where its executors are, in a colony that this cluster calls by that location.
    #[must_use]
    pub fn location_in<'a>(&'a self, of_colony: Option<&'a str>) -> Option<&'a str> {
        self.location.as_deref().or(of_colony).filter(|location| !location.is_empty())
    }

    /// Whether each pod is an executor of its own.
    #[must_use]
    pub fn is_per_pod(&self) -> bool {
        self.runtime == Runtime::Kubernetes && self.identity == Some(IdentityMode::PerPod)
    }

    /// Whether pods whose executor runs something are marked: it is known which they are, and what they run is worth the wait.
    #[must_use]
    pub fn marks_busy_pods(&self) -> bool {
        self.is_per_pod() && self.drain.is_some()
    }
}

impl ExecutorDeployment {
    /// The queue of Kueue in which its pods wait: a `LocalQueue` of its namespace, named by a label.
    #[must_use]
    pub fn queue(&self) -> Option<&str> {
        self.labels().get(QUEUE_LABEL).map(String::as_str).filter(|queue| !queue.is_empty())
    }
}

impl Mirrored for ExecutorDeployment {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }

    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>> {
        Some(&mut self.status.as_mut()?.mirror)
    }

    fn used_colony(&self) -> Option<&UsedColony> {
        self.status.as_ref()?.colony.as_ref()
    }

    fn is_in_colony(&self) -> bool {
        let has_more =
            |status: &ExecutorDeploymentStatus| status.executor.is_some() || status.blueprint.is_some();
        self.mirror().is_some_and(MirrorStatus::may_live) || self.status.as_ref().is_some_and(has_more)
    }

    fn blueprint(&self) -> Option<&str> {
        Some(&self.status.as_ref()?.blueprint.as_ref()?.name)
    }
}
