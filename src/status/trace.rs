//! The trace of work: from its object over the submit and the executor to its end, as spans in the JSON form of OTLP. Pure.
//!
//! Ids follow from the label of the process, which is on record before anything is submitted: all passes, and all replicas that lead
//! one after the other, speak of one trace. Spans hold names, states and times: neither arguments, environment, output nor errors,
//! which may come from Secrets.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha3::{Digest as _, Sha3_256};

use crate::api::mirror::{MirrorState, MirrorStatus};

/// An object whose status was written.
#[derive(Clone, Copy, Debug)]
pub struct Traced<'a> {
    pub kind: &'a str,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    pub uid: &'a str,
    /// When the object was created.
    pub created_at: Option<Timestamp>,
    /// Name of its Colony.
    pub colony: Option<&'a str>,
    /// Its process in the status before, and in the one that was written.
    pub before: Option<&'a MirrorStatus>,
    pub after: &'a MirrorStatus,
    /// What executors did for it.
    pub runs: &'a [Run],
    pub now: Timestamp,
}

/// What an executor did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The node, of a workflow.
    pub node: Option<String>,
    pub process_id: Option<String>,
    pub executor: Option<String>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub has_failed: bool,
}

/// The spans that have ended with the status that was written.
#[must_use]
pub fn spans(work: &Traced<'_>) -> Vec<Value> {
    let (before, after) = (work.before.filter(|before| before.label == work.after.label), work.after);
    let trace = Trace { work, id: hex::encode(digest(&after.label, "trace", 16)) };
    let mut spans = Vec::new();
    let submitted_at = after.submitted_at.as_ref().map_or(after.intended_at.0, |time| time.0);
    if after.process_id.is_some() && before.is_none_or(MirrorStatus::is_unbound) {
        let mut span = Span::new("submit", after.intended_at.0, submitted_at);
        span.add("colonyos.process.id", after.process_id.as_deref());
        spans.push(trace.child(&span));
    }
    if after.may_live() || before.is_some_and(|before| !before.may_live()) {
        return spans;
    }
    let mut ended_at = submitted_at;
    for run in work.runs {
        let Some(started_at) = run.started_at else { continue };
        let over_at = run.ended_at.unwrap_or(work.now);
        ended_at = ended_at.max(over_at);
        let mut spans_of_run =
            [Span::new("wait", submitted_at, started_at), Span::new("execute", started_at, over_at)];
        spans_of_run[1].has_failed = run.has_failed;
        spans_of_run[1].add("colonyos.executor.name", run.executor.as_deref());
        for span in &mut spans_of_run {
            span.add("colonyos.process.id", run.process_id.as_deref());
            span.add("colonyos.workflow.node", run.node.as_deref());
            spans.push(trace.child(span));
        }
    }
    spans.push(trace.child(&Span::new("close", ended_at, work.now)));
    // Of a later attempt, the object tells no more since when it was wished.
    let began_at = work.created_at.filter(|_| after.generation == 1).unwrap_or(after.intended_at.0);
    let mut root = Span::new(work.kind, began_at.min(after.intended_at.0), work.now);
    root.has_failed = matches!(after.state, MirrorState::Failed | MirrorState::Lost);
    root.add("colonyos.process.id", after.process_id.as_deref());
    root.add("colonyos.process.state", Some(after.state.as_str()));
    spans.push(trace.root(&root));
    spans
}

fn digest(label: &str, what: &str, length: usize) -> Vec<u8> {
    let mut bytes = Sha3_256::digest(format!("{what} of {label}")).to_vec();
    bytes.truncate(length);
    bytes
}

struct Span<'a> {
    name: &'a str,
    start: Timestamp,
    end: Timestamp,
    has_failed: bool,
    attributes: Vec<(&'static str, &'a str)>,
}

impl<'a> Span<'a> {
    fn new(name: &'a str, start: Timestamp, end: Timestamp) -> Self {
        // The clocks of the cluster and of the colony differ, and status has whole seconds.
        Self { name, start, end: end.max(start), has_failed: false, attributes: Vec::new() }
    }

    fn add(&mut self, key: &'static str, value: Option<&'a str>) {
        self.attributes.extend(value.map(|value| (key, value)));
    }
}

struct Trace<'a> {
    work: &'a Traced<'a>,
    id: String,
}

