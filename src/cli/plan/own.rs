//! Objects of the operator's own kinds besides fleets and definitions: whether an API server would refuse one, or what each pass
//! would do for it.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::{
    super::Failure,
    Rendered, colony, cron,
    kind::Kinds,
    manifests::{CLUSTER, Manifests},
    object::{completed, key, kind_of, named, namespace_of},
    passes,
    unreadable::{Unreadable, without_status},
};
use crate::{
    api::{
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
        function::Variable,
        kind::Kind,
        mirror::{MirrorStatus, Mirrored as _},
        names::{COLONY_ANNOTATION, FLOW_ANNOTATION},
        request_flow::RequestFlow,
        request_state::RequestState,
    },
    runtime::config::OperatorConfiguration,
    snapshot::{
        ColonyProcessSnapshot, ColonyWorkflowSnapshot, FlowSource, Observed, RequestSnapshot, WorkHeader,
    },
    status,
};

/// Plans every such object, in the order of the files.
pub(super) fn plans(
    world: &Manifests,
    kinds: &Kinds,
    configuration: &OperatorConfiguration,
    now: Timestamp,
) -> Result<Vec<Rendered>, Failure> {
    let mut plans = Vec::new();
    for (number, written) in world.others.iter().enumerate() {
        let Some(kind) = kind_of(written).filter(|kind| *kind != Kind::ResourceDefinition) else { continue };
        let mut written = written.clone();
        if kind == Kind::ColonyCron
            && written.pointer("/metadata/uid").is_none()
            && let Some(uid) = cron::uid_in_cluster(&written, world)
        {
            written["metadata"]["uid"] = json!(uid);
        }
        let object = completed(&written, number + 1);
        let mut text = format!("{}\n", named(&object));
        let object = match stored(kinds, &object) {
            Ok(object) => object,
            Err(why) => {
                writeln!(text, "would be refused: {why}")?;
                plans.push(Rendered { steps: text, status: String::new(), is_refused: true });
                continue;
            }
        };
        let rehearsal = Rehearsal { world, configuration, now };
        let planned = rehearsal.plan(kind, text.clone(), object.clone());
        let without = || rehearsal.plan(kind, text, without_status(&object)?).ok();
        plans.extend(planned.or_else(|error| without().ok_or(error))?);
    }
    Ok(plans)
}

/// Whether an API server would refuse a fleet as it is written: its type has only the fields that the schema describes.
pub(super) fn is_refused(world: &Manifests, kinds: &Kinds, object: &ExecutorDeployment) -> bool {
    let is_meant = |other: &&Value| {
        kind_of(other) == Some(Kind::ExecutorDeployment)
            && key(other) == object.name_any()
            && Some(namespace_of(other)) == object.metadata.namespace.as_deref()
    };
    world.others.iter().find(is_meant).is_some_and(|written| stored(kinds, written).is_err())
}

/// The object as an API server would store it. One whose status it refuses is created without: it drops that first.
fn stored(kinds: &Kinds, object: &Value) -> Result<Value, String> {
    let without = || kinds.stored(&without_status(object)?).ok();
    kinds.stored(object).or_else(|why| without().ok_or(why))
}

/// Reports what cannot be read: which field, its value and the remedy.
pub(super) fn unreadable(unreadable: &Unreadable, kinds: &Kinds) -> Result<Rendered, Failure> {
    let own = unreadable.object.as_ref().filter(|object| kind_of(object).is_some());
    let own = own.map(|object| completed(object, 0));
    let mut steps = format!("{}\n", own.as_ref().map_or_else(|| unreadable.name.clone(), named));
    match own.map(|object| stored(kinds, &object)) {
        // What an API server says of its schema names field, value and remedy.
        Some(Err(why)) => writeln!(steps, "would be refused: {why}")?,
        Some(Ok(_)) | None => writeln!(steps, "cannot be read: {}", unreadable.why)?,
    }
    Ok(Rendered { steps, status: String::new(), is_refused: true })
}

struct Rehearsal<'w> {
    world: &'w Manifests,
    configuration: &'w OperatorConfiguration,
    now: Timestamp,
}

