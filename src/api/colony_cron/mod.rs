//! `ColonyCron`: processes and workflows that are created again and again, at the times that a schedule names.

mod spec;
mod status;

pub use spec::{
    ColonyCron, ColonyCronSpec, ConcurrencyPolicy, ProcessTemplate, RunKind, TemplateMetadata,
    WorkflowTemplate,
};
pub use status::ColonyCronStatus;
