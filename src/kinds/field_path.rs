//! Which fields of an object are left to others. Pure.

use serde_json::Value;

/// The way to a field of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<Segment>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Name(String),
    Place(usize),
}

impl FieldPath {
    /// Reads a path such as `spec.template.metadata.annotations['a.b/c']`; the error contains the remedy.
    ///
    /// # Errors
    ///
    /// The remedy, when the path is invalid or names a field that must be managed.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
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
