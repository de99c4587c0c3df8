//! Checks of the objects of users: fleets, processes, workflows, crons, requests and flows. What is wrong with one of them is for its
//! owner, so it is a warning: it says nothing of the operator.

use kube::{api::ListParams, core::DynamicObject};
use serde_json::Value;

use super::{cluster::reason, finding::Finding};
use crate::{
    api::{
        condition::{ConditionType, Reason},
        kind::{Kind, OwnKind},
    },
    cli::{explain::facts::Facts, get::row::Row, served::ServedKind},
    runtime::kubernetes::{CALL_TIME_LIMIT, CallError, Kubernetes, call},
    status::awaited::is_long_unserved,
};

/// Objects of a page, and pages of a kind.
const PAGE: u32 = 500;
const PAGES: usize = 20;
/// How many objects of a kind are named.
const NAMED: usize = 5;

/// Findings about the objects of each kind of the operator that is in namespaces: those that are watched; none means all.
pub(super) async fn objects(kubernetes: &Kubernetes, watched: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (kind, own) in Kind::own() {
        let served = ServedKind::own(own);
        if !served.is_namespaced {
            continue;
        }
        match list(kubernetes, &served, watched).await {
            Ok(list) => findings.extend(judge(kind, &served, &list)),
            // The missing CRD was reported already.
            Err(error) if error.is_not_found() => {}
            Err(error) => findings.push(Finding::unread(plural(kind), &error)),
        }
    }
    findings
}

/// Findings about one object.
pub(super) fn judge_one(kind: Kind, own: &OwnKind, object: Value) -> Vec<Finding> {
    judge(kind, &ServedKind::own(own), &Listed { objects: vec![object], is_whole: true })
}

/// The objects of a kind, and whether these are all.
pub(super) struct Listed {
    pub objects: Vec<Value>,
    pub is_whole: bool,
}

/// The objects of a kind in the namespaces that are watched; none means all.
pub(super) async fn list(
    kubernetes: &Kubernetes,
    served: &ServedKind,
    watched: &[String],
) -> Result<Listed, CallError> {
    let places: Vec<Option<&str>> = match watched {
        [] => vec![None],
        names => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let (mut objects, mut pages) = (Vec::new(), 0);
    for namespace in places {
        let api = served.api(kubernetes, namespace);
        let mut page = ListParams::default().limit(PAGE);
        loop {
            pages += 1;
            let listed = call(CALL_TIME_LIMIT, api.list(&page)).await?;
            let next = listed.metadata.continue_.clone().filter(|token| !token.is_empty());
            let whole = |object: DynamicObject| served.whole(object).ok();
            objects.extend(listed.items.into_iter().filter_map(whole));
            match next {
                Some(_) if pages >= PAGES => return Ok(Listed { objects, is_whole: false }),
                Some(token) => page = page.continue_token(&token),
                None => break,
            }
        }
    }
    Ok(Listed { objects, is_whole: true })
}

fn plural(kind: Kind) -> String {
    match kind.name() {
        name if name.ends_with("ss") => format!("{name}es"),
        name => format!("{name}s"),
    }
}

fn judge(kind: Kind, served: &ServedKind, listed: &Listed) -> Vec<Finding> {
    let count = listed.objects.len();
    if count == 0 {
        return Vec::new();
    }
    let (mut over, mut failed, mut troubled) = (0, 0, Vec::new());
    for object in &listed.objects {
        let facts = Facts { object: object.clone(), ..Facts::default() };
        let is_true =
            |kind: ConditionType| facts.condition(kind).is_some_and(|condition| condition.status == "True");
        if facts.is_over() {
            over += 1;
            failed += usize::from(is_true(ConditionType::Failed));
        } else if is_in_trouble(&facts) {
            troubled.push(Row::of(object.clone()));
        }
    }
    let objects = plural(kind);
    let mut findings: Vec<Finding> = troubled.iter().take(NAMED).map(|row| warning(served, row)).collect();
    if let Some(more) = troubled.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let remedy = format!("colonyos-operator get {} -A", served.resource.plural);
        findings.push(Finding::warning(objects.clone(), format!("{more} more are in trouble"), remedy));
    }
    let mut seen = format!("{count} looked at, {} in trouble", troubled.len());
    if over > 0 {
        seen = format!("{seen}; {over} have finished, {failed} of them failed");
    }
    if !listed.is_whole {
        seen.push_str("; there are more");
    }
    if troubled.is_empty() {
        findings.insert(0, Finding::ok(objects, seen));
    }
    findings
}

fn warning(served: &ServedKind, row: &Row) -> Finding {
    let kind = served.resource.kind.to_lowercase();
    let namespace = row.namespace.as_deref().unwrap_or_default();
    let said = match row.reason.as_str() {
        "" => row.message.clone(),
        reason => format!("{reason}: {}", row.message),
    };
    Finding::warning(
        format!("{} {namespace}/{}", row.kind, row.name),
        said,
        format!("colonyos-operator explain {kind}/{} -n {namespace}", row.name),
    )
}

