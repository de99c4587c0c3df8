//! Schemas as API servers apply them. Pure.

mod fill;

pub use fill::with_defaults;
