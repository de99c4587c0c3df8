//! A process as it is kept, and what is kept about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use colonyos_client::model::null_is_empty;

use super::server::{Refusal, digest, refuse, time};

/// The numbers of the states.
pub(super) const WAITING: u8 = 0;
pub(super) const RUNNING: u8 = 1;
pub(super) const SUCCESSFUL: u8 = 2;
pub(super) const FAILED: u8 = 3;
pub(super) const CANCELLED: u8 = 4;

/// What is asked for, as far as it is looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Spec {
    pub(super) nodename: String,
    pub(super) funcname: String,
    pub(super) args: Value,
    pub(super) kwargs: Value,
    pub(super) priority: i64,
    pub(super) maxwaittime: i64,
    pub(super) maxexectime: i64,
    pub(super) maxretries: i64,
    pub(super) conditions: Conditions,
    pub(super) label: String,
    /// Kept as attributes.
    #[serde(deserialize_with = "null_is_empty", skip_serializing)]
    pub(super) env: BTreeMap<String, String>,
}

/// Who may do it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Conditions {
    pub(super) colonyname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) executornames: Vec<String>,
    pub(super) executortype: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) locationname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(super) dependencies: Vec<String>,
    pub(super) nodes: i64,
    pub(super) processes: i64,
    pub(super) processespernode: i64,
    pub(super) cpu: String,
    pub(super) mem: String,
}

impl Conditions {
    /// Resources in the one spelling in which they are shown: CPU that does not end in `m` is 0.
    fn normalize(&mut self) -> Result<(), Refusal> {
        let number = |text: &str| text.parse::<i64>().ok();
        let cpu = match self.cpu.strip_suffix('m').map(number) {
            None => 0,
            Some(Some(number)) => number,
            Some(None) => return refuse(400, "Error converting CPU to int"),
        };
        let mem = match self.mem.strip_suffix("Mi").map(number) {
            _ if self.mem.is_empty() => 0,
            Some(Some(number)) => number,
            _ => return refuse(400, "error converting memory to int: invalid syntax"),
        };
        (self.cpu, self.mem) = (format!("{cpu}m"), format!("{mem}Mi"));
        Ok(())
    }
}

/// A key and a value.
#[derive(Clone, Debug)]
pub(super) struct AttributeRecord {
    pub(super) id: String,
    pub(super) kind: i64,
    pub(super) key: String,
    pub(super) value: String,
}

impl AttributeRecord {
    pub(super) fn new(process: &str, kind: i64, key: &str, value: &str) -> Self {
        let id = digest(&format!("{process}{key}{kind}"));
        Self { id, kind, key: key.to_owned(), value: value.to_owned() }
    }
}

/// One line of a log.
#[derive(Clone, Debug)]
pub(super) struct LogRecord {
    pub(super) process: String,
    pub(super) colony: String,
    pub(super) executor: String,
    pub(super) message: String,
    /// Nanoseconds since 1970, each line later than the one before.
    pub(super) at: i64,
}

#[derive(Clone, Debug)]
pub(super) struct ProcessRecord {
    pub(super) id: String,
    pub(super) spec: Spec,
    pub(super) initiator_id: String,
    pub(super) initiator_name: String,
    pub(super) assigned: String,
    pub(super) is_assigned: bool,
    pub(super) state: u8,
    pub(super) priority_time: i128,
    pub(super) submitted_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) wait_deadline: Option<Timestamp>,
    pub(super) exec_deadline: Option<Timestamp>,
    pub(super) retries: i64,
    pub(super) attributes: Vec<AttributeRecord>,
    pub(super) waits_for_parents: bool,
    pub(super) parents: Vec<String>,
    pub(super) children: Vec<String>,
    pub(super) graph: String,
    pub(super) input: Vec<Value>,
    pub(super) output: Vec<Value>,
    pub(super) errors: Vec<String>,
}

impl ProcessRecord {
    /// A process that was submitted just now.
    pub(super) fn new(
        id: String,
        mut spec: Spec,
        initiator: (&str, &str),
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        /// What one unit of priority is worth in the queue.
        const DAY: i128 = 86_400_000_000_000;
        spec.conditions.normalize()?;
        let environment = std::mem::take(&mut spec.env);
        let attributes =
            environment.iter().map(|(key, value)| AttributeRecord::new(&id, 3, key, value)).collect();
        Ok(Self {
            wait_deadline: deadline(now, spec.maxwaittime),
            priority_time: now.as_nanosecond() - i128::from(spec.priority) * DAY,
            id,
            spec,
            initiator_id: initiator.0.to_owned(),
            initiator_name: initiator.1.to_owned(),
            assigned: String::new(),
            is_assigned: false,
            state: WAITING,
            submitted_at: now,
            started_at: None,
            ended_at: None,
            exec_deadline: None,
            retries: 0,
            attributes,
            waits_for_parents: false,
            parents: Vec::new(),
            children: Vec::new(),
            graph: String::new(),
            input: Vec::new(),
            output: Vec::new(),
            errors: Vec::new(),
        })
    }

    pub(super) fn colony(&self) -> &str {
        &self.spec.conditions.colonyname
    }

    /// Back into the queue, as when it had never run.
    pub(super) fn reset(&mut self) {
        self.is_assigned = false;
        self.assigned.clear();
        (self.started_at, self.ended_at) = (None, None);
        self.state = WAITING;
    }

    pub(super) fn attribute_to_json(&self, attribute: &AttributeRecord) -> Value {
        json!({
            "attributeid": attribute.id, "targetid": self.id, "targetcolonyname": self.colony(),
            "targetprocessgraphid": self.graph, "state": self.state, "attributetype": attribute.kind,
            "key": attribute.key, "value": attribute.value,
        })
    }

    /// The process as it is shown.
    pub(super) fn to_json(&self) -> Value {
        let mut spec = serde_json::to_value(&self.spec).unwrap_or_default();
        let environment: Map<String, Value> = self
            .attributes
            .iter()
            .filter(|attribute| attribute.kind == 3)
            .map(|attribute| (attribute.key.clone(), attribute.value.clone().into()))
            .collect();
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("env".to_owned(), Value::Object(environment));
        }
        let attributes: Vec<_> =
            self.attributes.iter().map(|attribute| self.attribute_to_json(attribute)).collect();
        json!({
            "processid": self.id, "initiatorid": self.initiator_id, "initiatorname": self.initiator_name,
            "assignedexecutorid": self.assigned, "isassigned": self.is_assigned, "state": self.state,
            "prioritytime": i64::try_from(self.priority_time).unwrap_or_default(),
            "submissiontime": time(Some(self.submitted_at)), "starttime": time(self.started_at),
            "endtime": time(self.ended_at), "waitdeadline": time(self.wait_deadline),
            "execdeadline": time(self.exec_deadline), "retries": self.retries, "attributes": attributes,
            "spec": spec, "waitforparents": self.waits_for_parents, "parents": self.parents,
            "children": self.children, "processgraphid": self.graph, "in": self.input, "out": self.output,
            "errors": self.errors,
        })
    }
}

/// The time after `seconds`; none when they are no limit.
pub(super) fn deadline(now: Timestamp, seconds: i64) -> Option<Timestamp> {
    if seconds <= 0 {
        return None;
    }
    now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
}
