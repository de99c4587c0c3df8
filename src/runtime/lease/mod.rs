//! Leader election: one replica writes, all watch.
//!
//! [`decide`] judges what was observed (pure), [`elector`] executes the decision by compare-and-swap on a Lease,
//! [`leadership`] is the handle that every writer checks before every step.

pub mod decide;
pub mod elector;
pub mod foreign;
mod holder;
pub mod leadership;

pub use elector::{Elector, LeaseError, identity};
pub use holder::is_held;
pub use leadership::Leadership;
