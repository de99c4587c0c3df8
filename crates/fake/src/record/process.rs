//! A process as it is kept, and what is kept about it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use colonyos_client::model::null_is_empty;

use crate::answer::{Refusal, digest, refuse, time};

/// The numbers of the states.
pub(crate) const WAITING: u8 = 0;
pub(crate) const RUNNING: u8 = 1;
pub(crate) const SUCCESSFUL: u8 = 2;
pub(crate) const FAILED: u8 = 3;
pub(crate) const CANCELLED: u8 = 4;

/// What is asked for, as far as it is looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Spec {
    pub(crate) nodename: String,
    pub(crate) funcname: String,
    pub(crate) args: Value,
    pub(crate) kwargs: Value,
    pub(crate) priority: i64,
    pub(crate) maxwaittime: i64,
    pub(crate) maxexectime: i64,
    pub(crate) maxretries: i64,
    pub(crate) conditions: Conditions,
    pub(crate) label: String,
    /// Kept as attributes.
    #[serde(deserialize_with = "null_is_empty", skip_serializing)]
    pub(crate) env: BTreeMap<String, String>,
}

/// Who may do it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Conditions {
    pub(crate) colonyname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) executornames: Vec<String>,
    pub(crate) executortype: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) locationname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub(crate) dependencies: Vec<String>,
    pub(crate) nodes: i64,
    pub(crate) processes: i64,
    pub(crate) processespernode: i64,
    pub(crate) cpu: String,
    pub(crate) mem: String,
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
pub(crate) struct AttributeRecord {
    pub(crate) id: String,
    pub(crate) kind: i64,
    pub(crate) key: String,
    pub(crate) value: String,
}

impl AttributeRecord {
    pub(crate) fn new(process: &str, kind: i64, key: &str, value: &str) -> Self {
        let id = digest(&format!("{process}{key}{kind}"));
        Self { id, kind, key: key.to_owned(), value: value.to_owned() }
    }
}

/// One line of a log.
#[derive(Clone, Debug)]
pub(crate) struct LogRecord {
    pub(crate) process: String,
    pub(crate) colony: String,
    pub(crate) executor: String,
    pub(crate) message: String,
    /// Nanoseconds since 1970, each line later than the one before.
    pub(crate) at: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct ProcessRecord {
    pub(crate) id: String,
    pub(crate) spec: Spec,
    pub(crate) initiator_id: String,
    pub(crate) initiator_name: String,
    pub(crate) assigned: String,
    pub(crate) is_assigned: bool,
    pub(crate) state: u8,
    pub(crate) priority_time: i128,
    pub(crate) submitted_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) wait_deadline: Option<Timestamp>,
    pub(crate) exec_deadline: Option<Timestamp>,
    pub(crate) retries: i64,
    pub(crate) attributes: Vec<AttributeRecord>,
    pub(crate) waits_for_parents: bool,
    pub(crate) parents: Vec<String>,
    pub(crate) children: Vec<String>,
    pub(crate) graph: String,
    pub(crate) input: Vec<Value>,
    pub(crate) output: Vec<Value>,
    pub(crate) errors: Vec<String>,
}

impl ProcessRecord {
    /// A process that was submitted just now.
    pub(crate) fn new(
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

    pub(crate) fn colony(&self) -> &str {
        &self.spec.conditions.colonyname
    }

    /// Back into the queue, as when it had never run.
    pub(crate) fn reset(&mut self) {
        self.is_assigned = false;
        self.assigned.clear();
        (self.started_at, self.ended_at) = (None, None);
        self.state = WAITING;
    }

    pub(crate) fn attribute_to_json(&self, attribute: &AttributeRecord) -> Value {
        json!({
            "attributeid": attribute.id, "targetid": self.id, "targetcolonyname": self.colony(),
            "targetprocessgraphid": self.graph, "state": self.state, "attributetype": attribute.kind,
            "key": attribute.key, "value": attribute.value,
        })
    }

    /// The process as it is shown.
    pub(crate) fn to_json(&self) -> Value {
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
pub(crate) fn deadline(now: Timestamp, seconds: i64) -> Option<Timestamp> {
    if seconds <= 0 {
        return None;
    }
    now.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
}
