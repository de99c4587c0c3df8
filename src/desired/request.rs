//! The flow that a request follows, and the process of the job that it is at. Pure.

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};

use super::{
    DesiredProcess, Problem, function,
    request_flow::{CompiledFlow, JOBS, REQUEST},
    resolved,
};
use crate::{
    api::{
        condition::Reason,
        mirror::Mirrored as _,
        names::{self, EXECUTOR_TYPE_ANNOTATION, REQUEST_EXECUTOR_TYPE},
        request_state::{RequestState, State},
    },
    colony::model::{Process, SubmittedSpec},
    expression::Bindings,
    kinds::SpecError,
    snapshot::{ColonyReference, FlowSource, RequestSnapshot, ResolvedColony, Snapshot},
};

/// Why a request cannot go on. The message names field, value and remedy and goes into the condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// Its flow is not there, or cannot be read.
    #[error("{0}")]
    NoFlow(String),
    /// Its flow cannot be followed; the flow's own status reports it too.
    #[error("RequestFlow {name}: {why}")]
    BadFlow {
        /// The flow.
        name: String,
        /// Why not.
        why: String,
    },
    /// It is at a job that its flow does not have.
    #[error(
        "spec.job: {job}: the flow has no such job: it has {known}; create another request with one of them, or add the job to the flow"
    )]
    UnknownJob {
        job: String,
        /// The jobs of the flow.
        known: String,
    },
    /// An expression has no value for this request.
    #[error("{0}")]
    Expression(String),
    /// A field holds what no colony can keep, or refers to what is not there.
    #[error("{message}")]
    Field {
        /// The message about it.
        message: String,
        error: SpecError,
    },
}

/// What one pass knows of a request, with the flow that it follows, compiled once for all stages.
pub struct Followed {
    pub snapshot: RequestSnapshot,
    pub flow: Result<CompiledFlow, Obstacle>,
}

impl Followed {
    /// Compiles the flow.
    #[must_use]
    pub fn of(snapshot: RequestSnapshot) -> Self {
        Self { flow: flow(&snapshot), snapshot }
    }
}

impl Snapshot for Followed {
    fn now(&self) -> Timestamp {
        self.snapshot.now()
    }

    fn colony(&self) -> Option<&ColonyReference> {
        self.snapshot.colony()
    }
}

/// The process of the job that a request is at, if one may be submitted now. An error counts only where it is to be.
pub type DesiredJob = Result<Option<DesiredProcess>, Problem>;

/// Stage 2. None for a request that is cancelled or deleted.
///
/// # Errors
///
/// When its flow is not there, or cannot be followed.
pub fn desired(request: &Followed) -> Result<Option<DesiredJob>, Problem> {
    let Followed { snapshot, flow } = request;
    let object = &snapshot.object;
    if object.metadata.deletion_timestamp.is_some() || object.spec.state == State::Cancelled {
        return Ok(None);
    }
    let flow = flow.as_ref().map_err(Obstacle::problem)?;
    let made = submittable(object).map(|generation| {
        let colony = resolved(&snapshot.header.colony)?;
        process(snapshot, flow, colony, generation).map_err(|obstacle| obstacle.problem())
    });
    Ok(Some(made.transpose()))
}

impl Obstacle {
    /// Why there is no plan.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let reason = match self {
            Self::NoFlow(_) | Self::BadFlow { .. } => Reason::FlowUnusable,
            Self::Expression(_) => Reason::InvalidExpression,
            Self::Field { error: SpecError::Missing { .. }, .. } => Reason::SourceNotFound,
            Self::UnknownJob { .. } | Self::Field { .. } => Reason::InvalidSpec,
        };
        Problem { reason, message: self.to_string() }
    }
}

/// The flow that a request follows.
fn flow(snapshot: &RequestSnapshot) -> Result<CompiledFlow, Obstacle> {
    match &snapshot.flow {
        FlowSource::Default => {
            let bad = |error| Obstacle::BadFlow { name: "of two jobs".to_owned(), why: said(&error) };
            CompiledFlow::default_flow(executor_type(&snapshot.object)).map_err(bad)
        }
        FlowSource::Listed(text) => {
            let jobs: Vec<String> =
                text.split(',').map(str::trim).filter(|job| !job.is_empty()).map(str::to_owned).collect();
            let bad = |error| Obstacle::BadFlow { name: text.clone(), why: said(&error) };
            CompiledFlow::of_jobs(&jobs, executor_type(&snapshot.object)).map_err(bad)
        }
        FlowSource::Named(flow) => CompiledFlow::compile(&flow.spec)
            .map_err(|error| Obstacle::BadFlow { name: flow.name_any(), why: said(&error) }),
        FlowSource::NotFound(why) => Err(Obstacle::NoFlow(why.clone())),
    }
}

fn said(error: &super::request_flow::RequestFlowError) -> String {
    error.to_string()
}

/// The type of the executors that do the jobs of a request without a flow of its own.
fn executor_type(object: &RequestState) -> &str {
    object.annotations().get(EXECUTOR_TYPE_ANNOTATION).map_or(REQUEST_EXECUTOR_TYPE, String::as_str)
}

