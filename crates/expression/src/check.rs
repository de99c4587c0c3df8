//! Finds what can never work, before anything is evaluated: fields that a schema does not have, a string where a number
//! is needed. What is of any type passes.

use serde_json::Value;

use super::{
    ExpressionError, Fault, Type, Types,
    evaluate::unknown_variable,
    node::{Body, Loop, Node, Operator},
    signature::{binary, call, field, lookup},
    tree::{Compiled, Path, Piece, Tree, in_braces, step},
    types::Rest,
};

/// A check of one template or condition.
pub(super) struct Checker<'t> {
    types: &'t Types<'t>,
    /// The variables of the loops around, the innermost last.
    scope: Vec<(String, Type)>,
    /// What was found in a template.
    pub errors: Vec<ExpressionError>,
}

impl<'t> Checker<'t> {
    pub(super) const fn new(types: &'t Types<'t>) -> Self {
        Self { types, scope: Vec::new(), errors: Vec::new() }
    }

    /// Checks a part of a template, where a value of a type is needed.
    pub(super) fn tree(&mut self, tree: &Tree, path: &mut Path, expected: &Type) {
        match tree {
            Tree::Constant(value) => self.constant(value, path, expected),
            Tree::Whole(expression) => {
                let found = self.expression(expression, path);
                if let Some(found) = found.filter(|found| !found.fits(expected)) {
                    let fault = unfit(found.name(), expected);
                    self.errors.push(fault.at(&path.0, &in_braces(&expression.text)));
                }
            }
            Tree::Text(pieces) => {
                for piece in pieces {
                    if let Piece::Expression(expression) = piece
                        && let Some(found) = self.expression(expression, path)
                        && matches!(found, Type::List(_) | Type::Map(_) | Type::Object(_))
                    {
                        let fault = Fault::new(
                            format!("a {} stands within text", found.name()),
                            "make the expression the whole string, or use join() or one of its elements",
                        );
                        self.errors.push(fault.at(&path.0, &in_braces(&expression.text)));
                    }
                }
                if !Type::Text.fits(expected) {
                    self.errors.push(unfit("string", expected).at(&path.0, "text with expressions in it"));
                }
            }
            Tree::List(elements) => {
                let Some(element_type) = self.list(path, expected) else { return };
                for (index, element) in elements.iter().enumerate() {
                    path.at(&format!("[{index}]"), |path| self.tree(element, path, &element_type));
                }
            }
            Tree::Map(fields) => {
                if !self.map(path, expected) {
                    return;
                }
                for (name, value) in fields {
                    path.at(&step(name), |path| {
                        let expected = self.field_type(name, path, expected);
                        self.tree(value, path, &expected);
                    });
                }
            }
        }
    }

    /// The type of what a template gives. Faults count as any type: they are reported elsewhere.
    pub(super) fn type_of(&mut self, tree: &Tree) -> Type {
        match tree {
            Tree::Constant(value) => type_of_constant(value),
            Tree::Whole(expression) => self.infer(&expression.node).unwrap_or(Type::Any),
            Tree::Text(_) => Type::Text,
            Tree::List(elements) => {
                let each = elements.iter().map(|element| self.type_of(element));
                Type::list(each.reduce(Type::or).unwrap_or(Type::Any))
            }
            Tree::Map(fields) => {
                let each = fields.iter().map(|(name, value)| (name.clone(), self.type_of(value)));
                Type::object(each.collect::<Vec<_>>(), Rest::Nothing)
            }
        }
    }

    fn expression(&mut self, expression: &Compiled, path: &Path) -> Option<Type> {
        match self.infer(&expression.node) {
            Ok(found) => Some(found),
            Err(fault) => {
                self.errors.push(fault.at(&path.0, &in_braces(&expression.text)));
                None
            }
        }
    }

