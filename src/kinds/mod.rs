//! The compiler of users' kinds: from a definition to a CRD, to conversions between versions, and to what instances are made
//! of. Pure; it knows nothing of the flow.

pub mod composition;
pub mod conversion;
pub mod definition;
mod error;
mod field_path;
pub mod schema;

pub use error::SpecError;
pub use field_path::FieldPath;
