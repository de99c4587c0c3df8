//! The operator: the decisions are its own, what is around them is told here, in the order in which it really happens.
//!
//! The order matters and is that of `watch`, `act` and `controllers::executor_deployment`: the time is taken and then
//! processes are looked up, so that what was not there is known to have been absent then; a submit is remembered before it
//! leaves; a status is written last, at the version that was read or that the finalizer gave; an intent is remembered when
//! it is known to be on record.

use colonyos_operator::{
    act::outcome::{Effect, FailureKind, Outcome, StepFailure, StepResult},
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
        names::EXECUTOR_DEPLOYMENT_FINALIZER,
    },
    colony::{ExecutorState, Process, ProcessId},
    controllers::decide,
    diff::{ColonyStep, KubernetesStep, Plan, Step},
    memory::{processes::Processes, submissions::Submissions},
    snapshot::{
        ColonyReference, ExecutorDeploymentSnapshot, Observed, Policy, Registration, ResolvedColony,
        Workloads,
    },
    status::executor_deployment::compute,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::time::Duration;

use crate::{
    colony::{COLONY, Caller, ColonyCall},
    events::{Event, Fate},
    world::{Message, World},
};

/// How long a process is believed to be as it was read, at least; the operator's default.
const BELIEVED: Duration = Duration::from_secs(10);

/// What one operator remembers.
#[derive(Clone)]
pub struct Operator {
    submissions: Submissions,
    pub processes: Processes,
    /// Since when it leads.
    term: Timestamp,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Operator").field("term", &self.term).finish_non_exhaustive()
    }
}

impl Operator {
    pub fn new(now: Timestamp) -> Self {
        Self { submissions: Submissions::default(), processes: Processes::new(BELIEVED), term: now }
    }

    /// Has it ask for every process.
    pub fn ask_anew(&mut self) {
        self.processes = Processes::new(BELIEVED);
    }
}

/// The operator has ended.
struct Ended;

/// One pass over an object; whether the operator ended in it.
pub fn look(world: &mut World, object: usize, fates: &[Fate], meanwhile: Option<&Event>) -> bool {
    let mut fates = fates.iter().copied();
    Look { world, index: object, fates: &mut fates }.pass(meanwhile).is_err()
}

/// A pass that meets with nothing bad; what it planned, and whether it wrote anything.
pub fn quiet_look(world: &mut World, object: usize) -> Option<(Plan, bool)> {
    let mut fates = std::iter::empty();
    let planned = Look { world, index: object, fates: &mut fates }.pass(None);
    planned.unwrap_or_else(|Ended| panic!("nothing ends it"))
}

struct Look<'a> {
    world: &'a mut World,
    index: usize,
    fates: &'a mut dyn Iterator<Item = Fate>,
}

