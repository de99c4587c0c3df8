//! The formats of texts that API servers judge. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Formats that API servers judge and that are not judged here.
const UNCHECKED_FORMATS: [&str; 18] = [
    "bsonobjectid",
    "byte",
    "cidr",
    "creditcard",
    "duration",
    "email",
    "hexcolor",
    "hostname",
    "isbn",
    "isbn10",
    "isbn13",
    "mac",
    "rgbcolor",
    "ssn",
    "uri",
    "uuid3",
    "uuid4",
    "uuid5",
];

/// Whether a text has a format; none if that is not known. One that API servers do not know is had by every text.
pub(super) fn fits(format: &str, text: &str) -> Option<bool> {
    let format = format.replace('-', "");
    match format.as_str() {
        "date" => Some(text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()),
        "datetime" => Some(text.contains(['T', 't']) && text.parse::<jiff::Timestamp>().is_ok()),
        "ipv4" => Some(text.parse::<Ipv4Addr>().is_ok()),
        "ipv6" => Some(text.parse::<Ipv6Addr>().is_ok()),
        "uuid" => Some(is_uuid(text)),
        other if UNCHECKED_FORMATS.contains(&other) => None,
        _ => Some(true),
    }
}

/// Whether API servers know a format, so that some text does not have it.
pub(in super::super) fn is_judged(format: &str) -> bool {
    fits(format, "") != Some(true)
}

/// Hexadecimal digits in groups of 8, 4, 4, 4 and 12; the hyphens may be left out.
fn is_uuid(text: &str) -> bool {
    let is_hyphen = |index: usize| [8, 13, 18, 23].contains(&index);
    let digits: String = match text.len() {
        36 if text.char_indices().all(|(index, letter)| is_hyphen(index) == (letter == '-')) => {
            text.replace('-', "")
        }
        _ => text.to_owned(),
    };
    digits.len() == 32 && digits.chars().all(|letter| letter.is_ascii_hexdigit())
}
