//! `ColonyProcess`: one call of a function by an executor.

mod spec;
mod status;

pub use spec::{ColonyProcess, ColonyProcessSpec};
pub use status::ColonyProcessStatus;
