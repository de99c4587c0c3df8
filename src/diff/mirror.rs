//! The protocol that makes one generation one process, although the server mints ids and takes every submit for a new
//! one: intent first, look up by label, then submit, then bind. Pure.
//!
//! The states are those of `status.mirror`. Nothing here trusts memory: after a crash, status and the processes with
//! the label lead to the same decisions.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    ColonyStep,
    process_state::{is_followed, is_live, state_of},
    submission::Submission,
};
use crate::{
    api::{
        executor_deployment::Workload,
        mirror::{MirrorState, MirrorStatus},
        names::GATE_NODE,
        policy::{DeletionPolicy, UpdatePolicy},
    },
    colony::{Id, Process, ProcessState},
    desired::DesiredProcess,
    snapshot::{
        ColonyReference, ExecutorDeploymentSnapshot, Observed,
        progress::{Phase, Progress},
    },
};

/// The status of the mirrored process to record, besides the results of the steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Mirror {
    /// Its current value.
    #[default]
    Unchanged,
    /// The intent to submit a generation. It is written with the resource version as precondition, before anything is
    /// sent.
    Intend {
        /// Label of the process to come.
        label: String,
        generation: i64,
    },
    /// A process and its state, as the server reports them.
    Observed {
        process_id: String,
        state: MirrorState,
        /// When the server took it, if that was not known yet.
        submitted_at: Option<Timestamp>,
        /// Why it failed, in full, if it did.
        errors: Option<String>,
    },
    /// A process that the server submitted by itself.
    Found {
        /// By what it is known here; the process has no label.
        label: String,
        /// Its content.
        generation: i64,
        process_id: String,
        state: MirrorState,
        /// When the server submitted it.
        submitted_at: Timestamp,
    },
    /// The process that was bound is no longer on the server.
    Lost,
    /// An intent of an older generation that never reached the server, or what another object keeps.
    Forget,
}

impl fmt::Display for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => write!(f, "unchanged"),
            Self::Intend { label, .. } => write!(f, "record the intent to submit {label}"),
            Self::Observed { process_id, state, .. } | Self::Found { process_id, state, .. } => {
                write!(f, "process {process_id} is {}", state.as_str())
            }
            Self::Lost => write!(f, "the process is lost"),
            Self::Forget => {
                write!(f, "forget what is on record: it never reached the server, or another object keeps it")
            }
        }
    }
}

/// What is to be done about the mirrored process.
#[derive(Debug, Default)]
pub(super) struct MirrorPlan {
    /// Writes to the colony.
    pub steps: Vec<ColonyStep>,
    /// The status to record.
    pub mirror: Mirror,
    /// What is waited for.
    pub awaiting: Vec<String>,
}

/// What is known of the process of an object, whatever the kind of the object.
#[derive(Clone, Copy)]
pub(super) struct ProcessFacts<'a> {
    /// Its recorded status.
    pub recorded: Option<&'a MirrorStatus>,
    /// Its state on the server: by id, or by label while the id is not known.
    pub processes: &'a Observed<Vec<Process>>,
    /// Before when nothing may be submitted for an intent.
    pub submit_not_before: Option<Timestamp>,
    /// The moment.
    pub now: Timestamp,
}

impl<'a> ProcessFacts<'a> {
    fn of(snapshot: &'a ExecutorDeploymentSnapshot) -> Self {
        Self {
            recorded: snapshot.object.status.as_ref().and_then(|status| status.mirror.as_ref()),
            processes: &snapshot.processes,
            submit_not_before: snapshot.submit_not_before,
            now: snapshot.now,
        }
    }
}

/// Plans the process of the current generation. `settled` is how far the workload is, if it is as the current spec
/// wants it.
pub(super) fn plan(
    snapshot: &ExecutorDeploymentSnapshot,
    desired: &DesiredProcess,
    settled: Option<&Progress>,
    output: &Value,
) -> MirrorPlan {
    let mut plan = MirrorPlan::default();
    let known = ProcessFacts::of(snapshot);
    match known.recorded {
        None => plan.intend(&snapshot.colony, &desired.label, desired.generation),
        Some(mirror) if mirror.is_unbound() => {
            plan.intended(&known, mirror, Some(desired));
        }
        Some(mirror) if is_followed(mirror, known.processes) => {
            plan.bound(snapshot, mirror, desired, settled, output);
        }
        Some(mirror) if mirror.generation < desired.generation => {
            plan.intend(&snapshot.colony, &desired.label, desired.generation);
        }
        Some(_) => {}
    }
    plan
}

/// Follows the process of an object for which nothing may be done: what is on record is looked at, and nothing is
/// submitted, closed or ended.
pub(super) fn plan_held(snapshot: &ExecutorDeploymentSnapshot) -> MirrorPlan {
    let mut plan = MirrorPlan::default();
    let known = ProcessFacts::of(snapshot);
    match known.recorded {
        Some(mirror) if mirror.is_unbound() => plan.intended(&known, mirror, None::<&DesiredProcess>),
        Some(mirror) if is_followed(mirror, known.processes) => {
            plan.look(&known, mirror);
        }
        _ => {}
    }
    plan
}

