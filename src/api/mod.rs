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
pub mod kind;
pub mod metadata;
pub mod mirror;
pub mod names;
pub mod policy;
pub mod request_flow;
pub mod request_state;
pub mod resource_definition;
pub mod work;

pub use kind::custom_resource_definitions;
