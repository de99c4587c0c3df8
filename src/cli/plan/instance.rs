//! Instances of kinds with handler mode `process`: what would be submitted for one, and what its deletion would do.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;

use super::{
    super::Failure,
    MOST_PASSES, Rendered,
    manifests::{CLUSTER, Manifests},
};
use crate::{
    act::outcome::{Effect, Outcome, StepResult},
    api::{
        instance::{Instance, InstanceKind},
        mirror::{MirrorState, MirrorStatus},
        names::{INSTANCE_FINALIZER, process_label},
    },
    controllers::decide_instance,
    desired::DesiredProcess,
    diff::{ColonyStep, KubernetesStep, Plan, Step},
    snapshot::{ColonyInstanceState, HandlerState, InstanceSnapshot, Observed, WorkHeader},
    status::instance::compute,
};

/// The result of a rehearsal.
enum End<'s> {
    /// A process would be submitted.
    Submits(&'s DesiredProcess),
    /// The object would be gone.
    Gone,
    /// Another party's turn, nothing to do, or an error.
    Waits,
}

/// Plans an instance, as the API server would have it.
pub(super) fn plan(
    mut text: String,
    object: &Value,
    kind: &InstanceKind,
    world: &Manifests,
    now: Timestamp,
) -> Result<Rendered, Failure> {
    let object: Instance = serde_json::from_value(object.clone())?;
    let recorded = object.status.as_ref().and_then(|status| status.mirror.as_ref());
    let mut snapshot = InstanceSnapshot {
        header: WorkHeader {
            cluster: CLUSTER.to_owned(),
            colony: world.colony(kind.handler().colony.as_deref()),
            processes: Observed::Known(world.processes(recorded)),
            submit_not_before: None,
            now,
        },
        kind: kind.clone(),
        in_colony: ColonyInstanceState {
            handler_state: Some(HandlerState::Handled),
            ..ColonyInstanceState::default()
        },
        last_line: None,
        object,
    };
    let first = decide_instance(&snapshot);
    let is_refused = first.is_err();
    let outcome = first.map(|plan| Outcome { plan, ..Outcome::default() });
    let status = serde_norway::to_string(&compute(&snapshot, outcome.as_ref()))?;
    let mut submitted = false;
    rehearse(&mut text, &mut snapshot, |text, end| {
        if let End::Submits(process) = end {
            submitted = true;
            describe(text, process)?;
        }
        Ok(())
    })?;
    if submitted && snapshot.object.metadata.deletion_timestamp.is_none() {
        writeln!(text, "when it is deleted, its process being over")?;
        delete(&mut text, snapshot)?;
    }
    Ok(Rendered { steps: text, status, is_refused })
}

/// Runs passes until the colony or another party must act.
fn rehearse(
    text: &mut String,
    snapshot: &mut InstanceSnapshot,
    told: impl FnOnce(&mut String, End<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for pass in 1..=MOST_PASSES {
        let plan = match decide_instance(snapshot) {
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
            Step::Colony(ColonyStep::Submit(process)) => Some(process.as_ref()),
            _ => None,
        });
        if let Some(process) = submit {
            return told(text, End::Submits(process));
        }
        let is_colonys = plan.steps.iter().any(|step| matches!(step, Step::Colony(_)));
        if plan.steps.contains(&Step::Kubernetes(KubernetesStep::RemoveFinalizer)) {
            return told(text, End::Gone);
        }
        if plan.is_idle() || is_colonys {
            return told(text, End::Waits);
        }
        assume(snapshot, plan);
    }
    told(text, End::Waits)
}

/// Changes the snapshot as the plan would change the world.
fn assume(snapshot: &mut InstanceSnapshot, plan: Plan) {
    if plan.steps.contains(&Step::Kubernetes(KubernetesStep::AddFinalizer)) {
        snapshot.object.metadata.finalizers.get_or_insert_default().push(INSTANCE_FINALIZER.to_owned());
    }
    let results = plan.steps.iter().map(|_| StepResult::Done(Effect::Nothing)).collect();
    let outcome = Outcome { plan, results, resource_version: None };
    snapshot.object.status = Some(compute(snapshot, Ok(&outcome)));
}

/// Goes through a deletion that comes after the process was closed as successful, with a clean-up that is, too.
fn delete(text: &mut String, mut snapshot: InstanceSnapshot) -> Result<(), Failure> {
    let generation = snapshot.object.metadata.generation.unwrap_or(1);
    let uid = snapshot.object.metadata.uid.clone().unwrap_or_default();
    let now = snapshot.header.now;
    let over = move |generation: i64| MirrorStatus {
        label: process_label(CLUSTER, &uid, generation),
        generation,
        process_id: Some("<id>".to_owned()),
        state: MirrorState::Successful,
        intended_at: Time(now),
        submitted_at: Some(Time(now)),
        errors: None,
    };
    let status = snapshot.object.status.get_or_insert_default();
    status.submitted_generation = Some(generation);
    status.mirror = Some(over(generation));
    snapshot.object.metadata.deletion_timestamp = Some(Time(now));
    let mut cleanup = None;
    rehearse(text, &mut snapshot, |_, end| {
        if let End::Submits(process) = end {
            cleanup = Some(process.generation);
        }
        Ok(())
    })?;
    if let Some(cleanup) = cleanup {
        writeln!(text, "then, once it is closed as successful")?;
        snapshot.object.status.get_or_insert_default().mirror = Some(over(cleanup));
        rehearse(text, &mut snapshot, |_, _| Ok(()))?;
    }
    Ok(())
}

/// The process, as the colony would be given it.
fn describe(text: &mut String, process: &DesiredProcess) -> Result<(), Failure> {
    let sent = serde_json::to_value(&process.spec)?;
    let seconds = |name: &str| match sent.get(name).and_then(Value::as_i64) {
        Some(seconds) if seconds >= 0 => format!("{seconds} s at most"),
        _ => "for ever".to_owned(),
    };
    let number = |name: &str| sent.get(name).and_then(Value::as_i64).unwrap_or_default();
    let conditions = sent.get("conditions").cloned().unwrap_or_default();
    let wanted = conditions.get("executornames").and_then(Value::as_array).into_iter().flatten();
    let wanted: Vec<&str> = wanted.filter_map(Value::as_str).collect();
    let by_name = if wanted.is_empty() { String::new() } else { format!(", named {}", wanted.join(" or ")) };
    let location = process.spec.location_str().map(|name| format!(", at {name}")).unwrap_or_default();
    writeln!(text, "    function    {}", process.spec.function())?;
    writeln!(
        text,
        "    executors   of type {}{by_name}{location}, in colony {}",
        process.spec.executor_type(),
        process.spec.colony()
    )?;
    writeln!(
        text,
        "    limits      waits {}, runs {}, {} retries, priority {}",
        seconds("maxwaittime"),
        seconds("maxexectime"),
        number("maxretries"),
        number("priority")
    )?;
    for (name, value) in process.spec.kwargs() {
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
