//! What tools that know nothing of the operator's kinds go by. `kstatus`, the library behind the waiting of Flux and others,
//! reads `observedGeneration`, then the first of `Reconciling` and `Stalled` that is true, then `Ready`, and takes an object
//! that has none of them for done. Both conditions are there only while they hold. Pure.

use super::finding::Finding;
use crate::api::condition::{ConditionType, Reason};

/// What is to be said besides, if anything.
pub(super) fn finding(findings: &[Finding]) -> Option<Finding> {
    let stalled = || Some(Finding { kind: ConditionType::Stalled, ..stalled(findings)?.clone() });
    stalled().map(|finding| Finding { holds: Some(true), ..finding }).or_else(|| reconciling(findings))
}

/// Why it has failed, or cannot get on as it is.
fn stalled(findings: &[Finding]) -> Option<&Finding> {
    use ConditionType::{Degraded, Finished, Ready, Submitted, Succeeded};

    let said = |kind| findings.iter().find(|finding| finding.kind == kind);
    let is = |kind, holds| said(kind).filter(|finding| finding.holds == Some(holds));
    let is_final = |finding: &&Finding| finding.reason.is_final();
    let has_ended = is(Finished, true).and(is(Succeeded, false));
    // An instance that has ended is not degraded, whatever ended it.
    let ended_unready = is(Finished, true).and(is(Ready, false));
    // Being cancelled is what its spec asks for.
    let is_wanted =
        |finding: &&Finding| matches!(finding.reason, Reason::CancelRequested | Reason::Cancelled);
    // Of kinds that can be degraded, one that is not gets on by itself.
    let unready = || is(Ready, false).filter(|_| said(Degraded).is_none());
    has_ended
        .filter(|finding| !is_wanted(finding))
        .or_else(|| is(Degraded, true).or(ended_unready).filter(is_final))
        .or_else(|| is(Submitted, false).filter(|_| is(Finished, false).is_some()).filter(is_final))
        .or_else(|| unready().filter(is_final))
}

/// That it has not ended, of kinds that end and are never ready.
fn reconciling(findings: &[Finding]) -> Option<Finding> {
    let said = |kind| findings.iter().find(|finding| finding.kind == kind);
    let finished = said(ConditionType::Finished).filter(|finding| finding.holds != Some(true))?;
    let is_told = said(ConditionType::Ready).is_some();
    (!is_told).then(|| Finding { kind: ConditionType::Reconciling, holds: Some(true), ..finished.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(findings: &[Finding]) -> Option<(ConditionType, Reason)> {
        finding(findings).map(|finding| {
            assert_eq!(finding.holds, Some(true));
            (finding.kind, finding.reason)
        })
    }

    #[test]
    fn what_waits_for_another_object_is_not_stalled() {
        let degraded = |reason| {
            let ready = Finding::no(ConditionType::Ready, reason, "m");
            derived(&[Finding::yes(ConditionType::Degraded, reason, "m"), ready])
        };
        assert_eq!(degraded(Reason::ColonyNotFound), None, "it may be applied a moment later");
        assert_eq!(degraded(Reason::InvalidSpec), Some((ConditionType::Stalled, Reason::InvalidSpec)));
    }

    #[test]
    fn work_is_on_its_way_until_it_ends_and_stalled_unless_it_succeeds() {
        let work = |finished, succeeded, reason| {
            let holds = |kind, holds| Finding { kind, holds: Some(holds), reason, message: String::new() };
            derived(&[holds(ConditionType::Finished, finished), holds(ConditionType::Succeeded, succeeded)])
        };
        let running = work(false, false, Reason::ProcessRunning);
        assert_eq!(running, Some((ConditionType::Reconciling, Reason::ProcessRunning)));
        assert_eq!(work(true, true, Reason::ProcessSuccessful), None);
        assert_eq!(work(true, false, Reason::CancelRequested), None);
        let failed = work(true, false, Reason::ProcessFailed);
        assert_eq!(failed, Some((ConditionType::Stalled, Reason::ProcessFailed)));
    }

    #[test]
    fn a_kind_that_is_never_degraded_is_stalled_by_its_reason() {
        let ready = |reason| derived(&[Finding::no(ConditionType::Ready, reason, "m")]);
        assert_eq!(ready(Reason::ColonyUnavailable), None);
        let refused = Some((ConditionType::Stalled, Reason::CredentialsRefused));
        assert_eq!(ready(Reason::CredentialsRefused), refused);
    }
}
