//! Values that an object refers to, in Secrets and `ConfigMaps` of its namespace.

use std::{collections::BTreeMap, fmt};

use super::Observed;
use crate::api::function::{KeyReference, ValueFrom};

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueSource {
    /// A key of a Secret.
    Secret {
        /// Name of the Secret.
        name: String,
        key: String,
    },
    /// A key of a `ConfigMap`.
    ConfigMap {
        /// Name of the `ConfigMap`.
        name: String,
        key: String,
    },
}

impl ValueSource {
    /// Where a reference points, and whether it may point to nothing; none if it does not point at all.
    #[must_use]
    pub fn of(from: &ValueFrom) -> Option<(Self, bool)> {
        let parts =
            |reference: &KeyReference| (reference.name.clone(), reference.key.clone(), reference.optional);
        if let Some((name, key, optional)) = from.secret_key_ref.as_ref().map(parts) {
            return Some((Self::Secret { name, key }, optional));
        }
        let (name, key, optional) = from.config_map_key_ref.as_ref().map(parts)?;
        Some((Self::ConfigMap { name, key }, optional))
    }
}

impl fmt::Display for ValueSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret { name, key } => write!(formatter, "key {key} of Secret {name}"),
            Self::ConfigMap { name, key } => write!(formatter, "key {key} of ConfigMap {name}"),
        }
    }
}

/// What was read. `Debug` shows where, not what: values may be secrets.
#[derive(Clone, Default, PartialEq)]
pub struct Values(BTreeMap<ValueSource, Observed<Option<String>>>);

impl Values {
    /// What was read of a source; none if it was not read.
    #[must_use]
    pub fn get(&self, source: &ValueSource) -> Option<&Observed<Option<String>>> {
        self.0.get(source)
    }

    /// Notes what was read.
    pub fn insert(&mut self, source: ValueSource, read: Observed<Option<String>>) {
        self.0.insert(source, read);
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}
