//! A Kubernetes API server in memory: what clients of a cluster see of it, for simulations and fast tests.
//!
//! Behind an ordinary [`kube::Client`], watches included, so that controllers run on it as they are. It does nothing by
//! itself: garbage is collected by [`ApiServer::run_controllers`], and no pod ever starts unless a test says so.
//!
//! The suite `memory_server` of rung `apiserver` makes the same calls to this and to a real API server; what both answer
//! alike is what this can be trusted with. Left out: validation (schemas only prune and fill in), server-side apply,
//! strategic merge patches, defaults of built-in kinds, graceful deletion of pods, conversion between
//! versions, pages of one moment, watches that end, quotas and admission.
//!
//! | file | what |
//! |---|---|
//! | `request`, `selector` | what is asked for |
//! | `store`, `write`, `content`, `fields`, `schema` | the objects, and the rules of reading and writing them |
//! | `server` | the server as tests use it |
//! | `front`, `watch` | the server as clients use it |
//! | `controllers` | what the cluster's own controllers do |
//! | `kind`, `discovery`, `answer` | the kinds there are, and what the server says |

mod answer;
mod content;
mod controllers;
mod discovery;
mod fields;
mod front;
mod kind;
mod request;
mod schema;
mod selector;
mod server;
mod store;
#[cfg(test)]
mod tests;
mod watch;
mod write;

pub use server::{ApiServer, Place};