/// Ends the process of an object that is going away, unless it is to outlive it. Then it is one process all the same: what was
/// sent for an intent is looked up, and all but the oldest are cancelled.
pub(super) fn plan_end(snapshot: &ExecutorDeploymentSnapshot) -> MirrorPlan {
    let mut plan = MirrorPlan::default();
    let (spec, known) = (&snapshot.object.spec, ProcessFacts::of(snapshot));
    match spec.management_policies.deletion(spec.deletion_policy) {
        DeletionPolicy::Delete => plan.end(&known, "the object is deleted"),
        DeletionPolicy::Orphan => {
            let Some(mirror) = known.recorded.filter(|mirror| mirror.may_live()) else { return plan };
            if mirror.is_unbound() {
                plan.intended(&known, mirror, None::<&DesiredProcess>);
            }
            let found = known.processes.known().map_or(&[][..], Vec::as_slice);
            if let Some(run) = behind_gate(found, mirror).filter(|_| plan.steps.is_empty()) {
                plan.cancel(run, "the operator would carry it out, and never opens its gate");
            }
        }
    }
    plan
}

impl MirrorPlan {
    /// An intent means that a submit may have been sent, and delays deletion until the colony has been read: none is
    /// recorded while nothing could be sent.
    pub fn intend(&mut self, colony: &ColonyReference, label: &str, generation: i64) {
        if let Some(colony) = colony.resolved()
            && let Some(why) = colony.operator_executor_id.unknown()
        {
            self.awaiting.push(format!("the colony, before anything is submitted: {why}"));
            return;
        }
        self.mirror = Mirror::Intend { label: label.to_owned(), generation };
    }

