//! Values of expressions, and their way from JSON and back.

use std::{cmp::Ordering, collections::BTreeMap, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{Budget, Fault};

/// A value. JSON that was bound is looked at, never copied; what is made is shared: a copy of either costs nothing.
#[derive(Debug, Clone, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(super) enum Cel<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    #[strum(serialize = "string")]
    Text(Rc<str>),
    Bytes(Rc<[u8]>),
    List(Rc<Vec<Cel<'a>>>),
    Map(Rc<BTreeMap<Key, Cel<'a>>>),
    #[strum(serialize = "string")]
    BoundText(&'a str),
    #[strum(serialize = "list")]
    BoundList(&'a [Value]),
    #[strum(serialize = "map")]
    BoundMap(&'a serde_json::Map<String, Value>),
}

/// A key of a map. Whole numbers are one key whatever their type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Bool(bool),
    Number(i128),
    Text(Rc<str>),
}

impl Key {
    fn to_value<'a>(&self) -> Cel<'a> {
        match self {
            Self::Bool(value) => Cel::Bool(*value),
            Self::Number(value) => whole(*value).unwrap_or(Cel::Null),
            Self::Text(value) => Cel::Text(Rc::clone(value)),
        }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Number(value) => value.to_string(),
            Self::Text(value) => value.to_string(),
        }
    }
}

/// A whole number, as an int if it is one.
fn whole<'a>(value: i128) -> Option<Cel<'a>> {
    i64::try_from(value).map(Cel::Int).or_else(|_| u64::try_from(value).map(Cel::Uint)).ok()
}

impl<'a> Cel<'a> {
    pub(super) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn list(elements: Vec<Self>) -> Self {
        Self::List(Rc::new(elements))
    }

    /// A number of things.
    pub(super) fn count(count: usize) -> Self {
        Self::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    /// JSON as expressions see it: a number without a fraction is an int, or a uint if it is too large for that.
    pub(super) fn bound(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => {
                let int = number.as_i64().map(Self::Int).or_else(|| number.as_u64().map(Self::Uint));
                int.or_else(|| number.as_f64().map(Self::Double)).unwrap_or(Self::Null)
            }
            Value::String(text) => Self::BoundText(text),
            Value::Array(elements) => Self::BoundList(elements),
            Value::Object(fields) => Self::BoundMap(fields),
        }
    }

    /// What it is called in messages.
    pub(super) fn kind(&self) -> &'static str {
        self.into()
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::BoundText(text) => Some(text),
            _ => None,
        }
    }

    /// Number of elements of a list.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Self::List(elements) => Some(elements.len()),
            Self::BoundList(elements) => Some(elements.len()),
            _ => None,
        }
    }

    /// An element of a list.
    pub(super) fn element(&self, index: usize) -> Option<Self> {
        match self {
            Self::List(elements) => elements.get(index).cloned(),
            Self::BoundList(elements) => elements.get(index).map(Self::bound),
            _ => None,
        }
    }

    /// Number of entries of a map.
    pub(super) fn map_len(&self) -> Option<usize> {
        match self {
            Self::Map(entries) => Some(entries.len()),
            Self::BoundMap(fields) => Some(fields.len()),
            _ => None,
        }
    }

    /// The entry of a map that has a text as its key.
    pub(super) fn field(&self, name: &str) -> Option<Self> {
        match self {
            Self::Map(entries) => entries.get(&Key::Text(name.into())).cloned(),
            Self::BoundMap(fields) => fields.get(name).map(Self::bound),
            _ => None,
        }
    }

    /// The entry of a map by a key of any type.
    pub(super) fn entry(&self, key: &Self) -> Option<Self> {
        match (self, key.as_text()) {
            (_, Some(name)) => self.field(name),
            (Self::Map(entries), None) => entries.get(&key.to_key()?).cloned(),
            _ => None,
        }
    }

    /// As the key of a map, if it can be one.
    pub(super) fn to_key(&self) -> Option<Key> {
        Some(match self {
            Self::Bool(value) => Key::Bool(*value),
            Self::Int(value) => Key::Number((*value).into()),
            Self::Uint(value) => Key::Number((*value).into()),
            Self::Text(value) => Key::Text(Rc::clone(value)),
            Self::BoundText(value) => Key::Text((*value).into()),
            _ => return None,
        })
    }

    /// What a loop goes through: the elements of a list, the keys of a map.
    pub(super) fn items(&self, budget: &mut Budget) -> Result<Vec<Self>, Fault> {
        budget.spend(self.list_len().or_else(|| self.map_len()).unwrap_or(0))?;
        match self {
            Self::List(elements) => Ok(elements.as_ref().clone()),
            Self::BoundList(elements) => Ok(elements.iter().map(Self::bound).collect()),
            Self::Map(entries) => Ok(entries.keys().map(Key::to_value).collect()),
            Self::BoundMap(fields) => Ok(fields.keys().map(|name| Self::BoundText(name)).collect()),
            _ => Err(Fault::new(
                format!("a loop goes through a {}", self.kind()),
                "give it a list, or a map whose keys are meant",
            )),
        }
    }

    /// Whether two values are the same. Numbers are compared across their types.
    pub(super) fn equals(&self, other: &Self, budget: &mut Budget) -> Result<bool, Fault> {
        budget.spend(1)?;
        if let (Some(one), Some(two)) = (self.as_text(), other.as_text()) {
            budget.spend_text(one.len().min(two.len()))?;
            return Ok(one == two);
        }
        if let (Some(one), Some(two)) = (self.list_len(), other.list_len()) {
            if one != two {
                return Ok(false);
            }
            for index in 0..one {
                let (Some(one), Some(two)) = (self.element(index), other.element(index)) else {
                    return Ok(false);
                };
                if !one.equals(&two, budget)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if let (Some(one), Some(two)) = (self.map_len(), other.map_len()) {
            if one != two {
                return Ok(false);
            }
            for key in self.items(budget)? {
                let (Some(one), Some(two)) = (self.entry(&key), other.entry(&key)) else { return Ok(false) };
                if !one.equals(&two, budget)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(two)) => one == two,
            (Self::Bytes(one), Self::Bytes(two)) => one == two,
            _ => self.compare_numbers(other) == Some(Ordering::Equal),
        })
    }

    /// Which of two values is the greater; nothing if they have no order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(two)) => Some(one.cmp(two)),
            (Self::Bytes(one), Self::Bytes(two)) => Some(one.cmp(two)),
            _ => match (self.as_text(), other.as_text()) {
                (Some(one), Some(two)) => Some(one.cmp(two)),
                _ => self.compare_numbers(other),
            },
        }
    }

    fn compare_numbers(&self, other: &Self) -> Option<Ordering> {
        match (self.as_whole(), other.as_whole()) {
            (Some(one), Some(two)) => Some(one.cmp(&two)),
            _ => self.as_double()?.partial_cmp(&other.as_double()?),
        }
    }

    fn as_whole(&self) -> Option<i128> {
        match self {
            Self::Int(value) => Some((*value).into()),
            Self::Uint(value) => Some((*value).into()),
            _ => None,
        }
    }

    /// A number as a double, which rounds whole numbers above 2⁵³.
    #[expect(clippy::cast_precision_loss, reason = "what a conversion to double means")]
    pub(super) const fn as_double(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Uint(value) => Some(*value as f64),
            Self::Double(value) => Some(*value),
            _ => None,
        }
    }

    /// As JSON. Each part is paid for: what is shared many times is written as many times.
    pub(super) fn to_json(&self, budget: &mut Budget) -> Result<Value, Fault> {
        budget.spend(1)?;
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Int(value) => Value::from(*value),
            Self::Uint(value) => Value::from(*value),
            Self::Double(value) => Value::Number(serde_json::Number::from_f64(*value).ok_or_else(|| {
                Fault::new(format!("JSON has no number {value}"), "guard against a division by zero")
            })?),
            Self::Text(_) | Self::BoundText(_) => {
                let text = self.as_text().unwrap_or_default();
                budget.spend_text(text.len())?;
                Value::String(text.to_owned())
            }
            Self::Bytes(bytes) => {
                budget.spend_text(bytes.len() * 2)?;
                Value::String(STANDARD.encode(bytes))
            }
            Self::List(elements) => Value::Array(
                elements.iter().map(|element| element.to_json(budget)).collect::<Result<_, _>>()?,
            ),
            Self::BoundList(elements) => Value::Array(
                elements
                    .iter()
                    .map(|element| Self::bound(element).to_json(budget))
                    .collect::<Result<_, _>>()?,
            ),
            Self::Map(entries) => {
                let mut fields = serde_json::Map::new();
                for (key, value) in entries.iter() {
                    let key = key.to_text();
                    budget.spend_text(key.len())?;
                    fields.insert(key, value.to_json(budget)?);
                }
                Value::Object(fields)
            }
            Self::BoundMap(bound) => {
                let mut fields = serde_json::Map::new();
                for (key, value) in *bound {
                    budget.spend_text(key.len())?;
                    fields.insert(key.clone(), Self::bound(value).to_json(budget)?);
                }
                Value::Object(fields)
            }
        })
    }

    /// As text between other text; nothing if it has no form that is generally expected.
    pub(super) fn to_text(&self) -> Option<Rc<str>> {
        Some(match self {
            Self::Text(text) => Rc::clone(text),
            Self::BoundText(text) => (*text).into(),
            Self::Bool(value) => value.to_string().into(),
            Self::Int(value) => value.to_string().into(),
            Self::Uint(value) => value.to_string().into(),
            Self::Double(value) => value.to_string().into(),
            Self::Null
            | Self::Bytes(_)
            | Self::List(_)
            | Self::BoundList(_)
            | Self::Map(_)
            | Self::BoundMap(_) => {
                return None;
            }
        })
    }
}
