//! Objects of a defined kind in one version, made of what they are in another. Pure.
//!
//! The version in which objects are stored stands in the middle: each of the others says how it becomes that one and comes
//! back, and two others are converted through it. Nothing is lost on the way ([`kept`]): what a version cannot say stands in
//! an annotation of the object as long as it is in that version.
//!
//! ```text
//! object ──carry, move, compute, prune, fill──▶ object in the other version ──▶ put back what was kept of it
//!                                                        │
//!                       keep what this one would lose ◀──┘ by converting back at once
//! ```

mod check;
mod kept;
mod path;
mod prune;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::ResourceExt as _;
use serde_json::{Map, Value};

use super::{
    Error,
    definition::with_defaults,
    expression::{self, BUDGET, Budget, Template, Variables},
    metadata::content_hash,
};
use crate::api::{
    names::{CONVERSIONS_ANNOTATION, KEPT_ANNOTATION},
    resource_definition::{ResourceDefinitionSpec, VersionConversion},
};
use kept::{Notes, differences, restore};
use path::{Described, Path, described};
use prune::prune;

/// Most bytes that are kept beside an object: half of what API servers take of annotations.
const MAX_KEPT: usize = 128 * 1024;
/// Most fields that a message names of those that an expression speaks of.
const MOST_NAMED: usize = 3;
/// What expressions of conversions may speak of.
const VARIABLES: [&str; 1] = ["self"];

/// How each version becomes the stored one, by the name of the version.
pub type Conversions = BTreeMap<String, VersionConversion>;

/// Converts the objects of a kind.
#[derive(Clone, Debug)]
pub struct Converter {
    group: String,
    forms: Vec<Form>,
}

/// What objects look like in a version, and how they become what is stored.
#[derive(Clone, Debug)]
struct Form {
    version: String,
    is_stored: bool,
    schema: Value,
    moves: Vec<(Path, Path)>,
    to_storage: Vec<(Path, Template)>,
    from_storage: Vec<(Path, Template)>,
}

/// One way between a version and the stored one.
#[derive(Clone, Copy)]
struct Way<'c> {
    from: &'c Form,
    to: &'c Form,
}

impl Converter {
    /// The conversions that a definition declares; none if it declares nothing.
    #[must_use]
    pub fn declared(spec: &ResourceDefinitionSpec) -> Option<Conversions> {
        spec.versions.iter().any(|version| version.conversion.is_some()).then(|| {
            let others = spec.versions.iter().filter(|version| !version.storage);
            others
                .map(|version| (version.name.clone(), version.conversion.clone().unwrap_or_default()))
                .collect()
        })
    }

    /// The conversions that a CRD remembers; none if it has none.
    #[must_use]
    pub fn remembered(crd: &CustomResourceDefinition) -> Option<&str> {
        crd.annotations().get(CONVERSIONS_ANNOTATION).map(String::as_str)
    }

    /// Reads what the versions of a kind say, and checks it against their schemas.
    ///
    /// # Errors
    ///
    /// The first field of the definition that cannot be followed, with the remedy.
    pub fn check(
        spec: &ResourceDefinitionSpec,
        versions: &[CustomResourceDefinitionVersion],
        conversions: &Conversions,
    ) -> Result<(), Error> {
        let converter = Self::compile(&spec.group, versions, conversions)?;
        let Some(stored) = converter.stored() else { return Err(Error::Incomplete("storage version")) };
        for (index, form) in converter.forms.iter().enumerate().filter(|(_, form)| !form.is_stored) {
            let given = conversions.get(&form.version).cloned().unwrap_or_default();
            check::check(&format!("spec.versions[{index}].conversion"), &given, form, stored)?;
        }
        Ok(())
    }

    /// What a CRD says of the conversion of its objects; none if it says nothing.
    ///
    /// # Errors
    ///
    /// When that cannot be read, which somebody else must have changed.
    pub fn of(crd: &CustomResourceDefinition) -> Result<Option<Self>, Error> {
        let Some(text) = Self::remembered(crd) else { return Ok(None) };
        let conversions: Conversions = serde_json::from_str(text).map_err(|error| {
            let field =
                format!("metadata.annotations['{CONVERSIONS_ANNOTATION}'] of the CustomResourceDefinition");
            Error::invalid(field, error.to_string(), "leave it to the operator")
        })?;
        Self::compile(&crd.spec.group, &crd.spec.versions, &conversions).map(Some)
    }

