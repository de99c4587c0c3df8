//! Whether the conversion of a version is valid: paths that are there, types that fit, no field written twice, and
//! nothing that the other version demands left without a source. Pure.

use serde_json::Value;

use super::{
    super::{SpecError, composition::object_type},
    direction::Direction,
    form::{Form, of_expression},
    path::{Path, SchemaLookup},
};
use crate::{
    api::resource_definition::VersionConversion,
    expression::{Rest, Template, Type, Types},
};

/// Deepest nesting of schemas that are compared.
const MAX_DEPTH: usize = 48;

/// Checks the conversion of a version. `field` is the path of it.
///
/// # Errors
///
/// The first thing that is wrong.
pub(super) fn check(
    field: &str,
    given: &VersionConversion,
    form: &Form,
    stored: &Form,
) -> Result<(), SpecError> {
    let (up, down) = (Direction { from: form, to: stored }, Direction { from: stored, to: form });
    moves(field, form, stored)?;
    written_once(&entries(field, "to", "toStorage", form, true))?;
    written_once(&entries(field, "from", "fromStorage", form, false))?;
    computed(field, "toStorage", up)?;
    computed(field, "fromStorage", down)?;
    let mut names = Vec::new();
    let place = if *given == VersionConversion::default() {
        field.trim_end_matches(".conversion").to_owned()
    } else {
        field.to_owned()
    };
    carried(&place, up, down, (&form.schema, &stored.schema), &mut names)?;
    for way in [up, down] {
        names.clear();
        demanded(&place, way, &way.to.schema, &mut names)?;
    }
    Ok(())
}

fn of_version(version: &str, path: &Path, schema: &Value) -> Result<(), String> {
    match path.described(schema) {
        SchemaLookup::Nothing => Err(format!(
            "is no field of {version}: correct it, or describe it there; lists cannot be looked into, take the whole list"
        )),
        _ => Ok(()),
    }
}

fn moves(field: &str, form: &Form, stored: &Form) -> Result<(), SpecError> {
    for (index, (from, to)) in form.moves.iter().enumerate() {
        for (end, path, form) in [("from", from, form), ("to", to, stored)] {
            of_version(&form.version, path, &form.schema).map_err(|why| {
                SpecError::invalid(format!("{field}.moves[{index}].{end}"), path.to_string(), why)
            })?;
        }
        let (here, there) = (schema_at(from, &form.schema), schema_at(to, &stored.schema));
        if let Some(why) = unfit(here, there, 0) {
            let value = format!("{from} to {to}");
            let remedy = format!("{why}: give the value by toStorage and fromStorage instead");
            return Err(SpecError::invalid(format!("{field}.moves[{index}]"), value, remedy));
        }
    }
    Ok(())
}

/// The fields written in one direction, and their paths in the spec.
fn entries<'f>(
    field: &str,
    end: &str,
    list: &str,
    form: &'f Form,
    to_storage: bool,
) -> Vec<(String, &'f Path)> {
    let moves = form.moves.iter().enumerate().map(|(index, (from, to))| {
        (format!("{field}.moves[{index}].{end}"), if to_storage { to } else { from })
    });
    let computed = if to_storage { &form.to_storage } else { &form.from_storage };
    let computed = computed.iter().map(|(path, _)| (format!("{field}.{list}['{path}']"), path));
    moves.chain(computed).collect()
}

fn written_once(entries: &[(String, &Path)]) -> Result<(), SpecError> {
    for (index, (place, path)) in entries.iter().enumerate() {
        let mut before = entries.iter().take(index);
        if let Some((other, _)) = before.find(|(_, other)| path.is_within(other) || other.is_within(path)) {
            let remedy =
                format!("{other} writes the same field, or one around or within it: remove one of them");
            return Err(SpecError::invalid(place, path.to_string(), remedy));
        }
    }
    Ok(())
}

fn computed(field: &str, list: &str, way: Direction<'_>) -> Result<(), SpecError> {
    let computed: &[(Path, Template)] = way.computed();
    if computed.is_empty() {
        return Ok(());
    }
    let types: Types<'_> = [("self", object_type(&way.from.schema))].into_iter().collect();
    for (path, template) in computed {
        let place = || format!("{field}.{list}['{path}']");
        of_version(&way.to.version, path, &way.to.schema)
            .map_err(|why| SpecError::invalid(place(), path.to_string(), why))?;
        let expected = schema_at(path, &way.to.schema)
            .map_or(Type::Any, |schema| Type::of_schema(schema, Rest::Nothing));
        if let Some(error) = template.problems(&types, &expected).first() {
            return Err(of_expression(error));
        }
    }
    Ok(())
}

