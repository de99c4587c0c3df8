//! From the text of an expression to its nodes. The crate `cel` parses; what it gives is checked against what can be
//! evaluated, so that a function that does not exist is found when an object is applied and not when it is used.

use std::thread;

use cel::{
    Program,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators},
};

use super::{
    Fault, MAX_DEPTH, MAX_LOOPS,
    function::Function,
    node::{Body, Loop, Node, Operator},
    parsed::{Parsed, parsed},
    remedy::NO_CEL,
    scan,
};

/// Stack of the parser, touched only as far as it is used. It recurses for each bracket, and over each chain of
/// operators; the longest expression of the worst kind needs a part of this even in a debug build.
const STACK: usize = 64 << 20;

/// Parses expressions, each to its nodes or to what is wrong with it, but those that are known from before.
pub(super) fn parse(expressions: &[&str]) -> Result<Vec<Parsed>, Fault> {
    parsed(expressions, parse_all)
}

/// The parser runs on a thread of its own: there its stack can be as large as it needs, and a panic of it ends as an
/// error of this function.
fn parse_all(expressions: &[&str]) -> Result<Vec<Parsed>, Fault> {
    let failed = || {
        Fault::new("the parser failed", "simplify the expression, and report this to the operator's makers")
    };
    thread::scope(|scope| {
        let each = || expressions.iter().map(|expression| parse_one(expression)).collect();
        let parser = thread::Builder::new().name("expression-parser".to_owned()).stack_size(STACK);
        parser.spawn_scoped(scope, each).map_err(|_| failed())?.join().map_err(|_| failed())
    })
}

fn parse_one(expression: &str) -> Result<Node, Fault> {
    scan::check_size(expression)?;
    let program = Program::compile(expression).map_err(|failure| {
        let first = failure.errors.first();
        let message = first.map_or("it is not CEL", |error| error.msg.as_str());
        let column = first.map_or(1, |error| error.pos.1);
        Fault::new(format!("{message} (column {column})"), NO_CEL)
    })?;
    node(program.expression(), Nesting::default())
}

/// Where in an expression a node stands.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: usize,
    loops: usize,
}

