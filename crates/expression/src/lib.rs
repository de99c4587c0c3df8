//! Templates: JSON whose strings may hold `${ … }` with an expression in CEL, the language of Kubernetes' own rules.
//! Pure; the functions of a flow and the objects of a composition are rendered with it.
//!
//! ```text
//! JSON ──scan──▶ text and expressions ──parse──▶ nodes ──evaluate(bindings)──▶ JSON
//! ```
//!
//! The crate `cel` parses, the evaluation is ours. Expressions come from anyone who may write an object, and the
//! evaluation of the `cel` crate is unbounded: nothing ends `map` in `map` in `map`, or a string that doubles; and
//! some expressions that it parses make it panic. Here each step, element and piece of text is paid for from a
//! [`BUDGET`].

#![deny(missing_docs)]

mod arithmetic;
mod check;
mod condition;
mod evaluate;
mod function;
mod node;
mod parse;
mod parsed;
mod remedy;
mod scan;
mod signature;
mod similar;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod types;
mod value;
mod variables;

use std::collections::BTreeMap;

pub use condition::Condition;
pub use node::References;
pub use template::Template;
pub use types::{Rest, Type, Types};
pub use variables::Variables;

/// What expressions can speak of: the variables by name.
pub type Bindings = BTreeMap<String, serde_json::Value>;

/// Most bytes of one expression.
pub const MAX_EXPRESSION: usize = 2048;
/// Most words, numbers, strings and signs of one expression. Each costs the parser some kilobytes.
pub const MAX_TOKENS: usize = 1024;
/// Most of them in all expressions of one template.
pub const MAX_TEMPLATE_TOKENS: usize = 16_384;
/// Most expressions of one template.
pub const MAX_EXPRESSIONS: usize = 256;
/// Deepest nesting of brackets and conditionals in an expression, checked before anything parses it.
pub const MAX_BRACKETS: usize = 24;
/// Deepest nesting of an expression's nodes, a chain of operators included.
pub const MAX_DEPTH: usize = 64;
/// Deepest nesting of `map`, `filter`, `all`, `exists` and `exists_one`.
pub const MAX_LOOPS: usize = 3;
/// Deepest nesting of the JSON that is a template.
pub const MAX_TEMPLATE_DEPTH: usize = 64;
/// What rendering one template may cost. A node costs one, so does an element of a list or of a map that is made, and
/// so do sixteen bytes of text. All of it is some milliseconds and some megabytes.
pub const BUDGET: u64 = 200_000;

/// Why a template is not one, or cannot be rendered. The message names field, expression and remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {expression}: {problem}: {remedy}")]
pub struct ExpressionError {
    /// Path of the field, such as `spec.jobs[1].function.kwargs.source`.
    pub field: String,
    /// The expression with its `${}`, or the text in which none was found; cut if it is long.
    pub expression: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// Nothing is wrong with the expression: what it looks for below an observed variable is not there yet.
    pub is_absent: bool,
}

/// What went wrong within an expression, before it is known in which field it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    problem: String,
    remedy: String,
    /// The budget is spent: nothing may swallow this, unlike an error on one side of `||`.
    is_final: bool,
    /// Something is looked for that the world outside may bring later.
    is_absent: bool,
}

impl Fault {
    fn new(problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { problem: problem.into(), remedy: remedy.into(), is_final: false, is_absent: false }
    }

    fn at(self, field: &str, expression: &str) -> ExpressionError {
        ExpressionError {
            field: field.to_owned(),
            expression: cut(expression),
            problem: cut(&self.problem),
            remedy: remedy::refined(expression, &self.problem, self.remedy),
            is_absent: self.is_absent,
        }
    }
}

/// The beginning of a text: messages go into conditions, which have room for some of it.
fn cut(text: &str) -> String {
    const ROOM: usize = 200;
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What is left to spend. Several templates can be rendered from one.
#[derive(Debug)]
pub struct Budget(u64);

impl Budget {
    /// A budget of so much, in the unit of [`BUDGET`].
    #[must_use]
    pub const fn new(amount: u64) -> Self {
        Self(amount)
    }

    fn spend(&mut self, cost: usize) -> Result<(), Fault> {
        let left = u64::try_from(cost).ok().and_then(|cost| self.0.checked_sub(cost));
        // Once it is exhausted it stays exhausted, so that all other evaluation ends at its next step.
        self.0 = left.unwrap_or(0);
        left.map(drop).ok_or_else(|| Fault {
            problem: "it costs more than an expression may".to_owned(),
            remedy: "iterate over less, build less text, or nest fewer loops".to_owned(),
            is_final: true,
            is_absent: false,
        })
    }

    /// Pays for text that is read or made.
    fn spend_text(&mut self, bytes: usize) -> Result<(), Fault> {
        self.spend(1 + bytes / 16)
    }
}