    /// What tells the conversions of a CRD from others, schemas included.
    #[must_use]
    pub fn hash_of(versions: &[CustomResourceDefinitionVersion], conversions: &str) -> String {
        let described = versions.iter().map(|version| {
            Value::from(vec![
                Value::from(version.name.as_str()),
                Value::from(version.storage),
                schema_of(version),
            ])
        });
        content_hash(&Value::from(vec![Value::from(conversions), described.collect()]))
    }

    fn compile(
        group: &str,
        versions: &[CustomResourceDefinitionVersion],
        conversions: &Conversions,
    ) -> Result<Self, Error> {
        let nothing = VersionConversion::default();
        let forms = versions.iter().enumerate().map(|(index, version)| {
            let field = format!("spec.versions[{index}].conversion");
            let given = conversions.get(&version.name).filter(|_| !version.storage).unwrap_or(&nothing);
            Form::compile(&field, version, given)
        });
        Ok(Self { group: group.to_owned(), forms: forms.collect::<Result<_, _>>()? })
    }

    fn stored(&self) -> Option<&Form> {
        self.forms.iter().find(|form| form.is_stored)
    }

    /// Whether there is a version.
    #[must_use]
    pub fn knows(&self, version: &str) -> bool {
        self.forms.iter().any(|form| form.version == version)
    }

    /// An object in another version, given as `group/version`.
    ///
    /// # Errors
    ///
    /// When an expression fails, a field has no room, or more would have to be kept than there is room for.
    pub fn convert(&self, object: &Value, api_version: &str) -> Result<Value, Error> {
        let said = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        let (from, to) = (self.form(said)?, self.form(api_version)?);
        if from.version == to.version {
            return Ok(object.clone());
        }
        if from.is_stored || to.is_stored {
            return self.go(Way { from, to }, object);
        }
        let stored = self.stored().ok_or(Error::Incomplete("storage version"))?;
        let between = self.go(Way { from, to: stored }, object)?;
        self.go(Way { from: stored, to }, &between)
    }

    fn form(&self, api_version: &str) -> Result<&Form, Error> {
        let version = api_version.strip_prefix(&self.group).and_then(|rest| rest.strip_prefix('/'));
        self.forms.iter().find(|form| Some(form.version.as_str()) == version).ok_or_else(|| {
            let known: Vec<&str> = self.forms.iter().map(|form| form.version.as_str()).collect();
            let remedy = format!("is no version of the kind: use {} of {}", known.join(" or "), self.group);
            Error::invalid("apiVersion", api_version, remedy)
        })
    }

    fn go(&self, way: Way<'_>, object: &Value) -> Result<Value, Error> {
        let (mut metadata, notes) = taken_notes(object);
        let mut notes = match notes {
            Ok(notes) => notes,
            // What is written is refused. What is read must be readable: nothing can be kept by what cannot be understood.
            Err(error) if way.to.is_stored => return Err(error),
            Err(_) => Notes::default(),
        };
        let mut budget = Budget::new(BUDGET);
        let was = content(object);
        let mut made = way.transform(&was, &metadata, &self.group, &mut budget)?;
        if let Some(kept) = notes.remove(&way.to.version) {
            restore(&mut made, kept, |names| !way.shows(names));
        }
        let back = way.back().transform(&made, &metadata, &self.group, &mut budget)?;
        let kept = differences(&was, &back);
        if kept.is_empty() {
            notes.remove(&way.from.version);
        } else {
            notes.insert(way.from.version.clone(), kept);
        }
        put_notes(&mut metadata, &notes, &way.to.version)?;
        let kind = object.get("kind").cloned().unwrap_or_default();
        Ok(Value::Object(whole(made, &metadata, &format!("{}/{}", self.group, way.to.version), &kind)))
    }
}

impl Form {
    fn compile(
        field: &str,
        version: &CustomResourceDefinitionVersion,
        given: &VersionConversion,
    ) -> Result<Self, Error> {
        let path = |field: String, text: &str| {
            Path::parse(text).map_err(|remedy| Error::invalid(field, text, remedy))
        };
        let moves = given.moves.iter().enumerate().map(|(index, given)| {
            let from = path(format!("{field}.moves[{index}].from"), &given.from)?;
            Ok((from, path(format!("{field}.moves[{index}].to"), &given.to)?))
        });
        let templates = |list: &str, given: &BTreeMap<String, String>| {
            let each = given.iter().map(|(place, text)| {
                let field = format!("{field}.{list}['{place}']");
                let template = Template::parse(&field, &Value::from(text.as_str()), &VARIABLES);
                Ok((path(field, place)?, template.map_err(|error| of_expression(&error))?))
            });
            each.collect::<Result<Vec<_>, Error>>()
        };
        Ok(Self {
            version: version.name.clone(),
            is_stored: version.storage,
            schema: schema_of(version),
            moves: moves.collect::<Result<_, Error>>()?,
            to_storage: templates("toStorage", &given.to_storage)?,
            from_storage: templates("fromStorage", &given.from_storage)?,
        })
    }
}

