//! The way to a field through objects. It leads through no list: elements have no names. Pure.

use std::fmt;

use serde_json::{Map, Value};

use crate::api::instance::OWN_STATUS_FIELDS;

/// The top-level fields of every object that are never converted.
const EVERY_OBJECT: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// The way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path(Vec<String>);

/// The schema of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SchemaLookup<'s> {
    As(&'s Value),
    /// That it may be anything.
    Anything,
    /// Nothing: there is no such field.
    Nothing,
}

impl Path {
    /// Reads a path such as `spec.container.image` or `spec.labels['a.b/c']`; the error contains the remedy.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        const REMEDY: &str =
            "write names separated by dots, such as spec.container.image or spec.labels['a.b/c']";
        let mut names = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, after) = quoted.split_once("']").ok_or(REMEDY)?;
                names.push(name.to_owned());
                rest = after;
            } else {
                let name = if names.is_empty() { rest } else { rest.strip_prefix('.').ok_or(REMEDY)? };
                let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
                if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c)) {
                    return Err(REMEDY);
                }
                names.push(name.to_owned());
                rest = after;
            }
        }
        let name = |place: usize| names.get(place).map(String::as_str).unwrap_or_default();
        match (name(0), name(1)) {
            ("", _) => Err(REMEDY),
            (first, _) if EVERY_OBJECT.contains(&first) => {
                Err("apiVersion, kind and metadata are the same in all versions: name another field")
            }
            ("status", "") => Err("name fields within status: some of it is the operator's"),
            ("status", second) if OWN_STATUS_FIELDS.contains(&second) => {
                Err("the operator manages this field in all versions: name another")
            }
            _ => Ok(Self(names)),
        }
    }

    /// Whether the field is the other, or within it.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether it is the field with these names, or that is within it.
    pub(super) fn holds(&self, names: &[String]) -> bool {
        names.starts_with(&self.0)
    }

    /// Whether it is within the field with these names.
    pub(super) fn is_below(&self, names: &[String]) -> bool {
        self.0.starts_with(names)
    }

    /// The schema of the field.
    pub(super) fn described<'s>(&self, schema: &'s Value) -> SchemaLookup<'s> {
        described(schema, &self.0)
    }

    /// Takes the field out of an object.
    pub(super) fn take(&self, fields: &mut Map<String, Value>) -> Option<Value> {
        let (last, parents) = self.0.split_last()?;
        let mut parents = parents.iter();
        let Some(first) = parents.next() else { return fields.remove(last) };
        let mut place = fields.get_mut(first)?;
        for name in parents {
            place = place.get_mut(name)?;
        }
        place.as_object_mut()?.remove(last)
    }

    /// Puts the field into an object, with the objects around it. Whether there was room for it.
    pub(super) fn put(&self, fields: &mut Map<String, Value>, value: Value) -> bool {
        let Some((last, parents)) = self.0.split_last() else { return false };
        let mut place = fields;
        for name in parents {
            let inner = place.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            match inner {
                Value::Object(inner) => place = inner,
                _ => return false,
            }
        }
        place.insert(last.clone(), value);
        true
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
            match (is_plain, place) {
                (true, 0) => write!(formatter, "{name}")?,
                (true, _) => write!(formatter, ".{name}")?,
                (false, _) => write!(formatter, "['{name}']")?,
            }
        }
        Ok(())
    }
}

/// The schema of the field with these names.
pub(super) fn described<'s>(schema: &'s Value, names: &[String]) -> SchemaLookup<'s> {
    let holds = |schema: &Value, keyword: &str| schema.get(keyword) == Some(&Value::Bool(true));
    let mut schema = schema;
    for name in names {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        schema = match (property, schema.get("additionalProperties")) {
            (Some(property), _) => property,
            (None, Some(others @ Value::Object(_))) => others,
            (None, Some(Value::Bool(true))) => return SchemaLookup::Anything,
            _ if holds(schema, "x-kubernetes-preserve-unknown-fields")
                || holds(schema, "x-kubernetes-embedded-resource") =>
            {
                return SchemaLookup::Anything;
            }
            _ => return SchemaLookup::Nothing,
        };
    }
    SchemaLookup::As(schema)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    #[test]
    fn a_path_reads_as_it_is_written() {
        for text in ["spec", "spec.container.image", "spec.labels['a.b/c']", "data.x-y", "status.endpoint"] {
            assert_eq!(path(text).to_string(), text);
        }
        for text in [
            "",
            ".",
            "spec.",
            "spec..a",
            "spec[0]",
            "spec['a",
            "metadata.name",
            "kind",
            "status",
            "status.conditions",
            "status.mirror.label",
            "spec a",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fields_are_taken_and_put() {
        let mut fields = json!({"spec": {"a": 1, "b": {"c": 2}}}).as_object().unwrap().clone();
        assert_eq!(path("spec.b.c").take(&mut fields), Some(json!(2)));
        assert_eq!(path("spec.b.c").take(&mut fields), None);
        assert_eq!(path("spec.a.x").take(&mut fields), None);
        assert!(path("spec.new.inner").put(&mut fields, json!(3)));
        assert!(!path("spec.a.x").put(&mut fields, json!(4)), "a number has no fields");
        assert_eq!(Value::Object(fields), json!({"spec": {"a": 1, "b": {}, "new": {"inner": 3}}}));
    }
}
