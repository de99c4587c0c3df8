//! What the rungs that need a server share: the cluster, namespaces of their own, waiting, the operator as a child.
//!
//! Included by path into each rung's binary; not a rung itself.

pub mod cluster;
pub mod colony;
pub mod commands;
pub mod conditions;
pub mod database;
pub mod environment;
pub mod kinds;
pub mod namespace;
pub mod object;
pub mod operator;
pub mod own_kind;
pub mod process;
pub mod program;
pub mod server;
pub mod stage;
pub mod times;
pub mod wait;
