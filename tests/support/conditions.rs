//! What the conditions of an object say.

use colonyos_operator::api::{
    colony::ColonyStatus, colony_cron::ColonyCronStatus, colony_process::ColonyProcessStatus,
    colony_workflow::ColonyWorkflowStatus, executor_deployment::ExecutorDeploymentStatus,
    request_state::RequestStateStatus, resource_definition::ResourceDefinitionStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::DynamicObject;
use serde_json::Value;

/// What has conditions.
pub trait Conditions {
    /// All of them.
    fn conditions(&self) -> Vec<Condition>;

    /// The one of a type.
    fn condition(&self, kind: &str) -> Option<Condition> {
        self.conditions().into_iter().find(|condition| condition.type_ == kind)
    }

    /// Whether it is there and true.
    fn is_true(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// Whether it is there and false.
    fn is_false(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "False")
    }

    /// Its reason; empty where there is no such condition.
    fn reason(&self, kind: &str) -> String {
        self.condition(kind).map(|condition| condition.reason).unwrap_or_default()
    }

    /// Its message; empty where there is no such condition.
    fn message(&self, kind: &str) -> String {
        self.condition(kind).map(|condition| condition.message).unwrap_or_default()
    }

    /// Status, reason and message of one that has to be there.
    fn told(&self, kind: &str) -> (String, String, String) {
        let Some(Condition { status, reason, message, .. }) = self.condition(kind) else {
            panic!("no condition {kind}: {:?}", self.conditions());
        };
        (status, reason, message)
    }

    /// The same as `status/reason: message`; empty where there is no such condition.
    fn line(&self, kind: &str) -> String {
        let line = |one: Condition| format!("{}/{}: {}", one.status, one.reason, one.message);
        self.condition(kind).map(line).unwrap_or_default()
    }
}

macro_rules! conditions_of {
    ($($status:ty),+ $(,)?) => {
        $(impl Conditions for $status {
            fn conditions(&self) -> Vec<Condition> {
                self.conditions.clone()
            }
        })+
    };
}

conditions_of!(
    ColonyCronStatus,
    ColonyProcessStatus,
    ColonyStatus,
    ColonyWorkflowStatus,
    ExecutorDeploymentStatus,
    RequestStateStatus,
    ResourceDefinitionStatus,
);

impl Conditions for [Condition] {
    fn conditions(&self) -> Vec<Condition> {
        self.to_vec()
    }
}

/// A status of any kind.
impl Conditions for Value {
    fn conditions(&self) -> Vec<Condition> {
        serde_json::from_value(self["conditions"].clone()).unwrap_or_default()
    }
}

impl Conditions for DynamicObject {
    fn conditions(&self) -> Vec<Condition> {
        self.data["status"].conditions()
    }
}
