//! Rows whose cells stand below each other, and spans of time in them. Pure.

use jiff::Timestamp;

/// The rows as lines; a column that is empty everywhere is left out.
pub(super) fn aligned<Row: AsRef<[String]>>(rows: &[Row]) -> Vec<String> {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.as_ref().get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Row| {
        let cells = row.as_ref().iter().zip(&widths).filter(|(_, width)| **width > 0);
        let padded: Vec<String> = cells.map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A number of seconds, as roughly as a reader wants it.
pub(super) fn span(seconds: i64) -> String {
    match seconds.unsigned_abs() {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7200 => format!("{}m", seconds / 60),
        seconds @ 7200..172_800 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// How long ago a moment was, or how far away it is.
pub(super) fn away(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second() - at.as_second();
    let text = span(seconds);
    if seconds < 0 { format!("in {text}") } else { format!("{text} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_stand_below_each_other_and_empty_columns_are_left_out() {
        let rows = [["NAME", "", "AGE"], ["\u{e9}t\u{e9}", "", "5s"], ["longer-name", "", ""]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), ["NAME         AGE", "\u{e9}t\u{e9}          5s", "longer-name"]);
        assert!(aligned::<Vec<String>>(&[]).is_empty());
    }

    #[test]
    fn spans_are_as_rough_as_a_reader_wants_them() {
        assert_eq!([0, 119, 120, 7199, 7200, 172_800].map(span), ["0s", "119s", "2m", "119m", "2h", "2d"]);
        let at: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let in_a_minute = "2026-11-21T10:01:00Z".parse().unwrap();
        assert_eq!(
            (away(at, in_a_minute), away(in_a_minute, at)),
            ("60s ago".to_owned(), "in 60s".to_owned())
        );
    }
}
