//! What an expression can speak of while it is evaluated. Values are looked at where they are, never copied: the objects
//! of a composition are many, and each of them is rendered with a view of the others.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Bindings;

/// The variables of an expression.
#[derive(Debug, Clone, Default)]
pub struct Variables<'a>(BTreeMap<&'a str, Variable<'a>>);

#[derive(Debug, Clone, Copy)]
struct Variable<'a> {
    value: &'a Value,
    is_observed: bool,
}

impl<'a> Variables<'a> {
    /// Variables all of which are what they are.
    #[must_use]
    pub fn of(bindings: &'a Bindings) -> Self {
        let mut variables = Self::default();
        for (name, value) in bindings {
            variables.bind(name, value);
        }
        variables
    }

    /// Binds a variable to something that is complete: looking for what it has not is an error.
    pub fn bind(&mut self, name: &'a str, value: &'a Value) {
        self.0.insert(name, Variable { value, is_observed: false });
    }

    /// Binds a variable to something that was observed and may become more: a condition that speaks of what it has not
    /// (yet) does not hold, and any other expression fails with [`is_absent`](super::ExpressionError::is_absent).
    pub fn observe(&mut self, name: &'a str, value: &'a Value) {
        self.0.insert(name, Variable { value, is_observed: true });
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).map(|variable| variable.value)
    }

    pub(super) fn is_observed(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|variable| variable.is_observed)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.keys().copied()
    }
}