impl Rehearsal<'_> {
    fn plan(&self, kind: Kind, text: String, object: Value) -> Result<Option<Rendered>, Failure> {
        let plan = match kind {
            Kind::Colony => colony::plan(text, serde_json::from_value(object)?, self.world, self.now)?,
            Kind::ColonyProcess => passes::plan(text, self.process(serde_json::from_value(object)?))?,
            Kind::ColonyWorkflow => passes::plan(text, self.workflow(serde_json::from_value(object)?))?,
            Kind::RequestState => passes::plan(text, self.request(serde_json::from_value(object)?))?,
            Kind::ColonyCron => cron::plan(text, serde_json::from_value(object)?, self.world, self.now)?,
            Kind::RequestFlow => self.flow(text, &serde_json::from_value(object)?)?,
            // They have files of their own.
            Kind::ExecutorDeployment | Kind::ResourceDefinition | Kind::Instance => return Ok(None),
        };
        Ok(Some(plan))
    }

    /// What is known of work: of what is to be adopted, everything with its id.
    fn header(
        &self,
        colony: Option<&str>,
        mirror: Option<&MirrorStatus>,
        adopted: Option<&str>,
    ) -> WorkHeader {
        let processes = match (mirror, adopted) {
            (None, Some(id)) => self.world.with_id(id),
            _ => self.world.processes(mirror),
        };
        WorkHeader {
            cluster: CLUSTER.to_owned(),
            colony: self.world.colony(colony),
            processes: Observed::Known(processes),
            submit_not_before: None,
            is_owner_gone: Observed::Known(false),
            restored: Observed::Known(None),
            earlier: Observed::Known(Vec::new()),
            workforce: None,
            now: self.now,
        }
    }

    fn process(&self, object: ColonyProcess) -> ColonyProcessSnapshot {
        let spec = &object.spec;
        let namespace = object.namespace().unwrap_or_default();
        ColonyProcessSnapshot {
            header: self.header(spec.colony.as_deref(), object.mirror(), spec.process_id.as_deref()),
            holder: Observed::Known(None),
            executor: None,
            values: self.world.values(&namespace, &spec.call.env),
            object,
        }
    }

    fn workflow(&self, object: ColonyWorkflow) -> ColonyWorkflowSnapshot {
        let spec = &object.spec;
        let namespace = object.namespace().unwrap_or_default();
        ColonyWorkflowSnapshot {
            header: self.header(spec.colony.as_deref(), object.mirror(), spec.graph_id.as_deref()),
            holder: Observed::Known(None),
            executors: BTreeMap::new(),
            values: self.world.values(&namespace, spec.nodes.iter().flat_map(|node| &node.call.env)),
            object,
        }
    }

    fn request(&self, object: RequestState) -> RequestSnapshot {
        let namespace = object.namespace().unwrap_or_default();
        let flow = self.flow_of(&object, &namespace);
        let (colony, env) = match &flow {
            FlowSource::Named(flow) => {
                let job = flow.spec.jobs.iter().find(|job| job.name == object.spec.job);
                (flow.spec.colony.as_ref(), job.map_or(&[] as &[Variable], |job| &job.function.env))
            }
            FlowSource::Default | FlowSource::Listed(_) | FlowSource::NotFound(_) => {
                (object.annotations().get(COLONY_ANNOTATION), &[] as &[Variable])
            }
        };
        RequestSnapshot {
            header: self.header(colony.map(String::as_str), object.mirror(), None),
            roles: self.configuration.request_roles.clone(),
            executor: None,
            values: self.world.values(&namespace, env),
            position_log: Vec::new(),
            flow,
            object,
        }
    }

    fn flow_of(&self, object: &RequestState, namespace: &str) -> FlowSource {
        let Some(name) = object.annotations().get(FLOW_ANNOTATION) else { return FlowSource::Default };
        if name.contains(',') {
            return FlowSource::Listed(name.clone());
        }
        let is_meant = |other: &&Value| {
            kind_of(other) == Some(Kind::RequestFlow)
                && key(other) == name
                && namespace_of(other) == namespace
        };
        match self.world.others.iter().find(is_meant).map(|flow| serde_json::from_value(flow.clone())) {
            Some(Ok(flow)) => FlowSource::Named(Box::new(flow)),
            Some(Err(error)) => FlowSource::NotFound(format!("RequestFlow {name} cannot be read: {error}")),
            None => FlowSource::NotFound(format!(
                "there is no RequestFlow {name} in namespace {namespace} of the files: add it, or name another"
            )),
        }
    }

    /// A flow has no effects of its own: whether requests can follow it.
    fn flow(&self, mut text: String, flow: &RequestFlow) -> Result<Rendered, Failure> {
        let status = status::request_flow::compute(flow, self.now);
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready");
        let is_refused = ready.is_none_or(|ready| ready.status != "True");
        match ready {
            Some(ready) if is_refused => writeln!(text, "{}: {}", ready.reason, ready.message)?,
            Some(ready) => writeln!(text, "then ready: {}", ready.message)?,
            None => {}
        }
        if flow.metadata.deletion_timestamp.is_none() && !is_refused {
            writeln!(text, "when it is deleted, nothing is done; requests that name it go no further")?;
        }
        Ok(Rendered { steps: text, status: serde_norway::to_string(&status)?, is_refused })
    }
}
