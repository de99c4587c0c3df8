//! Servers in memory, for tests: a ColonyOS server with the rules and the traps of the real one, without PostgreSQL, etcd
//! and waiting; an API server, [`cluster`]; and the [`network`] to both, on which a test decides what becomes of each call.
//!
//! [`ColonyServer`] is **pure**: a call, who makes it and what time it is go in, the answer comes out; ids are counted, not
//! drawn. [`InMemory`] is the way to it for the ordinary [`Client`](colonyos_client::Client), without sockets and time of
//! its own; [`FakeServer`] puts it behind HTTP on this machine.
//!
//! `tests/conformance` makes the same checks of this and of a real server; what both pass is what this can be trusted
//! with. Left out: files, snapshots, generators, channels, functions, more than one replica, retention, what the real
//! server loses of wake-ups, and names with `:` (no client of this crate sends one).
//!
//! | file | what |
//! |---|---|
//! | `server` | the store, who may do what, the dispatch |
//! | `record` | a process as it is kept |
//! | `members`, `processes`, `lists`, `queue`, `workflows`, `crons`, `definitions`, `blueprints`, `schema` | the calls |
//! | `front` | HTTP and websocket |
//! | `memory` | calls without either |

mod answer;
mod blueprints;
pub mod cluster;
mod crons;
mod definitions;
mod front;
mod lists;
mod members;
mod memory;
pub mod network;
mod processes;
mod queue;
mod record;
mod schema;
mod server;
mod workflows;

pub use cluster::ApiServer;
pub use front::FakeServer;
pub use memory::InMemory;
pub use network::{ClusterCall, ColonyCall, Fate, Network, ServerCall};
pub use server::{ColonyServer, Event};
