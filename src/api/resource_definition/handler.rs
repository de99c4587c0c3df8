//! The handler of the instances of a kind.

use std::collections::{BTreeMap, BTreeSet};

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{BlueprintTerms, ComposedResource, ObjectKind};
use crate::api::{
    duration::Duration,
    policy::{ManagementPolicies, RestorePolicy, UpdatePolicy},
};

/// The handler of the instances of a kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.mode == 'compose' || (has(self.executorType) && has(self.functionName))").message(Message::Expression("'handler: mode ' + self.mode + ' needs executorType and functionName: set both'".into())))]
#[x_kube(validation = Rule::new("self.mode != 'compose' || (!has(self.executorType) && !has(self.functionName) && !has(self.cleanupFunction) && !has(self.executorNames) && !has(self.location) && !has(self.maxWaitTime) && !has(self.maxExecTime) && !has(self.maxRetries) && !has(self.priority))").message("handler: mode compose calls no function: remove executorType, functionName, cleanupFunction, executorNames, location, priority and limits, or choose mode process"))]
#[x_kube(validation = Rule::new("self.mode == 'process' || !has(self.cleanupFunction)").message("handler.cleanupFunction is for mode process: remove it").field_path(".cleanupFunction"))]
#[x_kube(validation = Rule::new("(self.mode == 'compose') == has(self.resources)").message("handler: mode compose, and no other, needs resources: add them, or choose another mode"))]
#[x_kube(validation = Rule::new("self.mode == 'compose' || !has(self.finishedWhen)").message("handler.finishedWhen is for mode compose: remove it").field_path(".finishedWhen"))]
#[x_kube(validation = Rule::new("self.mode != 'compose' || !has(self.managementPolicies)").message("handler.managementPolicies is for modes process and blueprint: with mode compose, write them in handler.resources").field_path(".managementPolicies"))]
#[x_kube(validation = Rule::new("self.mode == 'blueprint' || !has(self.blueprint)").message("handler.blueprint is for mode blueprint: remove it").field_path(".blueprint"))]
#[x_kube(validation = Rule::new("self.mode != 'blueprint' || (!has(self.executorNames) && !has(self.maxWaitTime) && !has(self.maxExecTime) && !has(self.maxRetries) && !has(self.priority))").message("handler: with mode blueprint the colony's server submits the processes, and takes no executorNames, priority or limits for them: remove these"))]
#[x_kube(validation = Rule::new("self.mode != 'blueprint' || (has(self.location) == has(oldSelf.location) && (!has(self.location) || self.location == oldSelf.location))").message("location cannot change with mode blueprint: blueprints stay where they were added; create another ResourceDefinition").field_path(".location"))]
#[x_kube(validation = Rule::new("self.mode == oldSelf.mode").message("mode cannot change while the kind exists: create another ResourceDefinition").field_path(".mode"))]
#[x_kube(validation = Rule::new("has(self.colony) == has(oldSelf.colony) && (!has(self.colony) || self.colony == oldSelf.colony)").message("colony cannot change: processes of instances are in the old colony; create another ResourceDefinition").field_path(".colony"))]
pub struct Handler {
    /// `process`: each generation of an instance is one process, handled by executors. `blueprint`: an instance is
    /// mirrored as a blueprint of the colony, which a reconciler there handles. `compose`: an instance is made of
    /// other objects, from `resources`.
    pub mode: HandlerMode,

    /// The Colony of instances; when absent, the one annotated `colonies.io/default: "true"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub colony: Option<String>,

    /// The type of the executors that handle instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$')").message(Message::Expression("'executorType: \"' + self + '\" is not a type: use letters, digits, \"-\", \"_\" and \".\", beginning and ending with a letter or digit'".into())))]
    #[x_kube(validation = Rule::new("!(self in ['executor-deployment-controller', 'kubernetes-reconciler'])").message(Message::Expression("'executorType: ' + self + ' is reserved for the operator, which serves no user-defined kinds: name executors of your own'".into())))]
    #[schemars(length(max = 63))]
    pub executor_type: Option<String>,

    /// Names of the executors that may handle instances; any of the type when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = r"^[^:\s]+$")))]
    pub executor_names: Vec<String>,

    /// Where the executors must be; anywhere when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[^:\s]+$"))]
    pub location: Option<String>,

    /// The function that they are asked for. Its arguments by name are the object: `apiVersion`, `kind`, `metadata`, `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub function_name: Option<String>,

    /// The function that they are asked for, once, when an instance is deleted, before it goes. None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub cleanup_function: Option<String>,

    /// How long a process may wait for an executor before it fails, such as `10m`; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("maxWaitTime is 0: give a time above 0, such as 60s, or leave it out for no limit"))]
    pub max_wait_time: Option<Duration>,

