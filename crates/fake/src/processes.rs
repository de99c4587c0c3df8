//! What is done with one process: submit, read, close, cancel, remove, output, attributes, logs.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{
    answer::{Answer, Refusal, done, list, read, refuse},
    record::{
        AttributeRecord, CANCELLED, FAILED, LogRecord, ProcessRecord, RUNNING, SUCCESSFUL, Spec, WAITING,
    },
    server::ColonyServer,
};

#[derive(Deserialize)]
struct One {
    processid: String,
    #[serde(default, deserialize_with = "colonyos_client::model::null_is_empty")]
    out: Vec<Value>,
    #[serde(default, deserialize_with = "colonyos_client::model::null_is_empty")]
    errors: Vec<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    count: i64,
    #[serde(default)]
    since: i64,
    #[serde(default)]
    latest: bool,
}

impl ColonyServer {
    pub(super) fn process_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "submitfuncspecmsg" => self.submit(now, caller, inner),
            "getprocessmsg" => self.read_process(caller, inner),
            "removeprocessmsg" => self.remove_process(caller, inner),
            "closesuccessfulmsg" => self.close_successful(now, caller, inner),
            "closefailedmsg" => self.close_failed(now, caller, inner),
            "setoutputmsg" => self.set_output(caller, inner),
            "cancelprocessmsg" => self.cancel(now, caller, inner),
            "addattributemsg" => self.add_attribute(caller, inner),
            "getattributemsg" => self.attribute(caller, inner),
            "addlogmsg" => self.add_log(now, caller, inner),
            "getlogsmsg" => self.logs(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    fn submit(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            spec: Spec,
        }
        let Payload { spec } = read(inner)?;
        let colony = spec.conditions.colonyname.clone();
        self.require_member(caller, &colony, true)?;
        if !(-50_000..=50_000).contains(&spec.priority) {
            return refuse(400, "Failed to submit function spec, priority outside range [-50000, 50000]");
        }
        let Some(initiator) = self.initiator(&colony, caller) else {
            return refuse(500, "Could not derive InitiatorName");
        };
        let id = self.mint();
        Ok(self.add_process(ProcessRecord::new(id, spec, (caller, &initiator), now)?))
    }

    /// Stores a new process and notifies waiting executors. Gives it as it is shown.
    pub(super) fn add_process(&mut self, process: ProcessRecord) -> Value {
        let shown = process.to_json();
        if !process.waits_for_parents {
            self.tell(&process, WAITING);
        }
        let position = self.next_position();
        self.positions.insert(process.id.clone(), position);
        self.processes.insert(position, process);
        shown
    }

