//! Makes a Kubernetes cluster and a [ColonyOS](https://colonyos.io) colony one system.
//!
//! ```text
//! watch ──Snapshot──▶ desired ──Desired──▶ diff ──Plan──▶ act ──Outcome──▶ status
//! reads only          pure                 pure           writes only      pure, one publisher
//! ```
//!
//! Modules stand in the order of the flow. The code that decides (`api`, `desired`, `diff`, `status` without its
//! publisher) is given no client, no clock and no randomness; the code that writes (`act`, `status::publish`) decides
//! nothing.

// The words.
#[deny(missing_docs)]
pub mod api;

// What stands below the flow and knows nothing of it.
pub mod kinds;
pub mod snapshot;
pub use colonyos_client as colony;
pub use colonyos_expression as expression;

// The flow.
pub mod watch;

pub mod desired;

pub mod diff;

pub mod act;

pub mod status;

pub mod controllers;

// What stands beside it.
pub mod cli;
pub mod gate;
pub mod memory;
pub use colonyos_reconciler as reconciler;
pub mod runtime;
pub mod webhook;
