//! The engine: what the controllers of all kinds have in common. A kind brings its stages and what wakes its objects.
//!
//! ```text
//! wiring ──wakes──▶ pass ── snapshot ▶ desired ▶ plan ▶ act ▶ status ──▶ publish
//! ```

mod census;
mod compiled;
pub mod context;
pub(super) mod dynamic;
mod intents;
pub mod pass;
pub(super) mod queue;
pub(super) mod repetition;
pub mod retry;
pub(super) mod shared_watches;
pub mod stages;
mod traces;
mod unwritten;
pub mod wiring;
pub(super) mod work;
