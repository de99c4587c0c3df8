//! Templates: JSON with expressions in its strings, compiled once and rendered with each request's bindings.

use std::rc::Rc;

use serde_json::Value;

use super::{
    BUDGET, Bindings, Budget, Error, Fault, MAX_EXPRESSIONS, MAX_TEMPLATE_DEPTH, References,
    evaluate::{evaluate, unknown_variable},
    node::Node,
    parse::parse,
    scan::{Part, scan},
    value::Cel,
};

/// JSON in whose strings expressions are compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    field: String,
    root: Tree,
    sources: Vec<Source>,
    references: References,
}

/// Where an expression stands, and what it refers to by itself.
#[derive(Debug, Clone, PartialEq)]
struct Source {
    field: String,
    text: String,
    references: References,
}

#[derive(Debug, Clone, PartialEq)]
enum Tree {
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
enum Piece {
    Plain(String),
    Expression(Compiled),
}

#[derive(Debug, Clone, PartialEq)]
struct Compiled {
    text: String,
    node: Node,
}

impl Template {
    /// Compiles every expression. `field` is the path of the value in its object, for messages; `variables` are those
    /// that will be bound.
    ///
    /// # Errors
    /// When an expression is not one, is too large, or uses what there is not.
    pub fn parse(field: &str, value: &Value, variables: &[&str]) -> Result<Self, Error> {
        let mut found = Vec::new();
        let root = Sketch::of(field, value, 0, &mut found)?;
        if let Some((field, expression)) = found.get(MAX_EXPRESSIONS) {
            let fault = Fault::new(format!("there are more than {MAX_EXPRESSIONS} expressions"), "use fewer");
            return Err(fault.at(field, &in_braces(expression)));
        }
        let texts: Vec<&str> = found.iter().map(|(_, text)| *text).collect();
        let nodes = parse(&texts).map_err(|fault| fault.at(field, "${…}"))?;
        let mut compiled = Vec::with_capacity(nodes.len());
        let mut sources = Vec::with_capacity(nodes.len());
        let mut references = References::default();
        for ((field, text), node) in found.iter().zip(nodes) {
            let checked = node.and_then(|node| check_variables(&node, variables).map(|()| node));
            let node = checked.map_err(|fault| fault.at(field, &in_braces(text)))?;
            references.add(&node);
            let mut own = References::default();
            own.add(&node);
            sources.push(Source { field: field.clone(), text: (*text).to_owned(), references: own });
            compiled.push(Compiled { text: (*text).to_owned(), node });
        }
        let root = root.compiled(&mut compiled.into_iter());
        Ok(Self { field: field.to_owned(), root, sources, references })
    }

    /// What the expressions refer to.
    #[must_use]
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// An error about the first expression that names `member` below `variable`, as [`References::members`] has it.
    #[must_use]
    pub fn refuse(&self, variable: &str, member: &str, problem: &str, remedy: &str) -> Error {
        let source =
            self.sources.iter().find(|source| source.references.members(variable).any(|name| name == member));
        let (field, text) = source.map_or((&self.field, ""), |source| (&source.field, source.text.as_str()));
        Fault::new(problem, remedy).at(field, &in_braces(text))
    }

