//! The process of an instance of a defined kind: the process of one generation, or of its clean-up; or its blueprint.
//! Pure.

use kube::{Resource as _, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::{
    DesiredProcess, Problem, SharedSpec,
    function::{self, Place},
    problem,
    process::submittable,
    resolved,
};
use crate::{
    api::{
        function::{ExecutorConditions, FunctionCall},
        instance::Instance,
        mirror::{MirrorStatus, Mirrored as _},
        names::{
            self, BLUEPRINT_ANNOTATION, BLUEPRINT_NAMESPACE_ANNOTATION, BLUEPRINT_ORIGIN_ANNOTATION,
            SUBMITTED_AS_ANNOTATION, WRITTEN_SPEC_ANNOTATION, cleanup_attempt, cleanup_generation,
        },
        resource_definition::HandlerMode,
    },
    colony::model::Blueprint,
    kinds::SpecError,
    snapshot::{InstanceSnapshot, ResolvedColony, Values},
};

/// What carries out an instance in this pass.
#[derive(Debug)]
pub enum DesiredInstance {
    /// The process of the current generation, if it may be submitted now.
    Process(Result<Option<DesiredProcess>, SpecError>),
    /// The process of the clean-up that may be submitted next.
    Cleanup(Result<DesiredProcess, SpecError>),
    /// The blueprint with the same spec; none for an instance that is deleted or released.
    Blueprint(Option<Box<Blueprint>>),
}

/// Stage 2.
///
/// # Errors
///
/// When there is no colony to carry the instance out, or its blueprint cannot be made.
pub fn desired(snapshot: &InstanceSnapshot) -> Result<DesiredInstance, Problem> {
    let is_deleted = snapshot.object.metadata.deletion_timestamp.is_some();
    let is_released = snapshot.kind.terms().is_released;
    let colony = || resolved(&snapshot.header.colony);
    if snapshot.kind.handler().mode == HandlerMode::Blueprint {
        let made = (!is_deleted && !is_released)
            .then(|| blueprint(snapshot, colony()?).map(Box::new).map_err(|error| problem(&error)));
        return Ok(DesiredInstance::Blueprint(made.transpose()?));
    }
    if is_deleted {
        let cleanup = match colony() {
            Ok(colony) => cleanup(snapshot, colony),
            Err(problem) => Err(SpecError::Missing {
                field: "handler.colony".to_owned(),
                what: problem.reason.as_str().to_owned(),
                why: problem.message,
            }),
        };
        return Ok(DesiredInstance::Cleanup(cleanup));
    }
    let mirror = snapshot.object.mirror();
    let is_over = |mirror: &MirrorStatus| {
        !mirror.may_live() && Some(mirror.generation) == snapshot.object.metadata.generation
    };
    // One that has ended, or is released, needs none.
    if mirror.is_some_and(is_over) || is_released {
        return Ok(DesiredInstance::Process(Ok(None)));
    }
    Ok(DesiredInstance::Process(process(snapshot, colony()?)))
}

/// Makes the process of the current generation, unless it is submitted already. An intent of an older generation has none: it
/// is not submitted any more.
///
/// # Errors
///
/// When the handler names no function, or a field of it holds what no colony can keep.
pub fn process(
    snapshot: &InstanceSnapshot,
    colony: &ResolvedColony,
) -> Result<Option<DesiredProcess>, SpecError> {
    let generation =
        snapshot.object.metadata.generation.ok_or(SpecError::Incomplete("metadata.generation"))?;
    let recorded = snapshot.object.mirror();
    let is_submitted = recorded.is_some_and(|mirror| !mirror.is_unbound() && mirror.generation >= generation);
    let next = submittable(recorded, generation).filter(|_| !is_submitted);
    next.map(|_| build(snapshot, colony, generation)).transpose()
}

/// Makes the process of the clean-up that may be submitted next: that whose intent is on record, or the one after the last.
///
/// # Errors
///
/// As for [`process`].
pub fn cleanup(snapshot: &InstanceSnapshot, colony: &ResolvedColony) -> Result<DesiredProcess, SpecError> {
    let last =
        snapshot.object.mirror().and_then(|mirror| Some((mirror, cleanup_attempt(mirror.generation)?)));
    let generation = match last {
        None => cleanup_generation(0),
        Some((mirror, _)) if mirror.is_unbound() => mirror.generation,
        Some((_, attempt)) => cleanup_generation(attempt + 1),
    };
    build(snapshot, colony, generation)
}

/// Makes the process of a generation; of the clean-up, for the number of one ([`cleanup_generation`]).
fn build(
    snapshot: &InstanceSnapshot,
    colony: &ResolvedColony,
    generation: i64,
) -> Result<DesiredProcess, SpecError> {
    let uid = snapshot.object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let handler = snapshot.kind.handler();
    let (field, function) = match cleanup_attempt(generation) {
        None => ("functionName", &handler.function_name),
        Some(_) => ("cleanupFunction", &handler.cleanup_function),
    };
    let named = |field: &'static str, value: &Option<String>| {
        let missing =
            || SpecError::invalid(format!("handler.{field}"), "missing", "name it in the ResourceDefinition");
        value.clone().ok_or_else(missing)
    };
    let call = FunctionCall {
        function: named(field, function)?,
        args: Vec::new(),
        kwargs: arguments(snapshot)?,
        env: Vec::new(),
        conditions: ExecutorConditions {
            executor_type: named("executorType", &handler.executor_type)?,
            executor_names: handler.executor_names.clone(),
            location: handler.location.clone(),
            ..ExecutorConditions::default()
        },
        priority: handler.priority,
        max_wait_time: handler.max_wait_time.clone(),
        max_exec_time: handler.max_exec_time.clone(),
        max_retries: handler.max_retries,
        fs: None,
        channels: Vec::new(),
    };
    let label = names::process_label(&snapshot.header.cluster, &uid, generation);
    let place = Place { call: "handler".to_owned(), conditions: "handler".to_owned() };
    let spec = function::build(&place, &call, &colony.spec.colony_name, &label, &Values::default())?;
    Ok(DesiredProcess { label, generation, spec, is_gated: false, is_own: false })
}

