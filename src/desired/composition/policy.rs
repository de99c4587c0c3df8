//! What may be done about the objects of a resource, and which of their fields are left to others.

use serde_json::Value;

use super::{Error, Instance};
use crate::api::{
    names::ADOPTION_ANNOTATION,
    resource_definition::{AdoptionPolicy, ComposedResource, DriftPolicy, ManagementPolicy},
};

/// What may be done about the objects of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// What becomes of one that has no controller.
    pub adoption: AdoptionPolicy,
    /// What becomes of fields that others have changed.
    pub drift: DriftPolicy,
    /// Fields that are left to others.
    pub ignored: Vec<FieldPath>,
    /// Whether they may be created.
    pub may_create: bool,
    /// Whether they may be changed.
    pub may_update: bool,
    /// Whether they may be deleted.
    pub may_delete: bool,
}

impl Default for Policies {
    fn default() -> Self {
        Self {
            adoption: AdoptionPolicy::default(),
            drift: DriftPolicy::default(),
            ignored: Vec::new(),
            may_create: true,
            may_update: true,
            may_delete: true,
        }
    }
}

impl Policies {
    /// Reads the policies of a resource that stands at `field`.
    pub(super) fn compile(field: &str, resource: &ComposedResource, errors: &mut Vec<Error>) -> Self {
        let drift = resource.drift.clone().unwrap_or_default();
        let mut ignored = Vec::new();
        for (index, text) in drift.ignore_fields.iter().enumerate() {
            match FieldPath::parse(text) {
                Ok(path) => ignored.push(path),
                Err(remedy) => {
                    errors.push(Error::invalid(format!("{field}.drift.ignoreFields[{index}]"), text, remedy));
                }
            }
        }
        Self {
            adoption: resource.adoption_policy,
            drift: drift.policy,
            ignored,
            may_create: resource.allows(ManagementPolicy::Create),
            may_update: resource.allows(ManagementPolicy::Update),
            may_delete: resource.allows(ManagementPolicy::Delete),
        }
    }

    /// As they hold for an instance, which may say itself how its objects are adopted, as long as they may be at all.
    pub(super) fn of(&self, instance: &Instance) -> Result<Self, Error> {
        let annotations = instance.value.pointer("/metadata/annotations");
        let Some(said) = annotations.and_then(|all| all.get(ADOPTION_ANNOTATION)?.as_str()) else {
            return Ok(self.clone());
        };
        let adoption = AdoptionPolicy::parse(said).ok_or_else(|| {
            let field = format!("metadata.annotations['{ADOPTION_ANNOTATION}']");
            Error::invalid(field, said, "write fail, adopt or adopt-or-create, or remove it")
        })?;
        let is_open = self.adoption != AdoptionPolicy::Fail;
        Ok(if is_open { Self { adoption, ..self.clone() } } else { self.clone() })
    }

    /// Whether the objects are only looked at, whoever they belong to.
    #[must_use]
    pub const fn only_observes(&self) -> bool {
        !self.may_create && !self.may_update && !self.may_delete
    }

    /// Whether objects matter that nobody tells of: no watch shows those that are not the instance's.
    #[must_use]
    pub fn is_about_others(&self) -> bool {
        self.only_observes() || self.adoption == AdoptionPolicy::Adopt
    }

    /// Whether fields that differ may be left so, and are told of.
    #[must_use]
    pub fn may_leave_drift(&self) -> bool {
        self.drift == DriftPolicy::DetectOnly || !self.may_update
    }
}

/// The way to a field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Name(String),
    Place(usize),
}

impl FieldPath {
    /// Reads a path such as `spec.template.metadata.annotations['a.b/c']`; an error says what to write.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const REMEDY: &str = "write names separated by dots, such as spec.replicas, spec.list[0].name or metadata.labels['a.b/c']";
        let mut segments = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(quoted) = rest.strip_prefix("['") {
                let (name, after) = quoted.split_once("']").ok_or(REMEDY)?;
                segments.push(Segment::Name(name.to_owned()));
                rest = after;
            } else if let Some(place) = rest.strip_prefix('[') {
                let (place, after) = place.split_once(']').ok_or(REMEDY)?;
                segments.push(Segment::Place(place.parse().map_err(|_| REMEDY)?));
                rest = after;
            } else {
                let name = if segments.is_empty() { rest } else { rest.strip_prefix('.').ok_or(REMEDY)? };
                let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
                if name.is_empty()
                    || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_/".contains(letter))
                {
                    return Err(REMEDY);
                }
                segments.push(Segment::Name(name.to_owned()));
                rest = after;
            }
        }
        let name = |place: usize| match segments.get(place) {
            Some(Segment::Name(name)) => name.as_str(),
            _ => "",
        };
        match (name(0), name(1)) {
            ("" | "apiVersion" | "kind" | "status", _) => Err(REMEDY),
            ("metadata", "labels" | "annotations") if segments.len() == 3 => Ok(Self(segments)),
            ("metadata", _) => {
                Err("of metadata name a label or annotation, such as metadata.labels['a.b/c']")
            }
            _ => Ok(Self(segments)),
        }
    }

    /// Lets an object want of the field what it has: it is neither a difference nor written.
    pub fn leave(&self, wanted: &mut Value, found: &Value) {
        leave(&self.0, wanted, found);
    }
}

fn leave(path: &[Segment], wanted: &mut Value, found: &Value) {
    let Some((first, rest)) = path.split_first() else { return };
    let found = match first {
        Segment::Name(name) => found.get(name),
        Segment::Place(place) => found.get(place),
    };
    match (wanted, first) {
        (Value::Object(wanted), Segment::Name(name)) if rest.is_empty() => match found {
            Some(found) => drop(wanted.insert(name.clone(), found.clone())),
            None => drop(wanted.remove(name)),
        },
        (Value::Array(wanted), Segment::Place(place)) if rest.is_empty() => {
            if let (Some(wanted), Some(found)) = (wanted.get_mut(*place), found) {
                *wanted = found.clone();
            }
        }
        (Value::Object(wanted), Segment::Name(name)) => {
            if let Some(wanted) = wanted.get_mut(name) {
                leave(rest, wanted, found.unwrap_or(&Value::Null));
            }
        }
        (Value::Array(wanted), Segment::Place(place)) => {
            if let Some(wanted) = wanted.get_mut(*place) {
                leave(rest, wanted, found.unwrap_or(&Value::Null));
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_that_leads_nowhere_is_refused() {
        for text in [
            "",
            ".",
            "spec.",
            "spec..a",
            "spec[x]",
            "spec['a",
            "[0]",
            "kind",
            "status.replicas",
            "metadata.name",
            "metadata.labels",
            "spec replicas",
        ] {
            assert!(FieldPath::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_of_others_is_wanted_as_it_is() {
        let found = json!({"spec": {"replicas": 7, "list": [{"a": 1}, {"a": 2}]}, "metadata": {"labels": {"a.b/c": "theirs"}}});
        let mut wanted = json!({"spec": {"replicas": 2, "list": [{"a": 1}, {"a": 3}], "paused": true}, "metadata": {"labels": {}}});
        for path in
            ["spec.replicas", "spec.list[1].a", "metadata.labels['a.b/c']", "spec.paused", "data.none"]
        {
            FieldPath::parse(path).unwrap().leave(&mut wanted, &found);
        }
        assert_eq!(wanted, found);
    }
}