/// Whether an object that has not finished does not get better by waiting, waits for what is not there, or was not looked at.
fn is_in_trouble(facts: &Facts) -> bool {
    let said = |kind: ConditionType| facts.condition(kind);
    let is_true = |kind: ConditionType| said(kind).is_some_and(|condition| condition.status == "True");
    if is_true(ConditionType::Paused) || !facts.text("/metadata/deletionTimestamp").is_empty() {
        return false;
    }
    if is_true(ConditionType::Degraded) || is_true(ConditionType::Stalled) {
        return true;
    }
    let conditions = facts.conditions();
    if conditions.iter().any(|condition| condition.status != "True" && waits_for_others(&condition.reason)) {
        return true;
    }
    match said(facts.main_condition()) {
        None => true,
        Some(main) => facts.main_condition() == ConditionType::Ready && main.status != "True",
    }
}

/// Whether work waits for what a person has to bring about.
fn waits_for_others(reason: &str) -> bool {
    let others = [Reason::ColonyNotFound, Reason::ColonyUnavailable, Reason::NamespaceNotAllowed];
    is_long_unserved(reason) || others.iter().any(|other| other.as_str() == reason)
}

/// What a user who is not the operator may not read, in one finding.
pub(super) fn together(findings: Vec<Finding>) -> Vec<Finding> {
    let (unread, mut read): (Vec<_>, Vec<_>) = findings.into_iter().partition(|finding| finding.is_forbidden);
    if !unread.is_empty() {
        let names: Vec<String> = unread.into_iter().map(|finding| finding.check).collect();
        read.push(Finding::warning(
            "not read",
            format!("you may not list {}", names.join(", ")),
            "ask for the ClusterRole view in the whole cluster, or run doctor as the operator",
        ));
    }
    read
}

impl Finding {
    /// What could not be read, and why.
    pub(super) fn unread(check: impl Into<String>, error: &CallError) -> Self {
        let failure = Self::failure(check, reason(error), "check that the objects can be read");
        Self { is_forbidden: error.is_forbidden(), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-21T10:00:00Z";

    fn object(name: &str, conditions: &Value) -> Value {
        json!({ "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
                "metadata": { "name": name, "namespace": "media" }, "status": { "conditions": conditions } })
    }

    fn condition(kind: &str, status: &str, reason: &str) -> Value {
        json!({ "type": kind, "status": status, "reason": reason, "message": "m", "lastTransitionTime": NOW })
    }

    fn found(objects: Vec<Value>) -> Vec<Finding> {
        let kind = Kind::ColonyProcess;
        let served = ServedKind::own(kind.info().own.as_ref().unwrap());
        judge(kind, &served, &Listed { objects, is_whole: true })
    }

    #[test]
    fn objects_in_trouble_are_named_and_what_has_finished_is_counted() {
        let running = object("a", &json!([condition("Finished", "False", "ProcessRunning")]));
        let waiting = object("b", &json!([condition("Finished", "False", "NoExecutor")]));
        let failed = object(
            "c",
            &json!([
                condition("Finished", "True", "ProcessFailed"),
                condition("Failed", "True", "ProcessFailed"),
                condition("Stalled", "True", "ProcessFailed")
            ]),
        );
        let stuck = object(
            "d",
            &json!([condition("Finished", "False", "x"), condition("Stalled", "True", "InvalidSpec")]),
        );
        let well = found(vec![running.clone(), failed.clone()]);
        assert_eq!(
            well,
            [Finding::ok("ColonyProcesses", "2 looked at, 0 in trouble; 1 have finished, 1 of them failed")]
        );
        let troubled = found(vec![running, waiting, stuck, object("e", &json!([]))]);
        let checks: Vec<&str> = troubled.iter().map(|finding| finding.check.as_str()).collect();
        assert_eq!(checks, ["ColonyProcess media/b", "ColonyProcess media/d", "ColonyProcess media/e"]);
        assert_eq!(troubled[0].remedy.as_deref(), Some("colonyos-operator explain colonyprocess/b -n media"));
        assert!(super::super::finding::is_healthy(&troubled), "the operator is not to blame");
        let many: Vec<Value> =
            (0..9).map(|_| object("b", &json!([condition("Finished", "False", "NoExecutor")]))).collect();
        assert_eq!(found(many).last().unwrap().seen, "4 more are in trouble");
        assert_eq!(found(Vec::new()), []);
    }

    #[test]
    fn what_may_not_be_read_takes_one_line() {
        let unread =
            |check: &str| Finding { is_forbidden: true, ..Finding::failure(check, "forbidden", "ask") };
        let found = together(vec![unread("Colonies"), Finding::ok("a", "b"), unread("ColonyCrons")]);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].seen, "you may not list Colonies, ColonyCrons");
    }
}
