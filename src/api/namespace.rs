//! Names and labels of namespaces. Pure.

use std::{collections::BTreeMap, fmt};

use super::names::{INBOUND_LABEL, INBOUND_PRIVILEGED};

/// The name of a namespace: an RFC 1123 label, at most 63 lower-case letters, digits and "-". A name from a colony is
/// parsed into this before it becomes part of the path of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceName(String);

impl NamespaceName {
    /// A name, if it can be one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=63).contains(&name.len())
            && name.bytes().all(inner)
            && !name.starts_with('-')
            && !name.ends_with('-');
        is_name.then(|| Self(name.to_owned()))
    }

    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NamespaceName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a namespace accepts from the members of a colony. Only those who may change the namespace itself can set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColonyTrust {
    /// Programs that use nothing of the namespace: no Secret, ConfigMap, service account, claim or pod template.
    #[default]
    Restricted,
    /// Whatever a user of the namespace could request.
    Privileged,
}

impl ColonyTrust {
    /// The trust that the labels of a namespace express.
    #[must_use]
    pub fn of(labels: &BTreeMap<String, String>) -> Self {
        match labels.get(INBOUND_LABEL) {
            Some(value) if value == INBOUND_PRIVILEGED => Self::Privileged,
            _ => Self::Restricted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name becomes part of the path of a request.
    #[test]
    fn a_name_that_would_be_a_path_is_none() {
        let long = "a".repeat(64);
        for name in [
            "",
            "a/b",
            "colonyos-system/secrets/colony-dev",
            "..",
            "A",
            "a.b",
            "-a",
            "a-",
            "a b",
            "a?x",
            "ä",
            &long,
        ] {
            assert_eq!(NamespaceName::parse(name), None, "{name:?}");
        }
        for name in ["a", "team-1", "0", &long[1..]] {
            assert_eq!(NamespaceName::parse(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn only_the_exact_value_of_the_label_is_trust() {
        let of =
            |value: &str| ColonyTrust::of(&BTreeMap::from([(INBOUND_LABEL.to_owned(), value.to_owned())]));
        assert_eq!(of("privileged"), ColonyTrust::Privileged);
        assert_eq!(of("Privileged"), ColonyTrust::Restricted);
        assert_eq!(of("true"), ColonyTrust::Restricted);
        assert_eq!(ColonyTrust::of(&BTreeMap::new()), ColonyTrust::Restricted);
    }
}
