//! What is shown of an object. Pure.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{condition::ConditionType, kind::Kind},
    cli::{
        explain::facts::Facts,
        process::shown,
        table::{aligned, span},
    },
};

/// All that was found.
#[derive(Debug, Default, Serialize)]
pub(in crate::cli) struct Listing {
    pub items: Vec<Row>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
    /// How many kinds could be.
    #[serde(skip)]
    pub read: usize,
}

/// An object.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct Row {
    pub api_version: String,
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    /// Where it stands, such as `Running` or `NotReady,Paused`.
    pub state: String,
    /// The reason of the condition that counts.
    pub reason: String,
    /// The message of the condition that counts.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

impl Row {
    /// What is shown of an object.
    pub(in crate::cli) fn of(object: Value) -> Self {
        let facts = Facts { object, ..Facts::default() };
        let text = |pointer: &str| facts.text(pointer).to_owned();
        let (state, reason, message) = shown_state(&facts);
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty()),
            name: text("/metadata/name"),
            state,
            reason,
            message,
            created_at: facts.time("/metadata/creationTimestamp").map(|time| time.0),
        }
    }

    fn cells(&self, with_namespace: bool, now: Timestamp) -> Vec<String> {
        let age = self.created_at.map(|at| span((now.as_second() - at.as_second()).max(0)));
        let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { shown(text) };
        let mut cells = vec![
            shown(&self.kind),
            shown(&self.name),
            or_dash(&self.state),
            or_dash(&self.reason),
            age.unwrap_or_else(|| "-".to_owned()),
            shown(&self.message).replace('\n', " "),
        ];
        if with_namespace {
            cells.insert(0, or_dash(self.namespace.as_deref().unwrap_or_default()));
        }
        cells
    }
}

impl Listing {
    /// For people; empty if there is nothing.
    pub(in crate::cli) fn text(&self, with_namespace: bool, now: Timestamp) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        let mut head = vec!["KIND", "NAME", "STATE", "REASON", "AGE", "MESSAGE"];
        if with_namespace {
            head.insert(0, "NAMESPACE");
        }
        let mut table = vec![head.into_iter().map(str::to_owned).collect()];
        table.extend(self.items.iter().map(|row| row.cells(with_namespace, now)));
        aligned(&table).join("\n") + "\n"
    }
}