impl Nesting {
    fn deeper(self) -> Result<Self, Fault> {
        if self.depth == MAX_DEPTH {
            return Err(Fault::new(
                format!("it nests deeper than {MAX_DEPTH}"),
                "take the expression apart, or shorten its chain of operators",
            ));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn in_loop(self) -> Result<Self, Fault> {
        if self.loops == MAX_LOOPS {
            return Err(Fault::new(
                format!("loops nest deeper than {MAX_LOOPS}"),
                "use fewer of map, filter, all, exists and exists_one in each other",
            ));
        }
        Ok(Self { loops: self.loops + 1, ..self })
    }
}

fn node(expression: &IdedExpr, nesting: Nesting) -> Result<Node, Fault> {
    let below = nesting.deeper()?;
    match &expression.expr {
        Expr::Literal(literal) => Ok(match literal {
            LiteralValue::Null => Node::Null,
            LiteralValue::Boolean(value) => Node::Bool(*value.inner()),
            LiteralValue::Int(value) => Node::Int(*value.inner()),
            LiteralValue::UInt(value) => Node::Uint(*value.inner()),
            LiteralValue::Double(value) => Node::Double(*value.inner()),
            LiteralValue::String(value) => Node::Text(value.inner().to_owned()),
            LiteralValue::Bytes(value) => Node::Bytes(value.inner().to_vec()),
        }),
        Expr::Ident(name) => Ok(Node::Variable(name.trim_start_matches('.').to_owned())),
        Expr::Select(select) => {
            let operand = Box::new(node(&select.operand, below)?);
            let field = select.field.clone();
            Ok(if select.test { Node::Has(operand, field) } else { Node::Field(operand, field) })
        }
        Expr::List(list) if list.optional_indices.is_empty() => Ok(Node::List(nodes(&list.elements, below)?)),
        Expr::Map(map) => {
            let entry = |entry: &EntryExpr| match entry {
                EntryExpr::MapEntry(entry) if !entry.optional => {
                    Ok((node(&entry.key, below)?, node(&entry.value, below)?))
                }
                _ => Err(unsupported("optional entries")),
            };
            Ok(Node::Map(map.entries.iter().map(|ided| entry(&ided.expr)).collect::<Result<_, _>>()?))
        }
        Expr::Call(call) => call_node(call, below),
        Expr::Comprehension(comprehension) => loop_node(comprehension, below),
        Expr::Struct(_) => Err(unsupported("messages such as a.B{c: 1}")),
        Expr::List(_) => Err(unsupported("optional elements")),
        Expr::Unspecified => Err(Fault::new("it is not CEL", NO_CEL)),
    }
}

fn unsupported(what: &str) -> Fault {
    Fault::new(format!("{what} are not supported"), "write the value without them")
}

fn nodes(expressions: &[IdedExpr], below: Nesting) -> Result<Vec<Node>, Fault> {
    expressions.iter().map(|expression| node(expression, below)).collect()
}

fn call_node(call: &CallExpr, below: Nesting) -> Result<Node, Fault> {
    let name = call.func_name.as_str();
    let mut arguments = Vec::with_capacity(call.args.len() + 1);
    if let Some(target) = &call.target {
        arguments.push(node(target, below)?);
    }
    arguments.extend(nodes(&call.args, below)?);
    if call.target.is_some() {
        return Ok(Node::Call(Function::named(name, true, arguments.len())?, arguments));
    }
    let arguments = match <[Node; 2]>::try_from(arguments) {
        Ok(sides) => {
            let sides = Box::new(sides);
            return Ok(match (name, operator(name)) {
                (_, Some(operator)) => Node::Binary(operator, sides),
                (operators::LOGICAL_AND, _) => Node::And(sides),
                (operators::LOGICAL_OR, _) => Node::Or(sides),
                _ => Node::Call(Function::named(name, false, 2)?, Vec::from(*sides)),
            });
        }
        Err(arguments) => arguments,
    };
    let arguments = match <[Node; 3]>::try_from(arguments) {
        Ok(branches) if name == operators::CONDITIONAL => return Ok(Node::If(Box::new(branches))),
        Ok(branches) => Vec::from(branches),
        Err(arguments) => arguments,
    };
    match (name, <[Node; 1]>::try_from(arguments)) {
        (operators::LOGICAL_NOT, Ok([operand])) => Ok(Node::Not(Box::new(operand))),
        (operators::NEGATE, Ok([operand])) => Ok(Node::Negate(Box::new(operand))),
        (_, Ok(operand)) => Ok(Node::Call(Function::named(name, false, 1)?, Vec::from(operand))),
        (_, Err(arguments)) => Ok(Node::Call(Function::named(name, false, arguments.len())?, arguments)),
    }
}

fn operator(name: &str) -> Option<Operator> {
    Some(match name {
        operators::ADD => Operator::Add,
        operators::SUBSTRACT => Operator::Subtract,
        operators::MULTIPLY => Operator::Multiply,
        operators::DIVIDE => Operator::Divide,
        operators::MODULO => Operator::Modulo,
        operators::EQUALS => Operator::Equal,
        operators::NOT_EQUALS => Operator::NotEqual,
        operators::LESS => Operator::Less,
        operators::LESS_EQUALS => Operator::LessOrEqual,
        operators::GREATER => Operator::Greater,
        operators::GREATER_EQUALS => Operator::GreaterOrEqual,
        operators::IN => Operator::In,
        operators::INDEX => Operator::Index,
        _ => return None,
    })
}

/// The parser writes `map` and its like as a general loop over an accumulator. They are read back from it: what is known
/// to append needs no copy of what it appends to.
fn loop_node(comprehension: &ComprehensionExpr, below: Nesting) -> Result<Node, Fault> {
    let unknown = || Fault::new("the loop is none of CEL's", "use map, filter, all, exists or exists_one");
    let inside = below.in_loop()?;
    let Expr::Call(step) = &comprehension.loop_step.expr else { return Err(unknown()) };
    let body = match (&comprehension.accu_init.expr, step.func_name.as_str(), step.args.as_slice()) {
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_AND, [_, condition]) => {
            Body::All(node(condition, inside)?)
        }
        (Expr::Literal(LiteralValue::Boolean(_)), operators::LOGICAL_OR, [_, condition]) => {
            Body::Exists(node(condition, inside)?)
        }
        (Expr::Literal(LiteralValue::Int(_)), operators::CONDITIONAL, [condition, _, _]) => {
            Body::ExistsOne(node(condition, inside)?)
        }
        (Expr::List(_), operators::ADD, _) => {
            Body::Map { filter: None, element: appended(step, inside).ok_or_else(unknown)?? }
        }
        (Expr::List(_), operators::CONDITIONAL, [filter, then, _]) => {
            let Expr::Call(then) = &then.expr else { return Err(unknown()) };
            Body::Map {
                filter: Some(node(filter, inside)?),
                element: appended(then, inside).ok_or_else(unknown)??,
            }
        }
        _ => return Err(unknown()),
    };
    let range = node(&comprehension.iter_range, below)?;
    Ok(Node::Loop(Box::new(Loop { range, variable: comprehension.iter_var.clone(), body })))
}

/// The element of `accumulator + [element]`.
fn appended(call: &CallExpr, inside: Nesting) -> Option<Result<Node, Fault>> {
    match call.args.as_slice() {
        [_, IdedExpr { expr: Expr::List(list), .. }] if call.func_name == operators::ADD => {
            list.elements.first().map(|element| node(element, inside))
        }
        _ => None,
    }
}
