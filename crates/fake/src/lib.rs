//! A ColonyOS server in memory, for tests: the rules and the traps of the real one, without PostgreSQL, etcd and waiting.
//!
//! Two parts. [`ColonyServer`] is **pure**: a call, who makes it and what time it is go in, the answer comes out; ids are
//! counted, not drawn. Simulations take it as it is. [`FakeServer`] puts it behind HTTP on this machine, so that the
//! ordinary [`Client`](colonyos_client::Client) can be used.
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

mod blueprints;
mod crons;
mod definitions;
mod front;
mod lists;
mod members;
mod processes;
mod queue;
mod record;
mod schema;
mod server;
mod workflows;

pub use front::FakeServer;
pub use server::{ColonyServer, Event};
