//! Attributes: keys and values attached to a process.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InvalidField, ProcessId};

/// What an attribute of a process is for. The numbers are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "i64")]
pub enum AttributeKind {
    /// 0: input.
    Input,
    /// 1: output.
    Output,
    /// 2: error.
    Error,
    /// 3: environment. The server makes these from the spec's `env`.
    Environment,
}

impl From<AttributeKind> for i64 {
    fn from(kind: AttributeKind) -> Self {
        match kind {
            AttributeKind::Input => 0,
            AttributeKind::Output => 1,
            AttributeKind::Error => 2,
            AttributeKind::Environment => 3,
        }
    }
}

impl TryFrom<i64> for AttributeKind {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Input),
            1 => Ok(Self::Output),
            2 => Ok(Self::Error),
            3 => Ok(Self::Environment),
            _ => Err(format!("{number} is no kind of attribute (0 to 3)")),
        }
    }
}

/// A key and a value attached to a process. `Debug` does not show the value: environments hold secrets.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Attribute {
    /// The server's id of it, which follows from process, key and kind.
    #[serde(rename = "attributeid", default)]
    pub id: String,
    /// What it is for.
    #[serde(rename = "attributetype")]
    pub kind: AttributeKind,
    /// Its name.
    pub key: String,
    /// Its value.
    pub value: String,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attribute")
            .field("kind", &self.kind)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A key and a value to be attached to a process. `Debug` does not show the value.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct NewAttribute {
    #[serde(rename = "targetid")]
    process: ProcessId,
    #[serde(rename = "targetcolonyname")]
    colony: String,
    #[serde(rename = "attributetype")]
    kind: AttributeKind,
    key: String,
    value: String,
}

impl NewAttribute {
    /// The value `value` under `key`, for `process` in `colony`. It cannot be changed once it is there.
    ///
    /// # Errors
    /// When the key is empty, or one of the texts holds NUL, which the server's database cannot store.
    pub fn new(
        colony: &str,
        process: ProcessId,
        kind: AttributeKind,
        key: &str,
        value: &str,
    ) -> Result<Self, InvalidField> {
        if key.is_empty() || key.contains('\0') || value.contains('\0') {
            return Err(InvalidField::new("key", key, "give a key, and a value, without NUL"));
        }
        Ok(Self { process, colony: colony.to_owned(), kind, key: key.to_owned(), value: value.to_owned() })
    }
}

impl fmt::Debug for NewAttribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("NewAttribute");
        shown.field("process", &self.process).field("kind", &self.kind).field("key", &self.key);
        shown.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{AttributeKind, NewAttribute, ProcessId};

    #[test]
    fn a_value_is_sent_but_not_shown_and_holds_no_nul() {
        let new =
            |key, value| NewAttribute::new("dev", ProcessId::new("p"), AttributeKind::Output, key, value);
        let attribute = new("token", "very-secret").unwrap();
        assert_eq!(serde_json::to_value(&attribute).unwrap()["value"], "very-secret");
        assert!(!format!("{attribute:?}").contains("very-secret"));
        assert!(new("", "v").is_err() && new("k\0", "v").is_err() && new("k", "\0").is_err());
    }
}