impl Trace<'_> {
    fn root(&self, span: &Span<'_>) -> Value {
        self.encoded(span, &self.span_id("root"), None)
    }

    fn child(&self, span: &Span<'_>) -> Value {
        let process = span.attributes.iter().find(|(key, _)| *key == "colonyos.process.id");
        let name = format!("{} {}", span.name, process.map_or("", |(_, id)| id));
        self.encoded(span, &self.span_id(&name), Some(&self.span_id("root")))
    }

    fn span_id(&self, name: &str) -> String {
        hex::encode(digest(&self.work.after.label, name, 8))
    }

    fn encoded(&self, span: &Span<'_>, id: &str, parent: Option<&str>) -> Value {
        let work = self.work;
        let namespace = work.namespace.map(|namespace| ("k8s.namespace.name", namespace));
        let colony = work.colony.map(|colony| ("colonyos.colony", colony));
        let object =
            [("k8s.object.kind", work.kind), ("k8s.object.name", work.name), ("k8s.object.uid", work.uid)];
        let attributes =
            object.into_iter().chain(namespace).chain(colony).chain(span.attributes.iter().copied());
        let attribute = |(key, value): (&str, &str)| json!({ "key": key, "value": { "stringValue": value } });
        let mut encoded = json!({
            "traceId": self.id, "spanId": id, "name": span.name,
            // SPAN_KIND_INTERNAL.
            "kind": 1,
            "startTimeUnixNano": span.start.as_nanosecond().to_string(),
            "endTimeUnixNano": span.end.as_nanosecond().to_string(),
            "attributes": attributes.map(attribute).collect::<Vec<_>>(),
        });
        if let Some(parent) = parent {
            encoded["parentSpanId"] = json!(parent);
        }
        if span.has_failed {
            // STATUS_CODE_ERROR.
            encoded["status"] = json!({ "code": 2 });
        }
        encoded
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn mirror(state: MirrorState, attempt: i64) -> MirrorStatus {
        let is_bound = state != MirrorState::Intended;
        MirrorStatus {
            label: format!("k8s:c/u/{attempt}"),
            generation: attempt,
            process_id: is_bound.then(|| format!("p{attempt}")),
            state,
            intended_at: Time(at(10)),
            submitted_at: is_bound.then(|| Time(at(11))),
            errors: Some("a key that an executor has printed".to_owned()),
        }
    }

    fn told(before: Option<&MirrorStatus>, after: &MirrorStatus, runs: &[Run]) -> Vec<Value> {
        spans(&Traced {
            kind: "ColonyProcess",
            namespace: Some("media"),
            name: "encode",
            uid: "u",
            created_at: Some(at(9)),
            colony: Some("dev"),
            before,
            after,
            runs,
            now: at(50),
        })
    }

    fn names(spans: &[Value]) -> Vec<&str> {
        spans.iter().map(|span| span["name"].as_str().unwrap()).collect()
    }

    fn run(node: Option<&str>, process: &str) -> Run {
        Run {
            node: node.map(str::to_owned),
            process_id: Some(process.to_owned()),
            executor: Some("worker-0".to_owned()),
            started_at: Some(at(20)),
            ended_at: Some(at(40)),
            has_failed: false,
        }
    }

    #[test]
    fn all_passes_over_work_tell_of_one_trace_with_one_root() {
        let (intended, waiting) = (mirror(MirrorState::Intended, 1), mirror(MirrorState::Waiting, 1));
        let (running, over) = (mirror(MirrorState::Running, 1), mirror(MirrorState::Successful, 1));
        let mut all = told(None, &intended, &[]);
        assert!(all.is_empty());
        all.extend(told(Some(&intended), &waiting, &[]));
        assert_eq!(names(&all), ["submit"]);
        assert!(told(Some(&waiting), &running, &[]).is_empty());
        all.extend(told(Some(&running), &over, &[run(None, "p1")]));
        assert_eq!(names(&all), ["submit", "wait", "execute", "close", "ColonyProcess"]);
        assert!(told(Some(&over), &over, &[run(None, "p1")]).is_empty(), "it ended once");
        let root = all.last().unwrap();
        assert_eq!((&root["parentSpanId"], &root["startTimeUnixNano"]), (&Value::Null, &json!("9000000000")));
        let mut ids: Vec<&str> = all.iter().map(|span| span["spanId"].as_str().unwrap()).collect();
        for (span, id) in all.iter().zip(&ids) {
            assert_eq!((&span["traceId"], id.len()), (&root["traceId"], 16), "{span}");
            assert!(span == root || span["parentSpanId"] == root["spanId"], "{span}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all.len());
        assert_eq!(root["traceId"].as_str().unwrap().len(), 32);
        let execute = &all[2];
        assert_eq!(execute["startTimeUnixNano"], "20000000000");
        assert_eq!(execute["endTimeUnixNano"], "40000000000");
        assert!(!Value::from(all.clone()).to_string().contains("key that"), "errors are not told");
    }

    #[test]
    fn another_attempt_is_another_trace_and_begins_with_its_intent() {
        let (first, second) = (mirror(MirrorState::Failed, 1), mirror(MirrorState::Failed, 2));
        let (one, other) = (told(None, &first, &[]), told(Some(&first), &second, &[]));
        assert_eq!(names(&one), ["submit", "close", "ColonyProcess"], "nothing took it");
        assert_eq!(names(&other), names(&one));
        assert_ne!(one[0]["traceId"], other[0]["traceId"]);
        assert_eq!(other[2]["startTimeUnixNano"], "10000000000");
        assert_eq!(other[2]["status"]["code"], 2);
    }

    #[test]
    fn each_node_of_a_workflow_has_spans_of_its_own() {
        let over = mirror(MirrorState::Failed, 1);
        let failed = Run { has_failed: true, ..run(Some("b"), "p-b") };
        let never = Run { started_at: None, ..run(Some("c"), "p-c") };
        let spans = told(None, &over, &[run(Some("a"), "p-a"), failed, never]);
        assert_eq!(names(&spans), ["submit", "wait", "execute", "wait", "execute", "close", "ColonyProcess"]);
        assert_eq!((&spans[2]["status"], &spans[4]["status"]["code"]), (&Value::Null, &json!(2)));
        assert_ne!(spans[2]["spanId"], spans[4]["spanId"]);
        assert!(spans[4].to_string().contains(r#""colonyos.workflow.node","value":{"stringValue":"b"}"#));
    }
}
