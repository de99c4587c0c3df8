//! `ResourceDefinition`: kinds that users make up. Pure.

pub mod compose;
