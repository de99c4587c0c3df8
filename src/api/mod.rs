//! The words: the kinds that users apply, and every string that reaches a cluster or a colony.
//!
//! Pure: no client, no clock. The schemas in `crds/` are generated from these types, so doc comments here are what
//! `kubectl explain` prints.

pub mod blueprint;
pub mod colony;
pub mod colony_cron;
pub mod colony_process;
pub mod colony_workflow;
pub mod condition;
pub mod duration;
pub mod executor_deployment;
pub mod filesystem;
pub mod function;
pub mod instance;
pub mod metadata;
pub mod mirror;
pub mod names;
pub mod policy;
pub mod request_flow;
pub mod request_state;
pub mod resource_definition;
pub mod work;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// The custom resource definitions of every kind, in the order in which they are installed.
#[must_use]
pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
    vec![
        colony::Colony::crd(),
        executor_deployment::ExecutorDeployment::crd(),
        colony_process::ColonyProcess::crd(),
        colony_workflow::ColonyWorkflow::crd(),
        colony_cron::ColonyCron::crd(),
        request_flow::RequestFlow::crd(),
        request_state::RequestState::crd(),
        resource_definition::ResourceDefinition::crd(),
    ]
}
