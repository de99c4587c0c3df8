//! Templates: JSON with expressions in its strings, compiled once and rendered with each request's bindings.

use serde_json::Value;

use super::{
    BUDGET, Bindings, Budget, ExpressionError, Fault, MAX_EXPRESSIONS, MAX_TEMPLATE_DEPTH, References, Type,
    Types, Variables,
    check::Checker,
    evaluate::unknown_variable,
    node::Node,
    parse::parse,
    scan::{Part, check_number, scan},
    tree::{Compiled, Path, Piece, Tree, in_braces, step},
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

impl Template {
    /// Compiles every expression. `field` is the path of the value in its object, for messages; `variables` are those
    /// that will be bound.
    ///
    /// # Errors
    /// When an expression is not one, is too large, or uses what there is not.
    pub fn parse(field: &str, value: &Value, variables: &[&str]) -> Result<Self, ExpressionError> {
        Self::compile(field, value, variables).map_err(|errors| {
            let first = errors.into_iter().next();
            first.unwrap_or_else(|| Fault::new("it cannot be read", "simplify it").at(field, ""))
        })
    }

    /// Compiles like [`Template::parse`], and reports the error of every expression.
    ///
    /// # Errors
    /// As [`Template::parse`]; at least one.
    pub fn compile(field: &str, value: &Value, variables: &[&str]) -> Result<Self, Vec<ExpressionError>> {
        let mut found = Vec::new();
        let root = Sketch::of(field, value, 0, &mut found).map_err(|error| vec![error])?;
        if let Some((field, expression)) = found.get(MAX_EXPRESSIONS) {
            let fault = Fault::new(format!("there are more than {MAX_EXPRESSIONS} expressions"), "use fewer");
            return Err(vec![fault.at(field, &in_braces(expression))]);
        }
        check_number(found.iter().map(|(_, text)| *text)).map_err(|fault| vec![fault.at(field, "${…}")])?;
        let texts: Vec<&str> = found.iter().map(|(_, text)| *text).collect();
        let nodes = parse(&texts).map_err(|fault| vec![fault.at(field, "${…}")])?;
        let mut compiled = Vec::with_capacity(nodes.len());
        let mut sources = Vec::with_capacity(nodes.len());
        let mut references = References::default();
        let mut errors = Vec::new();
        for ((field, text), node) in found.iter().zip(nodes) {
            match node.and_then(|node| check_variables(&node, variables).map(|()| node)) {
                Ok(node) => {
                    references.add(&node);
                    let mut own = References::default();
                    own.add(&node);
                    sources.push(Source { field: field.clone(), text: (*text).to_owned(), references: own });
                    compiled.push(Compiled { text: (*text).to_owned(), node });
                }
                Err(fault) => errors.push(fault.at(field, &in_braces(text))),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let root = root.compiled(&mut compiled.into_iter());
        Ok(Self { field: field.to_owned(), root, sources, references })
    }

    /// What can never work with variables of these types, or where a value of this type is needed.
    #[must_use]
    pub fn problems(&self, types: &Types<'_>, expected: &Type) -> Vec<ExpressionError> {
        let mut checker = Checker::new(types);
        checker.tree(&self.root, &mut Path(self.field.clone()), expected);
        checker.errors
    }

    /// The type of what is rendered, as far as it is known.
    #[must_use]
    pub fn type_of(&self, types: &Types<'_>) -> Type {
        Checker::new(types).type_of(&self.root)
    }

    /// What the expressions refer to.
    #[must_use]
    pub const fn references(&self) -> &References {
        &self.references
    }

    /// The fields with expressions that name a variable.
    pub fn fields_with<'t>(&'t self, variable: &'t str) -> impl Iterator<Item = &'t str> {
        let naming = move |source: &&Source| source.references.variables().any(|name| name == variable);
        self.sources.iter().filter(naming).map(|source| source.field.as_str())
    }

    /// An error about the first expression that names a variable.
    #[must_use]
    pub fn refuse_variable(&self, variable: &str, problem: &str, remedy: &str) -> ExpressionError {
        let naming = |source: &&Source| source.references.variables().any(|name| name == variable);
        let source = self.sources.iter().find(naming);
        let (field, text) = source.map_or((&self.field, ""), |source| (&source.field, source.text.as_str()));
        Fault::new(problem, remedy).at(field, &in_braces(text))
    }

    /// An error about the first expression that names `member` below `variable`, as [`References::members`] has it.
    #[must_use]
    pub fn refuse(&self, variable: &str, member: &str, problem: &str, remedy: &str) -> ExpressionError {
        let source =
            self.sources.iter().find(|source| source.references.members(variable).any(|name| name == member));
        let (field, text) = source.map_or((&self.field, ""), |source| (&source.field, source.text.as_str()));
        Fault::new(problem, remedy).at(field, &in_braces(text))
    }

    /// The JSON with every expression replaced by its value.
    ///
    /// # Errors
    /// When an expression has no value with these bindings, or all of it costs too much.
    pub fn render(&self, bindings: &Bindings) -> Result<Value, ExpressionError> {
        self.render_with(&Variables::of(bindings), &mut Budget::new(BUDGET))
    }

    /// Renders from a budget that others share.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_with<'a>(
        &'a self,
        variables: &Variables<'a>,
        budget: &mut Budget,
    ) -> Result<Value, ExpressionError> {
        self.root.render(&mut Path(self.field.clone()), variables, budget)
    }
}

pub(super) fn check_variables(node: &Node, variables: &[&str]) -> Result<(), Fault> {
    let mut references = References::default();
    references.add(node);
    let unknown = references.variables().find(|name| !variables.contains(name));
    unknown.map_or(Ok(()), |name| Err(unknown_variable(name, variables.iter().copied())))
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
    ) -> Result<Self, ExpressionError> {
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
