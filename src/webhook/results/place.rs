//! What a request asks for: which part of which object, in the words of the API server. Pure.

use super::refusal::Refusal;

/// What users may read of an object beside the object itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What executors wrote about its process.
    Log,
    /// What its process gave back, whole.
    Output,
}

impl Part {
    /// The subresource for which a right is asked.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Output => "output",
        }
    }
}

/// A part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub group: String,
    pub version: String,
    pub plural: String,
    /// None for a kind without namespace.
    pub namespace: Option<String>,
    pub name: String,
    pub part: Part,
}

impl Place {
    /// From the words of a path: group, version, plural, name and part.
    ///
    /// # Errors
    ///
    /// When one of them can be no name: they become a path of the API server.
    pub(super) fn new(words: [String; 5], namespace: Option<String>) -> Result<Self, Refusal> {
        let [group, version, plural, name, part] = words;
        let part = match part.as_str() {
            "log" => Part::Log,
            "output" => Part::Output,
            _ => return Err(Refusal::not_found("there is nothing but log and output")),
        };
        let words = [&group, &version, &plural, &name];
        if !words.into_iter().chain(&namespace).all(|word| is_name(word)) {
            return Err(Refusal::invalid("the path has a word that cannot be a name"));
        }
        Ok(Self { group, version, plural, namespace, name, part })
    }
}

/// Whether a word can be the name of an object or an API group.
fn is_name(word: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    word.len() <= 253 && word.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_name_never_becomes_a_path() {
        let place = |namespace: &str, name: &str, part: &str| {
            let words = ["colonies.io", "v1", "colonyprocesses", name, part].map(str::to_owned);
            Place::new(words, Some(namespace.to_owned()))
        };
        assert_eq!(place("lab", "a.b-1", "log").unwrap().part, Part::Log);
        for (namespace, name) in
            [("lab", "../x"), ("lab/secrets", "x"), ("..", "x"), ("lab", ""), ("lab", "x?y")]
        {
            assert!(place(namespace, name, "log").is_err(), "{namespace} {name}");
        }
        assert!(place("lab", &"a".repeat(254), "output").is_err());
        assert!(place("lab", "x", "status").is_err());
    }
}
