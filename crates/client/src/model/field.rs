//! What a value must be like before it may be sent, and how the server writes "nothing".

use std::fmt;

use serde::{Deserialize, Deserializer};

/// The longest name this client sends, in bytes. The server has no limit; Kubernetes label values and DNS
/// names, in which these names end up, have 63 and 253.
const NAME_MAX: usize = 253;

/// A value that the server would accept, or refuse at random, and that would do harm later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to accept {field} {value:?}: {remedy}")]
pub struct InvalidField {
    /// The field, spelled as in the server's JSON.
    pub field: &'static str,
    /// The value that was given, cut to a length that fits a message.
    pub value: String,
    /// What the value must be like.
    pub remedy: &'static str,
}

impl InvalidField {
    pub(in super::super) fn new(field: &'static str, value: impl fmt::Display, remedy: &'static str) -> Self {
        let value = format!("{value}").chars().take(80).collect();
        Self { field, value, remedy }
    }
}

/// Accepts a name of a colony, executor, executor type, location or user.
///
/// The server stores names as `colony:name` and splits them again: after one name with `:` in it, every
/// listing of that colony's executors is refused.
pub(super) fn name(field: &'static str, value: &str) -> Result<String, InvalidField> {
    let refuse = |remedy| Err(InvalidField::new(field, value, remedy));
    if value.is_empty() {
        return refuse("give a name, it must not be empty");
    }
    if value.len() > NAME_MAX {
        return refuse("use at most 253 bytes");
    }
    if value.contains(':') {
        return refuse("use a name without `:`, the server separates colony and name by it");
    }
    if value.chars().any(|character| character.is_control() || character.is_whitespace()) {
        return refuse("use a name without white space and control characters");
    }
    Ok(value.to_owned())
}

/// Reads a list or map that the server may send as `null` when it is empty.
///
/// # Errors
///
/// When it is neither `null` nor a `T`.
pub fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_that_breaks_the_servers_listings_is_refused() {
        for bad in ["", "a:b", ":", "a b", "a\nb", "a\u{0}", &"x".repeat(254)] {
            let refusal = name("executorname", bad).unwrap_err();
            assert_eq!(refusal.field, "executorname");
            assert!(refusal.value.len() <= 80, "{refusal}");
        }
    }

    #[test]
    fn an_ordinary_name_is_kept_as_it_is() {
        for good in ["a", "executor-1", "GPU_2.x", &"x".repeat(253)] {
            assert_eq!(name("executorname", good).unwrap(), good);
        }
    }
}
