//! The times in a history: ours, and the output of Go's `time.String()`.

use jiff::Timestamp;

/// The timestamp of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// When the state was entered: RFC 3339, as this operator writes it.
    Entered(Timestamp),
    /// When the state was left: the form of Go's `time.String()`, by programs that record a state as they leave it.
    Left(Timestamp),
    /// Neither; kept as it is.
    Unreadable,
}

impl Moment {
    /// Reads a timestamp.
    #[must_use]
    pub fn read(text: &str) -> Self {
        if let Some(at) = go(text) {
            return Self::Left(at);
        }
        text.parse().map_or(Self::Unreadable, Self::Entered)
    }

    /// The timestamp of an entry, in RFC 3339 with milliseconds: the times of an object have no finer resolution.
    #[must_use]
    pub fn text(at: Timestamp) -> String {
        format!("{at:.3}")
    }
}

/// Reads `2006-01-02 15:04:05.999999999 -0700 MST m=+0.1`, of which the last two words and the fraction may be absent.
fn go(text: &str) -> Option<Timestamp> {
    let mut words = text.split_whitespace();
    let (date, time, offset) = (words.next()?, words.next()?, words.next()?);
    let (hours, minutes) = offset.split_at_checked(3)?;
    if !hours.starts_with(['+', '-']) || minutes.len() != 2 {
        return None;
    }
    format!("{date}T{time}{hours}:{minutes}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::fixtures::at;

    #[test]
    fn times_of_go_are_told_from_ours_and_from_words() {
        let expected = at("2026-11-24T10:00:01.5Z");
        for text in [
            "2026-11-24 10:00:01.5 +0000 UTC m=+2.000123",
            "2026-11-24 11:00:01.500 +0100 CET",
            "2026-11-24 05:30:01.5 -0430 -0430",
        ] {
            assert_eq!(Moment::read(text), Moment::Left(expected), "{text}");
        }
        assert_eq!(Moment::read("2026-11-24T10:00:01.500Z"), Moment::Entered(expected));
        for text in ["t0", "", "2026-11-24", "2026-11-24 10:00:01", "a b c", "é é é é"] {
            assert_eq!(Moment::read(text), Moment::Unreadable, "{text}");
        }
    }

    #[test]
    fn our_times_have_milliseconds() {
        assert_eq!(Moment::text(at("2026-11-24T10:00:01.123456Z")), "2026-11-24T10:00:01.123Z");
        assert_eq!(Moment::text(at("2026-11-24T10:00:01Z")), "2026-11-24T10:00:01.000Z");
    }
}
