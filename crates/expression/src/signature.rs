//! What fields, operators and functions take and give, as types.

use super::{
    Fault, Type,
    function::Function,
    node::Operator,
    similar::similar,
    types::{Fields, Rest},
};

/// The type of a field of an object, which must be one of those that there can be.
pub(super) fn lookup(object: &Fields, name: &str) -> Result<Type, Fault> {
    if let Some(found) = object.fields.get(name) {
        return Ok(found.clone());
    }
    let meant = similar(name, object.fields.keys().map(String::as_str));
    match (object.rest, meant) {
        (Rest::Anything, _) | (Rest::Newer, None) => Ok(Type::Any),
        (_, Some(meant)) => Err(Fault::new(
            format!("the schema has no field \"{name}\" here"),
            format!("did you mean \"{meant}\"?"),
        )),
        (Rest::Nothing, None) => {
            let known: Vec<&str> = object.fields.keys().take(16).map(String::as_str).collect();
            Err(Fault::new(
                format!("the schema has no field \"{name}\" here"),
                match known.as_slice() {
                    [] => "add it to the schema: no field is declared here".to_owned(),
                    known => format!("add it to the schema, or use one of {}", known.join(", ")),
                },
            ))
        }
    }
}

pub(super) fn field(operand: &Type, name: &str) -> Result<Type, Fault> {
    match operand {
        Type::Any | Type::Null => Ok(Type::Any),
        Type::Map(value) => Ok(Type::clone(value)),
        Type::Object(object) => lookup(object, name),
        other => Err(Fault::new(
            format!("\"{name}\" is looked for in a {}", other.name()),
            match other {
                Type::List(_) => "take one of its elements first, as in [0], or go through them with map()",
                _ => "look for it in a map, or correct what stands before it",
            },
        )),
    }
}

pub(super) fn binary(operator: Operator, left: &Type, right: &Type) -> Result<Type, Fault> {
    let refused = || {
        Err(Fault::new(
            format!("{} cannot be applied to {} and {}", operator.sign(), left.name(), right.name()),
            "convert one side with int(), double() or string()",
        ))
    };
    let is_open = |found: &Type| matches!(found, Type::Any | Type::Null);
    let either_is_open = is_open(left) || is_open(right);
    match operator {
        Operator::Equal | Operator::NotEqual => {
            let same = either_is_open
                || (left.is_number() && right.is_number())
                || left.fits(right)
                || (matches!(left, Type::List(_)) && matches!(right, Type::List(_)));
            if same {
                return Ok(Type::Bool);
            }
            Err(Fault::new(
                format!("a {} is never equal to a {}", left.name(), right.name()),
                "convert one side with int(), double() or string()",
            ))
        }
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let ordered = matches!((left, right), (Type::Text, Type::Text) | (Type::Bool, Type::Bool))
                || matches!((left, right), (Type::Bytes, Type::Bytes));
            let may = either_is_open || ordered || (left.is_number() && right.is_number());
            if may { Ok(Type::Bool) } else { refused() }
        }
        Operator::In => match right {
            Type::List(_) | Type::Map(_) | Type::Object(_) | Type::Any => Ok(Type::Bool),
            _ => refused(),
        },
        Operator::Index => match (left, right) {
            (Type::List(element), Type::Int | Type::Uint | Type::Number | Type::Any) => {
                Ok(Type::clone(element))
            }
            (Type::Map(value), _) => Ok(Type::clone(value)),
            (Type::Object(object), key) => match (object.rest, key) {
                (Rest::Anything, _) | (_, Type::Text | Type::Any) => Ok(Type::Any),
                _ => refused(),
            },
            (Type::Any | Type::Null, _) => Ok(Type::Any),
            _ => refused(),
        },
        Operator::Add if matches!((left, right), (Type::Text, Type::Text)) => Ok(Type::Text),
        Operator::Add if matches!((left, right), (Type::Bytes, Type::Bytes)) => Ok(Type::Bytes),
        Operator::Add if matches!((left, right), (Type::List(_), Type::List(_))) => {
            Ok(left.clone().or(right.clone()))
        }
        Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Modulo => {
            match (left, right) {
                (Type::Any, _) | (_, Type::Any) => Ok(Type::Any),
                (Type::Number, other) | (other, Type::Number) if other.is_number() => Ok(Type::Number),
                (Type::Int, Type::Int) => Ok(Type::Int),
                (Type::Uint, Type::Uint) => Ok(Type::Uint),
                (Type::Double, Type::Double) if operator != Operator::Modulo => Ok(Type::Double),
                _ => refused(),
            }
        }
    }
}

pub(super) fn call(function: Function, arguments: &[Type]) -> Result<Type, Fault> {
    let first = arguments.first().unwrap_or(&Type::Any);
    let accepts = match function {
        Function::Size => matches!(first, Type::Text | Type::Bytes | Type::List(_)) || first.is_map(),
        Function::Join => matches!(first, Type::List(_)),
        Function::Range => first.is_number(),
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Matches
        | Function::LowerAscii
        | Function::UpperAscii
        | Function::Trim
        | Function::Replace
        | Function::Split
        | Function::Substring
        | Function::IndexOf
        | Function::LastIndexOf => matches!(first, Type::Text),
        Function::Bool => matches!(first, Type::Bool | Type::Text),
        Function::Bytes => matches!(first, Type::Bytes | Type::Text),
        Function::Double | Function::Int | Function::Uint => first.is_number() || matches!(first, Type::Text),
        Function::String => !first.is_map() && !matches!(first, Type::List(_) | Type::Null),
        Function::Dyn => true,
    };
    if !accepts && !matches!(first, Type::Any) {
        let kinds: Vec<&str> = arguments.iter().map(Type::name).collect();
        return Err(Fault::new(
            format!("{} cannot be applied to {}", function.name(), kinds.join(", ")),
            "convert the value, or give another",
        ));
    }
    Ok(match function {
        Function::Size | Function::IndexOf | Function::LastIndexOf | Function::Int => Type::Int,
        Function::Contains
        | Function::StartsWith
        | Function::EndsWith
        | Function::Matches
        | Function::Bool => Type::Bool,
        Function::LowerAscii
        | Function::UpperAscii
        | Function::Trim
        | Function::Replace
        | Function::Join
        | Function::Substring
        | Function::String => Type::Text,
        Function::Split => Type::list(Type::Text),
        Function::Bytes => Type::Bytes,
        Function::Double => Type::Double,
        Function::Uint => Type::Uint,
        Function::Range => Type::list(Type::Int),
        Function::Dyn => Type::Any,
    })
}
