//! Passes over an object that processes or blueprints of a colony carry out, by the stages of its kind and through the port
//! that records: what each pass would do, until the colony or another party must act.

use std::fmt::Write as _;

use futures::FutureExt as _;
use kube::{Resource, core::object::HasStatus};
use serde::Serialize;
use serde_json::Value;

use super::{super::Failure, Rendered};
use crate::{
    act::{Actor, Recorder, Target, kinds::StatusKind, outcome::Outcome},
    api::kind::HasFinalizer,
    colony::{FunctionSpec, model::Blueprint},
    controllers::{decide_instance, decide_process, decide_request, decide_workflow},
    diff::{ColonyStep, KubernetesStep, Plan, Problem, Step},
    snapshot::{ColonyProcessSnapshot, ColonyWorkflowSnapshot, InstanceSnapshot, Observed, RequestSnapshot},
    status,
};

/// The maximum number of passes; a plan that needs more is a bug.
pub(super) const MOST_PASSES: usize = 8;

/// A snapshot whose passes can be rehearsed.
pub(super) trait Rehearsed {
    /// The kind of its object.
    type Object: StatusKind + HasFinalizer + HasStatus<Status: Serialize>;

    /// Stages 2 and 3.
    fn decide(&self) -> Result<Plan, Problem>;
    /// Stage 5; none while it is another party's turn.
    fn status(&self, pass: Result<&Outcome, &Problem>) -> Option<<Self::Object as HasStatus>::Status>;
    /// The object.
    fn object(&mut self) -> &mut Self::Object;
    /// The kind of the object.
    fn kind(&self) -> <Self::Object as Resource>::DynamicType;
    /// The blueprint of the object in the colony, if a blueprint can carry it out.
    fn blueprint(&mut self) -> Option<&mut Observed<Option<Blueprint>>> {
        None
    }
}

macro_rules! rehearsed {
    ($snapshot:ty, $object:path, $decide:path, $status:expr) => {
        impl Rehearsed for $snapshot {
            type Object = $object;

            fn decide(&self) -> Result<Plan, Problem> {
                $decide(self)
            }

            fn status(
                &self,
                pass: Result<&Outcome, &Problem>,
            ) -> Option<<Self::Object as HasStatus>::Status> {
                $status(self, pass)
            }

            fn object(&mut self) -> &mut Self::Object {
                &mut self.object
            }

            fn kind(&self) {}
        }
    };
}

rehearsed!(
    ColonyProcessSnapshot,
    crate::api::colony_process::ColonyProcess,
    decide_process,
    |snapshot, pass| Some(status::colony_process::compute(snapshot, pass))
);
rehearsed!(
    ColonyWorkflowSnapshot,
    crate::api::colony_workflow::ColonyWorkflow,
    decide_workflow,
    |snapshot, pass| Some(status::colony_workflow::compute(snapshot, pass))
);
rehearsed!(
    RequestSnapshot,
    crate::api::request_state::RequestState,
    decide_request,
    status::request_operator::compute
);

impl Rehearsed for InstanceSnapshot {
    type Object = crate::api::instance::Instance;

    fn decide(&self) -> Result<Plan, Problem> {
        decide_instance(self)
    }

    fn status(&self, pass: Result<&Outcome, &Problem>) -> Option<<Self::Object as HasStatus>::Status> {
        Some(status::instance::compute(self, pass))
    }

    fn object(&mut self) -> &mut Self::Object {
        &mut self.object
    }

    fn kind(&self) -> <Self::Object as Resource>::DynamicType {
        self.kind.clone()
    }

    fn blueprint(&mut self) -> Option<&mut Observed<Option<Blueprint>>> {
        Some(&mut self.in_colony.blueprint)
    }
}

/// The result of a rehearsal.
pub(super) enum End<'s> {
    /// This would be submitted.
    Submits(&'s ColonyStep),
    /// The object would be gone.
    Gone,
    /// Another party's turn, nothing to do, or an error.
    Waits,
}

