//! What to do for a `ColonyProcess`: beside what is done for all work, its gate is opened, and it is retried. Pure.

use jiff::Timestamp;

use super::{
    Mirror, Plan,
    attempt::Attempts as _,
    process_state::{is_live, state_of},
    work::{awaits_failure_reasons, retried_at},
    work_plan::{WorkPlan, hold},
};
use crate::{
    api::{
        executor_deployment::ExecutionGuarantee,
        mirror::MirrorStatus,
        names::{RUN_NODE, parse_process_label},
        policy::ManagementPolicy,
    },
    colony::{Process, ProcessState},
    kinds::SpecError,
    snapshot::ColonyProcessSnapshot,
};

impl WorkPlan for ColonyProcessSnapshot {
    fn is_gated(&self) -> bool {
        self.object.spec.execution_guarantee == ExecutionGuarantee::Strict
    }

    fn follow_bound(&self, mirror: &MirrorStatus) -> Plan {
        let header = &self.header;
        let mut plan = self.follow(mirror, |plan, process| {
            if !is_live(process) {
                return;
            }
            let policies = &self.object.spec.management_policies;
            let may_open =
                policies.allow(ManagementPolicy::Create) || policies.allow(ManagementPolicy::Update);
            if process.waits_for_parents && may_open {
                plan.open_gate(
                    &header.colony,
                    process,
                    header.processes.known().map_or(&[][..], Vec::as_slice),
                );
            } else {
                let whom = if process.waits_for_parents {
                    "the gate before it to open:"
                } else if process.state == ProcessState::Waiting {
                    "an executor to take"
                } else {
                    "its executor to close"
                };
                plan.awaiting.push(format!("{whom} process {}", process.id));
            }
        });
        // Not while the server is still to say why it failed.
        if plan.due.is_none() {
            plan.steps.splice(0..0, hold(self));
        }
        plan
    }

    fn retried_at(&self) -> Option<Timestamp> {
        let status = self.object.status.as_ref()?;
        retried_at(status.completion_time.as_ref()?.0, i64::from(status.failed_attempts.saturating_sub(1)))
    }

    fn verify_adoptable(&self, first: &Process, _: &[Process]) -> Result<(), SpecError> {
        let (call, id) = (&self.object.spec.call, &first.id);
        if call.function != first.spec.function {
            let remedy =
                format!("process {id} calls {:?}: write that, or another processId", first.spec.function);
            return Err(SpecError::invalid("spec.function", &call.function, remedy));
        }
        let (said, kind) = (&call.conditions.executor_type, &first.spec.conditions.executor_type);
        if said != kind {
            let remedy =
                format!("process {id} is for executors of type {kind:?}: write that, or another processId");
            return Err(SpecError::invalid("spec.conditions.executorType", said, remedy));
        }
        // One that was kept behind a gate by an object of this cluster stands alone all the same.
        let was_gated = first.spec.node_name == RUN_NODE
            && parse_process_label(&first.spec.label)
                .is_some_and(|(cluster, ..)| cluster == self.header.cluster);
        if first.graph_id.is_empty() || was_gated {
            return Ok(());
        }
        let remedy = format!(
            "it is node {:?} of workflow {}, and nodes cannot be cancelled by themselves: follow the whole with a ColonyWorkflow and graphId",
            first.spec.node_name, first.graph_id
        );
        Err(SpecError::invalid("spec.processId", id.as_str(), remedy))
    }

    fn bind(&self, first: &Process, (label, generation): (String, i64)) -> Plan {
        if let Some((due, awaited)) = awaits_failure_reasons(first, self.header.now) {
            return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
        }
        let mirror = Mirror::Found {
            label,
            generation,
            process_id: first.id.to_string(),
            state: state_of(first),
            submitted_at: first.submitted_at,
        };
        Plan { steps: hold(self).into_iter().collect(), mirror, ..Plan::default() }
    }
}

#[cfg(test)]
mod tests;