    /// The intent is on record, the id is not: nothing was sent, or the answer never came. `desired` is what may be
    /// submitted for it, if anything still may.
    pub fn intended(
        &mut self,
        known: &ProcessFacts<'_>,
        mirror: &MirrorStatus,
        desired: Option<&impl Submission>,
    ) {
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to list what has label {}: {why}", mirror.label));
                return;
            }
            Observed::Known(processes) => processes,
        };
        // Oldest first: every operator that looks comes to the same choice.
        if let Some(adopted) = runs(processes).next() {
            for duplicate in runs(processes).skip(1).filter(|process| is_live(process)) {
                self.cancel(duplicate, "a duplicate of the same label");
            }
            // Once the id is recorded, the label is not looked up again.
            if self.steps.is_empty() {
                self.observe(adopted, mirror);
            }
            return;
        }
        if !self.quiet_period_over(known) {
            return;
        }
        match desired.filter(|desired| desired.label() == mirror.label) {
            Some(desired) => self.steps.push(desired.step()),
            None => self.mirror = Mirror::Forget,
        }
    }

    /// Ends what runs of an object. It has ended when the server reports it, not when the server has accepted the
    /// cancel: an executor that closes at the same moment, or a process that goes back into the queue, can undo that.
    pub fn end(&mut self, known: &ProcessFacts<'_>, why: &str) {
        let Some(mirror) = known.recorded else { return };
        if !mirror.may_live() {
            // Its attempt is over, as far as status knows: what lives under its label all the same is ended.
            for process in known.processes.known().into_iter().flatten().filter(|process| is_live(process)) {
                self.cancel(process, why);
            }
            return;
        }
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to list what runs: {why}"));
                return;
            }
            Observed::Known(processes) => processes,
        };
        for process in processes.iter().filter(|process| is_live(process)) {
            self.cancel(process, why);
        }
        // A submit without a reply could still arrive, and would then have no owner.
        if self.steps.is_empty() && (mirror.process_id.is_some() || self.quiet_period_over(known)) {
            match runs(processes).next() {
                Some(process) => self.observe(process, mirror),
                None if mirror.process_id.is_some() => self.mirror = Mirror::Lost,
                None => self.mirror = Mirror::Forget,
            }
        }
    }

    pub fn quiet_period_over(&mut self, known: &ProcessFacts<'_>) -> bool {
        match known.submit_not_before {
            Some(moment) if known.now < moment => {
                self.awaiting.push("an earlier submit that may still arrive".to_owned());
                false
            }
            _ => true,
        }
    }

    /// Records a process with a known id, as the server reports it; the process, if there is one.
    pub fn look<'a>(&mut self, known: &ProcessFacts<'a>, mirror: &MirrorStatus) -> Option<&'a Process> {
        let processes = match known.processes {
            Observed::Unknown(why) => {
                self.awaiting.push(format!("the colony to report the process: {why}"));
                return None;
            }
            Observed::Known(processes) => processes,
        };
        let Some(process) = processes.first() else {
            self.mirror = Mirror::Lost;
            return None;
        };
        self.observe(process, mirror);
        Some(process)
    }

    /// The process is known by its id.
    fn bound(
        &mut self,
        snapshot: &ExecutorDeploymentSnapshot,
        mirror: &MirrorStatus,
        desired: &DesiredProcess,
        settled: Option<&Progress>,
        output: &Value,
    ) {
        let known = ProcessFacts::of(snapshot);
        let Some(process) = self.look(&known, mirror).filter(|process| is_live(process)) else { return };
        let processes = known.processes.known().map_or(&[][..], Vec::as_slice);
        let superseded = mirror.generation < desired.generation;
        if superseded && snapshot.object.spec.update_policy == UpdatePolicy::CancelRunning {
            self.cancel(process, "a newer generation takes its place");
        } else if process.waits_for_parents {
            self.open_gate(&snapshot.colony, process, processes);
        } else if process.state == ProcessState::Waiting {
            self.awaiting.push("the process to be assigned".to_owned());
        } else {
            self.close(snapshot, process, settled, output);
        }
    }

    /// Opens the gate behind which a process waits. It is on record by now which of several it is: this one alone may go on.
    pub fn open_gate(&mut self, colony: &ColonyReference, process: &Process, all: &[Process]) {
        let gate = all.iter().find(|gate| process.parents.first() == Some(&gate.id));
        if let Some(gate) = gate.filter(|gate| gate.state == ProcessState::Running && is_ours(colony, gate)) {
            let (process_id, graph_id) = (gate.id.to_string(), gate.graph_id.clone());
            self.steps.push(ColonyStep::OpenGate { process_id, graph_id });
            return;
        }
        let name = gate.and_then(|gate| gate.spec.conditions.executor_names.first());
        let to = name.map_or_else(|| "the operator".to_owned(), |name| format!("executor {name}"));
        self.awaiting.push(format!("the gate before the process to be assigned to {to}"));
    }

    /// Closes the process when the workload is where it should be, or will never get there.
    fn close(
        &mut self,
        snapshot: &ExecutorDeploymentSnapshot,
        process: &Process,
        settled: Option<&Progress>,
        output: &Value,
    ) {
        if !is_ours(&snapshot.colony, process) {
            self.awaiting.push("the executor that was assigned the process to close it".to_owned());
            return;
        }
        let process_id = process.id.to_string();
        let is_job = snapshot.object.spec.workload == Workload::Job;
        match settled.map(|progress| &progress.phase) {
            Some(Phase::Failed { reason, message }) => {
                let errors = vec![format!("{reason}: {message}")];
                self.steps.push(ColonyStep::CloseFailed { process_id, errors });
            }
            // A Job is done when it has completed, unless it is suspended.
            Some(Phase::Ready) if is_job && !snapshot.object.spec.suspend => {
                self.awaiting.push("the Job to run to its end".to_owned());
            }
            Some(Phase::Ready | Phase::Completed) => {
                self.steps.push(ColonyStep::CloseSuccessful { process_id, output: vec![output.clone()] });
            }
            Some(Phase::Progressing) | None => self.awaiting.push("the executors to be ready".to_owned()),
        }
    }

    /// Cancels a process, or the workflow that it belongs to, once, and waits for it to be over.
    pub fn cancel(&mut self, process: &Process, why: &str) {
        let why = why.to_owned();
        let step = if process.graph_id.is_empty() {
            ColonyStep::Cancel { process_id: process.id.to_string(), why }
        } else {
            ColonyStep::CancelGraph { graph_id: process.graph_id.clone(), why }
        };
        if !self.steps.contains(&step) {
            self.steps.push(step);
            self.awaiting.push(format!("process {} to be over", process.id));
        }
    }

    fn observe(&mut self, process: &Process, recorded: &MirrorStatus) {
        let state = state_of(process);
        let process_id = process.id.to_string();
        if recorded.process_id.as_ref() != Some(&process_id) || recorded.state != state {
            let submitted_at = recorded.submitted_at.is_none().then_some(process.submitted_at);
            let errors = (!process.errors.is_empty()).then(|| process.errors.join("; "));
            self.mirror = Mirror::Observed { process_id, state, submitted_at, errors };
        }
    }
}

/// Whether a process is assigned to the operator itself.
fn is_ours(colony: &ColonyReference, process: &Process) -> bool {
    let ours = colony.resolved().and_then(|colony| colony.operator_executor_id.known());
    ours.map(String::as_str) == process.assigned_executor.as_ref().map(Id::as_str)
}

/// The process on record, or the oldest of its label, while it waits behind a gate that is not over.
pub(super) fn behind_gate<'a>(found: &'a [Process], mirror: &MirrorStatus) -> Option<&'a Process> {
    let id = mirror.process_id.as_deref();
    let run = runs(found).find(|process| id.is_none_or(|id| process.id.as_str() == id))?;
    let is_gate = |gate: &&Process| gate.spec.node_name == GATE_NODE && run.parents.first() == Some(&gate.id);
    let gate = found.iter().find(is_gate)?;
    (is_live(run) && is_live(gate)).then_some(run)
}

/// Processes of a label without their gates, which have the label too.
fn runs(processes: &[Process]) -> impl Iterator<Item = &Process> {
    processes.iter().filter(|process| process.spec.node_name != GATE_NODE)
}
