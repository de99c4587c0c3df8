//! Why an object does not fit a schema. Pure.

use std::fmt;

use serde_json::Value;

/// Why an object does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, such as `spec.replicas`; empty for the whole object.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field.as_str() {
            "" => write!(formatter, "{}", self.problem),
            field => write!(formatter, "{field}: {}", self.problem),
        }
    }
}

pub(super) fn violation(field: &str, problem: impl Into<String>) -> Violation {
    Violation { field: field.to_owned(), problem: problem.into() }
}

/// Whether a keyword of a schema is set.
pub(super) fn holds(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword) == Some(&Value::Bool(true))
}
