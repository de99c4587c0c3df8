//! Passes over an object by the stages of its kind and through the port that records: what each pass would do, until the
//! colony or another party must act.

use std::fmt::Write as _;

use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Resource, core::object::HasStatus};
use serde::Serialize;
use serde_json::Value;

use super::{super::Failure, Rendered, call, effects};
use crate::{
    act::{Actor, Recorder, Target, kinds::StatusKind, outcome::Outcome},
    api::{kind::HasConditions, mirror::MirrorStatus, names::SUBMITTED_AS_ANNOTATION},
    colony::{Process, model::Blueprint},
    diff::{ColonyStep, KubernetesStep, Plan, Problem, Step},
    snapshot::Observed,
};

/// The status of the objects of a snapshot.
pub(super) type Status<R> = <<R as Rehearsed>::Object as HasStatus>::Status;

/// A snapshot whose passes can be rehearsed.
pub(super) trait Rehearsed {
    /// The kind of its object.
    type Object: StatusKind + HasStatus<Status: Serialize + HasConditions>;
    /// What the plan found besides what is to be done.
    type Findings;
    /// What holds the object until its remote side is gone.
    const FINALIZER: Option<&'static str>;
    /// After so many passes every plan has come to wait for something; one that needs more is a bug.
    const MOST_PASSES: usize = 8;

    /// Stages 2 and 3.
    fn decide(&self) -> Result<(Plan, Self::Findings), Problem>;
    /// Stage 5; none while it is another party's turn.
    fn status(&self, pass: Result<(&Outcome, &Self::Findings), &Problem>) -> Option<Status<Self>>;
    /// The object.
    fn object(&mut self) -> &mut Self::Object;
    /// The kind of the object.
    fn kind(&self) -> <Self::Object as Resource>::DynamicType;
    /// When the snapshot was taken.
    fn now(&self) -> Timestamp;
    /// The process on record.
    fn mirror(&self) -> Option<&MirrorStatus> {
        None
    }
    /// The processes in the colony, if processes carry the object out.
    fn processes(&mut self) -> Option<&mut Observed<Vec<Process>>> {
        None
    }
    /// The blueprint in the colony, if a blueprint can carry the object out.
    fn blueprint(&mut self) -> Option<&mut Observed<Option<Blueprint>>> {
        None
    }
    /// The steps that an API server would refuse, and why.
    fn refusals(&mut self, _plan: &Plan) -> Result<Vec<(Step, String)>, Failure> {
        Ok(Vec::new())
    }
    /// Changes the snapshot as a step of this kind alone changes the world; whether the next pass is known.
    fn apply(&mut self, _step: Step) -> bool {
        false
    }
}

/// How a rehearsal ends.
pub(super) enum End {
    /// This is submitted.
    Submits(ColonyStep),
    /// The object is gone.
    Gone,
    /// There is nothing to do but to wait for this.
    Waits(Vec<String>),
    /// There is no plan, or an API server refuses a step.
    Refused,
    /// What the next pass would do is unknown.
    Unknown,
}

/// Plans an object, as the API server would have it. `text` has its name already.
pub(super) fn plan(mut text: String, mut snapshot: impl Rehearsed) -> Result<Rendered, Failure> {
    let status = first(&snapshot)?;
    let end = rehearse(&mut text, &mut snapshot)?;
    tell(&mut text, &end)?;
    delete(&mut text, &mut snapshot, &end)?;
    Ok(Rendered { steps: text, status, is_refused: matches!(end, End::Refused) })
}

/// Goes through the deletion of an object whose rehearsal has come to `end`.
pub(super) fn delete<R: Rehearsed>(text: &mut String, snapshot: &mut R, end: &End) -> Result<End, Failure> {
    let now = snapshot.now();
    let metadata = snapshot.object().meta_mut();
    if metadata.deletion_timestamp.is_some() || matches!(end, End::Refused | End::Gone) {
        return Ok(End::Unknown);
    }
    let mut finalizers = metadata.finalizers.iter().flatten();
    if !finalizers.any(|finalizer| Some(finalizer.as_str()) == R::FINALIZER) {
        writeln!(text, "when it is deleted, nothing is done")?;
        return Ok(End::Gone);
    }
    metadata.deletion_timestamp = Some(Time(now));
    match end {
        End::Submits(ColonyStep::SubmitWorkflow(_)) => {
            writeln!(text, "when it is deleted before its workflow is over")?;
        }
        End::Submits(_) => writeln!(text, "when it is deleted before its process is over")?,
        _ => writeln!(text, "when it is deleted")?,
    }
    let end = rehearse(text, snapshot)?;
    tell(text, &end)?;
    Ok(end)
}

/// What a rehearsal came to.
pub(super) fn tell(text: &mut String, end: &End) -> Result<(), Failure> {
    match end {
        End::Submits(step) => call::describe(text, step),
        End::Waits(awaiting) => {
            Ok(awaiting.iter().try_for_each(|awaited| writeln!(text, "then awaiting {awaited}"))?)
        }
        End::Gone | End::Refused | End::Unknown => Ok(()),
    }
}

/// The status that the first pass would write, as YAML, if none of its steps had an answer.
pub(super) fn first<R: Rehearsed>(snapshot: &R) -> Result<String, Failure> {
    let status = match snapshot.decide() {
        Ok((plan, findings)) => snapshot.status(Ok((&Outcome { plan, ..Outcome::default() }, &findings))),
        Err(problem) => snapshot.status(Err(&problem)),
    };
    Ok(status.map(|status| serde_norway::to_string(&status)).transpose()?.unwrap_or_default())
}

