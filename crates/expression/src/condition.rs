//! Standalone Boolean expressions, such as `self.status.phase == 'Ready'`.

use super::{
    BUDGET, Bindings, Budget, ExpressionError, Fault, References, Type, Types, Variables,
    check::Checker,
    node::Node,
    parse::parse,
    scan::{Part, scan},
    template::check_variables,
    tree::{Compiled, in_braces},
    value::Cel,
};

/// A Boolean expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    field: String,
    /// As it was written, for messages.
    written: String,
    expression: Compiled,
    references: References,
}

impl Condition {
    /// Compiles an expression, which stands without `${}`.
    ///
    /// # Errors
    /// As [`Template::parse`](super::Template::parse).
    pub fn parse(field: &str, text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        Self::compile(field, text, text.to_owned(), variables)
    }

    /// Compiles an expression that stands in `${}`, and nothing beside it.
    ///
    /// # Errors
    /// As [`Template::parse`](super::Template::parse), and when there is text around it.
    pub fn parse_in_braces(field: &str, text: &str, variables: &[&str]) -> Result<Self, ExpressionError> {
        let parts = scan(text.trim()).map_err(|fault| fault.at(field, text))?;
        match parts.as_slice() {
            [Part::Expression(expression)] => {
                Self::compile(field, expression, in_braces(expression), variables)
            }
            _ => Err(Fault::new("it is no condition", format!("write one expression: ${{{}}}", "…"))
                .at(field, text)),
        }
    }

    fn compile(
        field: &str,
        text: &str,
        written: String,
        variables: &[&str],
    ) -> Result<Self, ExpressionError> {
        let failed = |fault: Fault| fault.at(field, &written);
        let parsed = parse(&[text]).and_then(|nodes| nodes.into_iter().collect::<Result<Vec<_>, _>>());
        let node = parsed.map_err(failed)?.pop().unwrap_or(Node::Null);
        check_variables(&node, variables).map_err(failed)?;
        let mut references = References::default();
        references.add(&node);
        let expression = Compiled { text: text.to_owned(), node };
        Ok(Self { field: field.to_owned(), written, expression, references })
    }

    /// What the expression refers to.
    #[must_use]
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// The expression as it was written.
    #[must_use]
    pub fn written(&self) -> &str {
        &self.written
    }

    /// An error about the expression.
    #[must_use]
    pub fn refuse(&self, problem: &str, remedy: &str) -> ExpressionError {
        Fault::new(problem, remedy).at(&self.field, &self.written)
    }

    /// What can never work with variables of these types.
    #[must_use]
    pub fn problem(&self, types: &Types<'_>) -> Option<ExpressionError> {
        let found = Checker::new(types).infer(&self.expression.node);
        let fault = match found {
            Err(fault) => fault,
            Ok(Type::Any | Type::Bool) => return None,
            Ok(other) => no_condition(other.name()),
        };
        Some(fault.at(&self.field, &self.written))
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it has no value with these bindings, the value is no bool, or it costs too much.
    pub fn holds(&self, bindings: &Bindings) -> Result<bool, ExpressionError> {
        self.holds_with(&Variables::of(bindings), &mut Budget::new(BUDGET))
    }

    /// Whether it holds, from a budget that others share. One that speaks of what is not there yet does not.
    ///
    /// # Errors
    /// As [`Condition::holds`].
    pub fn holds_with<'a>(
        &'a self,
        variables: &Variables<'a>,
        budget: &mut Budget,
    ) -> Result<bool, ExpressionError> {
        let holds = self.expression.value(variables, budget).and_then(|value| match value {
            Cel::Bool(holds) => Ok(holds),
            other => Err(no_condition(other.kind())),
        });
        match holds {
            Err(fault) if fault.is_absent => Ok(false),
            holds => holds.map_err(|fault| fault.at(&self.field, &self.written)),
        }
    }
}

fn no_condition(kind: &str) -> Fault {
    Fault::new(format!("it gives a {kind}, which is neither true nor false"), "compare it with something")
}