    fn constant(&mut self, value: &Value, path: &mut Path, expected: &Type) {
        match value {
            Value::Null => {}
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                let found = type_of_constant(value);
                if !found.fits(expected) {
                    self.errors.push(unfit(found.name(), expected).at(&path.0, &value.to_string()));
                }
            }
            Value::Array(elements) => {
                let Some(element_type) = self.list(path, expected) else { return };
                for (index, element) in elements.iter().enumerate() {
                    path.at(&format!("[{index}]"), |path| self.constant(element, path, &element_type));
                }
            }
            Value::Object(fields) => {
                if !self.map(path, expected) {
                    return;
                }
                for (name, value) in fields {
                    path.at(&step(name), |path| {
                        let expected = self.field_type(name, path, expected);
                        self.constant(value, path, &expected);
                    });
                }
            }
        }
    }

    /// The type of the elements of a list that stands where a type is needed; none if it may not stand there.
    fn list(&mut self, path: &Path, expected: &Type) -> Option<Type> {
        match expected {
            Type::List(element) => Some(Type::clone(element)),
            Type::Any | Type::Null => Some(Type::Any),
            other => {
                self.errors.push(unfit("list", other).at(&path.0, "the value"));
                None
            }
        }
    }

    /// Whether a map may stand where a type is needed.
    fn map(&mut self, path: &Path, expected: &Type) -> bool {
        let may = expected.is_map() || matches!(expected, Type::Any | Type::Null);
        if !may {
            self.errors.push(unfit("map", expected).at(&path.0, "the value"));
        }
        may
    }

    /// The type that a field of a template must have.
    fn field_type(&mut self, name: &str, path: &Path, expected: &Type) -> Type {
        match expected {
            Type::Object(object) => match lookup(object, name) {
                Ok(found) => found,
                Err(fault) => {
                    self.errors.push(fault.at(&path.0, name));
                    Type::Any
                }
            },
            Type::Map(value) => Type::clone(value),
            _ => Type::Any,
        }
    }

    /// The type of an expression.
    pub(super) fn infer(&mut self, node: &Node) -> Result<Type, Fault> {
        Ok(match node {
            Node::Null => Type::Null,
            Node::Bool(_) => Type::Bool,
            Node::Int(_) => Type::Int,
            Node::Uint(_) => Type::Uint,
            Node::Double(_) => Type::Double,
            Node::Text(_) => Type::Text,
            Node::Bytes(_) => Type::Bytes,
            Node::Variable(name) => {
                let bound = self.scope.iter().rev().find(|(bound, _)| bound == name).map(|(_, found)| found);
                let found = bound.or_else(|| self.types.get(name.as_str())).cloned();
                found.ok_or_else(|| unknown_variable(name, self.types.keys().copied()))?
            }
            Node::Field(operand, name) => field(&self.infer(operand)?, name)?,
            Node::Has(operand, name) => {
                field(&self.infer(operand)?, name)?;
                Type::Bool
            }
            Node::List(nodes) => {
                let each = nodes.iter().map(|node| self.infer(node)).collect::<Result<Vec<_>, _>>()?;
                Type::list(each.into_iter().reduce(Type::or).unwrap_or(Type::Any))
            }
            Node::Map(entries) => self.map_literal(entries)?,
            Node::If(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                self.condition(condition)?;
                let then = self.infer(then)?;
                then.or(self.infer(otherwise)?)
            }
            Node::And(sides) | Node::Or(sides) => {
                sides.iter().try_for_each(|side| self.condition(side))?;
                Type::Bool
            }
            Node::Not(operand) => {
                self.condition(operand)?;
                Type::Bool
            }
            Node::Negate(operand) => match self.infer(operand)? {
                found @ (Type::Int | Type::Double | Type::Number | Type::Any) => found,
                other => {
                    return Err(Fault::new(
                        format!("a {} cannot be negated", other.name()),
                        "convert it with int() or double()",
                    ));
                }
            },
            Node::Binary(operator, sides) => {
                let [left, right] = sides.as_ref();
                let found = self.infer(left)?;
                let other = self.infer(right)?;
                match (operator, right) {
                    (Operator::Index, Node::Text(name)) if !matches!(found, Type::List(_)) => {
                        field(&found, name)?
                    }
                    _ => binary(*operator, &found, &other)?,
                }
            }
            Node::Call(function, nodes) => {
                let arguments = nodes.iter().map(|node| self.infer(node)).collect::<Result<Vec<_>, _>>()?;
                call(*function, &arguments)?
            }
            Node::Loop(inner) => self.go_through(inner)?,
        })
    }

    fn map_literal(&mut self, entries: &[(Node, Node)]) -> Result<Type, Fault> {
        let mut fields = Vec::new();
        for (key, value) in entries {
            self.infer(key)?;
            let found = self.infer(value)?;
            if let Node::Text(name) = key {
                fields.push((name.clone(), found));
            }
        }
        let rest = if fields.len() == entries.len() { Rest::Nothing } else { Rest::Anything };
        Ok(Type::object(fields, rest))
    }

    fn condition(&mut self, node: &Node) -> Result<(), Fault> {
        match self.infer(node)? {
            Type::Bool | Type::Any => Ok(()),
            other => Err(Fault::new(
                format!("a {} is used as a condition", other.name()),
                "compare it with something",
            )),
        }
    }

    fn go_through(&mut self, inner: &Loop) -> Result<Type, Fault> {
        let item = match self.infer(&inner.range)? {
            Type::List(element) => Type::clone(&element),
            Type::Map(_) | Type::Object(_) => Type::Text,
            Type::Any => Type::Any,
            other => {
                return Err(Fault::new(
                    format!("a loop goes through a {}", other.name()),
                    "give it a list, or a map whose keys are meant",
                ));
            }
        };
        self.scope.push((inner.variable.clone(), item));
        let found = match &inner.body {
            Body::All(condition) | Body::Exists(condition) | Body::ExistsOne(condition) => {
                self.condition(condition).map(|()| Type::Bool)
            }
            Body::Map { filter, element } => filter
                .iter()
                .try_for_each(|filter| self.condition(filter))
                .and_then(|()| self.infer(element).map(Type::list)),
        };
        self.scope.pop();
        found
    }
}

/// That a value is not of the type that is needed.
fn unfit(found: &str, needed: &Type) -> Fault {
    let remedy = match needed {
        Type::Text | Type::Bytes => "convert it with string(), or write it within text".to_owned(),
        Type::Int | Type::Uint => "give a whole number, or convert with int()".to_owned(),
        Type::Double | Type::Number => "give a number, or convert with double()".to_owned(),
        Type::Bool => "compare it with something".to_owned(),
        other => format!("give a {}", other.name()),
    };
    Fault::new(format!("it is a {found} where a {} is needed", needed.name()), remedy)
}

fn type_of_constant(value: &Value) -> Type {
    match value {
        Value::Null => Type::Any,
        Value::Bool(_) => Type::Bool,
        Value::Number(number) if number.is_f64() => Type::Double,
        Value::Number(_) => Type::Int,
        Value::String(_) => Type::Text,
        Value::Array(elements) => {
            Type::list(elements.iter().map(type_of_constant).reduce(Type::or).unwrap_or(Type::Any))
        }
        Value::Object(fields) => Type::object(
            fields.iter().map(|(name, value)| (name.clone(), type_of_constant(value))),
            Rest::Nothing,
        ),
    }
}
