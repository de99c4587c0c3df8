//! The words: the kinds that users apply, and every string that reaches a cluster or a colony.
//!
//! Pure: no client, no clock. The schemas in `crds/` are generated from these types, so doc comments here are what
//! `kubectl explain` prints.

pub mod annotation;
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
pub mod gate;
pub mod installation;
pub mod instance;
pub mod kind;
pub mod metadata;
pub mod mirror;
pub mod names;
pub mod namespace;
pub mod policy;
pub mod request_flow;
pub mod request_state;
pub mod resource_definition;
pub mod work;

pub use kind::custom_resource_definitions;

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::Serialize;
    use strum::VariantArray as _;

    use super::{
        executor_deployment::Runtime,
        policy::{AdoptionPolicy, ManagementPolicy},
        request_state::State,
        resource_definition::HandlerMode,
    };

    fn agree<T: Copy + Debug + Serialize + Into<&'static str>>(values: &[T]) {
        for value in values {
            let written = serde_json::to_value(value).unwrap();
            assert_eq!(written, Into::<&'static str>::into(*value), "{value:?}");
        }
    }

    /// A name is spelled by serde in objects, and by strum in messages.
    #[test]
    fn a_value_is_called_the_same_in_objects_and_in_messages() {
        agree(State::VARIANTS);
        agree(&[Runtime::Kubernetes, Runtime::Docker, Runtime::Local]);
        agree(&[HandlerMode::Process, HandlerMode::Blueprint, HandlerMode::Compose]);
        agree(&[ManagementPolicy::All, ManagementPolicy::Observe]);
        for policy in [AdoptionPolicy::Fail, AdoptionPolicy::Adopt, AdoptionPolicy::AdoptOrCreate] {
            let written = serde_json::to_value(policy).unwrap();
            assert_eq!(written.as_str().unwrap().parse(), Ok(policy));
        }
    }
}
