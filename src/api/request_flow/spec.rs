//! The desired flow.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::RequestFlowStatus;
use crate::api::{
    duration::Duration,
    executor_deployment::ExecutionGuarantee,
    function::{FunctionResources, Variable},
};

/// The jobs of a request, in order. They run one after another: a job that succeeds is followed by the next of the list,
/// and after the last the request is done.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "RequestFlow",
    namespaced,
    status = "RequestFlowStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "rf",
    doc = "The jobs of a request: which functions of a colony it goes through, in which order, and what follows when one fails.",
    printcolumn = r#"{"name": "Jobs", "type": "integer", "jsonPath": ".status.jobs"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.jobs.all(j, !has(j.onFailure) || !has(j.onFailure.job) || self.jobs.exists(k, k.name == j.onFailure.job))").message(Message::Expression("'jobs: onFailure.job: \"' + self.jobs.map(j, has(j.onFailure) && has(j.onFailure.job) && !self.jobs.exists(k, k.name == j.onFailure.job), j.onFailure.job)[0] + '\" is no job of this flow: name one of the list, or add it'".into())).field_path(".jobs"))]
pub struct RequestFlowSpec {
    /// The name of the Colony in which the jobs run. Defaults to the Colony annotated `colonies.io/default: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub colony: Option<String>,

    /// The time limit for all jobs of a request together, waiting included. When absent, only the limits of the jobs
    /// apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31_536_000))]
    pub active_deadline_seconds: Option<i64>,

    /// The jobs in the order in which they run. Each is followed by the next of the list, also one that was jumped to: a
    /// job for cleaning up that stands last is run whether or not the jobs before it failed.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub jobs: Vec<FlowJob>,
}

/// A job: one process in the colony, or several if it is retried.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.onFailure) || !has(self.onFailure.job) || self.onFailure.job != self.name").message(Message::Expression("'onFailure.job: \"' + self.name + '\" is the job itself: use action Retry to run it again'".into())).field_path(".onFailure.job"))]
pub struct FlowJob {
    /// Name of the job, unique in the flow. Expressions of other jobs reach its output as `jobs.NAME.output`, or as
    /// `jobs['NAME'].output` if the name has other characters than letters, digits and `_`.
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9][A-Za-z0-9._-]*$')").message(Message::Expression("'name: \"' + self + '\" is not a job name: use letters, digits, \"-\", \"_\" and \".\", beginning with a letter or digit'".into())))]
    #[schemars(length(max = 63))]
    pub name: String,

    /// What the process asks an executor to do.
    pub function: FlowFunction,

    /// The action when the job fails. Defaults to Stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
}

/// What a process asks an executor to do. Strings in `args`, `kwargs`, `executorNames` and `location` may hold
/// expressions in CEL, such as `${request.spec.source}` or `${jobs.JOB1.output[0]}`. A string that is one expression
/// takes the expression's type; `$${` stands for a plain `${`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlowFunction {
    /// Name of the function, as the executors register it.
    #[x_kube(validation = Rule::new("self.size() > 0").message("function name is empty: give the name under which executors register the function"))]
    #[schemars(length(max = 253))]
    pub name: String,

    /// Type of the executors that may run it.
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')").message(Message::Expression("'executorType: \"' + self + '\" is not a type: use letters, digits, \"-\", \"_\" and \".\", beginning and ending with a letter or digit'".into())))]
    #[x_kube(validation = Rule::new("!(self in ['executor-deployment-controller', 'kubernetes-reconciler'])").message(Message::Expression("'executorType: ' + self + ' is reserved for the operator: name executors of your own'".into())))]
    #[schemars(length(max = 63))]
    pub executor_type: String,

    /// Names of the executors that may run it; any of the type when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 2048)))]
    pub executor_names: Vec<String>,

    /// Location of the executors that may run it; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub location: Option<String>,

    /// Arguments by position, of any type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "free_form_list")]
    pub args: Vec<Value>,

    /// Arguments by name, of any type.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "free_form_object")]
    pub kwargs: Map<String, Value>,

    /// Each unit moves the process one day ahead of processes submitted at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -50_000, max = 50_000))]
    pub priority: Option<i32>,

    /// How long the process may wait for an executor before it fails, such as 10m; counted in whole seconds.
    /// Unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("maxWaitTime is 0: give the time that it may wait, or leave it out"))]
    pub max_wait_time: Option<Duration>,

    /// How long an executor may take before the process is given to another, such as 1h30m; counted in whole seconds.
    /// Unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("maxExecTime is 0: give the time that it may take, or leave it out"))]
    pub max_exec_time: Option<Duration>,

    /// The number of retries after `maxExecTime` has passed; then it fails. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_retries: Option<i32>,

    /// Environment variables. The executor gets them with the process, and every member of the colony can read them there.
    /// `valueFrom` is read in the namespace of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<Variable>,

    /// The resources of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<FunctionResources>,

    /// How certain it is that the process is not assigned twice. `Standard`, or absent: after a submit whose answer was lost it is looked
    /// up, and of several the oldest is kept; for moments two may run. `Strict`: it waits behind a gate until it is on record
    /// which of several it is; costs one more process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_guarantee: Option<ExecutionGuarantee>,
}

/// The action when a job fails.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.action != 'GoTo' || has(self.job)").message("onFailure: action GoTo needs a job: name the job to continue with"))]
#[x_kube(validation = Rule::new("self.action == 'GoTo' || !has(self.job)").message("onFailure.job is only for action GoTo: remove it, or choose GoTo").field_path(".job"))]
#[x_kube(validation = Rule::new("self.action == 'Retry' || !has(self.backoff)").message("onFailure.backoff is only for action Retry: remove it, or choose Retry").field_path(".backoff"))]
#[x_kube(validation = Rule::new("self.action != 'Stop' || !has(self.maxAttempts)").message("onFailure.maxAttempts is only for actions Retry and GoTo: remove it, or choose one of them").field_path(".maxAttempts"))]
pub struct OnFailure {
    /// `Stop`: the request has failed. `Retry`: the job is run again as a new process. `GoTo`: the flow continues
    /// with another job, before or after this one, and from there in the order of the list.
    pub action: FailureAction,

    /// The job that `GoTo` continues with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub job: Option<String>,

    /// With `Retry`: how often the job is run at most, the first time included; 3 when absent. With `GoTo`: how often the flow
    /// goes there from here at most, so that a flow that goes back ends; 1 when absent. After that the flow stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: Option<i32>,

    /// How long `Retry` waits before the second run, such as 30s; doubled with each further run, up to an hour. 10s when
    /// absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
}

/// What a failed job leads to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FailureAction {
    /// The request has failed.
    #[default]
    Stop,
    /// The job is run again.
    Retry,
    /// The flow continues with another job.
    GoTo,
}

/// A list whose elements may be anything.
fn free_form_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// An object whose fields the schema does not know.
fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
