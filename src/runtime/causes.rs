//! Errors as text for a person.

use std::error::Error;

/// An error with what caused it: the message of reqwest alone only tells that there was one.
pub fn explain(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