/// The object as its executor is given it, and as expressions see it: without managed fields and without status.
fn arguments(snapshot: &InstanceSnapshot) -> Result<Map<String, Value>, SpecError> {
    let unwritable = |error: serde_json::Error| {
        SpecError::invalid("metadata", error.to_string(), "report this: it is the operator's mistake")
    };
    let (object, kind) = (&snapshot.object, &snapshot.kind);
    let mut metadata = object.metadata.clone();
    metadata.managed_fields = None;
    // The operator's own notes.
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(SUBMITTED_AS_ANNOTATION);
        annotations.remove(WRITTEN_SPEC_ANNOTATION);
    }
    metadata.annotations = metadata.annotations.filter(|annotations| !annotations.is_empty());
    let mut arguments = object.other.clone();
    arguments.insert("apiVersion".to_owned(), json!(Instance::api_version(kind)));
    arguments.insert("kind".to_owned(), json!(Instance::kind(kind)));
    arguments.insert("metadata".to_owned(), serde_json::to_value(metadata).map_err(unwritable)?);
    arguments.insert("spec".to_owned(), object.spec.clone());
    Ok(arguments)
}

/// The blueprint that mirrors an instance. Its id is made of the cluster and the UID.
///
/// # Errors
///
/// When its name is none that a blueprint can have.
pub fn blueprint(snapshot: &InstanceSnapshot, colony: &ResolvedColony) -> Result<Blueprint, SpecError> {
    let object = &snapshot.object;
    let uid = object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let (kind, name) = (Instance::kind(&snapshot.kind), object.blueprint_name());
    let mut blueprint = Blueprint::new(&colony.spec.colony_name, &kind, &name).map_err(|error| {
        let field = format!("metadata.annotations['{BLUEPRINT_ANNOTATION}']");
        SpecError::invalid(field, name, format!("is no name of a blueprint: {error}"))
    })?;
    blueprint.id = names::blueprint_id(&snapshot.header.cluster, &uid);
    blueprint.spec = SharedSpec::of_instance(&object.spec_fields()).blueprint_spec();
    let namespace = object.namespace().unwrap_or_default();
    let submitted_as = names::submitted_as(&snapshot.header.cluster, &uid, &namespace, &object.name_any());
    let metadata = &mut blueprint.metadata;
    metadata.location = snapshot.kind.handler().location.clone().unwrap_or_default();
    let annotations = [
        (BLUEPRINT_ORIGIN_ANNOTATION, Some(names::blueprint_origin(&snapshot.header.cluster, &uid))),
        (BLUEPRINT_NAMESPACE_ANNOTATION, object.namespace()),
        (SUBMITTED_AS_ANNOTATION, Some(submitted_as)),
    ];
    let given = annotations.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    metadata.annotations = given.collect();
    Ok(blueprint)
}

/// The object as expressions see it.
///
/// # Errors
///
/// None that is known: metadata can always be written as JSON.
pub fn as_expression_input(snapshot: &InstanceSnapshot) -> Result<Value, SpecError> {
    let mut seen = arguments(snapshot)?;
    if let Some(status) = &snapshot.object.status {
        seen.insert("status".to_owned(), Value::Object(status.fields.clone()));
    }
    Ok(Value::Object(seen))
}
