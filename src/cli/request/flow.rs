//! `--flow`: jobs in their order.

use crate::diff::request::Flow;

/// Reads the value of `--flow`.
pub(super) fn read(text: &str) -> Result<Flow, String> {
    if !text.contains(',') {
        return Err(format!(
            "{text:?} has no comma: give jobs in their order, such as JOB1,JOB2; a single job is {text}, with the comma"
        ));
    }
    text.parse().map_err(|error: crate::diff::request::InvalidFlow| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_job_is_told_from_a_name_by_its_comma() {
        assert_eq!(read("A,").unwrap().first(), "A");
        assert!(read("A").unwrap_err().contains("A,"));
    }
}
