//! Answers processes that originate in a colony, and creates the objects of blueprints without such a process: one
//! pass through the stages for each of them, again and again until it is answered.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    act::{
        ColonyWrite, Target, is_over,
        outcome::{FailureKind, Outcome, StepFailure, not_leading},
    },
    api::{
        blueprint::is_for_another_runtime,
        colony::{Colony, InboundPolicy},
    },
    colony::{Blueprint, Error, Process, ProcessId, ProcessState, Session},
    controllers::engine::{context::Services, retry::Retries},
    desired::inbound::{Request, read},
    diff::{
        Answer, ColonyStep, Plan, Step,
        inbound::{InboundPlan, missing_object, object_of_step, plan},
    },
    memory::connections::OperatorIdentity,
    snapshot::InboundProcess,
    watch::inbound::{About, InboundReader},
};

/// How long an answer waits for a change of some object before it looks by itself, and at the process too: it may
/// have been cancelled.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a pass follows one that wrote something or whose cache is behind.
const NEXT_STEP: Duration = Duration::from_millis(50);

/// How many processes of a colony are answered at once. Each may wait for its object for as long as that takes, and any
/// member may submit any number of them.
const MOST_AT_ONCE: usize = 256;
/// After this many failures in a row, about ten minutes, the failure is the answer.
const MOST_FAILURES: u32 = 15;

/// Answers processes of one colony.
#[derive(Clone)]
pub(in crate::controllers) struct Inbound {
    /// Name of the `Colony`.
    pub colony: String,
    /// The shared services.
    pub services: Arc<Services>,
    /// Reads the world.
    pub reader: InboundReader,
    under_way: Arc<Mutex<HashSet<String>>>,
}

/// What came of one pass over a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// It is answered, or is no longer this operator's to answer.
    Answered,
    /// Something was written: look again at once.
    Changed,
    /// There was nothing to do yet.
    Waiting,
}

impl Inbound {
    /// Answers processes of `colony`.
    pub fn new(colony: &str, services: Arc<Services>, reader: InboundReader) -> Self {
        Self { colony: colony.to_owned(), services, reader, under_way: Arc::default() }
    }

    /// Answers a process concurrently, once.
    ///
    /// # Errors
    ///
    /// When there are too many, and it cannot be told so.
    pub async fn accept(&self, process: Process, operator: &OperatorIdentity) -> Result<(), Error> {
        let id = process.id.to_string();
        let is_full = {
            let mut under_way = self.lock();
            if under_way.contains(&id) {
                return Ok(());
            }
            let is_full = under_way.len() >= MOST_AT_ONCE;
            if !is_full {
                under_way.insert(id.clone());
            }
            is_full
        };
        if is_full {
            let why = format!(
                "the operator already answers {MOST_AT_ONCE} processes of this colony: submit it again later"
            );
            return self.close_failed(&process.id, operator, why).await;
        }
        let (inbound, operator) = (self.clone(), operator.clone());
        tokio::spawn(async move {
            inbound.answer(process, &operator).await;
            inbound.lock().remove(&id);
        });
        Ok(())
    }

    /// Closes a process as failed, unless it is over.
    ///
    /// # Errors
    ///
    /// When the colony does not take it.
    pub async fn close_failed(
        &self,
        process: &ProcessId,
        operator: &OperatorIdentity,
        why: String,
    ) -> Result<(), Error> {
        match operator.session.close_failed(process, &[why]).await {
            // Cancelled, gone, or closed by an earlier try; or another executor's by now.
            Err(error) if is_over(ColonyWrite::Answer, &error) => Ok(()),
            result => result,
        }
    }

