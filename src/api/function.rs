//! A call of a function by an executor, as users write it: what a `ColonyProcess` is about, each node of a workflow and
//! what a schedule repeats. Pure.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{duration::Duration, filesystem::FileSystem};

/// A function to call and who may run it.
///
/// Absent fields are not sent, or sent as the protocol's value for "none": no time limits, no retry limit, no
/// conditions.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionCall {
    /// Name of the function.
    #[schemars(length(min = 1, max = 253))]
    pub function: String,

    /// Arguments by position, any JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub args: Vec<Value>,

    /// Arguments by name, any JSON.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "any_map")]
    pub kwargs: Map<String, Value>,

    /// Environment variables. The executor gets them with the process, and every member of the colony can read them there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<Variable>,

    /// Who may run it.
    pub conditions: ExecutorConditions,

    /// From -50000 to 50000: each unit puts it one day ahead of what was submitted at the same time. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -50_000, max = 50_000))]
    pub priority: Option<i32>,

    /// How long it may wait for an executor before it fails, such as `10m`. Unlimited when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = positive("maxWaitTime is 0: give a time above 0, such as 60s, or leave it out for no limit"))]
    pub max_wait_time: Option<Duration>,

    /// How long one run may take before it is taken from its executor, such as `1h`. Unlimited when absent: a process
    /// of a dead executor is then stuck until the server notices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = positive("maxExecTime is 0: give a time above 0, such as 60s, or leave it out for no limit"))]
    pub max_exec_time: Option<Duration>,

    /// The number of retries after `maxExecTime` has passed; then it fails. Defaults to 0; to 1 for a node of a workflow that
    /// depends on no other and has a `maxExecTime`, since the server can lose such a node. What its executor closes as failed
    /// is not run again by this, but by `backoffLimit`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_retries: Option<i32>,

    /// Files of the colony that the executor downloads before it runs, and uploads afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fs: Option<FileSystem>,

    /// Channels between those who submit and the executor, by their names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub channels: Vec<String>,
}

/// A colony counts in whole seconds and reads 0 as a deadline in the year 1.
fn positive(message: &'static str) -> kube::core::Rule {
    kube::core::Rule::new("self.matches('[1-9]')").message(message)
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.value) && has(self.valueFrom))").message(Message::Expression("'env ' + self.name + ' has value and valueFrom: remove one of them'".into())))]
pub struct Variable {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^=\x00]+$"))]
    pub name: String,
    /// Its value. Empty when both this and `valueFrom` are absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub value: Option<String>,
    /// The source of its value, read when the process is submitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<ValueFrom>,
}

/// The source of a value, in the object's own namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secretKeyRef) != has(self.configMapKeyRef)").message("valueFrom: give either secretKeyRef or configMapKeyRef"))]
pub struct ValueFrom {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyReference>,
    /// A key of a `ConfigMap`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyReference>,
}

/// A key of an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyReference {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Whether the variable is left out when object or key is missing. Otherwise nothing is submitted until it is there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Who may run a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorConditions {
    /// Type of the executors that may run it.
    #[x_kube(validation = Rule::new("!(self in ['executor-deployment-controller', 'kubernetes-reconciler'])").message(Message::Expression("'executorType: ' + self + ' is reserved for the operator: name executors of your own'".into())))]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^:\s]+$"))]
    pub executor_type: String,

    /// Names of the executors that may run it; absent for any of the type. The server does not check that they exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = r"^[^:\s]+$")))]
    pub executor_names: Vec<String>,

    /// Where the executor must be. Absent: anywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^:\s]+$"))]
    pub location: Option<String>,

    /// The resources of one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<FunctionResources>,

    /// Nodes that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 127))]
    pub nodes: Option<i32>,

    /// Processes on each of them. Absent with `nodes`: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 127))]
    pub processes_per_node: Option<i32>,

    /// GPUs that it asks for. Executors are not chosen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Gpu>,

    /// How long it is expected to take, for schedulers of executors. Executors are not chosen by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<Duration>,
}

/// What one run needs, as Kubernetes quantities. They are sent as whole thousandths of a core and whole mebibytes, rounded
/// up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionResources {
    /// CPU, such as `500m` or `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub cpu: Option<Quantity>,
    /// Memory, such as `1Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub memory: Option<Quantity>,
    /// Storage, such as `20Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub storage: Option<Quantity>,
}

/// GPUs that a function asks for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gpu {
    /// Their name, such as `nvidia_a100`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// How many.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: i32,
    /// Memory of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity")]
    pub memory: Option<Quantity>,
}

/// A Kubernetes quantity: text, or a whole number.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// Such as `2`.
    Number(i64),
    /// Such as `500m`, `1.5` or `1Gi`.
    Text(String),
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Text(text) => formatter.write_str(text),
        }
    }
}

/// As the API server knows quantities.
fn quantity(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true,
        "pattern": r"^(\+|)(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?[0-9]+)|)$",
        "maxLength": 32,
    })
}

/// A list of anything.
pub(super) fn any_list(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "array", "maxItems": 1024, "items": { "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// A map of names to anything.
pub(super) fn any_map(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
