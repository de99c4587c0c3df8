//! A compiled template: JSON in which each expression stands where it was found, and how it is rendered.

use std::rc::Rc;

use serde_json::Value;

use super::{Budget, ExpressionError, Fault, Variables, evaluate::evaluate, node::Node, value::Cel};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// Nothing to render anywhere below.
    Constant(Value),
    /// A string that is one expression: it becomes the value, whatever its type.
    Whole(Compiled),
    /// A string that is more than that.
    Text(Vec<Piece>),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Plain(String),
    Expression(Compiled),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Compiled {
    pub text: String,
    pub node: Node,
}

pub(super) fn in_braces(expression: &str) -> String {
    format!("${{{expression}}}")
}

/// The path of a field while its tree is walked.
pub(super) struct Path(pub String);

impl Path {
    /// Does something one step further down.
    pub(super) fn at<T>(&mut self, step: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push_str(step);
        let result = act(self);
        self.0.truncate(length);
        result
    }
}

/// How a field is written after the path of what it is in.
pub(super) fn step(name: &str) -> String {
    let is_plain =
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_plain { format!(".{name}") } else { format!("['{name}']") }
}

impl Tree {
    pub(super) fn of_text(pieces: Vec<Piece>) -> Self {
        match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Plain(text)]) => Self::Constant(Value::String(text)),
            Ok(pieces) => Self::Text(pieces.into()),
            Err(pieces) => Self::Text(pieces),
        }
    }

    pub(super) fn render<'a>(
        &'a self,
        path: &mut Path,
        variables: &Variables<'a>,
        budget: &mut Budget,
    ) -> Result<Value, ExpressionError> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Whole(expression) => {
                let value = expression.value(variables, budget).and_then(|value| value.to_json(budget));
                value.map_err(|fault| fault.at(&path.0, &in_braces(&expression.text)))
            }
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Plain(plain) => text.push_str(plain),
                        Piece::Expression(expression) => {
                            let value = expression.text(variables, budget);
                            text.push_str(
                                &value.map_err(|fault| fault.at(&path.0, &in_braces(&expression.text)))?,
                            );
                        }
                    }
                }
                Ok(Value::String(text))
            }
            Self::List(elements) => {
                let each = elements.iter().enumerate();
                let rendered = each.map(|(index, element)| {
                    path.at(&format!("[{index}]"), |path| element.render(path, variables, budget))
                });
                rendered.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Map(fields) => {
                let rendered = fields.iter().map(|(name, value)| {
                    let value = path.at(&step(name), |path| value.render(path, variables, budget))?;
                    Ok((name.clone(), value))
                });
                rendered.collect::<Result<_, _>>().map(Value::Object)
            }
        }
    }
}

impl Compiled {
    pub(super) fn value<'a>(
        &'a self,
        variables: &Variables<'a>,
        budget: &mut Budget,
    ) -> Result<Cel<'a>, Fault> {
        evaluate(&self.node, variables, budget)
    }

    fn text<'a>(&'a self, variables: &Variables<'a>, budget: &mut Budget) -> Result<Rc<str>, Fault> {
        let value = self.value(variables, budget)?;
        budget.spend_text(value.as_text().map_or(0, str::len))?;
        value.to_text().ok_or_else(|| {
            let kind = value.kind();
            Fault::new(
                format!("a {kind} stands within text"),
                match kind {
                    "list" | "map" => {
                        "make the expression the whole string, or use join() or one of its elements"
                    }
                    _ => "make the expression the whole string, or convert it with string()",
                },
            )
        })
    }
}