impl Look<'_> {
    fn fate(&mut self) -> Fate {
        self.fates.next().unwrap_or(Fate::Done)
    }

    fn pass(&mut self, meanwhile: Option<&Event>) -> Result<Option<(Plan, bool)>, Ended> {
        let Some(object) = self.world.cluster.get(self.index).cloned() else { return Ok(None) };
        let snapshot = self.snapshot(&object)?;
        if let Some(event) = meanwhile {
            self.world.happen(event);
        }
        let plan = decide(&snapshot).unwrap_or_else(|problem| panic!("the spec is good: {problem:?}"));
        let outcome = self.execute(plan.clone(), &object)?;
        let is_released = |step: &KubernetesStep| matches!(step, KubernetesStep::RemoveFinalizer);
        if outcome.done_kubernetes().any(is_released) {
            return Ok(Some((plan, true)));
        }
        let status = compute(&snapshot, Ok(&outcome));
        let written = self.publish(&object, status, &outcome)?;
        Ok(Some((plan, written || outcome.wrote())))
    }

    fn snapshot(&mut self, object: &ExecutorDeployment) -> Result<ExecutorDeploymentSnapshot, Ended> {
        let mirror = object.status.as_ref().and_then(|status| status.mirror.as_ref());
        let Operator { submissions, term, .. } = self.world.operator.clone();
        let now = self.world.now;
        let processes = self.processes(object)?;
        let submit_not_before = mirror
            .filter(|mirror| mirror.state == MirrorState::Intended)
            .and_then(|mirror| submissions.not_before(&mirror.label, term));
        let held = &self.world.cluster.held[self.index];
        let spec = serde_json::from_value(json!({
            "server": {"host": "colonies.example.com", "port": 443}, "colonyName": COLONY,
            "credentialsSecretName": "keys",
        }));
        Ok(ExecutorDeploymentSnapshot {
            object: object.clone(),
            cluster: "simulated".to_owned(),
            colony: ColonyReference::Resolved(Box::new(ResolvedColony {
                name: COLONY.to_owned(),
                spec: spec.unwrap(),
                operator_executor_id: Observed::Known(self.world.colony.operator.to_string()),
            })),
            workloads: Workloads {
                deployment: Observed::Known(held.deployment.clone()),
                daemon_set: Observed::Known(None),
                job: Observed::Known(None),
            },
            pods: Vec::new(),
            identity: Observed::Known(held.identity.clone()),
            registration: Observed::Known(held.registration),
            processes,
            blueprint: Observed::Known(None),
            submit_not_before,
            similar_executor_types: Vec::new(),
            policy: Policy::default(),
            now,
        })
    }

    /// What matters to the object, read only while there is something to learn.
    fn processes(&mut self, object: &ExecutorDeployment) -> Result<Observed<Vec<Process>>, Ended> {
        let Some(mirror) = object.status.as_ref().and_then(|status| status.mirror.as_ref()) else {
            return Ok(Observed::Known(Vec::new()));
        };
        let Operator { submissions, term, .. } = &self.world.operator;
        let is_intended = mirror.state == MirrorState::Intended;
        if (is_intended && submissions.was_never_sent(&mirror.label, *term))
            || (!is_intended && !mirror.state.is_live())
        {
            return Ok(Observed::Known(Vec::new()));
        }
        if let Some(id) = &mirror.process_id {
            return self.process_and_gate(&ProcessId::new(id));
        }
        self.asked(|world| world.colony.processes(world.now, &mirror.label))
    }

    /// A process by its id and, while it waits behind one, its gate.
    fn process_and_gate(&mut self, id: &ProcessId) -> Result<Observed<Vec<Process>>, Ended> {
        let mut found = match self.process(id)? {
            Observed::Known(found) => found,
            unknown @ Observed::Unknown(_) => return Ok(unknown),
        };
        let gate = found.first().filter(|process| process.waits_for_parents);
        if let Some(gate) = gate.and_then(|process| process.parents.first().cloned()) {
            match self.process(&gate)? {
                Observed::Known(gate) => found.extend(gate),
                unknown @ Observed::Unknown(_) => return Ok(unknown),
            }
        }
        Ok(Observed::Known(found))
    }

    /// A process by its id: as it was last read, unless there is reason to ask again.
    fn process(&mut self, id: &ProcessId) -> Result<Observed<Vec<Process>>, Ended> {
        let (member, asked_at) = (self.world.colony.member.clone(), self.world.instant());
        let known = self.world.operator.processes.clone();
        if let Some(process) = known.fresh(&member, id, asked_at) {
            return Ok(Observed::Known(vec![process]));
        }
        let read = self.asked(|world| world.colony.process(world.now, id.as_str()))?;
        if let Observed::Known(found) = &read {
            match found.first() {
                Some(process) => known.read(&member, process, asked_at),
                None => known.forget(id),
            }
        }
        Ok(read)
    }

    /// What the colony answers, if it does. It takes its time: what it says was so when it was asked.
    fn asked<T>(&mut self, question: impl FnOnce(&mut World) -> T) -> Result<Observed<T>, Ended> {
        let seconds = match self.fate() {
            Fate::CrashBefore | Fate::CrashAfter => return Err(Ended),
            Fate::Refused | Fate::Lost => return Ok(Observed::Unknown("no answer".to_owned())),
            Fate::Late(seconds) => seconds,
            Fate::Done => 0,
        };
        let answer = question(self.world);
        self.world.pass(i64::from(seconds));
        Ok(Observed::Known(answer))
    }

    /// In order; a step that fails holds up those behind it on its own side.
    fn execute(&mut self, plan: Plan, object: &ExecutorDeployment) -> Result<Outcome, Ended> {
        let mut outcome = Outcome::default();
        let (mut cluster_held, mut colony_held) = (false, false);
        for step in &plan.steps {
            let held = match step {
                Step::Kubernetes(_) => &mut cluster_held,
                Step::Colony(_) => &mut colony_held,
            };
            if *held {
                outcome.results.push(StepResult::Skipped);
                continue;
            }
            let result = match step {
                Step::Kubernetes(step) => self.kubernetes(step, object, &mut outcome.resource_version),
                Step::Colony(step) => self.colony(step)?,
            };
            *held = result.is_err();
            outcome.results.push(result.map_or_else(StepResult::Failed, StepResult::Done));
        }
        outcome.plan = plan;
        Ok(outcome)
    }

    /// Writes to the cluster but for status are done; their failures are not what is looked for here.
    fn kubernetes(
        &mut self,
        step: &KubernetesStep,
        object: &ExecutorDeployment,
        version: &mut Option<String>,
    ) -> Result<Effect, StepFailure> {
        let (cluster, index) = (&mut self.world.cluster, self.index);
        match step {
            KubernetesStep::AddFinalizer | KubernetesStep::RemoveFinalizer => {
                let finalizers = if matches!(step, KubernetesStep::AddFinalizer) {
                    vec![EXECUTOR_DEPLOYMENT_FINALIZER.to_owned()]
                } else {
                    Vec::new()
                };
                let read = object.metadata.resource_version.as_deref();
                let written = cluster.write_finalizers(index, read, finalizers);
                *version = written.map_err(|_| failure(FailureKind::Conflict))?;
            }
            KubernetesStep::CreateIdentity(identity) => cluster.write_identity(index, identity, true),
            KubernetesStep::UpdateIdentity { identity, .. } => cluster.write_identity(index, identity, false),
            KubernetesStep::DeleteIdentity { .. } => cluster.held[index].identity = None,
            KubernetesStep::CreateWorkload(workload) | KubernetesStep::UpdateWorkload { workload, .. } => {
                cluster.write_workload(index, workload);
            }
            KubernetesStep::DeleteWorkload { .. } => cluster.held[index].deployment = None,
            KubernetesStep::UpdateSpec { .. } | KubernetesStep::DeleteObject { .. } => {
                panic!("nothing is born in the colony: {step}")
            }
            KubernetesStep::ReleaseIdentity { .. } => panic!("nothing is to stay: {step}"),
            KubernetesStep::CreateChild(_)
            | KubernetesStep::AdoptChild { .. }
            | KubernetesStep::PatchChild { .. }
            | KubernetesStep::DeleteChild { .. } => panic!("a fleet is made of no templates: {step}"),
            _ => panic!("not a fleet's: {step}"),
        }
        Ok(Effect::Nothing)
    }

    fn colony(&mut self, step: &ColonyStep) -> Result<Result<Effect, StepFailure>, Ended> {
        let (caller, payload_type, inner) = match step {
            ColonyStep::RegisterExecutor { .. } => {
                self.world.cluster.register(self.index, ExecutorState::Approved);
                return Ok(Ok(Effect::Nothing));
            }
            ColonyStep::RemoveExecutor { .. } => {
                if self.world.cluster.held[self.index].registration != Registration::Absent {
                    self.world.cluster.register(self.index, ExecutorState::Unregistered);
                }
                return Ok(Ok(Effect::Nothing));
            }
            ColonyStep::Submit(process) => {
                // Before the first byte leaves.
                self.world.operator.submissions.sent(&process.label, self.world.now);
                if process.is_gated {
                    (Caller::Member, "submitworkflowspecmsg", json!({"spec": process.gated().unwrap()}))
                } else {
                    (Caller::Member, "submitfuncspecmsg", json!({"spec": process.spec}))
                }
            }
            ColonyStep::SubmitWorkflow(_) => panic!("there is no workflow of a user's: {step}"),
            ColonyStep::Cancel { process_id, .. } => {
                self.invalidate(process_id);
                (Caller::Member, "cancelprocessmsg", json!({"processid": process_id}))
            }
            ColonyStep::CancelGraph { graph_id, .. } => {
                let now = self.world.instant();
                self.world.operator.processes.invalidate_workflow(graph_id, now);
                (Caller::Member, "cancelprocessgraphmsg", json!({"processgraphid": graph_id}))
            }
            ColonyStep::OpenGate { process_id } => {
                self.invalidate(process_id);
                (Caller::Operator, "closesuccessfulmsg", json!({"processid": process_id, "out": []}))
            }
            ColonyStep::CloseSuccessful { process_id, output } => {
                self.invalidate(process_id);
                (Caller::Operator, "closesuccessfulmsg", json!({"processid": process_id, "out": output}))
            }
            ColonyStep::CloseFailed { process_id, errors } => {
                self.invalidate(process_id);
                (Caller::Operator, "closefailedmsg", json!({"processid": process_id, "errors": errors}))
            }
            ColonyStep::AddBlueprint(_)
            | ColonyStep::UpdateBlueprint { .. }
            | ColonyStep::UpdateBlueprintStatus { .. }
            | ColonyStep::RemoveBlueprint { .. } => panic!("there is no blueprint: {step}"),
            _ => panic!("not a fleet's: {step}"),
        };
        let call = ColonyCall { caller, payload_type, inner };
        let fate = self.fate();
        let answer = match fate {
            Fate::CrashBefore => return Err(Ended),
            Fate::Refused => return Ok(Err(failure(FailureKind::Unavailable))),
            Fate::Late(seconds) => {
                self.send_late(seconds, Message::Colony(call));
                return Ok(Err(failure(FailureKind::Ambiguous)));
            }
            Fate::Done | Fate::Lost | Fate::CrashAfter => self.world.ask(&call),
        };
        match (fate, answer) {
            (Fate::CrashAfter, _) => Err(Ended),
            (Fate::Lost, _) => Ok(Err(failure(FailureKind::Ambiguous))),
            // Over or gone already: the next look asks what became of it.
            (_, Err(_)) if matches!(step, ColonyStep::Cancel { .. } | ColonyStep::CancelGraph { .. }) => {
                Ok(Ok(Effect::Nothing))
            }
            (_, Err(_)) => Ok(Err(failure(FailureKind::Conflict))),
            (_, Ok(answer)) => Ok(Ok(self.effect(step, &answer))),
        }
    }

    /// A process that is about to be written to: what was read of it holds no longer, whatever the answer.
    fn invalidate(&mut self, process_id: &str) {
        let now = self.world.instant();
        self.world.operator.processes.invalidate(&ProcessId::new(process_id), now);
    }

    fn effect(&mut self, step: &ColonyStep, answer: &Value) -> Effect {
        let now = self.world.instant();
        let processes = &self.world.operator.processes;
        match step {
            ColonyStep::Submit(process) if !process.is_gated => {}
            ColonyStep::CloseSuccessful { process_id, .. } | ColonyStep::CloseFailed { process_id, .. } => {
                processes.forget(&ProcessId::new(process_id));
                return Effect::Nothing;
            }
            // Which process of a workflow it is is looked up by label.
            _ => return Effect::Nothing,
        }
        let submitted: Process = serde_json::from_value(answer.clone()).unwrap();
        processes.submitted(&self.world.colony.member, &submitted, now);
        Effect::Submitted {
            process_id: submitted.id.to_string(),
            submitted_at: Some(submitted.submitted_at),
            is_running: false,
        }
    }

    fn send_late(&mut self, seconds: u8, message: Message) {
        let at = self.world.now + SignedDuration::from_secs(i64::from(seconds));
        self.world.under_way.push((at, message));
    }

    /// Whether anything was written that the operator knows of.
    fn publish(
        &mut self,
        object: &ExecutorDeployment,
        status: ExecutorDeploymentStatus,
        outcome: &Outcome,
    ) -> Result<bool, Ended> {
        let bound = status.mirror.as_ref().filter(|mirror| mirror.process_id.is_some());
        let bound = bound.map(|mirror| mirror.label.clone());
        let submissions = self.world.operator.submissions.clone();
        if object.status.as_ref() == Some(&status) {
            if let Some(label) = &bound {
                submissions.settled(label);
            }
            return Ok(false);
        }
        let version = outcome.resource_version.clone().or_else(|| object.metadata.resource_version.clone());
        let mirror = status.mirror.clone();
        let fate = self.fate();
        let written = match fate {
            Fate::CrashBefore => return Err(Ended),
            Fate::Refused => return Ok(true),
            Fate::Late(seconds) => {
                let status = Box::new(status);
                self.send_late(seconds, Message::Status { object: self.index, version, status });
                return Ok(true);
            }
            Fate::Done | Fate::Lost | Fate::CrashAfter => {
                self.world.cluster.write_status(self.index, version.as_deref(), status)
            }
        };
        match fate {
            Fate::CrashAfter => return Err(Ended),
            Fate::Lost => return Ok(true),
            _ => {}
        }
        if let (Some(label), true) = (&bound, written.is_ok()) {
            submissions.settled(label);
        }
        let before = object.status.as_ref().and_then(|before| before.mirror.as_ref());
        let recorded = mirror.filter(|mirror| mirror.state == MirrorState::Intended);
        if let Some(mirror) = recorded.filter(|mirror| written.is_ok() && before != Some(mirror)) {
            submissions.intended(&mirror.label, self.world.operator.term);
        }
        Ok(true)
    }
}

fn failure(kind: FailureKind) -> StepFailure {
    StepFailure { kind, message: "simulated".to_owned() }
}
