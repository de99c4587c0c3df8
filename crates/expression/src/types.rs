//! Types of values, from the schemas of the objects in which they stand. What no schema speaks of is of any type: a
//! check refuses what can never work, and nothing else.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Map, Value, json};

/// Deepest nesting of a schema that is followed; below it everything is of any type. Schemas can contain themselves.
const MAX_DEPTH: usize = 32;

/// The types of variables, by name.
pub type Types<'t> = BTreeMap<&'t str, Type>;

/// The type of a value.
#[derive(Debug, Clone, PartialEq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Type {
    /// Nothing is known of it.
    #[strum(serialize = "value")]
    Any,
    /// Null.
    Null,
    /// True or false.
    Bool,
    /// A whole number.
    Int,
    /// A whole number that is not negative.
    Uint,
    /// A number with a fraction.
    Double,
    /// Some number.
    Number,
    /// Text.
    #[strum(serialize = "string")]
    Text,
    /// Bytes.
    Bytes,
    /// A list of such elements.
    List(Arc<Type>),
    /// Any keys, with such values.
    Map(Arc<Type>),
    /// Known fields.
    #[strum(serialize = "map")]
    Object(Arc<Fields>),
}

/// The fields of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// Those that are known.
    pub fields: BTreeMap<String, Type>,
    /// What there is beside them.
    pub rest: Rest,
}

/// What an object may have beside the fields that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the API server drops it.
    Nothing,
    /// Fields of a cluster that is newer than the schema. A name that is almost a known one is taken for a mistake.
    Newer,
    /// Anything.
    Anything,
}

impl Type {
    /// An object of these fields.
    #[must_use]
    pub fn object(fields: impl IntoIterator<Item = (String, Self)>, rest: Rest) -> Self {
        Self::Object(Arc::new(Fields { fields: fields.into_iter().collect(), rest }))
    }

    /// A list of such elements.
    #[must_use]
    pub fn list(element: Self) -> Self {
        Self::List(Arc::new(element))
    }

    /// Any keys with such values.
    #[must_use]
    pub fn map(value: Self) -> Self {
        Self::Map(Arc::new(value))
    }

    /// The type that an `OpenAPI` or JSON schema describes. `rest` is the type of additional properties where the
    /// schema does not define one.
    #[must_use]
    pub fn of_schema(schema: &Value, rest: Rest) -> Self {
        let definitions = schema.get("$defs").and_then(Value::as_object);
        Schema { definitions, rest }.read(schema, 0)
    }

    /// The schema of the type, structural as the API server wants it.
    #[must_use]
    pub fn to_schema(&self) -> Value {
        match self {
            Self::Any | Self::Null => json!({"x-kubernetes-preserve-unknown-fields": true}),
            Self::Bool => json!({"type": "boolean"}),
            Self::Int | Self::Uint => json!({"type": "integer", "format": "int64"}),
            Self::Double | Self::Number => json!({"type": "number"}),
            Self::Text | Self::Bytes => json!({"type": "string"}),
            Self::List(element) => json!({"type": "array", "items": element.to_schema()}),
            Self::Map(value) => json!({"type": "object", "additionalProperties": value.to_schema()}),
            Self::Object(object) => {
                let properties: Map<String, Value> =
                    object.fields.iter().map(|(name, field)| (name.clone(), field.to_schema())).collect();
                let mut schema = json!({"type": "object", "properties": properties});
                if object.rest != Rest::Nothing {
                    schema["x-kubernetes-preserve-unknown-fields"] = Value::Bool(true);
                }
                schema
            }
        }
    }

    /// The type of a field, if it is an object with one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.fields.get(name),
            Self::Map(value) => Some(value),
            _ => None,
        }
    }

    /// What it is called in messages; values are called the same.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.into()
    }

    pub(super) const fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double | Self::Number)
    }

    pub(super) const fn is_map(&self) -> bool {
        matches!(self, Self::Map(_) | Self::Object(_))
    }

    /// Whether a value of one type can stand where one of another is needed.
    #[must_use]
    pub fn fits(&self, needed: &Self) -> bool {
        match (self, needed) {
            (Self::Any | Self::Null, _)
            | (_, Self::Any | Self::Null)
            | (Self::Bool, Self::Bool)
            | (Self::Int | Self::Uint | Self::Number, Self::Int | Self::Uint)
            | (Self::Text | Self::Bytes, Self::Text | Self::Bytes) => true,
            (one, Self::Double | Self::Number) => one.is_number(),
            (Self::List(one), Self::List(needed)) => one.fits(needed),
            (one, needed) => one.is_map() && needed.is_map(),
        }
    }

    /// The type of a value that is of one type or of another.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one,
            (Self::Null, other) => other,
            (one, Self::Null) => one,
            (one, other) if one.is_number() && other.is_number() => Self::Number,
            (Self::List(one), Self::List(other)) => {
                Self::list(Self::or(Self::clone(&one), Self::clone(&other)))
            }
            _ => Self::Any,
        }
    }
}

/// A schema that is read, with what it refers to.
struct Schema<'s> {
    definitions: Option<&'s Map<String, Value>>,
    rest: Rest,
}

impl Schema<'_> {
    fn read(&self, schema: &Value, depth: usize) -> Type {
        let says = |name: &str| schema.get(name) == Some(&Value::Bool(true));
        if depth > MAX_DEPTH || says("x-kubernetes-int-or-string") {
            return Type::Any;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let name = reference.strip_prefix("#/$defs/");
            let target = name.and_then(|name| self.definitions?.get(name));
            return target.map_or(Type::Any, |target| self.read(target, depth + 1));
        }
        match kind(schema) {
            Some("boolean") => Type::Bool,
            Some("integer") => Type::Int,
            Some("number") => Type::Number,
            Some("string") => Type::Text,
            Some("array") => {
                let items = schema.get("items").map_or(Type::Any, |items| self.read(items, depth + 1));
                Type::list(items)
            }
            Some("object") => self.object(schema, depth, says("x-kubernetes-preserve-unknown-fields")),
            _ => Type::Any,
        }
    }

    fn object(&self, schema: &Value, depth: usize, is_open: bool) -> Type {
        let is_embedded = schema.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true));
        let properties = schema.get("properties").and_then(Value::as_object);
        let rest = if is_open || is_embedded { Rest::Anything } else { self.rest };
        match (schema.get("additionalProperties"), properties) {
            (Some(values @ Value::Object(_)), None) => Type::map(self.read(values, depth + 1)),
            (Some(Value::Bool(true)), None) => Type::map(Type::Any),
            (Some(Value::Object(_) | Value::Bool(true)), Some(properties)) => {
                self.fields(properties, depth, Rest::Anything)
            }
            (_, Some(properties)) => self.fields(properties, depth, rest),
            (_, None) if rest == Rest::Nothing => Type::object([], rest),
            (_, None) => Type::map(Type::Any),
        }
    }

    fn fields(&self, properties: &Map<String, Value>, depth: usize, rest: Rest) -> Type {
        let each = properties.iter();
        Type::object(each.map(|(name, field)| (name.clone(), self.read(field, depth + 1))), rest)
    }
}

/// The one type that a schema names. `[string, null]` is a string.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type")? {
        Value::String(kind) => Some(kind),
        Value::Array(kinds) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str).filter(|kind| *kind != "null");
            let first = kinds.next();
            first.filter(|_| kinds.next().is_none())
        }
        _ => None,
    }
}
