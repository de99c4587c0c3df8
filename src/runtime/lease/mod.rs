//! Leader election: one replica writes, all watch.
//!
//! [`decide`] judges what was observed (pure), [`elector`] carries the decision out by compare-and-swap on a Lease,
//! [`leadership`] is the handle that every writer asks before every step.

pub mod decide;
pub mod elector;
pub mod leadership;

pub use elector::{Elector, LeaseError, identity};
pub use leadership::Leadership;
