//! What one process remembers between passes: connections, what was last read of Secrets and of processes in a colony,
//! submits under way, its last writes.
//!
//! Beside the flow: `watch` reads it into snapshots, `act` keeps it up to date. Everything here may be lost at any
//! moment without harm; what must survive a crash stands in status.

pub mod absences;
pub mod adds;
pub mod blueprints;
pub mod connections;
pub mod duplicates;
pub mod endpoint;
pub mod identities;
pub mod identity_webhook;
pub mod kinds;
pub mod lines;
pub mod neighbours;
mod origins;
pub mod position_log;
pub mod processes;
mod pruned;
pub mod reconcile_requests;
pub mod released;
pub mod repeats;
pub mod rights;
pub mod running;
pub mod submissions;
pub mod writes;
