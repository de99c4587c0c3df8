//! Label and field selectors.

use serde_json::Value;

use super::answer::{Result, bad_request};

/// What an object has to satisfy; everything does when it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    Exists(String),
    Absent(String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
}

impl Selector {
    /// Reads a selector as it stands in a query: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        parts(text).into_iter().map(Requirement::parse).collect::<Result<_>>().map(Self)
    }

    /// Whether it admits everything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the labels of an object satisfy it.
    pub(super) fn admits_labels(&self, object: &Value) -> bool {
        self.is_empty() || {
            let labels = object.pointer("/metadata/labels");
            self.admits(|key| labels.and_then(|labels| labels.get(key)?.as_str()))
        }
    }

    /// Whether the fields of an object satisfy it.
    pub(super) fn admits_fields(&self, object: &Value) -> bool {
        self.admits(|path| object.pointer(&format!("/{}", path.replace('.', "/")))?.as_str())
    }

    fn admits<'a>(&self, value: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| match requirement {
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Absent(key) => value(key).is_none(),
            Requirement::In(key, values) => {
                value(key).is_some_and(|value| values.iter().any(|one| one == value))
            }
            Requirement::NotIn(key, values) => {
                value(key).is_none_or(|value| values.iter().all(|one| one != value))
            }
        })
    }
}

/// Cuts at commas outside of parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    let cut = text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        character == ',' && depth == 0
    });
    cut.map(str::trim).filter(|part| !part.is_empty()).collect()
}

impl Requirement {
    fn parse(text: &str) -> Result<Self> {
        let one = |value: &str| vec![value.trim().to_owned()];
        let key = |key: &str| key.trim().to_owned();
        if let Some((name, value)) = text.split_once("!=") {
            return Ok(Self::NotIn(key(name), one(value)));
        }
        if let Some((name, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Ok(Self::In(key(name), one(value)));
        }
        if let Some(name) = text.strip_prefix('!') {
            return Ok(Self::Absent(key(name)));
        }
        let Some((before, values)) = text.split_once('(') else {
            return Ok(Self::Exists(key(text)));
        };
        let values = values.trim_end_matches(')').split(',').flat_map(one).collect();
        match before.trim().rsplit_once(' ') {
            Some((name, "in")) => Ok(Self::In(key(name), values)),
            Some((name, "notin")) => Ok(Self::NotIn(key(name), values)),
            _ => Err(bad_request(format!("unable to parse requirement: {text:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Selector;

    #[test]
    fn a_selector_admits_what_it_says() {
        let object = json!({"metadata": {"name": "x", "labels": {"a": "b", "c": "d"}}});
        for (text, admits) in [
            ("", true),
            ("a=b", true),
            ("a==b,c", true),
            ("a=x", false),
            ("a!=x", true),
            ("e!=x", true),
            ("!e", true),
            ("!a", false),
            ("a in (x, b),c=d", true),
            ("a notin (x,b)", false),
            ("e in (x)", false),
        ] {
            assert_eq!(Selector::parse(text).unwrap().admits_labels(&object), admits, "{text}");
        }
        assert!(Selector::parse("metadata.name=x").unwrap().admits_fields(&object));
        assert!(!Selector::parse("metadata.name=y").unwrap().admits_fields(&object));
        assert!(Selector::parse("a beside (b)").is_err());
    }
}
