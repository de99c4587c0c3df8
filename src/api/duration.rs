//! A span of time as users write it in a manifest: `60s`, `10m`, `1h30m`. A word of the kinds; pure.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a field of this type must match: hours, minutes, seconds and milliseconds, each at most once, largest first.
/// The number of digits is bounded, so that no sum overflows.
pub const PATTERN: &str = "^[0-9]{1,9}(h([0-9]{1,9}m)?([0-9]{1,9}s)?([0-9]{1,9}ms)?|m([0-9]{1,9}s)?([0-9]{1,9}ms)?|s([0-9]{1,9}ms)?|ms)$";

/// Most characters that a duration can have: four units of nine digits.
const MAX_LENGTH: usize = 41;

/// The units, largest first, with their length in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a duration: write whole hours, minutes, seconds and milliseconds, largest first, such as 60s, 10m or 1h30m"
)]
pub struct NotADuration(pub String);

/// A span of time such as `60s`, `10m` or `1h30m`. Kept as it was written, so that what is read and written back does
/// not change, and so that one bad value does not keep a whole object from being read: hence [`Duration::to_std`] can
/// fail.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(String);

impl Duration {
    /// The text as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The span.
    ///
    /// # Errors
    /// When the text is none, which the schema refuses before it gets here.
    pub fn to_std(&self) -> Result<std::time::Duration, NotADuration> {
        parse(&self.0).ok_or_else(|| NotADuration(self.0.chars().take(MAX_LENGTH).collect()))
    }

    /// Whole seconds, rounded up: a deadline that a colony takes in seconds is never earlier than asked for.
    ///
    /// # Errors
    /// As [`Duration::to_std`].
    pub fn to_seconds(&self) -> Result<u64, NotADuration> {
        let span = self.to_std()?;
        Ok(span.as_secs() + u64::from(span.subsec_nanos() > 0))
    }
}

/// The duration that a text holds, if it holds one.
fn parse(text: &str) -> Option<std::time::Duration> {
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        if !(1..=9).contains(&digits) {
            return None;
        }
        let (number, after) = rest.split_at(digits);
        let end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        // The iterator goes on from the unit before: what comes twice or out of order is not found.
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*milliseconds)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| std::time::Duration::from_millis(total))
}

impl FromStr for Duration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        let duration = Self(text.to_owned());
        duration.to_std().map(|_| duration)
    }
}

impl From<std::time::Duration> for Duration {
    /// The shortest way to write a span; what is below a millisecond is dropped.
    fn from(span: std::time::Duration) -> Self {
        let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).min(999_999_999 * 3_600_000);
        let mut text = String::new();
        for (unit, milliseconds) in UNITS {
            let count = rest / milliseconds;
            rest %= milliseconds;
            if count > 0 {
                text.push_str(&count.to_string());
                text.push_str(unit);
            }
        }
        Self(if text.is_empty() { "0s".to_owned() } else { text })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": MAX_LENGTH })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn milliseconds(text: &str) -> Option<u128> {
        text.parse::<Duration>().ok().map(|duration| duration.to_std().unwrap().as_millis())
    }

    #[test]
    fn durations_are_read_as_users_write_them() {
        for (text, expected) in [
            ("60s", 60_000),
            ("1h", 3_600_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("250ms", 250),
            ("1s500ms", 1500),
            ("1h1ms", 3_600_001),
            ("0s", 0),
            ("999999999h", 3_599_999_996_400_000),
        ] {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
    }

    /// What the schema refuses must be refused here too, and the other way round: users would otherwise see one message
    /// at admission and another in status.
    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "60",
            "s",
            "1.5h",
            "-1s",
            "1s1h",
            "1h1h",
            "1d",
            "1 s",
            "1H",
            "1000000000h",
            "1h30",
            "1ms2s",
            "１s",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
        let message = "soon".parse::<Duration>().unwrap_err().to_string();
        assert!(message.starts_with("\"soon\" is not a duration: write"), "{message}");
    }

    #[test]
    fn seconds_are_rounded_up() {
        let seconds = |text: &str| text.parse::<Duration>().unwrap().to_seconds().unwrap();
        assert_eq!((seconds("0s"), seconds("1ms"), seconds("1s"), seconds("1s1ms")), (0, 1, 1, 2));
    }

    #[test]
    fn a_span_is_written_in_the_shortest_way() {
        for text in ["0s", "1h30m", "250ms", "1h1s", "1m", "25h"] {
            let span = text.parse::<Duration>().unwrap().to_std().unwrap();
            assert_eq!(Duration::from(span).as_str(), text);
        }
        let longest = Duration::from(std::time::Duration::MAX);
        assert_eq!(longest.as_str().parse::<Duration>().unwrap(), longest);
    }
}
