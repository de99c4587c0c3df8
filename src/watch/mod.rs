//! Stage 1, the world comes in: reads only.
//!
//! `stores` keeps caches, `credentials` reads keys, the readers of each kind put a snapshot together, and `snapshot` holds
//! the nouns that this stage hands over, which are plain data.

mod blueprint;
pub mod cache;
mod calls;
pub mod children;
pub mod colonies;
pub mod colony;
pub mod colony_cron;
mod colony_process;
mod colony_workflow;
pub mod composition;
pub mod credentials;
pub mod executor_deployment;
mod executor_type;
pub mod flows;
pub mod freshness;
pub mod holders;
mod identity;
pub mod inbound;
pub mod index;
mod instance;
mod look_up;
pub mod mirror;
mod object_events;
pub mod orphans;
mod part_trouble;
mod pod_events;
mod pod_identity;
pub mod relevance;
pub mod request;
pub mod resource_definition;
mod restored;
pub mod stores;
pub mod triggers;
mod values;
pub mod work;