impl<'c> Way<'c> {
    const fn back(self) -> Self {
        Self { from: self.to, to: self.from }
    }

    /// The version that says how, which is the one that is not stored.
    const fn spoken(self) -> &'c Form {
        if self.to.is_stored { self.from } else { self.to }
    }

    /// Where each moved field stands, and where it is to stand.
    fn moves(self) -> impl Iterator<Item = (&'c Path, &'c Path)> {
        let to_storage = self.to.is_stored;
        self.spoken().moves.iter().map(move |(from, to)| if to_storage { (from, to) } else { (to, from) })
    }

    fn computed(self) -> &'c [(Path, Template)] {
        let spoken = self.spoken();
        if self.to.is_stored { &spoken.to_storage } else { &spoken.from_storage }
    }

    /// The fields that are made of others.
    fn made(self) -> impl Iterator<Item = &'c Path> {
        self.moves().map(|(_, to)| to).chain(self.computed().iter().map(|(path, _)| path))
    }

    /// Whether a field, with all that is in it, follows from the version that is converted.
    fn shows(self, names: &[String]) -> bool {
        let is_carried = !matches!(described(&self.from.schema, names), Described::Nothing)
            && !self.moves().any(|(from, _)| from.holds(names));
        is_carried || self.made().any(|made| made.holds(names))
    }

    /// The fields of an object in the other version, as they follow from this one alone.
    fn transform(
        self,
        fields: &Map<String, Value>,
        metadata: &Value,
        group: &str,
        budget: &mut Budget,
    ) -> Result<Map<String, Value>, Error> {
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

fn put(fields: &mut Map<String, Value>, path: &Path, value: Value) -> Result<(), Error> {
    let shown = shown(&value);
    if path.put(fields, value) {
        return Ok(());
    }
    Err(Error::invalid(path.to_string(), shown, "a field around it is no object: change that one first"))
}

/// What of an object is converted.
fn content(object: &Value) -> Map<String, Value> {
    let mut fields = object.as_object().cloned().unwrap_or_default();
    for name in ["apiVersion", "kind", "metadata"] {
        fields.remove(name);
    }
    fields
}

fn whole(
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

/// Metadata without what was kept, and that.
fn taken_notes(object: &Value) -> (Value, Result<Notes, Error>) {
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
    let Some(text) = annotations.and_then(|annotations| annotations.remove(KEPT_ANNOTATION)) else {
        return (metadata, Ok(Notes::new()));
    };
    if let Some(all) = metadata.as_object_mut()
        && all.get("annotations").and_then(Value::as_object).is_some_and(Map::is_empty)
    {
        all.remove("annotations");
    }
    let notes = serde_json::from_str(text.as_str().unwrap_or_default()).map_err(|error| {
        let field = format!("metadata.annotations['{KEPT_ANNOTATION}']");
        Error::invalid(field, error.to_string(), "leave it as it is read, or remove it")
    });
    (metadata, notes)
}

fn put_notes(metadata: &mut Value, notes: &Notes, version: &str) -> Result<(), Error> {
    if notes.is_empty() {
        return Ok(());
    }
    let text = serde_json::to_string(notes).unwrap_or_default();
    if text.len() > MAX_KEPT {
        let remedy = format!(
            "is what {version} cannot say and would have to be kept in an annotation, which has room for {MAX_KEPT}: use less of these fields, or declare conversions for them"
        );
        return Err(Error::invalid("metadata.annotations", format!("{} bytes", text.len()), remedy));
    }
    let Some(all) = metadata.as_object_mut() else { return Ok(()) };
    let annotations = all.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
    if !annotations.is_object() {
        *annotations = Value::Object(Map::new());
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(KEPT_ANNOTATION.to_owned(), Value::from(text));
    }
    Ok(())
}

fn schema_of(version: &CustomResourceDefinitionVersion) -> Value {
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).unwrap_or_default()
}

/// An expression that is none, as an error of this stage.
fn of_expression(error: &expression::Error) -> Error {
    Error::invalid(&error.field, &error.expression, format!("{}: {}", error.problem, error.remedy))
}

/// An expression that has no value for an object, with what it speaks of.
fn of_failure(path: &Path, template: &Template, object: &Value, error: &expression::Error) -> Error {
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
    Error::invalid(path.to_string(), &error.expression, remedy)
}

/// A value for a message.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
