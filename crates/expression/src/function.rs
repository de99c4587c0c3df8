//! The functions of expressions: CEL's own, of Kubernetes' extensions those for text, and `range`, without which nothing
//! could be made a number of times. Whatever makes or reads text pays for it before it does.

use regex::RegexBuilder;

use super::{Budget, Fault, value::Cel};

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    LowerAscii,
    UpperAscii,
    Trim,
    Replace,
    Split,
    Join,
    Substring,
    IndexOf,
    LastIndexOf,
    Bool,
    Bytes,
    Double,
    Dyn,
    Int,
    String,
    Uint,
    Range,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `target.name(…)`
    Method,
    /// `name(…)`
    Plain,
    /// Either.
    Both,
}

/// Each function with its name, its form, and how many arguments it takes, a target included.
const FUNCTIONS: [(&str, Function, Form, usize, usize); 22] = [
    ("size", Function::Size, Form::Both, 1, 1),
    ("contains", Function::Contains, Form::Method, 2, 2),
    ("startsWith", Function::StartsWith, Form::Method, 2, 2),
    ("endsWith", Function::EndsWith, Form::Method, 2, 2),
    ("matches", Function::Matches, Form::Both, 2, 2),
    ("lowerAscii", Function::LowerAscii, Form::Method, 1, 1),
    ("upperAscii", Function::UpperAscii, Form::Method, 1, 1),
    ("trim", Function::Trim, Form::Method, 1, 1),
    ("replace", Function::Replace, Form::Method, 3, 3),
    ("split", Function::Split, Form::Method, 2, 2),
    ("join", Function::Join, Form::Method, 1, 2),
    ("substring", Function::Substring, Form::Method, 2, 3),
    ("indexOf", Function::IndexOf, Form::Method, 2, 2),
    ("lastIndexOf", Function::LastIndexOf, Form::Method, 2, 2),
    ("bool", Function::Bool, Form::Plain, 1, 1),
    ("bytes", Function::Bytes, Form::Plain, 1, 1),
    ("double", Function::Double, Form::Plain, 1, 1),
    ("dyn", Function::Dyn, Form::Plain, 1, 1),
    ("int", Function::Int, Form::Plain, 1, 1),
    ("string", Function::String, Form::Plain, 1, 1),
    ("uint", Function::Uint, Form::Plain, 1, 1),
    ("range", Function::Range, Form::Plain, 1, 1),
];

/// Most bytes of a regular expression once it is compiled, and what it costs then: that many times as much.
const REGEX_SIZES: [(usize, usize); 3] = [(1 << 14, 1), (1 << 16, 4), (1 << 18, 16)];
/// What compiling the smallest costs: far more than any node.
const REGEX_COST: usize = 500;

impl Function {
    /// The function of that name, if it can be called like that.
    pub(super) fn named(name: &str, is_method: bool, arguments: usize) -> Result<Self, Fault> {
        let Some((_, function, form, least, most)) = FUNCTIONS.iter().find(|known| known.0 == name) else {
            let names: Vec<&str> = FUNCTIONS.iter().map(|known| known.0).collect();
            return Err(Fault::new(
                format!("there is no function {name}"),
                format!("use one of {}, has, map, filter, all, exists, exists_one", names.join(", ")),
            ));
        };
        let remedy = || {
            let given = arguments_in_words(least - usize::from(*form == Form::Method));
            match form {
                Form::Method => format!("write x.{name}({given})"),
                Form::Plain | Form::Both => format!("write {name}({given})"),
            }
        };
        if !matches!((form, is_method), (Form::Both, _) | (Form::Method, true) | (Form::Plain, false)) {
            return Err(Fault::new(format!("{name} is not called like that"), remedy()));
        }
        if !(*least..=*most).contains(&arguments) {
            return Err(Fault::new(format!("{name} takes another number of arguments"), remedy()));
        }
        Ok(*function)
    }

