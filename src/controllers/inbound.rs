//! Answers processes that were born in a colony, and makes the objects of blueprints for which nobody asks: one pass
//! through the stages for each of them, again and again until it is answered.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{context::Machinery, retry::Retries};
use crate::{
    act::{
        inbound::{InboundOutcome, carry_out, carry_out_alone},
        outcome::StepFailure,
    },
    api::colony::{ColonySpec, InboundPolicy},
    colony::{Process, ProcessState, Session},
    desired::inbound::{Request, read},
    diff::inbound::{Answer, InboundPlan, InboundStep, missing_object, plan},
    memory::connections::OperatorIdentity,
    watch::{
        inbound::{About, InboundReader},
        snapshot::InboundProcess,
    },
};

/// How long an answer waits for a change of some object before it looks by itself, and at the process too: somebody may
/// have cancelled it.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a pass follows one that wrote something or whose cache is behind.
const NEXT_STEP: Duration = Duration::from_millis(50);

/// Answers processes of one colony.
#[derive(Clone)]
pub(super) struct Inbound {
    /// Name of the `Colony`.
    pub colony: String,
    /// The machinery.
    pub machinery: Arc<Machinery>,
    /// Reads the world.
    pub reader: InboundReader,
    under_way: Arc<Mutex<HashSet<String>>>,
}

impl Inbound {
    /// Answers processes of `colony`.
    pub fn new(colony: &str, machinery: Arc<Machinery>, reader: InboundReader) -> Self {
        Self { colony: colony.to_owned(), machinery, reader, under_way: Arc::default() }
    }

    /// Has a process answered beside whatever else goes on, once.
    pub fn accept(&self, process: Process, operator: &OperatorIdentity) {
        let id = process.id.to_string();
        if !self.lock().insert(id.clone()) {
            return;
        }
        let (inbound, operator) = (self.clone(), operator.session.clone());
        tokio::spawn(async move {
            inbound.answer(process, &operator).await;
            inbound.lock().remove(&id);
        });
    }

    /// Until the process is answered, or this process no longer leads: whoever leads then finds it among what runs.
    async fn answer(&self, process: Process, operator: &Session) {
        let retries = Retries::default();
        let id = process.id.clone();
        let mut inbound = InboundProcess { process, was_seen: false };
        let mut changes = self.machinery.object_changes.subscribe();
        while self.machinery.leadership.is_leader() {
            changes.mark_unchanged();
            let delay = match self.pass(&mut inbound, operator).await {
                Ok(InboundOutcome::Answered) => return,
                Ok(InboundOutcome::Changed) => NEXT_STEP,
                Ok(InboundOutcome::Waiting) => {
                    // Nothing is lost by a change that comes between the pass and this wait: it is marked already.
                    if tokio::time::timeout(LOOK, changes.changed()).await.is_err()
                        && self.is_over(&inbound.process, operator).await
                    {
                        tracing::info!(process = %id, "is over before it was answered");
                        return;
                    }
                    continue;
                }
                Err(failure) => {
                    tracing::warn!(process = %id, kind = ?failure.kind, "{}", failure.message);
                    retries.after_failure(id.as_str())
                }
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// One pass: read, say what is asked for, plan, act.
    async fn pass(
        &self,
        inbound: &mut InboundProcess,
        operator: &Session,
    ) -> Result<InboundOutcome, StepFailure> {
        let cluster = &self.machinery.to_cluster;
        let leadership = &self.machinery.leadership;
        let Some(spec) = self.reader.colony(&self.colony) else { return Ok(InboundOutcome::Answered) };
        let plan = match request(&inbound.process, &spec) {
            Err(why) => InboundPlan { steps: Vec::new(), answer: Some(Answer::Failed(why)) },
            Ok(request) => {
                let (about, namespaces) = needs(&request, &inbound.process);
                let snapshot =
                    self.reader.snapshot((&self.colony, &spec), operator, about, &namespaces).await;
                inbound.was_seen |= snapshot.objects.has_born_of(inbound.process.id.as_str());
                plan(&snapshot, inbound, &request)
            }
        };
        if plan.steps.iter().any(|step| self.is_behind(step)) {
            return Ok(InboundOutcome::Changed);
        }
        carry_out(&plan, &inbound.process, cluster, operator, leadership).await
    }

    /// Makes the objects of blueprints at this cluster's location that have none: the process that would have asked for it
    /// may have been lost, or was never made, since the colony's owner changes blueprints without any.
    pub async fn sweep(&self, member: &Session) {
        let Some(spec) = self.reader.colony(&self.colony) else { return };
        let Some(here) = spec.location.as_deref().filter(|_| spec.inbound.policy == InboundPolicy::Accept)
        else {
            return;
        };
        let snapshot = self.reader.snapshot((&self.colony, &spec), member, About::All, &[]).await;
        let blueprints = snapshot.blueprints.known().into_iter().flatten();
        for blueprint in blueprints.filter(|blueprint| blueprint.metadata.location == here) {
            match missing_object(blueprint, &snapshot) {
                Ok(Some(step)) if !self.is_behind(&step) => {
                    let (cluster, leadership) = (&self.machinery.to_cluster, &self.machinery.leadership);
                    if let Err(failure) = carry_out_alone(&step, cluster, leadership).await {
                        tracing::warn!(blueprint = blueprint.metadata.name, "{}", failure.message);
                    }
                }
                Ok(_) => {}
                // Whoever asks for it by a process is answered; here there is nobody to tell.
                Err(why) => tracing::debug!(blueprint = blueprint.metadata.name, "not made: {why}"),
            }
        }
    }

    fn is_behind(&self, step: &InboundStep) -> bool {
        let (namespace, name) = step.object();
        self.reader.is_behind(&namespace, &name)
    }

    /// Whether somebody cancelled the process, or the server gave it to another.
    async fn is_over(&self, process: &Process, operator: &Session) -> bool {
        match operator.process(&process.id).await {
            Ok(found) => {
                found.state != ProcessState::Running
                    || found.assigned_executor.as_ref() != Some(operator.id())
            }
            Err(error) => error.is_not_found(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a process asks for, if the `Colony` lets the colony ask for anything.
fn request(process: &Process, spec: &ColonySpec) -> Result<Request, String> {
    if spec.inbound.policy == InboundPolicy::Refuse {
        return Err("this cluster takes nothing that is born in the colony: apply it with kubectl, or have spec.inbound.policy of the Colony changed".to_owned());
    }
    read(process, spec).map_err(|error| error.to_string())
}

/// What has to be read for a request.
fn needs<'a>(request: &'a Request, process: &'a Process) -> (About<'a>, Vec<String>) {
    match request {
        Request::Apply(object) => {
            let about = About::Object { name: &object.name, process: process.id.as_str() };
            (about, vec![object.namespace.clone()])
        }
        Request::Reconcile { blueprint, .. } | Request::CleanUp { blueprint } => {
            (About::Blueprint(blueprint), Vec::new())
        }
        Request::ReconcileAll => (About::All, Vec::new()),
    }
}
