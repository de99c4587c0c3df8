//! One way between a version and the stored one, and what follows from an object on it. Pure.

use serde_json::{Map, Value};

use super::{
    super::{SpecError, schema::with_defaults},
    form::Form,
    path::{Path, SchemaLookup, described},
    prune::prune,
};
use crate::expression::{self, Budget, Template, Variables};

/// Most fields that a message names of those that an expression speaks of.
const MOST_NAMED: usize = 3;

/// One way between a version and the stored one.
#[derive(Clone, Copy)]
pub(super) struct Direction<'c> {
    /// What an object is.
    pub(super) from: &'c Form,
    /// What is made of it.
    pub(super) to: &'c Form,
}

impl<'c> Direction<'c> {
    /// The way back.
    pub(super) const fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }

    /// The version that declares the conversion: the one that is not stored.
    const fn declaring_version(self) -> &'c Form {
        if self.to.is_stored { self.from } else { self.to }
    }

    /// Where each moved field stands, and where it is to stand.
    pub(super) fn moves(self) -> impl Iterator<Item = (&'c Path, &'c Path)> {
        let to_storage = self.to.is_stored;
        self.declaring_version()
            .moves
            .iter()
            .map(move |(from, to)| if to_storage { (from, to) } else { (to, from) })
    }

    /// The fields that have expressions.
    pub(super) fn computed(self) -> &'c [(Path, Template)] {
        let declaring_version = self.declaring_version();
        if self.to.is_stored { &declaring_version.to_storage } else { &declaring_version.from_storage }
    }

    /// The fields that are made of others.
    pub(super) fn made(self) -> impl Iterator<Item = &'c Path> {
        self.moves().map(|(_, to)| to).chain(self.computed().iter().map(|(path, _)| path))
    }

    /// Whether a field, with all that is in it, follows from the version that is converted.
    pub(super) fn shows(self, names: &[String]) -> bool {
        let is_carried = !matches!(described(&self.from.schema, names), SchemaLookup::Nothing)
            && !self.moves().any(|(from, _)| from.holds(names));
        is_carried || self.made().any(|made| made.holds(names))
    }

    /// The fields of an object in the other version, as they follow from this one alone.
    pub(super) fn transform(
        self,
        fields: &Map<String, Value>,
        metadata: &Value,
        group: &str,
        budget: &mut Budget,
    ) -> Result<Map<String, Value>, SpecError> {
        let mut made = fields.clone();
        let moved: Vec<(&Path, Value)> =
            self.moves().filter_map(|(from, to)| from.take(&mut made).map(|value| (to, value))).collect();
        for path in self.made() {
            path.take(&mut made);
        }
        for (path, value) in moved {
            put(&mut made, path, value)?;
        }
        let computed = self.computed();
        if !computed.is_empty() {
            let api_version = format!("{group}/{}", self.from.version);
            let object = Value::Object(whole(fields.clone(), metadata, &api_version, &Value::Null));
            let mut variables = Variables::default();
            variables.observe("self", &object);
            for (path, template) in computed {
                match template.render_with(&variables, budget) {
                    Ok(value) => put(&mut made, path, value)?,
                    // There is nothing that it could be made of.
                    Err(error) if error.is_absent => {}
                    Err(error) => return Err(of_failure(path, template, &object, &error)),
                }
            }
        }
        prune(&self.to.schema, &mut made);
        match with_defaults(&self.to.schema, &Value::Object(made)) {
            Value::Object(made) => Ok(made),
            _ => Ok(Map::new()),
        }
    }
}

fn put(fields: &mut Map<String, Value>, path: &Path, value: Value) -> Result<(), SpecError> {
    let shown = shown(&value);
    if path.put(fields, value) {
        return Ok(());
    }
    Err(SpecError::invalid(path.to_string(), shown, "a field around it is no object: change that one first"))
}

/// An object of these fields.
pub(super) fn whole(
    mut fields: Map<String, Value>,
    metadata: &Value,
    api_version: &str,
    kind: &Value,
) -> Map<String, Value> {
    fields.insert("apiVersion".to_owned(), Value::from(api_version));
    fields.insert("kind".to_owned(), kind.clone());
    fields.insert("metadata".to_owned(), metadata.clone());
    fields
}

/// An expression that has no value for an object, with what it speaks of.
fn of_failure(
    path: &Path,
    template: &Template,
    object: &Value,
    error: &expression::ExpressionError,
) -> SpecError {
    let read = template.references().paths("self").map(|names| {
        let found = names.iter().try_fold(object, |value, name| value.get(name));
        format!("{} is {}", names.join("."), found.map_or_else(|| "absent".to_owned(), shown))
    });
    let read: Vec<String> = read.take(MOST_NAMED).collect();
    let remedy = format!(
        "{}: {}: change the value, or the expression in {}",
        read.join(", "),
        error.problem,
        error.field
    );
    SpecError::invalid(path.to_string(), &error.expression, remedy)
}

/// A value for a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