    pub(super) fn name(self) -> &'static str {
        FUNCTIONS.iter().find(|known| known.1 == self).map_or("", |known| known.0)
    }

    /// Calls it.
    pub(super) fn call<'a>(self, arguments: &[Cel<'a>], budget: &mut Budget) -> Result<Cel<'a>, Fault> {
        for argument in arguments {
            budget.spend_text(argument.as_text().map_or(0, str::len))?;
        }
        let result = match arguments {
            [value] => match value.as_text() {
                Some(text) => self.of_text(text, value),
                None => self.of_value(value, budget)?,
            },
            [list, separator] if self == Self::Join => Some(join(list, separator.as_text(), budget)?),
            [one, two] => match (one.as_text(), two.as_text(), two) {
                (Some(one), Some(two), _) => self.of_two_texts(one, two, budget)?,
                (Some(text), None, Cel::Int(start)) if self == Self::Substring => {
                    Some(substring(text, *start, None)?)
                }
                _ => None,
            },
            [text, from, to] => match (self, text.as_text(), from, to) {
                (Self::Substring, Some(text), Cel::Int(from), Cel::Int(to)) => {
                    Some(substring(text, *from, Some(*to))?)
                }
                (Self::Replace, Some(text), from, to) => match (from.as_text(), to.as_text()) {
                    (Some(from), Some(to)) => Some(replace(text, from, to, budget)?),
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        result.ok_or_else(|| {
            let kinds: Vec<&str> = arguments.iter().map(Cel::kind).collect();
            Fault::new(
                format!("{} cannot be applied to {}", self.name(), kinds.join(", ")),
                "convert the value, or guard with has() or a comparison",
            )
        })
    }

    fn of_text<'a>(self, text: &str, value: &Cel<'a>) -> Option<Cel<'a>> {
        Some(match self {
            Self::Size => Cel::count(text.chars().count()),
            Self::LowerAscii => Cel::text(text.to_ascii_lowercase()),
            Self::UpperAscii => Cel::text(text.to_ascii_uppercase()),
            Self::Trim => Cel::text(text.trim()),
            Self::Bool => Cel::Bool(text.parse().ok()?),
            Self::Bytes => Cel::Bytes(text.as_bytes().into()),
            Self::Double => Cel::Double(text.parse().ok()?),
            Self::Int => Cel::Int(text.parse().ok()?),
            Self::Uint => Cel::Uint(text.parse().ok()?),
            Self::String | Self::Dyn => value.clone(),
            _ => return None,
        })
    }

    fn of_value<'a>(self, value: &Cel<'a>, budget: &mut Budget) -> Result<Option<Cel<'a>>, Fault> {
        Ok(match (self, value) {
            (Self::Dyn, _)
            | (Self::Bool, Cel::Bool(_))
            | (Self::Bytes, Cel::Bytes(_))
            | (Self::Double, Cel::Double(_))
            | (Self::Int, Cel::Int(_))
            | (Self::Uint, Cel::Uint(_)) => Some(value.clone()),
            (Self::Join, list) => Some(join(list, Some(""), budget)?),
            (Self::Range, Cel::Int(_) | Cel::Uint(_)) => Some(range(value, budget)?),
            (Self::Size, Cel::Bytes(bytes)) => Some(Cel::count(bytes.len())),
            (Self::Size, value) => value.list_len().or_else(|| value.map_len()).map(Cel::count),
            (Self::String, Cel::Bytes(bytes)) => {
                budget.spend_text(bytes.len())?;
                std::str::from_utf8(bytes).ok().map(Cel::text)
            }
            (Self::String, value) => value.to_text().map(Cel::Text),
            (Self::Double, value) => value.as_double().map(Cel::Double),
            (Self::Int, Cel::Uint(value)) => i64::try_from(*value).ok().map(Cel::Int),
            (Self::Uint, Cel::Int(value)) => u64::try_from(*value).ok().map(Cel::Uint),
            // By way of text, since a cast would make a wrong number of one that does not fit.
            (Self::Int, Cel::Double(value)) => format!("{:.0}", value.trunc()).parse().ok().map(Cel::Int),
            (Self::Uint, Cel::Double(value)) => format!("{:.0}", value.trunc()).parse().ok().map(Cel::Uint),
            _ => None,
        })
    }

    fn of_two_texts<'a>(self, one: &str, two: &str, budget: &mut Budget) -> Result<Option<Cel<'a>>, Fault> {
        Ok(Some(match self {
            Self::Contains => Cel::Bool(one.contains(two)),
            Self::StartsWith => Cel::Bool(one.starts_with(two)),
            Self::EndsWith => Cel::Bool(one.ends_with(two)),
            Self::Matches => Cel::Bool(matches(one, two, budget)?),
            Self::Split => {
                budget.spend(if two.is_empty() {
                    one.chars().count() + 2
                } else {
                    one.matches(two).count() + 1
                })?;
                match two {
                    "" => Cel::list(one.chars().map(|letter| Cel::text(letter.to_string())).collect()),
                    separator => Cel::list(one.split(separator).map(Cel::text).collect()),
                }
            }
            Self::IndexOf => position(one, one.find(two)),
            Self::LastIndexOf => position(one, one.rfind(two)),
            _ => return Ok(None),
        }))
    }
}

