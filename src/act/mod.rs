//! Stage 4, do it: executes a plan, one write after the other, and reports the outcome of each. The only writer
//! besides `status::publish`; it decides nothing.
//!
//! ```text
//! Plan ──Actor──▶ Port ── Servers ──▶ API server, colony
//!                      └─ Recorder    (what would be written)
//! ```

mod blueprint;
mod child;
mod colony;
mod executor;
mod failure;
mod identity;
pub mod kinds;
pub mod kubernetes;
mod operator_keys;
pub mod outcome;
mod owner;
mod port;
mod recorder;
pub mod request;
mod rewrite;
mod secret;
mod servers;
mod wiped;

pub use executor::Actor;
pub use failure::{ColonyWrite, counted, is_over, of_call, of_colony};
pub use identity::pod_executor_end;
pub use port::{Port, Target};
pub use recorder::{PLACEHOLDER, Recorder};
pub use servers::Servers;