    /// Until the process is answered, or this process no longer leads: the next leader finds it among what runs.
    async fn answer(&self, process: Process, operator: &OperatorIdentity) {
        let retries = Retries::default();
        let id = process.id.clone();
        let mut inbound = InboundProcess { process, was_seen: false };
        let mut changes = self.services.object_changes.subscribe();
        let mut failures = 0;
        while self.services.leadership.is_leader() {
            changes.mark_unchanged();
            let delay = match self.pass(&mut inbound, operator).await {
                Ok(Turn::Answered) => return,
                Ok(Turn::Changed) => {
                    failures = 0;
                    NEXT_STEP
                }
                Ok(Turn::Waiting) => {
                    // Nothing is lost by a change that comes between the pass and this wait: it is marked already.
                    if tokio::time::timeout(LOOK, changes.changed()).await.is_err()
                        && self.is_over(&inbound.process, &operator.session).await
                    {
                        tracing::info!(process = %id, "is over before it was answered");
                        return;
                    }
                    continue;
                }
                Err(failure) => {
                    tracing::warn!(process = %id, kind = ?failure.kind, "{}", failure.message);
                    failures += 1;
                    if failures >= MOST_FAILURES
                        && self.close_failed(&inbound.process.id, operator, failure.message).await.is_ok()
                    {
                        return;
                    }
                    retries.after_failure(id.as_str())
                }
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// One pass: read, interpret the request, plan, act.
    async fn pass(
        &self,
        inbound: &mut InboundProcess,
        operator: &OperatorIdentity,
    ) -> Result<Turn, StepFailure> {
        let Some(object) = self.reader.colony_object(&self.colony) else { return Ok(Turn::Answered) };
        let spec = &object.spec;
        let plan = match request(&inbound.process, &object) {
            Err(why) => InboundPlan { steps: Vec::new(), answer: Some(Answer::Failed(why)) },
            Ok(request) => {
                let (about, namespaces) = needs(&request, &inbound.process);
                let snapshot =
                    self.reader.snapshot((&self.colony, spec), &operator.session, about, &namespaces).await;
                inbound.was_seen |= snapshot.objects.has_born_of(inbound.process.id.as_str());
                plan(&snapshot, inbound, &request)
            }
        };
        if plan.steps.iter().any(|step| self.is_behind(step)) {
            return Ok(Turn::Changed);
        }
        let is_idle = plan.steps.is_empty();
        let outcome = self.execute(plan.steps).await?;
        let answer = match outcome.failure() {
            None => plan.answer,
            // Another was faster, or the cache is old: look again.
            Some(failure) if failure.kind == FailureKind::Conflict => return Ok(Turn::Changed),
            // What the cluster refuses for good is the answer.
            Some(failure) if failure.kind == FailureKind::Refused => {
                Some(Answer::Failed(failure.message.clone()))
            }
            Some(failure) => return Err(failure.clone()),
        };
        let Some(answer) = answer else {
            return Ok(if is_idle { Turn::Waiting } else { Turn::Changed });
        };
        let (process_id, executor_type) = (inbound.process.id.to_string(), operator.executor_type);
        let step = Step::Colony(ColonyStep::Answer { process_id, executor_type, answer });
        self.execute(vec![step]).await?.failure().cloned().map_or(Ok(Turn::Answered), Err)
    }

    /// Carries steps out on behalf of the `Colony`.
    async fn execute(&self, steps: Vec<Step>) -> Result<Outcome, StepFailure> {
        let Some(object) = self.reader.colony_object(&self.colony) else { return Ok(Outcome::default()) };
        let target = Target {
            object: &object,
            kind: &(),
            finalizer: None,
            connection: self.services.connections.get(&self.colony),
            colony: Some(self.colony.clone()),
        };
        let plan = Plan { steps, ..Plan::default() };
        let outcome = self.services.actor.execute(plan, &target).await;
        if outcome.is_skipped() { Err(not_leading()) } else { Ok(outcome) }
    }

    /// Makes the objects of blueprints at this cluster's location that have none: the process that would have asked for it
    /// may have been lost, or was never made, since the colony's owner changes blueprints without any. Which ones get no object,
    /// and why, by name.
    pub async fn sweep(&self, member: &Session) -> BTreeMap<String, String> {
        let mut refused = BTreeMap::new();
        let Some(spec) = self.reader.colony(&self.colony) else { return refused };
        let Some(here) = spec.location.as_deref().filter(|_| spec.inbound.policy == InboundPolicy::Accept)
        else {
            return refused;
        };
        let snapshot = self.reader.snapshot((&self.colony, &spec), member, About::All, &[]).await;
        let blueprints = snapshot.blueprints.known().into_iter().flatten();
        let mut made = 0;
        let is_asked_for = |blueprint: &&Blueprint| {
            blueprint.metadata.location == here && !is_for_another_runtime(blueprint)
        };
        for blueprint in blueprints.filter(is_asked_for) {
            match missing_object(blueprint, &snapshot, made) {
                // What fails is logged, and tried again with the next sweep.
                Ok(Some(step)) if !self.is_behind(&step) => {
                    made += 1;
                    let outcome = self.execute(vec![step]).await.unwrap_or_default();
                    if let Some(failure) = outcome.failure().filter(|one| one.kind == FailureKind::Refused) {
                        refused.insert(blueprint.metadata.name.clone(), failure.message.clone());
                    }
                }
                Ok(_) => {}
                // A requesting process gets an answer; here there is none.
                Err(why) => {
                    refused.insert(blueprint.metadata.name.clone(), why);
                }
            }
        }
        refused
    }

    fn is_behind(&self, step: &Step) -> bool {
        object_of_step(step).is_some_and(|(namespace, name)| self.reader.is_behind(&namespace, &name))
    }

    /// Whether the process was cancelled, or assigned to another executor.
    async fn is_over(&self, process: &Process, operator: &Session) -> bool {
        match operator.process(&process.id).await {
            Ok(found) => {
                found.state != ProcessState::Running
                    || found.assigned_executor.as_ref() != Some(operator.id())
            }
            Err(error) => error.is_not_found(),
        }
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, HashSet<String>> {
        self.under_way.lock()
    }
}

/// What a process asks for, if the `Colony` lets the colony ask for anything.
fn request(process: &Process, colony: &Colony) -> Result<Request, String> {
    let spec = &colony.spec;
    if spec.inbound.policy == InboundPolicy::Refuse {
        return Err("this cluster accepts nothing that originates in the colony: apply it with kubectl, or have spec.inbound.policy of the Colony set to Accept and spec.inbound.namespaces name a namespace".to_owned());
    }
    let request = read(process, spec).map_err(|error| error.to_string())?;
    let is_leaving = colony.metadata.deletion_timestamp.is_some();
    if is_leaving && !matches!(request, Request::CleanUp { .. }) {
        return Err("this cluster leaves the colony: its Colony is being deleted".to_owned());
    }
    Ok(request)
}

/// What has to be read for a request.
fn needs<'a>(request: &'a Request, process: &'a Process) -> (About<'a>, Vec<String>) {
    match request {
        Request::Apply(object) => {
            let about = About::Object { name: &object.name, process: process.id.as_str() };
            (about, vec![object.namespace.to_string()])
        }
        Request::Reconcile { blueprint, .. } | Request::CleanUp { blueprint } => {
            (About::Blueprint(blueprint), Vec::new())
        }
        Request::ReconcileAll => (About::All, Vec::new()),
    }
}