/// Where an object stands, and the reason and message of the condition that counts: what stops everything, else what does not
/// get better by waiting, else what sums up.
fn shown_state(facts: &Facts) -> (String, String, String) {
    let main = facts.condition(facts.main_condition());
    let held = |kind| facts.condition(kind).filter(|condition| condition.status == "True");
    let (paused, degraded) = (held(ConditionType::Paused), held(ConditionType::Degraded));
    let word = match facts.kind() {
        Kind::RequestState => facts.text("/spec/state"),
        Kind::ColonyProcess | Kind::ColonyWorkflow | Kind::ExecutorDeployment => facts.text("/status/state"),
        _ => match main.as_ref().map(|main| main.status.as_str()) {
            Some("True") => "Ready",
            Some(_) => "NotReady",
            None => "",
        },
    };
    let is_deleted = !facts.text("/metadata/deletionTimestamp").is_empty();
    let words = [Some(word), paused.is_some().then_some("Paused"), is_deleted.then_some("Terminating")];
    let words: Vec<&str> = words.into_iter().flatten().filter(|word| !word.is_empty()).collect();
    let told = paused.or(degraded).or(main);
    let (reason, message) = told.map_or_else(
        || (String::new(), "the operator has not looked at it yet".to_owned()),
        |told| (told.reason, told.message),
    );
    (words.join(","), reason, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::documented::printed;

    const NOW: &str = "2026-11-21T10:00:00Z";

    fn object(kind: &str, name: &str, more: &Value) -> Value {
        let group = if kind == "RequestState" { "com.redhat.ecosystem.sample" } else { "colonies.io" };
        let mut object = json!({
            "apiVersion": format!("{group}/v1"), "kind": kind,
            "metadata": { "name": name, "namespace": "media", "creationTimestamp": "2026-11-21T09:55:00Z" },
        });
        for (field, value) in more.as_object().unwrap() {
            object[field] = value.clone();
        }
        object
    }

    fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({ "type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": NOW })
    }

    fn listing(items: Vec<Value>) -> Listing {
        Listing { items: items.into_iter().map(Row::of).collect(), ..Listing::default() }
    }

    #[test]
    fn each_object_has_a_line_with_where_it_stands_and_why() {
        let waiting = json!({ "status": { "state": "Waiting", "conditions": [
            condition("Finished", "False", "Waiting", "waits for an executor\nof type gpu\u{1b}[31m"),
        ] } });
        let connected = json!({
            "metadata": { "name": "dev", "creationTimestamp": "2026-11-14T10:00:00Z" },
            "status": { "conditions": [condition("Ready", "True", "Connected", "connected to colony dev")] },
        });
        let request = json!({ "spec": { "state": "REQUESTED" } });
        let listing = listing(vec![
            object("ColonyProcess", "encode", &waiting),
            object("Colony", "dev", &connected),
            object("RequestState", "order-1", &request),
        ]);
        let expected = "\
NAMESPACE  KIND           NAME     STATE      REASON     AGE  MESSAGE
media      ColonyProcess  encode   Waiting    Waiting    5m   waits for an executor of type gpu\u{fffd}[31m
-          Colony         dev      Ready      Connected  7d   connected to colony dev
media      RequestState   order-1  REQUESTED  -          5m   the operator has not looked at it yet
";
        assert_eq!(listing.text(true, NOW.parse().unwrap()), expected);
        assert!(listing.text(false, NOW.parse().unwrap()).starts_with("KIND           NAME"));
        let value = serde_json::to_value(&listing).unwrap();
        assert_eq!(value["items"][0]["message"], "waits for an executor\nof type gpu\u{1b}[31m");
        assert_eq!(value["items"][1].get("namespace"), None);
    }

    #[test]
    fn the_page_shows_the_table_as_it_is() {
        let row = |kind: &str, name: &str, created: &str, state: &str, main: &Value| {
            let group = if kind == "ExecutorDeployment" { "compute.colonies.io" } else { "colonies.io" };
            json!({
                "apiVersion": format!("{group}/v1"), "kind": kind,
                "metadata": { "name": name, "namespace": "media", "creationTimestamp": created },
                "status": { "state": state, "conditions": [main] },
            })
        };
        let closed = "process 1f2e… has been closed successfully by cli-0";
        let waits = "process 77ab… waits for an executor of type gpu: none is registered in colony dev (there are: cli)";
        let listing = listing(vec![
            row(
                "ExecutorDeployment",
                "cli",
                "2026-11-21T07:00:00Z",
                "Ready",
                &condition("Ready", "True", "AllReplicasReady", "2 of 2 executors are ready"),
            ),
            row(
                "ColonyProcess",
                "encode",
                "2026-11-21T09:55:00Z",
                "Succeeded",
                &condition("Finished", "True", "ClosedSuccessfully", closed),
            ),
            row(
                "ColonyProcess",
                "train",
                "2026-11-21T09:59:00Z",
                "Waiting",
                &condition("Finished", "False", "NoExecutor", waits),
            ),
            row(
                "ColonyCron",
                "report",
                "2026-11-12T10:00:00Z",
                "",
                &condition("Ready", "True", "Scheduled", "runs are created on schedule"),
            ),
        ]);
        assert_eq!(listing.text(false, NOW.parse().unwrap()), printed("kubectl colony get"));
    }

    #[test]
    fn what_stops_an_object_hides_behind_nothing() {
        let conditions = |more: &[Value]| {
            let main = condition("Ready", "False", "Progressing", "2 of 3 are ready");
            let all: Vec<Value> = more.iter().cloned().chain([main]).collect();
            json!({ "status": { "conditions": all } })
        };
        let shown_state = |more: &[Value]| {
            let row = Row::of(object("ColonyCron", "c", &conditions(more)));
            (row.state, row.reason)
        };
        let told = |state: &str, reason: &str| (state.to_owned(), reason.to_owned());
        let degraded = condition("Degraded", "True", "InvalidSpec", "no");
        let paused = condition("Paused", "True", "ReconcilePaused", "paused");
        assert_eq!(shown_state(&[]), told("NotReady", "Progressing"));
        assert_eq!(shown_state(std::slice::from_ref(&degraded)), told("NotReady", "InvalidSpec"));
        assert_eq!(shown_state(&[degraded, paused]), told("NotReady,Paused", "ReconcilePaused"));
        let healthy = condition("Degraded", "False", "AsExpected", "");
        assert_eq!(shown_state(&[healthy]), told("NotReady", "Progressing"));
        let deleted = json!({ "metadata": { "name": "c", "deletionTimestamp": NOW } });
        assert_eq!(Row::of(object("ColonyCron", "c", &deleted)).state, "Terminating");
    }

    #[test]
    fn nothing_is_no_table() {
        assert_eq!(listing(Vec::new()).text(false, NOW.parse().unwrap()), "");
    }
}