fn schema_at<'s>(path: &Path, schema: &'s Value) -> Option<&'s Value> {
    match path.described(schema) {
        SchemaLookup::As(schema) => Some(schema),
        SchemaLookup::Anything | SchemaLookup::Nothing => None,
    }
}

/// Fields that both versions have at the same place, and that would be copied although they differ.
fn carried(
    place: &str,
    up: Direction<'_>,
    down: Direction<'_>,
    schemas: (&Value, &Value),
    names: &mut Vec<String>,
) -> Result<(), SpecError> {
    if names.len() > MAX_DEPTH {
        return Ok(());
    }
    let properties = |schema: &'_ Value| schema.get("properties").and_then(Value::as_object).cloned();
    let (Some(here), Some(there)) = (properties(schemas.0), properties(schemas.1)) else { return Ok(()) };
    for (name, here) in &here {
        let is_of_every_object =
            names.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
        let Some(there) = there.get(name).filter(|_| !is_of_every_object) else { continue };
        names.push(name.clone());
        let is_carried = [up, down].into_iter().any(|way| {
            let is_moved = way.moves().any(|(from, _)| from.holds(names));
            !is_moved && !way.made().any(|made| made.holds(names))
        });
        if is_carried {
            let objects = here.get("properties").is_some() && there.get("properties").is_some();
            if let (false, Some(why)) = (objects, unfit(Some(here), Some(there), 0)) {
                let remedy = format!(
                    "{why} ({} and {}): convert it in toStorage and fromStorage, or move it",
                    up.from.version, up.to.version
                );
                return Err(SpecError::invalid(place, names.join("."), remedy));
            }
            carried(place, up, down, (here, there), names)?;
        }
        names.pop();
    }
    Ok(())
}

/// Why a value of one schema cannot stand where another is; none if it can, or nothing is known.
fn unfit(here: Option<&Value>, there: Option<&Value>, depth: usize) -> Option<String> {
    let (here, there) = (here?, there?);
    if depth > MAX_DEPTH {
        return None;
    }
    let (one, other) = (Type::of_schema(here, Rest::Nothing), Type::of_schema(there, Rest::Nothing));
    if !one.fits(&other) || !other.fits(&one) {
        return Some(format!("one is {} and the other {}", one.name(), other.name()));
    }
    if let (Some(here), Some(there)) = (here.get("items"), there.get("items")) {
        return unfit(Some(here), Some(there), depth + 1).map(|why| format!("of the elements {why}"));
    }
    let properties = |schema: &'_ Value| schema.get("properties").and_then(Value::as_object).cloned();
    let (here, there) = (properties(here)?, properties(there)?);
    here.iter().find_map(|(name, here)| {
        unfit(Some(here), there.get(name), depth + 1).map(|why| format!("within it, at {name}, {why}"))
    })
}

/// Fields that a version demands, and that nothing gives.
fn demanded(
    place: &str,
    way: Direction<'_>,
    schema: &Value,
    names: &mut Vec<String>,
) -> Result<(), SpecError> {
    if names.len() > MAX_DEPTH || !is_made(way, names) {
        return Ok(());
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let described = properties.and_then(|properties| properties.get(name));
        names.push(name.to_owned());
        let is_given =
            described.is_some_and(|described| described.get("default").is_some()) || is_made(way, names);
        let is_of_every_object = names.len() == 1 && ["apiVersion", "kind", "metadata"].contains(&name);
        if !is_given && !is_of_every_object {
            let list = if way.to.is_stored { "toStorage" } else { "fromStorage" };
            let (to, from) = (&way.to.version, &way.from.version);
            let remedy = format!(
                "is required in {to}, and nothing of {from} gives it: give it a default there, or a value in moves or {list}"
            );
            return Err(SpecError::invalid(place, names.join("."), remedy));
        }
        names.pop();
    }
    for (name, described) in properties.into_iter().flatten() {
        if names.is_empty() && ["apiVersion", "kind", "metadata", "status"].contains(&name.as_str()) {
            continue;
        }
        names.push(name.clone());
        demanded(place, way, described, names)?;
        names.pop();
    }
    Ok(())
}

/// Whether a field, or something within it, can be there after a conversion.
fn is_made(way: Direction<'_>, names: &[String]) -> bool {
    names.is_empty() || way.shows(names) || way.made().any(|made| made.is_below(names))
}
