//! Who gets which process, until when, and whether one is given at all.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, Refusal, done, read, refuse},
    record::{ExecutorRecord, ProcessRecord, RUNNING, WAITING, deadline},
    server::ColonyServer,
};

/// The most nodes and processes that a process may ask for: the real server compares with a signed byte.
const NODES_MAX: i64 = 127;

/// The most waiting processes whose time limit the real server looks at.
const WAITING_MAX: usize = 1000;

/// An executor that asks for work. Its standing was looked at once, when it began to ask.
#[derive(Clone, Debug)]
pub(super) struct AssignmentRequest {
    executor: ExecutorRecord,
    colony: String,
    /// Seconds; negative to ask once.
    pub(super) timeout: i64,
}

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "colonyname", default)]
    colony: String,
    #[serde(default)]
    timeout: i64,
}

impl ColonyServer {
    pub(super) fn queue_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "assignprocessmsg" => {
                self.begin_assign(caller, inner).and_then(|asking| self.try_assign(now, &asking))
            }
            "pauseassignmentsmsg" => self.set_paused(caller, inner, true),
            "resumeassignmentsmsg" => self.set_paused(caller, inner, false),
            "getpausestatusmsg" => read(inner).and_then(|Payload { colony, .. }| {
                self.require_member(caller, &colony, false)?;
                let is_paused = self.paused.contains(&colony);
                Ok(json!({"msgtype": "pausestatusreplymsg", "colonyname": colony, "ispaused": is_paused}))
            }),
            _ => return None,
        };
        Some(answer)
    }

    pub(super) fn begin_assign(&self, caller: &str, inner: &Value) -> Result<AssignmentRequest, Refusal> {
        let Payload { colony, timeout } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        if timeout == 0 {
            return refuse(400, "Invalid timeout value, timeout cannot be zero");
        }
        let Some(executor) = self.executor_by_id(caller) else {
            return refuse(500, "Failed to assign process, executor not found");
        };
        Ok(AssignmentRequest { executor: executor.clone(), colony, timeout })
    }

    /// One attempt. A waiting executor tries again after an event.
    pub(super) fn try_assign(&mut self, now: Timestamp, asking: &AssignmentRequest) -> Answer {
        let AssignmentRequest { executor, colony, timeout } = asking;
        for alive in self.executors.iter_mut().filter(|alive| alive.id == executor.id) {
            alive.heard_at = Some(now);
        }
        if self.paused.contains(colony) {
            return if *timeout > 0 {
                refuse(408, "Assignment timeout: colony assignments are paused")
            } else {
                refuse(503, "No processes available: colony assignments are paused")
            };
        }
        let fits = |process: &&ProcessRecord| {
            let conditions = &process.spec.conditions;
            let location = &conditions.locationname;
            process.state == WAITING
                && !process.is_assigned
                && !process.waits_for_parents
                && process.colony() == colony
                && conditions.executortype == executor.executor_type
                && (conditions.executornames.is_empty()
                    || conditions.executornames.contains(&executor.name)
                    || conditions.executornames == ["*"])
                && [conditions.nodes, conditions.processes, conditions.processespernode]
                    .iter()
                    .all(|count| *count <= NODES_MAX)
                && (location.is_empty() || location.to_lowercase() == executor.location.to_lowercase())
        };
        let first = self.processes.values().filter(fits).min_by_key(|process| process.priority_time);
        let Some(id) = first.map(|process| process.id.clone()) else {
            return refuse(404, "No process available for assignment");
        };
        if let Some(process) = self.process_mut(&id) {
            process.is_assigned = true;
            process.assigned.clone_from(&executor.id);
            process.state = RUNNING;
            process.started_at = Some(now);
            process.exec_deadline = deadline(now, process.spec.maxexectime).or(process.exec_deadline);
        }
        self.set_input_from_parents(now, &id);
        let Some(process) = self.process(&id).cloned() else { return done() };
        self.tell(&process, RUNNING);
        Ok(process.to_json())
    }

    fn set_paused(&mut self, caller: &str, inner: &Value, is_paused: bool) -> Answer {
        let Payload { colony, .. } = read(inner)?;
        self.require_owner(caller, &colony)?;
        if is_paused {
            self.paused.insert(colony);
        } else {
            self.paused.remove(&colony);
        }
        done()
    }

    /// A limit of 0 was over in the year 1. The real server compares whole seconds.
    pub(super) fn enforce_time_limits(&mut self, now: Timestamp) {
        let is_over = |deadline: Option<Timestamp>| {
            deadline.is_none_or(|deadline| now.as_second() > deadline.as_second())
        };
        let over: Vec<_> = self
            .processes
            .values()
            .filter(|process| process.state == RUNNING && process.spec.maxexectime != -1)
            .filter(|process| is_over(process.exec_deadline))
            .map(|process| (process.id.clone(), process.retries, process.spec.maxretries))
            .collect();
        for (id, retries, most) in over {
            if most > -1 && retries >= most {
                // It is running, hence this cannot be refused.
                let _ = self.fail(now, &id, vec!["Maximum execution time limit exceeded".to_owned()]);
            } else {
                self.requeue(now, &id);
            }
        }
        let mut waiting: Vec<_> =
            self.processes.values().filter(|process| process.state == WAITING).collect();
        waiting.sort_by_key(|process| process.priority_time);
        let over: Vec<_> = waiting
            .into_iter()
            .take(WAITING_MAX)
            .filter(|process| !matches!(process.spec.maxwaittime, -1 | 0))
            .filter(|process| is_over(process.wait_deadline))
            .map(|process| process.id.clone())
            .collect();
        for id in over {
            let _ = self.fail(now, &id, vec!["Maximum waiting time limit exceeded".to_owned()]);
        }
    }

    fn requeue(&mut self, now: Timestamp, id: &str) {
        let Some(process) = self.process_mut(id) else { return };
        process.is_assigned = false;
        process.assigned.clear();
        process.ended_at = Some(now);
        process.state = WAITING;
        process.retries += 1;
        process.wait_deadline = deadline(now, process.spec.maxwaittime).or(process.wait_deadline);
        let process = process.clone();
        self.tell(&process, WAITING);
    }
}
