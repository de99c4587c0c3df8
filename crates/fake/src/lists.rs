//! Lists and counts of processes, and the removal of many.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    answer::{Answer, done, list, read, refuse},
    record::{CANCELLED, ExecutorRecord, FAILED, ProcessRecord, RUNNING, SUCCESSFUL, WAITING},
    server::ColonyServer,
};

/// An answer without a body.
const NOTHING: (u16, String) = (200, String::new());

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "colonyname", default)]
    colony: String,
    #[serde(default)]
    count: i64,
    #[serde(default)]
    state: i64,
    #[serde(default)]
    executortype: String,
    #[serde(default)]
    label: String,
    #[serde(default)]
    initiator: String,
    #[serde(default)]
    executorid: String,
    #[serde(default)]
    seconds: i64,
}

impl ColonyServer {
    pub(super) fn list_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "getprocessesmsg" => self.list_processes(caller, inner),
            "getprocesshistmsg" => self.history(now, caller, inner),
            "getcolonystatsmsg" => self.statistics(caller, inner),
            "removeallprocessesmsg" => self.remove_all_processes(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    /// One state, at most 100, and one filter: the first that is there.
    fn list_processes(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, count, state, executortype, label, initiator, .. } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        if count > 100 {
            return refuse(400, "Count is larger than MaxCount limit <100>");
        }
        let is_user = self.users.iter().any(|user| user.colony == colony && user.name == initiator);
        if !initiator.is_empty() && !is_user {
            return refuse(400, format!("User <{initiator}> does not exist"));
        }
        let Some(state) = u8::try_from(state).ok().filter(|state| *state <= CANCELLED) else {
            return refuse(400, "Failed to get processes, invalid msg.State");
        };
        let Ok(count) = usize::try_from(count) else {
            return refuse(400, "pq: LIMIT must not be negative");
        };
        let passes = |process: &&ProcessRecord| {
            process.colony() == colony
                && process.state == state
                && if !executortype.is_empty() {
                    process.spec.conditions.executortype == executortype
                } else if !initiator.is_empty() {
                    process.initiator_name == initiator
                } else {
                    label.is_empty() || process.spec.label == label
                }
        };
        let mut found: Vec<_> = self.processes.values().filter(passes).collect();
        match state {
            WAITING => found.sort_by_key(|process| process.priority_time),
            RUNNING => found.sort_by_key(|process| process.started_at),
            _ => found.sort_by_key(|process| std::cmp::Reverse(process.ended_at)),
        }
        Ok(list(found.into_iter().take(count).map(ProcessRecord::to_json).collect()))
    }

    fn history(&self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, state, executorid, seconds, .. } = read(inner)?;
        self.require_member(caller, &colony, true).map_err(|_| NOTHING)?;
        let since = now.checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        let passes = |process: &&ProcessRecord| {
            process.colony() == colony
                && i64::from(process.state) == state
                && process.submitted_at >= since
                && (executorid.is_empty() || process.assigned == executorid)
        };
        Ok(list(self.processes.values().filter(passes).map(ProcessRecord::to_json).collect()))
    }

    fn statistics(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, .. } = read(inner)?;
        if self.owner_of(&colony).is_none() {
            return refuse(400, format!("Colony with name <{colony}> not found"));
        }
        self.require_member(caller, &colony, true).map_err(|_| NOTHING)?;
        let executors = |state: Option<u8>| {
            let of_colony = self.executors.iter().filter(|executor| executor.colony == colony);
            of_colony.filter(|executor| state.is_none_or(|state| executor.state == state)).count()
        };
        let processes = |state: u8| {
            let of_colony = self.processes.values().filter(|process| process.colony() == colony);
            of_colony.filter(|process| process.state == state).count()
        };
        let graphs = |state: u8| {
            let of_colony = self.graphs.iter().filter(|graph| graph.colony == colony);
            of_colony.filter(|graph| graph.state == state).count()
        };
        Ok(json!({
            "colonies": 1, "executors": executors(None),
            "activeexecutors": executors(Some(ExecutorRecord::APPROVED)),
            "unregisteredexecutors": executors(Some(ExecutorRecord::UNREGISTERED)),
            "waitingprocesses": processes(WAITING), "runningprocesses": processes(RUNNING),
            "successfulprocesses": processes(SUCCESSFUL), "failedprocesses": processes(FAILED),
            "cancelledprocesses": processes(CANCELLED),
            "waitingworkflows": graphs(WAITING), "runningworkflows": graphs(RUNNING),
            "successfulworkflows": graphs(SUCCESSFUL), "failedworkflows": graphs(FAILED),
            "cancelledworkflows": graphs(CANCELLED),
        }))
    }

    /// Those of workflows stay; with -1 without their attributes, however.
    fn remove_all_processes(&mut self, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, state, .. } = read(inner)?;
        self.require_owner(caller, &colony)?;
        match state {
            1 => return refuse(400, "Not possible to remove running processes"),
            -1..=4 => {}
            _ => return refuse(400, "Invalid state when deleting all processes"),
        }
        self.remove_processes(|process| {
            process.colony() == colony
                && process.graph.is_empty()
                && (state == -1 || i64::from(process.state) == state)
        });
        if state == -1 {
            for process in self.processes.values_mut().filter(|process| process.colony() == colony) {
                process.attributes.clear();
            }
        }
        done()
    }
}