    /// How long an executor may take before the process is given to another, such as `1h`; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self.matches('[1-9]')").message("maxExecTime is 0: give a time above 0, such as 60s, or leave it out for no limit"))]
    pub max_exec_time: Option<Duration>,

    /// The number of retries after `maxExecTime` has passed; then it fails. Defaults to 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_retries: Option<i32>,

    /// Each unit puts a process one day ahead of those submitted at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -50_000, max = 50_000))]
    pub priority: Option<i32>,

    /// What a new generation does to the old one's process that still runs: `CancelRunning`, or `WaitForRunning`.
    #[serde(default)]
    pub update_policy: UpdatePolicy,

    /// What happens when an instance is restored from a backup, with another UID and without status, while the colony still has the
    /// last process of the earlier one, with mode `process`: `Keep`, that process is the instance's again if it was given the same
    /// spec, and nothing is submitted; `Resubmit`, it is submitted as for a new instance.
    #[serde(default, skip_serializing_if = "RestorePolicy::is_default")]
    pub restore_policy: RestorePolicy,

    /// What may be done in the colony for instances, with modes `process` and `blueprint`: `Observe`, `Create`,
    /// `Update`, `Delete`, or `*` for all of it, as when absent. Without `Create` a new instance gets no process and
    /// no blueprint; without `Update`, later generations of an instance are not sent to the colony, and running
    /// processes are not cancelled for them; without `Delete` the deletion of one neither cancels or removes anything
    /// nor calls `cleanupFunction`.
    #[serde(default, skip_serializing_if = "ManagementPolicies::is_unset")]
    pub management_policies: ManagementPolicies,

    /// Fields of the instance's status, each an expression in CEL such as `${output[0].endpoint}`. With mode `process` it may
    /// speak of `self` (the instance, also called `schema`), `output` (a list), `attributes` (what its executor has added
    /// to the process as output: texts by their keys) and `errors` (a list of texts), also while the process runs; an
    /// expression that has no value yet leaves its field as it is. With mode `blueprint` it speaks of `self` and of
    /// `blueprint`, such as `${blueprint.status.endpoint}`; without any expression there, the blueprint's status is taken as
    /// it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "expressions")]
    #[x_kube(validation = Rule::new("self.all(name, !(name in ['blueprint', 'colony', 'composedOf', 'conditions', 'finishedParts', 'mirror', 'observedGeneration', 'submittedGeneration']))").message("handler.status: blueprint, colony, composedOf, conditions, finishedParts, mirror, observedGeneration and submittedGeneration are kept by the operator: choose other names"))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[A-Za-z_][A-Za-z0-9_]*$'))").message("handler.status: names of fields are letters, digits and \"_\", not beginning with a digit"))]
    pub status: BTreeMap<String, String>,

    /// How instances are kept as blueprints, with mode `blueprint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blueprint: Option<BlueprintTerms>,

    /// What an instance is made of, with mode `compose`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64))]
    pub resources: Vec<ComposedResource>,

    /// When an instance has come to its end, with mode `compose`: an expression such as `${worker.all(w, w.status.succeeded == 1)}`.
    /// Never when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub finished_when: Option<String>,
}

impl Handler {
    /// How instances are mirrored as blueprints, with defaults applied.
    #[must_use]
    pub fn blueprint_terms(&self) -> BlueprintTerms {
        self.blueprint.clone().unwrap_or_default()
    }

    /// The kinds of which objects are made, with mode `compose`.
    #[must_use]
    pub fn makes(&self) -> BTreeSet<ObjectKind> {
        let text =
            |resource: &ComposedResource, name: &str| Some(resource.template.get(name)?.as_str()?.to_owned());
        let kind = |resource: &ComposedResource| {
            Some(ObjectKind::new(text(resource, "apiVersion")?, text(resource, "kind")?))
        };
        self.resources.iter().filter_map(kind).collect()
    }

    /// Whether objects of others may be taken over, with mode `compose`: by the operator as it makes an instance, or by an
    /// object that it makes.
    #[must_use]
    pub fn adopts(&self) -> bool {
        let by_object = |resource: &ComposedResource| {
            let said = resource.template.get("spec").and_then(|spec| spec.get("adoptionPolicy"));
            said.is_some_and(|said| said != "fail")
        };
        self.resources.iter().any(|resource| !resource.adoption_policy.is_default() || by_object(resource))
    }
}

/// Texts with expressions, by name.
fn expressions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 2048 },
    })
}

/// The handler of instances.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum HandlerMode {
    /// Each generation is a process.
    #[default]
    Process,
    /// Instances are blueprints.
    Blueprint,
    /// Instances are made of other objects.
    Compose,
}

impl HandlerMode {
    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
