//! From nodes and bindings to a value, within a budget.

use std::{cmp::Ordering, collections::BTreeMap, rc::Rc};

use super::{
    Budget, Fault, Variables,
    arithmetic::{arithmetic, no_overload, overflow},
    node::{Body, Loop, Node, Operator},
    value::Cel,
};

/// What an expression is evaluated with.
struct Evaluation<'a, 'b> {
    variables: &'b Variables<'a>,
    budget: &'b mut Budget,
    /// The variables of the loops around, the innermost last.
    scope: Vec<LoopVariable<'a>>,
}

/// The variable of a loop.
struct LoopVariable<'a> {
    name: &'a str,
    value: Cel<'a>,
    /// Whether what the loop goes through is observed.
    is_observed: bool,
}

/// The value of an expression.
pub(super) fn evaluate<'a>(
    node: &'a Node,
    variables: &Variables<'a>,
    budget: &mut Budget,
) -> Result<Cel<'a>, Fault> {
    Evaluation { variables, budget, scope: Vec::new() }.value(node)
}

impl<'a> Evaluation<'a, '_> {
    fn value(&mut self, node: &'a Node) -> Result<Cel<'a>, Fault> {
        self.budget.spend(1)?;
        match node {
            Node::Null => Ok(Cel::Null),
            Node::Bool(value) => Ok(Cel::Bool(*value)),
            Node::Int(value) => Ok(Cel::Int(*value)),
            Node::Uint(value) => Ok(Cel::Uint(*value)),
            Node::Double(value) => Ok(Cel::Double(*value)),
            Node::Text(text) => Ok(Cel::BoundText(text)),
            Node::Bytes(bytes) => Ok(Cel::Bytes(bytes.as_slice().into())),
            Node::Variable(name) => self.variable(name),
            Node::Field(operand, name) => {
                let value = self.value(operand)?;
                value.field(name).ok_or_else(|| self.missing(operand, &value, name))
            }
            Node::Has(operand, name) => {
                let value = self.value(operand)?;
                match value.map_len() {
                    Some(_) => Ok(Cel::Bool(value.field(name).is_some())),
                    None => Err(self.missing(operand, &value, name)),
                }
            }
            Node::List(nodes) => {
                Ok(Cel::list(nodes.iter().map(|node| self.value(node)).collect::<Result<_, _>>()?))
            }
            Node::Map(entries) => self.map(entries),
            Node::If(branches) => {
                let [condition, then, otherwise] = branches.as_ref();
                if self.holds(condition)? { self.value(then) } else { self.value(otherwise) }
            }
            Node::And(sides) => self.logical(sides, false),
            Node::Or(sides) => self.logical(sides, true),
            Node::Not(operand) => Ok(Cel::Bool(!self.condition(operand)?)),
            Node::Negate(operand) => match self.value(operand)? {
                Cel::Int(value) => value.checked_neg().map(Cel::Int).ok_or_else(|| overflow("-")),
                Cel::Double(value) => Ok(Cel::Double(-value)),
                other => Err(Fault::new(
                    format!("a {} cannot be negated", other.kind()),
                    "convert it with int() or double()",
                )),
            },
            Node::Binary(operator, sides) => {
                let [operand, other] = sides.as_ref();
                let (left, right) = (self.value(operand)?, self.value(other)?);
                let result = self.binary(*operator, &left, &right);
                // An element or entry that is looked for below something observed may come later.
                result.map_err(|fault| Fault {
                    is_absent: fault.is_absent && self.is_observed(operand),
                    ..fault
                })
            }
            Node::Call(function, nodes) => {
                let arguments = nodes.iter().map(|node| self.value(node)).collect::<Result<Vec<_>, _>>()?;
                function.call(&arguments, self.budget)
            }
            Node::Loop(inner) => self.go_through(inner),
        }
    }

    fn variable(&self, name: &str) -> Result<Cel<'a>, Fault> {
        if let Some(bound) = self.scope.iter().rev().find(|bound| bound.name == name) {
            return Ok(bound.value.clone());
        }
        let value = self.variables.value(name);
        value.map(Cel::bound).ok_or_else(|| unknown_variable(name, self.variables.names()))
    }

    /// Whether a value comes from the world outside, where things appear with time.
    fn is_observed(&self, node: &Node) -> bool {
        match node {
            Node::Null
            | Node::Bool(_)
            | Node::Int(_)
            | Node::Uint(_)
            | Node::Double(_)
            | Node::Text(_)
            | Node::Bytes(_) => false,
            Node::Variable(name) => {
                let bound = self.scope.iter().rev().find(|bound| bound.name == name);
                bound.map_or_else(|| self.variables.is_observed(name), |bound| bound.is_observed)
            }
            Node::Field(operand, _) | Node::Has(operand, _) | Node::Not(operand) | Node::Negate(operand) => {
                self.is_observed(operand)
            }
            Node::Binary(Operator::Index, sides) => self.is_observed(&sides[0]),
            Node::List(nodes) | Node::Call(_, nodes) => nodes.iter().any(|node| self.is_observed(node)),
            Node::Map(entries) => entries.iter().any(|(_, value)| self.is_observed(value)),
            Node::If(branches) => branches[1..].iter().any(|branch| self.is_observed(branch)),
            Node::And(sides) | Node::Or(sides) | Node::Binary(_, sides) => {
                sides.iter().any(|side| self.is_observed(side))
            }
            Node::Loop(inner) => self.is_observed(&inner.range),
        }
    }

    /// That a value has no field of a name; `node` is where the value comes from.
    fn missing(&self, node: &Node, value: &Cel<'_>, name: &str) -> Fault {
        let fault = missing(value, name);
        Fault { is_absent: fault.is_absent && self.is_observed(node), ..fault }
    }

    fn map(&mut self, entries: &'a [(Node, Node)]) -> Result<Cel<'a>, Fault> {
        let mut map = BTreeMap::new();
        for (key, value) in entries {
            let key = self.value(key)?;
            let key = key.to_key().ok_or_else(|| {
                Fault::new(
                    format!("a {} cannot be a key", key.kind()),
                    "use a string, a whole number or a bool",
                )
            })?;
            if map.insert(key, self.value(value)?).is_some() {
                return Err(Fault::new("a map has the same key twice", "use each key once"));
            }
        }
        Ok(Cel::Map(Rc::new(map)))
    }

    fn condition(&mut self, node: &'a Node) -> Result<bool, Fault> {
        match self.value(node)? {
            Cel::Bool(value) => Ok(value),
            other => Err(Fault::new(
                format!("a {} is used as a condition", other.kind()),
                "compare it with something",
            )),
        }
    }

    /// A condition that decides what becomes of something. One that speaks of what is not there yet does not hold.
    fn holds(&mut self, node: &'a Node) -> Result<bool, Fault> {
        match self.condition(node) {
            Err(fault) if fault.is_absent => Ok(false),
            result => result,
        }
    }

    /// `&&` and `||`: an error on one side does not matter when the other side decides.
    fn logical(&mut self, sides: &'a [Node; 2], decisive: bool) -> Result<Cel<'a>, Fault> {
        let [left, right] = sides;
        let left = self.condition(left);
        if let Err(fault) = &left
            && fault.is_final
        {
            return left.map(Cel::Bool);
        }
        if left.as_ref() == Ok(&decisive) {
            return Ok(Cel::Bool(decisive));
        }
        let right = self.condition(right)?;
        if right == decisive { Ok(Cel::Bool(decisive)) } else { left.map(|_| Cel::Bool(!decisive)) }
    }

    fn go_through(&mut self, inner: &'a Loop) -> Result<Cel<'a>, Fault> {
        let range = self.value(&inner.range)?;
        let is_observed = self.is_observed(&inner.range);
        let items = range.items(self.budget)?;
        let items = items
            .into_iter()
            .map(|value| LoopVariable { name: &inner.variable, value, is_observed })
            .collect::<Vec<_>>();
        match &inner.body {
            Body::All(condition) => self.quantify(items, condition, false),
            Body::Exists(condition) => self.quantify(items, condition, true),
            Body::ExistsOne(condition) => {
                let mut found = 0_usize;
                for item in items {
                    found += usize::from(self.with(item, |inner| inner.holds(condition))?);
                }
                Ok(Cel::Bool(found == 1))
            }
            Body::Map { filter, element } => {
                let mut elements = Vec::new();
                for item in items {
                    let made = self.with(item, |inner| match filter {
                        Some(filter) if !inner.holds(filter)? => Ok(None),
                        _ => inner.value(element).map(Some),
                    })?;
                    elements.extend(made);
                }
                Ok(Cel::list(elements))
            }
        }
    }

    /// `all` and `exists`: an error with one element does not matter when another element decides.
    fn quantify(
        &mut self,
        items: Vec<LoopVariable<'a>>,
        condition: &'a Node,
        decisive: bool,
    ) -> Result<Cel<'a>, Fault> {
        let mut failed = None;
        for item in items {
            match self.with(item, |inner| inner.holds(condition)) {
                Ok(value) if value == decisive => return Ok(Cel::Bool(decisive)),
                Ok(_) => {}
                Err(fault) if fault.is_final => return Err(fault),
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        failed.map_or(Ok(Cel::Bool(!decisive)), Err)
    }

    /// Evaluates with a loop's variable bound.
    fn with<T>(
        &mut self,
        item: LoopVariable<'a>,
        evaluate: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.budget.spend(1)?;
        self.scope.push(item);
        let result = evaluate(self);
        self.scope.pop();
        result
    }

    fn binary(&mut self, operator: Operator, left: &Cel<'a>, right: &Cel<'a>) -> Result<Cel<'a>, Fault> {
        match operator {
            Operator::Equal => left.equals(right, self.budget).map(Cel::Bool),
            Operator::NotEqual => left.equals(right, self.budget).map(|same| Cel::Bool(!same)),
            Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
                self.compare(operator, left, right)
            }
            Operator::In => self.is_in(left, right),
            Operator::Index => index(left, right),
            Operator::Add => self.add(left, right),
            Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
                arithmetic(operator, left, right)
            }
        }
    }

    fn compare(&mut self, operator: Operator, left: &Cel<'a>, right: &Cel<'a>) -> Result<Cel<'a>, Fault> {
        self.budget.spend_text(left.as_text().map_or(0, str::len))?;
        // Not a number is neither less nor greater than anything.
        let is_nan = |value: &Cel<'_>| value.as_double().is_some_and(f64::is_nan);
        let order = match left.compare(right) {
            None if is_nan(left) || is_nan(right) => return Ok(Cel::Bool(false)),
            order => order.ok_or_else(|| no_overload(operator, left, right))?,
        };
        Ok(Cel::Bool(match operator {
            Operator::Less => order == Ordering::Less,
            Operator::LessOrEqual => order != Ordering::Greater,
            Operator::Greater => order == Ordering::Greater,
            _ => order != Ordering::Less,
        }))
    }

    fn is_in(&mut self, left: &Cel<'a>, right: &Cel<'a>) -> Result<Cel<'a>, Fault> {
        if right.map_len().is_some() {
            return Ok(Cel::Bool(right.entry(left).is_some()));
        }
        let count = right.list_len().ok_or_else(|| no_overload(Operator::In, left, right))?;
        for index in 0..count {
            if let Some(element) = right.element(index)
                && left.equals(&element, self.budget)?
            {
                return Ok(Cel::Bool(true));
            }
        }
        Ok(Cel::Bool(false))
    }

    fn add(&mut self, left: &Cel<'a>, right: &Cel<'a>) -> Result<Cel<'a>, Fault> {
        if let (Some(one), Some(two)) = (left.as_text(), right.as_text()) {
            self.budget.spend_text(one.len() + two.len())?;
            return Ok(Cel::text([one, two].concat()));
        }
        if left.list_len().is_some() && right.list_len().is_some() {
            let mut elements = left.items(self.budget)?;
            elements.extend(right.items(self.budget)?);
            return Ok(Cel::list(elements));
        }
        if let (Cel::Bytes(one), Cel::Bytes(two)) = (left, right) {
            self.budget.spend_text(one.len() + two.len())?;
            return Ok(Cel::Bytes([one.as_ref(), two.as_ref()].concat().into()));
        }
        arithmetic(Operator::Add, left, right)
    }
}