    pub(super) fn remove_processes(&mut self, which: impl Fn(&ProcessRecord) -> bool) {
        let removed: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| which(process))
            .map(|(position, process)| (*position, process.id.clone()))
            .collect();
        for (position, id) in removed {
            self.processes.remove(&position);
            self.positions.remove(&id);
        }
    }

    /// The process, for a member of its colony; else the refusal in `missing`.
    fn for_member(&self, caller: &str, id: &str, missing: Refusal) -> Result<&ProcessRecord, Refusal> {
        let process = self.process(id).ok_or(missing)?;
        self.require_member(caller, process.colony(), true)?;
        Ok(process)
    }

    fn read_process(&self, caller: &str, inner: &Value) -> Answer {
        let One { processid, .. } = read(inner)?;
        let missing = (404, "Failed to get process, process not found".to_owned());
        Ok(self.for_member(caller, &processid, missing)?.to_json())
    }

    fn remove_process(&mut self, caller: &str, inner: &Value) -> Answer {
        let One { processid, .. } = read(inner)?;
        let missing = (500, "Failed to remove process, process is nil".to_owned());
        let process = self.for_member(caller, &processid, missing)?;
        if !process.graph.is_empty() {
            return refuse(
                400,
                "Failed to remove, cannot remove a process part of a workflow, delete the entire workflow instead",
            );
        }
        if process.state == RUNNING {
            return refuse(400, "Failed to remove process, cannot remove a running process");
        }
        self.remove_processes(|process| process.id == processid);
        done()
    }

    /// Whether `caller` is the executor that has the process.
    fn assigned_to(&self, caller: &str, id: &str, how: &str) -> Result<&ProcessRecord, Refusal> {
        let missing = (500, format!("Failed to close process as {how}, process is nil"));
        let process = self.for_member(caller, id, missing)?;
        if process.assigned.is_empty() {
            return refuse(403, format!("Failed to close process as {how}, process is not assigned"));
        }
        if process.assigned != caller {
            return refuse(
                403,
                format!("Failed to close process as {how}, not allowed to close process as {how}"),
            );
        }
        Ok(process)
    }

    /// The output is written before the state is looked at.
    fn close_successful(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let One { processid, out, .. } = read(inner)?;
        let before = self.assigned_to(caller, &processid, "successful")?.clone();
        let Some(process) = self.process_mut(&processid) else { return done() };
        if !out.is_empty() {
            process.output = out;
        }
        match process.state {
            FAILED => return refuse(400, "Tried to set failed process as successful"),
            CANCELLED => return refuse(400, "Tried to set cancelled process as successful"),
            WAITING => {
                return refuse(400, "Tried to set waiting process as successful without being running");
            }
            _ => {}
        }
        process.state = SUCCESSFUL;
        process.ended_at = Some(now);
        if !before.graph.is_empty() {
            self.resolve_graph(now, &before.graph);
            self.wake_children(&before);
        }
        // As it was before, but for the state.
        self.tell(&before, SUCCESSFUL);
        done()
    }

    fn close_failed(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let One { processid, errors, .. } = read(inner)?;
        self.assigned_to(caller, &processid, "failed")?;
        self.fail(now, &processid, errors)?;
        done()
    }

    /// Fails a process, for its executor or because its time is over.
    pub(super) fn fail(&mut self, now: Timestamp, id: &str, errors: Vec<String>) -> Result<(), Refusal> {
        let Some(process) = self.process_mut(id) else { return Ok(()) };
        match process.state {
            SUCCESSFUL => return refuse(400, "Tried to set successful process as failed"),
            FAILED => return refuse(400, "Tried to set failed process as failed"),
            CANCELLED => return refuse(400, "Tried to set cancelled process as failed"),
            _ => {}
        }
        process.state = FAILED;
        process.ended_at = Some(now);
        process.errors = errors;
        let process = process.clone();
        if !process.graph.is_empty() {
            self.resolve_graph(now, &process.graph);
        }
        self.tell(&process, FAILED);
        Ok(())
    }

    fn set_output(&mut self, caller: &str, inner: &Value) -> Answer {
        let One { processid, out, .. } = read(inner)?;
        let missing = (500, "Failed to set output, process is nil".to_owned());
        let process = self.for_member(caller, &processid, missing)?;
        if process.assigned != caller {
            return refuse(
                403,
                "Failed to close process as successful, not allowed to close process as successful",
            );
        }
        if process.state != RUNNING {
            return refuse(403, "Failed to set output, process is not running");
        }
        if let Some(process) = self.process_mut(&processid).filter(|_| !out.is_empty()) {
            process.output = out;
        }
        done()
    }

    fn cancel(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let One { processid, .. } = read(inner)?;
        let missing = (500, "Failed to cancel process, process is nil".to_owned());
        if !self.for_member(caller, &processid, missing)?.graph.is_empty() {
            return refuse(
                400,
                "Failed to cancel, cannot cancel a process part of a workflow, cancel the entire workflow instead",
            );
        }
        let Some(process) = self.process_mut(&processid) else { return done() };
        match process.state {
            SUCCESSFUL => return refuse(400, "Tried to cancel successful process"),
            FAILED => return refuse(400, "Tried to cancel failed process"),
            CANCELLED => return refuse(400, "Tried to cancel already cancelled process"),
            _ => {}
        }
        process.state = CANCELLED;
        process.ended_at = Some(now);
        let process = process.clone();
        self.tell(&process, CANCELLED);
        done()
    }

    fn add_attribute(&mut self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            attribute: Fields,
        }
        #[derive(Deserialize)]
        struct Fields {
            targetid: String,
            attributetype: i64,
            key: String,
            value: String,
        }
        let Payload { attribute } = read(inner)?;
        let missing = (404, "Failed to add attribute, process not found".to_owned());
        let process = self.for_member(caller, &attribute.targetid, missing)?;
        if process.state != RUNNING {
            return refuse(403, "Failed to add attribute, process is not running");
        }
        if process.assigned != caller {
            let message = format!(
                "Failed to add attribute, only executor with id <{}> is allowed to set attributes",
                process.assigned
            );
            return refuse(403, message);
        }
        let Fields { targetid, attributetype, key, value } = attribute;
        let added = AttributeRecord::new(&targetid, attributetype, &key, &value);
        if process.attributes.iter().any(|attribute| attribute.id == added.id) {
            return refuse(
                400,
                "pq: duplicate key value violates unique constraint \"prod_attributes_pkey\"",
            );
        }
        let shown = process.attribute_to_json(&added);
        if let Some(process) = self.process_mut(&targetid) {
            process.attributes.push(added);
        }
        Ok(shown)
    }

    fn attribute(&self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            attributeid: String,
        }
        let Payload { attributeid } = read(inner)?;
        let found = self.processes.values().find_map(|process| {
            let mut attributes = process.attributes.iter();
            attributes.find(|attribute| attribute.id == attributeid).map(|attribute| (process, attribute))
        });
        let Some((process, attribute)) = found else { return refuse(400, "Attribute does not exists") };
        self.require_member(caller, process.colony(), true)?;
        Ok(process.attribute_to_json(attribute))
    }

    fn add_log(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let One { processid, message, .. } = read(inner)?;
        let missing = (500, "Failed to add log, process is nil".to_owned());
        let process = self.for_member(caller, &processid, missing)?;
        if process.state != RUNNING {
            return refuse(403, "Failed to set output, process is not running");
        }
        if process.assigned != caller {
            return refuse(
                403,
                "Failed to add log, not allowed to add log, only the assigned Executor may att logs",
            );
        }
        let colony = process.colony().to_owned();
        let executor = self.executor_by_id(caller).map(|executor| executor.name.clone()).unwrap_or_default();
        let last = self.logs.last().map_or(0, |log| log.at);
        let at = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX).max(last + 1);
        self.logs.push(LogRecord { process: processid, colony, executor, message, at });
        done()
    }

    fn logs(&self, caller: &str, inner: &Value) -> Answer {
        let One { processid, count, since, latest, .. } = read(inner)?;
        let missing = (500, "Failed to get logs, process does not exist".to_owned());
        self.for_member(caller, &processid, missing)?;
        if count > 500 {
            return refuse(403, "Count exceeds max log count (500)");
        }
        let count = usize::try_from(count).unwrap_or_default();
        let all: Vec<_> = self.logs.iter().filter(|log| log.process == processid).collect();
        let lines: Vec<_> = if latest {
            all[all.len().saturating_sub(count)..].to_vec()
        } else {
            all.into_iter().filter(|log| log.at > since).take(count).collect()
        };
        let lines = lines.into_iter().map(|log| {
            serde_json::json!({
                "processid": log.process, "colonyname": log.colony, "executorname": log.executor,
                "message": log.message, "timestamp": log.at,
            })
        });
        Ok(list(lines.collect()))
    }
}