/// Runs passes until the colony or another party must act.
pub(super) fn rehearse<R: Rehearsed>(text: &mut String, snapshot: &mut R) -> Result<End, Failure> {
    for pass in 1..=R::MOST_PASSES {
        let (plan, findings) = match snapshot.decide() {
            Ok(decided) => decided,
            Err(problem) => {
                writeln!(text, "{}: {}", problem.reason.as_str(), problem.message)?;
                let status = snapshot.status(Err(&problem));
                record(snapshot, status);
                return Ok(End::Refused);
            }
        };
        let is_idle = plan.is_idle();
        if pass == 1 || !is_idle {
            write!(text, "pass {pass}\n{plan}")?;
        }
        let Passed { outcome, refused, is_known } = act(snapshot, plan, &findings)?;
        if is_idle {
            if pass == 1 {
                since(text, snapshot)?;
                return Ok(End::Waits(Vec::new()));
            }
            return Ok(End::Waits(outcome.plan.awaiting));
        }
        if !refused.is_empty() {
            refused.iter().try_for_each(|why| writeln!(text, "    refused     {why}"))?;
            return Ok(End::Refused);
        }
        for step in outcome.plan.steps {
            match step {
                Step::Colony(step @ (ColonyStep::Submit(_) | ColonyStep::SubmitWorkflow(_))) => {
                    return Ok(End::Submits(step));
                }
                Step::Kubernetes(KubernetesStep::RemoveFinalizer) => return Ok(End::Gone),
                _ => {}
            }
        }
        if !is_known {
            return Ok(End::Unknown);
        }
    }
    Ok(End::Unknown)
}

/// Why an object for which nothing is done is as it is.
pub(super) fn since(text: &mut String, snapshot: &mut impl Rehearsed) -> Result<(), Failure> {
    let conditions = snapshot.object().status().map(HasConditions::conditions).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    Ok(ready.into_iter().try_for_each(|ready| writeln!(text, "    since       {}", ready.message))?)
}

/// What came of a pass.
pub(super) struct Passed {
    outcome: Outcome,
    /// What an API server refuses, and why.
    refused: Vec<String>,
    /// Whether the next pass is known.
    is_known: bool,
}

/// Carries a plan out at the port that records, and changes the snapshot as the recorded steps change the world.
pub(super) fn act<R: Rehearsed>(
    snapshot: &mut R,
    plan: Plan,
    findings: &R::Findings,
) -> Result<Passed, Failure> {
    let refusals = snapshot.refusals(&plan)?;
    let refused = refusals.iter().map(|(_, why)| why.clone()).collect();
    let recorder = Recorder::refusing(refusals);
    let (object, kind) = (snapshot.object().clone(), snapshot.kind());
    let target =
        Target { object: &object, kind: &kind, finalizer: R::FINALIZER, connection: None, colony: None };
    // Nothing is awaited where nothing is written.
    let outcome = Actor::new(&recorder).execute(plan, &target).now_or_never().unwrap_or_default();
    let status = snapshot.status(Ok((&outcome, findings)));
    let mut is_known = true;
    for step in recorder.steps() {
        is_known &= apply(snapshot, step)?;
    }
    record(snapshot, status);
    Ok(Passed { outcome, refused, is_known })
}

/// Puts a status on record, and keeps of the processes those that a reader looks up for it.
fn record<R: Rehearsed>(snapshot: &mut R, status: Option<Status<R>>) {
    if let Some(status) = status {
        *snapshot.object().status_mut() = Some(status);
    }
    let Some(mirror) = snapshot.mirror().cloned() else { return };
    if let Some(Observed::Known(processes)) = snapshot.processes() {
        processes.retain(|process| effects::is_of(process, &mirror));
    }
}

fn hold<R: Rehearsed>(snapshot: &mut R) {
    let finalizers = snapshot.object().meta_mut().finalizers.get_or_insert_default();
    let missing = R::FINALIZER.filter(|name| !finalizers.iter().any(|held| held == name));
    finalizers.extend(missing.map(str::to_owned));
}

/// Changes the snapshot as a step changes the world; whether the next pass is known.
fn apply<R: Rehearsed>(snapshot: &mut R, step: Step) -> Result<bool, Failure> {
    match step {
        Step::Kubernetes(KubernetesStep::AddFinalizer) => hold::<R>(snapshot),
        Step::Kubernetes(KubernetesStep::Hold { submitted_as }) => {
            hold::<R>(snapshot);
            let annotations = snapshot.object().meta_mut().annotations.get_or_insert_default();
            annotations.insert(SUBMITTED_AS_ANNOTATION.to_owned(), submitted_as);
        }
        Step::Kubernetes(KubernetesStep::UpdateSpec { spec, .. }) => {
            let mut changed = serde_json::to_value(&*snapshot.object())?;
            changed["spec"] = Value::Object(spec);
            let Ok(changed) = serde_json::from_value(changed) else { return Ok(false) };
            *snapshot.object() = changed;
            let generation = snapshot.object().meta_mut().generation.get_or_insert(1);
            *generation = generation.saturating_add(1);
        }
        Step::Kubernetes(KubernetesStep::RemoveFinalizer | KubernetesStep::DeleteObject { .. }) => {
            return Ok(false);
        }
        Step::Colony(step) => {
            let now = snapshot.now();
            if let Some(blueprint) = snapshot.blueprint()
                && let Some(is_known) = effects::on_blueprint(blueprint, &step)
            {
                return Ok(is_known);
            }
            if let Some(Observed::Known(processes)) = snapshot.processes()
                && let Some(is_known) = effects::on_processes(processes, &step, now)
            {
                return Ok(is_known);
            }
            return Ok(snapshot.apply(Step::Colony(step)));
        }
        step @ Step::Kubernetes(_) => return Ok(snapshot.apply(step)),
    }
    Ok(true)
}
