//! `ColonyCron`: processes that are created again and again, at the times that a schedule names.

mod spec;
mod status;

pub use spec::{ColonyCron, ColonyCronSpec, ConcurrencyPolicy, ProcessTemplate, TemplateMetadata};
pub use status::ColonyCronStatus;
