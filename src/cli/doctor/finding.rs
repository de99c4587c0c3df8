//! What `doctor` found, and how it is shown; pure.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Verdict {
    /// As it should be.
    Ok,
    /// Works, with a problem.
    #[strum(serialize = "warn")]
    Warning,
    /// Does not work.
    #[strum(serialize = "FAIL")]
    Failure,
}

impl Verdict {
    fn shown(self) -> &'static str {
        self.into()
    }
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub check: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether it could not be looked at for want of a right.
    #[serde(skip)]
    pub is_forbidden: bool,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, seen: impl Into<String>) -> Self {
        Self {
            check: check.into(),
            verdict: Verdict::Ok,
            seen: seen.into(),
            remedy: None,
            is_forbidden: false,
        }
    }

    pub(super) fn warning(
        check: impl Into<String>,
        seen: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { verdict: Verdict::Warning, ..Self::failure(check, seen, remedy) }
    }

    pub(super) fn failure(
        check: impl Into<String>,
        seen: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check: check.into(),
            verdict: Verdict::Failure,
            seen: seen.into(),
            remedy: Some(remedy.into()),
            is_forbidden: false,
        }
    }
}

/// Whether anything does not work.
pub(super) fn is_healthy(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.verdict != Verdict::Failure)
}

/// The findings as aligned lines, each remedy on a line of its own below, and a last line that sums up.
pub(super) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for Finding { check, verdict, seen, remedy, .. } in findings {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:<4}  {check:<width$}  {seen}", verdict.shown());
        if let Some(remedy) = remedy {
            let _ = writeln!(text, "{:<4}  {:<width$}  → {remedy}", "", "");
        }
    }
    let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
    let (ok, warnings, failures) = (count(Verdict::Ok), count(Verdict::Warning), count(Verdict::Failure));
    let _ = writeln!(text, "\n{ok} ok, {warnings} warnings, {failures} failed");
    text
}

/// The findings for programs: `{"healthy": …, "findings": […]}`.
pub(super) fn json(findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({ "healthy": is_healthy(findings), "findings": findings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_remedies_stand_below() {
        let findings = [
            Finding::ok("API server", "v1.36.3"),
            Finding::failure("CRD x", "not installed", "install it"),
            Finding::warning("Colony dev", "no keys yet", "start the operator"),
        ];
        assert_eq!(
            text(&findings),
            "ok    API server  v1.36.3\n\
             FAIL  CRD x       not installed\n\
             \x20                 → install it\n\
             warn  Colony dev  no keys yet\n\
             \x20                 → start the operator\n\
             \n1 ok, 1 warnings, 1 failed\n"
        );
    }

    #[test]
    fn the_page_shows_findings_as_they_are() {
        let findings = [
            Finding::ok(
                "API server",
                "v1.36.3 at https://10.0.0.1/, as system:serviceaccount:colonyos-system:colonyos-operator",
            ),
            Finding::ok("CRD colonies.colonies.io", "established, as of 0.1.0"),
            Finding::failure(
                "Colony dev: credentials",
                "there is no Secret colony-dev in namespace colonyos-system",
                "create it: kubectl -n colonyos-system create secret generic colony-dev …",
            ),
            Finding::warning(
                "ColonyProcess media/train",
                "NoExecutor: process 77ab… waits for an executor of type gpu: none is registered in colony dev (there are: cli)",
                "colonyos-operator explain colonyprocess/train -n media",
            ),
        ];
        assert_eq!(text(&findings), crate::cli::documented::printed("colonyos-operator doctor"));
    }

    /// Scripts read the exit code and this; a warning alone is no reason to stop a roll-out.
    #[test]
    fn only_failures_make_it_unhealthy() {
        let warning = Finding::warning("a", "b", "c");
        let failure = Finding::failure("a", "b", "c");
        assert_eq!(json(std::slice::from_ref(&warning))["healthy"], true);
        assert_eq!(json(&[warning, failure])["healthy"], false);
        assert_eq!(json(&[Finding::ok("a", "b")])["findings"][0].get("remedy"), None);
    }
}
