//! Numbers: each operator within one type, and nothing that wraps round.

use super::{Fault, node::Operator, value::Cel};

pub(super) fn arithmetic<'a>(operator: Operator, left: &Cel<'a>, right: &Cel<'a>) -> Result<Cel<'a>, Fault> {
    let is_division = matches!(operator, Operator::Divide | Operator::Modulo);
    if is_division && matches!(right, Cel::Int(0) | Cel::Uint(0)) {
        return Err(Fault::new("it divides by zero", "compare the divisor with 0 first"));
    }
    let result = match (left, right) {
        (Cel::Int(one), Cel::Int(two)) => match operator {
            Operator::Add => one.checked_add(*two),
            Operator::Subtract => one.checked_sub(*two),
            Operator::Multiply => one.checked_mul(*two),
            Operator::Divide => one.checked_div(*two),
            _ => one.checked_rem(*two),
        }
        .map(Cel::Int),
        (Cel::Uint(one), Cel::Uint(two)) => match operator {
            Operator::Add => one.checked_add(*two),
            Operator::Subtract => one.checked_sub(*two),
            Operator::Multiply => one.checked_mul(*two),
            Operator::Divide => one.checked_div(*two),
            _ => one.checked_rem(*two),
        }
        .map(Cel::Uint),
        (Cel::Double(one), Cel::Double(two)) => match operator {
            Operator::Add => Some(one + two),
            Operator::Subtract => Some(one - two),
            Operator::Multiply => Some(one * two),
            Operator::Divide => Some(one / two),
            _ => return Err(no_overload(operator, left, right)),
        }
        .map(Cel::Double),
        _ => return Err(no_overload(operator, left, right)),
    };
    result.ok_or_else(|| overflow(operator.sign()))
}

pub(super) fn overflow(sign: &str) -> Fault {
    Fault::new(format!("{sign} gives a number that does not fit"), "use smaller numbers, or double()")
}

pub(super) fn no_overload(operator: Operator, left: &Cel<'_>, right: &Cel<'_>) -> Fault {
    Fault::new(
        format!("{} cannot be applied to {} and {}", operator.sign(), left.kind(), right.kind()),
        "convert one side with int(), double() or string()",
    )
}