fn index<'a>(operand: &Cel<'a>, key: &Cel<'a>) -> Result<Cel<'a>, Fault> {
    if operand.map_len().is_some() {
        let name = || key.to_text().map_or_else(|| format!("of type {}", key.kind()), |key| key.to_string());
        return operand.entry(key).ok_or_else(|| missing(operand, &name()));
    }
    let place = match key {
        Cel::Int(place) => usize::try_from(*place).ok(),
        Cel::Uint(place) => usize::try_from(*place).ok(),
        _ => return Err(no_overload(Operator::Index, operand, key)),
    };
    let count = operand.list_len().ok_or_else(|| no_overload(Operator::Index, operand, key))?;
    place.and_then(|place| operand.element(place)).ok_or_else(|| Fault {
        is_absent: true,
        ..Fault::new(
            format!("a list of {count} has no element {}", key.to_text().as_deref().unwrap_or_default()),
            "compare with size() first; the first element is 0",
        )
    })
}

/// That a value has no field of a name. Whether it can still come depends on where the value is from.
fn missing(operand: &Cel<'_>, name: &str) -> Fault {
    match operand.map_len() {
        Some(_) => Fault {
            is_absent: true,
            ..Fault::new(format!("there is no \"{name}\""), "correct the name, or guard with has()")
        },
        None => Fault {
            is_absent: matches!(operand, Cel::Null),
            ..Fault::new(
                format!("\"{name}\" is looked for in a {}", operand.kind()),
                "look for it in a map, or correct what stands before it",
            )
        },
    }
}

/// An unbound variable.
pub(super) fn unknown_variable<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Fault {
    let known: Vec<&str> = known.collect();
    Fault::new(
        format!("there is no variable {name}"),
        match known.as_slice() {
            [] => "use none here".to_owned(),
            known => format!("use one of {}", known.join(", ")),
        },
    )
}
