//! The engine: what every kind's controller has in common.

pub(super) mod context;
pub(super) mod dynamic;
pub(super) mod paused;
pub(super) mod queue;
pub(super) mod retry;
pub(super) mod surroundings;
pub(super) mod work;