/// The whole numbers from 0 up to one, that one not included.
fn range<'a>(end: &Cel<'a>, budget: &mut Budget) -> Result<Cel<'a>, Fault> {
    let end = match end {
        Cel::Int(end) => (*end).max(0),
        Cel::Uint(end) => i64::try_from(*end).unwrap_or(i64::MAX),
        _ => 0,
    };
    budget.spend(usize::try_from(end).unwrap_or(usize::MAX))?;
    Ok(Cel::list((0..end).map(Cel::Int).collect()))
}

/// Placeholders for a remedy.
fn arguments_in_words(count: usize) -> String {
    ["a", "b", "c"].into_iter().take(count).collect::<Vec<_>>().join(", ")
}

/// A place in text, in characters; -1 if there is none.
fn position<'a>(text: &str, at: Option<usize>) -> Cel<'a> {
    at.map_or(Cel::Int(-1), |at| Cel::count(text[..at].chars().count()))
}

fn substring<'a>(text: &str, from: i64, to: Option<i64>) -> Result<Cel<'a>, Fault> {
    let length = text.chars().count();
    let (start, end) = (usize::try_from(from).ok(), to.map_or(Some(length), |to| usize::try_from(to).ok()));
    match (start, end) {
        (Some(start), Some(end)) if start <= end && end <= length => {
            Ok(Cel::text(text.chars().skip(start).take(end - start).collect::<String>()))
        }
        _ => Err(Fault::new(
            format!("substring goes outside of a string of {length} characters"),
            "compare with size() first",
        )),
    }
}

fn replace<'a>(text: &str, from: &str, to: &str, budget: &mut Budget) -> Result<Cel<'a>, Fault> {
    let times = text.matches(from).count();
    budget.spend_text(times.saturating_mul(to.len()).saturating_add(text.len()))?;
    Ok(Cel::text(text.replace(from, to)))
}

fn join<'a>(list: &Cel<'a>, separator: Option<&str>, budget: &mut Budget) -> Result<Cel<'a>, Fault> {
    let refused = || {
        Fault::new(
            "join is for a list of strings",
            "convert its elements: list.map(x, string(x)).join(\", \")",
        )
    };
    let (count, separator) = (list.list_len().ok_or_else(refused)?, separator.ok_or_else(refused)?);
    let mut joined = String::new();
    for index in 0..count {
        let element = list.element(index).ok_or_else(refused)?;
        let text = element.as_text().ok_or_else(refused)?;
        budget.spend_text(text.len() + separator.len())?;
        if index > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(Cel::text(joined))
}

/// Whether a regular expression is found in a text. The time is at most that of a text's bytes times the expression's
/// states, hence so is the price.
fn matches(text: &str, pattern: &str, budget: &mut Budget) -> Result<bool, Fault> {
    for (size, factor) in REGEX_SIZES {
        budget.spend((REGEX_COST + pattern.len() + text.len()).saturating_mul(factor))?;
        match RegexBuilder::new(pattern).size_limit(size).dfa_size_limit(size).build() {
            Ok(regex) => return Ok(regex.is_match(text)),
            Err(regex::Error::CompiledTooBig(_)) => {}
            Err(_) => break,
        }
    }
    Err(Fault::new(
        format!("\"{pattern}\" is not a regular expression, or too large a one"),
        "write it in RE2's syntax, and repeat less",
    ))
}
