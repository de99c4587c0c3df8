//! Times as the server writes them: RFC 3339, with the year 1 for "never".

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// Go's zero time. The server sends it where something has not happened (yet).
const NEVER: &str = "0001-01-01T00:00:00Z";

/// Reads a time that may not have come: the year 1 is `None`.
pub(in super::super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == NEVER { Ok(None) } else { parse(&text).map(Some) }
}

/// Reads a time that is always there.
pub(in super::super) fn required<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    parse(&String::deserialize(deserializer)?)
}

fn parse<E: serde::de::Error>(text: &str) -> Result<Timestamp, E> {
    text.parse().map_err(|_| E::invalid_value(serde::de::Unexpected::Str(text), &"an RFC 3339 time"))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Times {
        #[serde(deserialize_with = "super::optional")]
        optional: Option<Timestamp>,
        #[serde(deserialize_with = "super::required")]
        required: Timestamp,
    }

    fn read(optional: &str, required: &str) -> Result<Times, serde_json::Error> {
        serde_json::from_value(serde_json::json!({ "optional": optional, "required": required }))
    }

    #[test]
    fn the_year_one_is_never() {
        let times = read("0001-01-01T00:00:00Z", "2026-03-01T12:00:00.5+01:00").unwrap();
        assert_eq!(times.optional, None);
        assert_eq!(times.required.to_string(), "2026-03-01T11:00:00.5Z");
    }

    #[test]
    fn what_is_no_time_is_an_error_and_not_never() {
        assert!(read("", "2026-03-01T12:00:00Z").is_err());
        assert!(read("2026-03-01T12:00:00Z", "yesterday").is_err());
    }
}