/// The generation at which the job was requested whose process may be submitted now, if one may.
#[must_use]
pub fn submittable(object: &RequestState) -> Option<i64> {
    let generation = object.metadata.generation;
    match object.mirror() {
        Some(mirror) if mirror.is_unbound() => Some(mirror.generation),
        Some(mirror) if Some(mirror.generation) == generation => None,
        None | Some(_) if object.spec.state == State::Requested => Some(generation.unwrap_or_default()),
        // What was started without a process of ours is another worker's.
        None | Some(_) => None,
    }
}

/// Makes the process of the job that was requested at `generation` of the object.
fn process(
    snapshot: &RequestSnapshot,
    flow: &CompiledFlow,
    colony: &ResolvedColony,
    generation: i64,
) -> Result<DesiredProcess, Obstacle> {
    let (object, name) = (&snapshot.object, &snapshot.object.spec.job);
    let job = flow.job(name).ok_or_else(|| {
        let known: Vec<&str> = flow.jobs().iter().map(super::request_flow::CompiledJob::name).collect();
        Obstacle::UnknownJob { job: name.clone(), known: known.join(", ") }
    })?;
    let named = |problem: String| match &snapshot.flow {
        FlowSource::Named(flow) => format!("RequestFlow {}: {problem}", flow.name_any()),
        _ => problem,
    };
    let call =
        job.render(&bindings(object)).map_err(|error| Obstacle::Expression(named(error.to_string())))?;
    let refused = |error: SpecError| Obstacle::Field { message: named(error.to_string()), error };
    let uid = object.uid().ok_or_else(|| refused(SpecError::Incomplete("metadata.uid")))?;
    let label = names::process_label(&snapshot.header.cluster, &uid, generation);
    let spec = function::build(&job.place(), &call, &colony.spec.colony_name, &label, &snapshot.values);
    let (spec, is_gated) = (spec.map_err(refused)?, job.is_gated());
    Ok(DesiredProcess { label, generation, spec, is_gated, is_own: false })
}

/// Whether a process that was submitted for the request under another UID, before it was restored, is what its job would have been
/// given then.
#[must_use]
pub fn is_of_job(snapshot: &RequestSnapshot, flow: &CompiledFlow, process: &Process) -> bool {
    let Some((_, uid, _)) = names::parse_process_label(&process.spec.label) else { return false };
    let mut then = snapshot.object.clone();
    then.metadata.uid = Some(uid.to_owned());
    let Some(job) = flow.job(&then.spec.job) else { return false };
    let Ok(call) = job.render(&bindings(&then)) else { return false };
    let given = &process.spec;
    let built =
        function::build(&job.place(), &call, &given.conditions.colony, &given.label, &snapshot.values);
    let sent = built.ok().and_then(|spec| serde_json::to_value(spec).ok());
    let sent = sent.and_then(|sent| serde_json::from_value::<SubmittedSpec>(sent).ok());
    sent.is_some_and(|sent| {
        (&sent.function, &sent.args, &sent.kwargs) == (&given.function, &given.args, &given.kwargs)
            && sent.conditions.executor_type == given.conditions.executor_type
    })
}

/// What expressions can speak of: the request, and what earlier jobs put out.
fn bindings(object: &RequestState) -> Bindings {
    let metadata = &object.metadata;
    let request = json!({
        "metadata": {
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "labels": metadata.labels.clone().unwrap_or_default(),
            "annotations": metadata.annotations.clone().unwrap_or_default(),
        },
        "spec": object.spec,
    });
    let jobs: Map<String, Value> = object
        .status
        .iter()
        .flat_map(|status| &status.jobs)
        // What does not fit into status cannot be passed on: better no value than half of one.
        .filter(|job| job.completion_time.is_some() && !job.output_truncated)
        .map(|job| (job.name.clone(), json!({ "output": job.output })))
        .collect();
    Bindings::from([(REQUEST.to_owned(), request), (JOBS.to_owned(), Value::Object(jobs))])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_of_a_job_is_made_while_none_is_on_record_for_it() {
        let at = |state: &str, generation: i64, mirror: Value| {
            let object = json!({
                "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
                "metadata": { "name": "r", "namespace": "n", "uid": "u", "generation": generation },
                "spec": { "request-uid": "r-1", "job": "JOB1", "state": state },
                "status": { "history": [], "mirror": mirror },
            });
            submittable(&serde_json::from_value(object).unwrap())
        };
        let mirror = |generation: i64, state: &str, id: Option<&str>| {
            json!({ "label": "l", "generation": generation, "state": state, "processId": id,
                    "intendedAt": "2026-11-26T10:00:00Z" })
        };
        assert_eq!(at("REQUESTED", 3, Value::Null), Some(3));
        assert_eq!(at("REQUESTED", 3, mirror(1, "Successful", Some("p"))), Some(3), "that of an earlier job");
        assert_eq!(at("REQUESTED", 3, mirror(3, "Intended", None)), Some(3));
        assert_eq!(at("REQUESTED", 3, mirror(3, "Running", Some("p"))), None);
        assert_eq!(at("STARTED", 4, mirror(3, "Running", Some("p"))), None);
        assert_eq!(at("STARTED", 4, mirror(3, "Intended", None)), Some(3), "the intent keeps its generation");
        assert_eq!(at("STARTED", 4, Value::Null), None, "another worker has started it");
        assert_eq!(at("COMPLETED", 5, mirror(3, "Successful", Some("p"))), None);
    }
}
