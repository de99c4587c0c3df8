//! Crons: workflows that are submitted again and again. One with an expression is kept and can be run, but its time never
//! comes here.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::{
    answer::{Answer, done, read, refuse},
    record::{CronRecord, FAILED, SUCCESSFUL, Workflow},
    server::ColonyServer,
};

#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "cronid", default)]
    id: String,
    #[serde(rename = "colonyname", default)]
    colony: String,
    #[serde(default)]
    count: i64,
}

impl ColonyServer {
    pub(super) fn cron_call(
        &mut self,
        now: Timestamp,
        caller: &str,
        payload_type: &str,
        inner: &Value,
    ) -> Option<Answer> {
        let answer = match payload_type {
            "addcronmsg" => self.add_cron(caller, inner),
            "getcronmsg" => self.cron(caller, inner),
            "getcronsmsg" => self.crons(caller, inner),
            "runcronmsg" => self.run_cron(now, caller, inner),
            "removecronmsg" => self.remove_cron(caller, inner),
            _ => return None,
        };
        Some(answer)
    }

    fn add_cron(&mut self, caller: &str, inner: &Value) -> Answer {
        #[derive(Deserialize)]
        struct Payload {
            cron: CronRecord,
        }
        let Payload { mut cron } = read(inner)?;
        self.require_member(caller, &cron.colony, true)?;
        let Ok(workflow) = serde_json::from_str::<Workflow>(&cron.workflow) else {
            return refuse(400, "invalid character in the workflow");
        };
        let named = |name: &String| workflow.nodes.iter().any(|node| node.nodename == *name);
        if !workflow.nodes.iter().flat_map(|node| &node.conditions.dependencies).all(named) {
            return refuse(
                400,
                "Failed to submit workflow, invalid dependencies, are you depending on a nodename that does not exits?",
            );
        }
        if cron.interval == 0 {
            return refuse(400, "Cron interval must be -1 (disabled) or larger than 0");
        }
        let fields = cron.expression.split_whitespace().count();
        if cron.interval == -1 && fields != 6 && !cron.expression.starts_with('@') {
            return refuse(400, format!("expected exactly 6 fields, found {fields}: [{}]", cron.expression));
        }
        let Some(name) = self.initiator(&workflow.colony, caller) else {
            return refuse(500, "Could not derive InitiatorName");
        };
        cron.initiator = (caller.to_owned(), name);
        self.keep_cron(cron)
    }

    pub(super) fn keep_cron(&mut self, mut cron: CronRecord) -> Answer {
        if self.has_cron(&cron.colony, &cron.name) {
            let CronRecord { name, colony, .. } = cron;
            return refuse(400, format!("Cron with name <{name}> in Colony <{colony}> already exists"));
        }
        cron.id = self.mint();
        let shown = cron.to_json();
        self.crons.push(cron);
        Ok(shown)
    }

    pub(super) fn has_cron(&self, colony: &str, name: &str) -> bool {
        self.crons.iter().any(|cron| cron.colony == colony && cron.name == name)
    }

    fn find_cron(&self, id: &str) -> Option<&CronRecord> {
        self.crons.iter().find(|cron| cron.id == id)
    }

    fn cron(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let Some(cron) = self.find_cron(&id) else {
            return refuse(500, "Failed to get cron, cron is nil");
        };
        self.require_member(caller, &cron.colony, true)?;
        Ok(cron.to_json())
    }

    fn crons(&self, caller: &str, inner: &Value) -> Answer {
        let Payload { colony, count, .. } = read(inner)?;
        self.require_member(caller, &colony, true)?;
        let Ok(count) = usize::try_from(count) else {
            return refuse(400, "pq: LIMIT must not be negative");
        };
        let of_colony = self.crons.iter().filter(|cron| cron.colony == colony);
        Ok(Value::Array(of_colony.take(count).map(CronRecord::to_json).collect()))
    }

    /// It runs before it is asked who wants it to, and is shown as it was before.
    fn run_cron(&mut self, now: Timestamp, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let Some(cron) = self.find_cron(&id).cloned() else { return refuse(400, "cron not found") };
        if !(cron.waits_for_previous && self.is_under_way(&cron)) {
            self.start_cron(now, &cron);
        }
        self.require_member(caller, &cron.colony, true)?;
        Ok(cron.to_json())
    }

    fn remove_cron(&mut self, caller: &str, inner: &Value) -> Answer {
        let Payload { id, .. } = read(inner)?;
        let Some(cron) = self.find_cron(&id) else {
            return refuse(500, "Failed to remove cron, cron is nil");
        };
        self.require_member(caller, &cron.colony, true)?;
        self.crons.retain(|cron| cron.id != id);
        done()
    }

    /// Whether the workflow before has neither succeeded nor failed; a cancelled one never does.
    fn is_under_way(&self, cron: &CronRecord) -> bool {
        self.graph_state(&cron.previous).is_some_and(|state| state != SUCCESSFUL && state != FAILED)
    }

    /// Submits its workflow, with what the one before has put out. A failure is not reported.
    fn start_cron(&mut self, now: Timestamp, cron: &CronRecord) {
        let Ok(workflow) = serde_json::from_str::<Workflow>(&cron.workflow) else { return };
        let input = self.output_of_leaves(&cron.previous);
        let Ok((graph, _)) = self.add_workflow(now, &cron.initiator.0, workflow, &input) else { return };
        if let Some(kept) = self.crons.iter_mut().find(|kept| kept.id == cron.id) {
            kept.next_run_at = kept.next_run(now);
            kept.last_run_at = Some(now);
            kept.previous = graph;
        }
    }

    pub(super) fn run_due_crons(&mut self, now: Timestamp) {
        for cron in &mut self.crons {
            if cron.next_run_at.is_none() {
                // The first tick only schedules the first run.
                cron.next_run_at = cron.next_run(now);
                cron.last_run_at = None;
                cron.previous.clear();
            }
        }
        let is_due =
            |at: Option<Timestamp>| at.is_some_and(|at| now.duration_since(at) > SignedDuration::ZERO);
        let due: Vec<_> = self.crons.iter().filter(|cron| is_due(cron.next_run_at)).cloned().collect();
        for cron in due {
            if !(cron.waits_for_previous && self.is_under_way(&cron)) {
                self.start_cron(now, &cron);
            }
        }
    }
}
