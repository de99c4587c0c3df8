//! The plan of one object, as a person reads it.

/// The plan of one object, as a person reads it.
#[derive(Debug)]
pub struct Rendered {
    /// The steps of each pass, or why there are none.
    pub steps: String,
    /// The status that the first pass would write, as YAML, if none of its steps had an answer. Empty for a definition.
    pub status: String,
    /// Whether an API server would refuse the object, or it is invalid for the operator.
    pub is_refused: bool,
}