/// Plans an object, as the API server would have it. `text` has its name already.
pub(super) fn plan(mut text: String, mut snapshot: impl Rehearsed) -> Result<Rendered, Failure> {
    let (status, is_refused) = first(&snapshot)?;
    rehearse(&mut text, &mut snapshot, |text, end| match end {
        End::Submits(step) => describe(text, step),
        End::Gone | End::Waits => Ok(()),
    })?;
    Ok(Rendered { steps: text, status, is_refused })
}

/// The status that the first pass would write, as YAML, and whether it has no plan.
pub(super) fn first<R: Rehearsed>(snapshot: &R) -> Result<(String, bool), Failure> {
    let first = snapshot.decide();
    let is_refused = first.is_err();
    let outcome = first.map(|plan| Outcome { plan, ..Outcome::default() });
    let status = snapshot.status(outcome.as_ref());
    let status = status.map(|status| serde_norway::to_string(&status)).transpose()?;
    Ok((status.unwrap_or_default(), is_refused))
}

/// Runs passes until the colony or another party must act.
pub(super) fn rehearse<R: Rehearsed>(
    text: &mut String,
    snapshot: &mut R,
    told: impl FnOnce(&mut String, End<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for pass in 1..=MOST_PASSES {
        let plan = match snapshot.decide() {
            Ok(plan) => plan,
            Err(problem) => {
                writeln!(text, "{}: {}", problem.reason.as_str(), problem.message)?;
                return told(text, End::Waits);
            }
        };
        if pass > 1 && plan.is_idle() {
            plan.awaiting.iter().try_for_each(|awaited| writeln!(text, "then awaiting {awaited}"))?;
            return told(text, End::Waits);
        }
        writeln!(text, "pass {pass}")?;
        write!(text, "{plan}")?;
        let submit = plan.steps.iter().find_map(|step| match step {
            Step::Colony(step @ (ColonyStep::Submit(_) | ColonyStep::SubmitWorkflow(_))) => Some(step),
            _ => None,
        });
        if let Some(step) = submit {
            return told(text, End::Submits(step));
        }
        if plan.steps.contains(&Step::Kubernetes(KubernetesStep::RemoveFinalizer)) {
            return told(text, End::Gone);
        }
        if plan.is_idle() || !assume(snapshot, plan)? {
            return told(text, End::Waits);
        }
    }
    told(text, End::Waits)
}

/// Changes the snapshot as the plan would change the world; whether the next pass is known.
fn assume<R: Rehearsed>(snapshot: &mut R, plan: Plan) -> Result<bool, Failure> {
    let recorder = Recorder::default();
    let (object, kind) = (snapshot.object().clone(), snapshot.kind());
    let target = Target {
        object: &object,
        kind: &kind,
        finalizer: Some(<R::Object as HasFinalizer>::FINALIZER),
        connection: None,
        colony: None,
    };
    // Nothing is awaited where nothing is written.
    let outcome = Actor::new(&recorder).execute(plan, &target).now_or_never().unwrap_or_default();
    let status = snapshot.status(Ok(&outcome));
    let mut is_known = true;
    for step in recorder.steps() {
        match step {
            Step::Kubernetes(KubernetesStep::AddFinalizer) => {
                let finalizers = &mut snapshot.object().meta_mut().finalizers;
                finalizers.get_or_insert_default().push(<R::Object as HasFinalizer>::FINALIZER.to_owned());
            }
            Step::Kubernetes(KubernetesStep::UpdateSpec { spec, .. }) => {
                let mut changed = serde_json::to_value(&*snapshot.object())?;
                changed["spec"] = Value::Object(spec);
                *snapshot.object() = serde_json::from_value(changed)?;
                let generation = snapshot.object().meta_mut().generation.get_or_insert(1);
                *generation = generation.saturating_add(1);
            }
            Step::Kubernetes(_) => {}
            Step::Colony(step) => is_known &= in_colony(snapshot, step),
        }
    }
    if let Some(status) = status {
        *snapshot.object().status_mut() = Some(status);
    }
    Ok(is_known)
}

/// The same for a write to the colony. What the colony answers to others is unknown.
fn in_colony(snapshot: &mut impl Rehearsed, step: ColonyStep) -> bool {
    let Some(blueprint) = snapshot.blueprint() else { return false };
    match (step, &mut *blueprint) {
        (ColonyStep::AddBlueprint(added), _) => *blueprint = Observed::Known(Some(*added)),
        (ColonyStep::RemoveBlueprint { .. }, _) => *blueprint = Observed::Known(None),
        (ColonyStep::UpdateBlueprint { spec, .. }, Observed::Known(Some(blueprint))) => {
            blueprint.spec = spec;
            blueprint.metadata.generation = blueprint.metadata.generation.saturating_add(1);
        }
        _ => return false,
    }
    true
}

/// What the colony would be given.
pub(super) fn describe(text: &mut String, step: &ColonyStep) -> Result<(), Failure> {
    match step {
        ColonyStep::Submit(process) => call(text, &process.spec),
        ColonyStep::SubmitWorkflow(workflow) => workflow.spec.nodes().iter().try_for_each(|node| {
            let after = node.dependencies();
            let after =
                if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
            writeln!(text, "    node        {}{after}", node.node_name_str())?;
            call(text, node)
        }),
        _ => Ok(()),
    }
}

fn call(text: &mut String, spec: &FunctionSpec) -> Result<(), Failure> {
    let sent = serde_json::to_value(spec)?;
    let seconds = |name: &str| match sent.get(name).and_then(Value::as_i64) {
        Some(seconds) if seconds >= 0 => format!("{seconds} s at most"),
        _ => "for ever".to_owned(),
    };
    let number = |name: &str| sent.get(name).and_then(Value::as_i64).unwrap_or_default();
    let conditions = sent.get("conditions").cloned().unwrap_or_default();
    let wanted = conditions.get("executornames").and_then(Value::as_array).into_iter().flatten();
    let wanted: Vec<&str> = wanted.filter_map(Value::as_str).collect();
    let by_name = if wanted.is_empty() { String::new() } else { format!(", named {}", wanted.join(" or ")) };
    let location = spec.location_str().map(|name| format!(", at {name}")).unwrap_or_default();
    writeln!(text, "    function    {}", spec.function())?;
    writeln!(
        text,
        "    executors   of type {}{by_name}{location}, in colony {}",
        spec.executor_type(),
        spec.colony()
    )?;
    writeln!(
        text,
        "    limits      waits {}, runs {}, {} retries, priority {}",
        seconds("maxwaittime"),
        seconds("maxexectime"),
        number("maxretries"),
        number("priority")
    )?;
    if let Some(args) = sent.get("args").and_then(Value::as_array).filter(|args| !args.is_empty()) {
        writeln!(text, "    args        {}", shape(&Value::Array(args.clone())))?;
    }
    for (name, value) in spec.kwargs() {
        writeln!(text, "    kwargs      {name}: {}", shape(value))?;
    }
    Ok(())
}

/// What a value looks like, without what it holds.
fn shape(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(number) if number.is_f64() => "number".to_owned(),
        Value::Number(_) => "integer".to_owned(),
        Value::String(_) => "string".to_owned(),
        Value::Array(elements) => {
            let mut shapes: Vec<String> = elements.iter().map(shape).collect();
            shapes.dedup();
            format!("[{}]", shapes.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(name, value)| format!("{name}: {}", shape(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Arguments may be confidential: their shape is printed, their values are not.
    #[test]
    fn a_value_is_told_by_its_shape() {
        let value =
            json!({"image": "secret", "sizes": [1, 2, 2.5], "on": true, "none": null, "nested": {"a": {}}});
        assert_eq!(
            shape(&value),
            "{image: string, nested: {a: {}}, none: null, on: boolean, sizes: [integer, number]}"
        );
    }
}