    /// The JSON with every expression replaced by its value.
    ///
    /// # Errors
    /// When an expression has no value with these bindings, or all of it costs too much.
    pub fn render(&self, bindings: &Bindings) -> Result<Value, Error> {
        let mut budget = Budget(BUDGET);
        self.root.render(&mut Path(self.field.clone()), bindings, &mut budget)
    }
}

fn check_variables(node: &Node, variables: &[&str]) -> Result<(), Fault> {
    let mut references = References::default();
    references.add(node);
    let unknown = references.variables().find(|name| !variables.contains(name));
    unknown.map_or(Ok(()), |name| {
        let known: Vec<String> = variables.iter().map(|name| (*name).to_owned()).collect();
        Err(unknown_variable(name, known.iter()))
    })
}

fn in_braces(expression: &str) -> String {
    format!("${{{expression}}}")
}

/// The path of a field while its tree is walked.
struct Path(String);

impl Path {
    /// Does something one step further down.
    fn at<T>(&mut self, step: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.0.len();
        self.0.push_str(step);
        let result = act(self);
        self.0.truncate(length);
        result
    }
}

/// How a field is written after the path of what it is in.
fn step(name: &str) -> String {
    let is_plain =
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if is_plain { format!(".{name}") } else { format!("['{name}']") }
}

/// A tree whose expressions are found, in order, but not compiled: all of them are parsed together.
enum Sketch<'v> {
    Constant(&'v Value),
    Whole,
    Text(Vec<Part<'v>>),
    List(Vec<Sketch<'v>>),
    Map(Vec<(&'v str, Sketch<'v>)>),
}

impl<'v> Sketch<'v> {
    fn of(
        field: &str,
        value: &'v Value,
        depth: usize,
        found: &mut Vec<(String, &'v str)>,
    ) -> Result<Self, Error> {
        if depth > MAX_TEMPLATE_DEPTH {
            let fault = Fault::new(format!("it nests deeper than {MAX_TEMPLATE_DEPTH}"), "make it flatter");
            return Err(fault.at(field, "the value"));
        }
        Ok(match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Self::Constant(value),
            Value::String(text) => {
                let parts = scan(text).map_err(|fault| fault.at(field, &super::cut(text)))?;
                let expressions = parts.iter().filter_map(|part| match part {
                    Part::Expression(text) => Some((field.to_owned(), *text)),
                    Part::Text(_) => None,
                });
                found.extend(expressions);
                if matches!(parts.as_slice(), [Part::Expression(_)]) {
                    Self::Whole
                } else {
                    Self::Text(parts)
                }
            }
            Value::Array(elements) => {
                let each = elements.iter().enumerate();
                let sketches = each
                    .map(|(index, element)| Self::of(&format!("{field}[{index}]"), element, depth + 1, found))
                    .collect::<Result<Vec<_>, _>>()?;
                Self::List(sketches)
            }
            Value::Object(fields) => {
                let sketches = fields
                    .iter()
                    .map(|(name, value)| {
                        let sketch = Self::of(&format!("{field}{}", step(name)), value, depth + 1, found)?;
                        Ok((name.as_str(), sketch))
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                Self::Map(sketches)
            }
        })
    }

    /// The tree with each expression in its place; they come in the order in which they were found.
    fn compiled(self, expressions: &mut impl Iterator<Item = Compiled>) -> Tree {
        match self {
            Self::Constant(value) => Tree::Constant(value.clone()),
            Self::Whole => expressions.next().map_or(Tree::Constant(Value::Null), Tree::Whole),
            Self::Text(parts) => {
                let pieces = parts.into_iter().filter_map(|part| match part {
                    Part::Text(text) => Some(Piece::Plain(text)),
                    Part::Expression(_) => expressions.next().map(Piece::Expression),
                });
                Tree::of_text(pieces.collect())
            }
            Self::List(sketches) => {
                Tree::List(sketches.into_iter().map(|sketch| sketch.compiled(expressions)).collect())
            }
            Self::Map(sketches) => Tree::Map(
                sketches
                    .into_iter()
                    .map(|(name, sketch)| (name.to_owned(), sketch.compiled(expressions)))
                    .collect(),
            ),
        }
    }
}

impl Tree {
    fn of_text(pieces: Vec<Piece>) -> Self {
        match <[Piece; 1]>::try_from(pieces) {
            Ok([Piece::Plain(text)]) => Self::Constant(Value::String(text)),
            Ok(pieces) => Self::Text(pieces.into()),
            Err(pieces) => Self::Text(pieces),
        }
    }

    fn render(&self, path: &mut Path, bindings: &Bindings, budget: &mut Budget) -> Result<Value, Error> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Whole(expression) => {
                let value = expression.value(bindings, budget).and_then(|value| value.to_json(budget));
                value.map_err(|fault| fault.at(&path.0, &in_braces(&expression.text)))
            }
            Self::Text(pieces) => {
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Plain(plain) => text.push_str(plain),
                        Piece::Expression(expression) => {
                            let value = expression.text(bindings, budget);
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
                    path.at(&format!("[{index}]"), |path| element.render(path, bindings, budget))
                });
                rendered.collect::<Result<_, _>>().map(Value::Array)
            }
            Self::Map(fields) => {
                let rendered = fields.iter().map(|(name, value)| {
                    let value = path.at(&step(name), |path| value.render(path, bindings, budget))?;
                    Ok((name.clone(), value))
                });
                rendered.collect::<Result<_, _>>().map(Value::Object)
            }
        }
    }
}

impl Compiled {
    fn value<'a>(&'a self, bindings: &'a Bindings, budget: &mut Budget) -> Result<Cel<'a>, Fault> {
        evaluate(&self.node, bindings, budget)
    }

    fn text(&self, bindings: &Bindings, budget: &mut Budget) -> Result<Rc<str>, Fault> {
        let value = self.value(bindings, budget)?;
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

/// An expression by itself that says yes or no, such as `self.status.phase == 'Ready'`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    field: String,
    expression: Compiled,
    references: References,
}

impl Condition {
    /// Compiles an expression, which stands without `${}`.
    ///
    /// # Errors
    /// As [`Template::parse`].
    pub fn parse(field: &str, text: &str, variables: &[&str]) -> Result<Self, Error> {
        let failed = |fault: Fault| fault.at(field, text);
        let parsed = parse(&[text]).and_then(|nodes| nodes.into_iter().collect::<Result<Vec<_>, _>>());
        let node = parsed.map_err(failed)?.pop().unwrap_or(Node::Null);
        check_variables(&node, variables).map_err(failed)?;
        let mut references = References::default();
        references.add(&node);
        Ok(Self { field: field.to_owned(), expression: Compiled { text: text.to_owned(), node }, references })
    }

    /// What the expression refers to.
    #[must_use]
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// When it has no value with these bindings, the value is no bool, or it costs too much.
    pub fn holds(&self, bindings: &Bindings) -> Result<bool, Error> {
        let value = self.expression.value(bindings, &mut Budget(BUDGET));
        let holds = value.and_then(|value| match value {
            Cel::Bool(holds) => Ok(holds),
            other => Err(Fault::new(
                format!("it gives a {}, which is neither true nor false", other.kind()),
                "compare it with something",
            )),
        });
        holds.map_err(|fault| fault.at(&self.field, &self.expression.text))
    }
}
