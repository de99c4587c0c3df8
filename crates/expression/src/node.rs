//! What an expression is made of, once it is parsed and known to use nothing that cannot be evaluated.

use std::collections::{BTreeMap, BTreeSet};

use super::function::Function;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    Variable(String),
    /// `a.b`
    Field(Box<Node>, String),
    /// `has(a.b)`
    Has(Box<Node>, String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `a ? b : c`
    If(Box<[Node; 3]>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<[Node; 2]>),
    /// A function with its arguments; that of a method's target comes first.
    Call(Function, Vec<Node>),
    Loop(Box<Loop>),
}

/// An operator that evaluates both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Index,
}

impl Operator {
    /// As it is written.
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Index => "[]",
        }
    }
}

/// `list.map(variable, …)` and its like.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Loop {
    /// What is gone through: a list, or the keys of a map.
    pub range: Node,
    pub variable: String,
    pub body: Body,
}

/// What becomes of each element.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    All(Node),
    Exists(Node),
    ExistsOne(Node),
    Map { filter: Option<Node>, element: Node },
}

/// What expressions refer to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct References {
    variables: BTreeSet<String>,
    members: BTreeMap<String, BTreeSet<String>>,
    /// Names one below the other, the variable first.
    paths: BTreeSet<Vec<String>>,
}

impl References {
    /// The variables from which expressions begin, such as `request` and `jobs`.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(String::as_str)
    }

    /// What is named directly below a variable: `JOB1` of `jobs.JOB1.output` and of `jobs['JOB1']`. What is only known
    /// when the expression is evaluated, as in `jobs[request.spec.job]`, is not in it.
    pub fn members(&self, variable: &str) -> impl Iterator<Item = &str> {
        self.members.get(variable).into_iter().flatten().map(String::as_str)
    }

    /// The fields below a variable that are named, each as far down as it is: `spec`, `image` of `self.spec.image`.
    pub fn paths(&self, variable: &str) -> impl Iterator<Item = &[String]> {
        let is_of = move |path: &&Vec<String>| path.first().is_some_and(|first| first == variable);
        let is_whole = |path: &&Vec<String>| {
            let mut others = self.paths.iter();
            !others.any(|other| other.len() > path.len() && other.starts_with(path.as_slice()))
        };
        let whole = self.paths.iter().filter(is_of).filter(is_whole);
        whole.filter_map(|path| path.get(1..))
    }

    /// Adds those of an expression.
    pub(super) fn add(&mut self, node: &Node) {
        self.walk(node, &mut Vec::new());
    }

    fn walk<'n>(&mut self, node: &'n Node, bound: &mut Vec<&'n str>) {
        match node {
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::Uint(_)
            | Node::Double(_)
            | Node::Text(_)
            | Node::Bytes(_) => {}
            Node::Variable(name) => {
                if !bound.contains(&name.as_str()) {
                    self.variables.insert(name.clone());
                }
            }
            Node::Field(operand, field) | Node::Has(operand, field) => {
                self.member(operand, field, bound);
                self.walk(operand, bound);
            }
            Node::List(nodes) | Node::Call(_, nodes) => {
                for node in nodes {
                    self.walk(node, bound);
                }
            }
            Node::Map(entries) => {
                for (key, value) in entries {
                    self.walk(key, bound);
                    self.walk(value, bound);
                }
            }
            Node::If(nodes) => nodes.iter().for_each(|node| self.walk(node, bound)),
            Node::And(sides) | Node::Or(sides) => sides.iter().for_each(|node| self.walk(node, bound)),
            Node::Not(operand) | Node::Negate(operand) => self.walk(operand, bound),
            Node::Binary(operator, sides) => {
                if let (Operator::Index, [operand, Node::Text(field)]) = (operator, sides.as_ref()) {
                    self.member(operand, field, bound);
                }
                sides.iter().for_each(|node| self.walk(node, bound));
            }
            Node::Loop(inner) => {
                self.walk(&inner.range, bound);
                bound.push(&inner.variable);
                match &inner.body {
                    Body::All(node) | Body::Exists(node) | Body::ExistsOne(node) => self.walk(node, bound),
                    Body::Map { filter, element } => {
                        for node in filter.iter().chain([element]) {
                            self.walk(node, bound);
                        }
                    }
                }
                bound.pop();
            }
        }
    }

    fn member(&mut self, operand: &Node, field: &str, bound: &[&str]) {
        if let Node::Variable(name) = operand
            && !bound.contains(&name.as_str())
        {
            self.members.entry(name.clone()).or_default().insert(field.to_owned());
        }
        if let Some(mut path) = path(operand, bound) {
            path.push(field.to_owned());
            self.paths.insert(path);
        }
    }
}

/// The names of a field of a field of a variable that no loop binds.
fn path(node: &Node, bound: &[&str]) -> Option<Vec<String>> {
    let (operand, field) = match node {
        Node::Variable(name) => return (!bound.contains(&name.as_str())).then(|| vec![name.clone()]),
        Node::Field(operand, field) => (operand.as_ref(), field),
        Node::Binary(Operator::Index, sides) => match sides.as_ref() {
            [operand, Node::Text(field)] => (operand, field),
            _ => return None,
        },
        _ => return None,
    };
    let mut path = path(operand, bound)?;
    path.push(field.clone());
    Some(path)
}
