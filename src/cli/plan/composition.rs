//! Instances of kinds that are made of other objects: what is made, pass by pass, if each object comes and gets ready
//! where it can be known what that means; and what goes in which order when the instance does.

use std::{collections::BTreeSet, fmt::Write as _};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};

use super::{
    super::Failure,
    Rendered, instance,
    kind::{Kind, Kinds, ManifestKind},
    manifests::Manifests,
    object::{complete, key, merge, named, namespace_of},
    readiness,
};
use crate::{
    act::outcome::{Effect, Outcome, StepResult},
    api::{
        instance::{Instance, InstanceStatus},
        names::INSTANCE_FINALIZER,
        resource_definition::{DefinitionScope, HandlerMode, ObjectKind},
    },
    controllers::{Decision, decide_composition},
    diff::{KubernetesStep, Plan, Problem, Step},
    kinds::composition::Composition,
    snapshot::{Children, CompositionSnapshot, Observed},
    status::composition::{Pass, compute},
};

/// After so many passes every plan has come to wait for something: a definition has 64 resources at most.
const MOST_PASSES: usize = 80;

/// Rehearses instances; each object that it makes has a UID of its own.
pub(super) struct Rehearsal<'w> {
    world: &'w Manifests,
    kinds: &'w Kinds,
    now: Timestamp,
    made: usize,
}

impl<'w> Rehearsal<'w> {
    pub fn new(world: &'w Manifests, kinds: &'w Kinds, now: Timestamp) -> Self {
        Self { world, kinds, now, made: 0 }
    }

    /// Plans an object of a kind, as it is written, and those of its parts that are of defined kinds too.
    pub fn instance(&mut self, object: &Value, kind: &Kind) -> Result<Vec<Rendered>, Failure> {
        let mut object = object.clone();
        if kind.instances.terms().scope == DefinitionScope::Namespaced
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.entry("namespace").or_insert_with(|| json!("default"));
        }
        self.made += 1;
        complete(&mut object, self.made);
        let mut text = format!("{}\n", named(&object));
        let object = match self.kinds.stored(&object) {
            Ok(object) => object,
            Err(why) => {
                writeln!(text, "would be refused: {why}")?;
                return Ok(vec![Rendered { steps: text, status: String::new(), is_refused: true }]);
            }
        };
        match (kind.composition(), kind.instances.handler().mode) {
            (Some(composition), _) => Ok(self.plan(text, &object, kind, composition)?.0),
            (None, HandlerMode::Process | HandlerMode::Blueprint) => {
                Ok(vec![instance::plan(text, &object, &kind.instances, self.world, self.now)?])
            }
            (None, mode) => {
                writeln!(text, "is implemented by {}: its effects are not planned", mode.as_str())?;
                Ok(vec![Rendered { steps: text, status: String::new(), is_refused: false }])
            }
        }
    }

    /// Plans an instance, as the API server would have it, and those of its parts that are defined too; the status that it
    /// comes to. `text` has its name already.
    fn plan(
        &mut self,
        mut text: String,
        object: &Value,
        kind: &Kind,
        composition: &Composition,
    ) -> Result<(Vec<Rendered>, Value), Failure> {
        let mut snapshot = self.snapshot(object, kind, composition)?;
        let made: BTreeSet<ObjectKind> = composition.kinds().cloned().collect();
        let mut parts = Vec::new();
        let (mut first, mut last) = (None, InstanceStatus::default());
        let mut is_refused = false;
        for pass in 1..=MOST_PASSES {
            let decided = decide_composition(&snapshot, Ok(composition));
            last = said(&snapshot, &made, decided.as_ref());
            first.get_or_insert_with(|| last.clone());
            let plan = match decided {
                Ok(Decision { plan, .. }) => plan,
                Err(Problem { reason, message }) => {
                    writeln!(text, "{}: {message}", reason.as_str())?;
                    is_refused = true;
                    break;
                }
            };
            if pass > 1 && plan.is_idle() {
                break;
            }
            writeln!(text, "pass {pass}")?;
            write!(text, "{plan}")?;
            if plan.is_idle() {
                break;
            }
            let refused = self.assume(&mut snapshot, &plan, &named(object), &mut parts)?;
            refused.iter().try_for_each(|line| writeln!(text, "    refused     {line}"))?;
            if !refused.is_empty() {
                is_refused = true;
                last.conditions.clear();
                break;
            }
        }
        if !is_refused {
            ends(&mut text, &last)?;
            self.end(&mut text, snapshot, composition)?;
        }
        let status = serde_norway::to_string(&first.unwrap_or_default())?;
        let mut plans = vec![Rendered { steps: text, status, is_refused }];
        plans.append(&mut parts);
        Ok((plans, serde_json::to_value(&last)?))
    }

    fn snapshot(
        &self,
        object: &Value,
        kind: &Kind,
        composition: &Composition,
    ) -> Result<CompositionSnapshot, Failure> {
        let object: Instance = serde_json::from_value(object.clone())?;
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let earlier = object.status.iter().flat_map(|status| &status.composed_of);
        let kinds: BTreeSet<&ObjectKind> = composition.kinds().chain(earlier).collect();
        let there = |kind: &ObjectKind| {
            let all = self.world.others.iter().filter(|object| ObjectKind::of(object).as_ref() == Some(kind));
            let here = all.filter(|object| namespace_of(object) == namespace);
            Observed::Known(here.cloned().collect())
        };
        let children: Children = kinds.into_iter().map(|kind| (kind.clone(), there(kind))).collect();
        Ok(CompositionSnapshot {
            object,
            kind: kind.instances.clone(),
            children,
            unserved: BTreeSet::new(),
            kinds_with_readiness: self.kinds.kinds_with_readiness(),
            now: self.now,
        })
    }

    /// Changes the snapshot as the plan would change the cluster, and reports what would be refused.
    fn assume(
        &mut self,
        snapshot: &mut CompositionSnapshot,
        plan: &Plan,
        whole: &str,
        parts: &mut Vec<Rendered>,
    ) -> Result<Vec<String>, Failure> {
        let mut refused = Vec::new();
        for step in &plan.steps {
            let Step::Kubernetes(step) = step else { continue };
            match step {
                KubernetesStep::AddFinalizer => {
                    let finalizers = snapshot.object.metadata.finalizers.get_or_insert_default();
                    finalizers.push(INSTANCE_FINALIZER.to_owned());
                }
                KubernetesStep::CreateChild(child) => match self.made(&child.object, whole, parts)? {
                    Ok(object) => put(&mut snapshot.children, &child.kind, object),
                    Err(why) => refused.push(format!("{} {}: {why}", child.kind.kind, child.name)),
                },
                KubernetesStep::AdoptChild { kind, name, patch }
                | KubernetesStep::PatchChild { kind, name, patch, .. } => {
                    let Some(mut object) = take(&mut snapshot.children, kind, name) else { continue };
                    merge(&mut object, patch);
                    match self.made(&object, whole, parts)? {
                        Ok(object) => put(&mut snapshot.children, kind, object),
                        Err(why) => refused.push(format!("{} {name}: {why}", kind.kind)),
                    }
                }
                KubernetesStep::DeleteChild { kind, name, .. } => {
                    drop(take(&mut snapshot.children, kind, name));
                }
                _ => {}
            }
        }
        Ok(refused)
    }

    /// An object once it is there and, where it can be known what that means, ready. Those of defined kinds are rehearsed.
    fn made(
        &mut self,
        object: &Value,
        whole: &str,
        parts: &mut Vec<Rendered>,
    ) -> Result<Result<Value, String>, Failure> {
        let mut object = match self.kinds.stored(object) {
            Ok(object) => object,
            Err(why) => return Ok(Err(why)),
        };
        self.made += 1;
        complete(&mut object, self.made);
        let ManifestKind::Instance(kind) = self.kinds.of(&object) else {
            readiness::assume(&mut object, self.now);
            return Ok(Ok(object));
        };
        match kind.composition() {
            Some(composition) => {
                let text = format!("{}, a part of {whole}\n", named(&object));
                let (plans, status) = self.plan(text, &object, kind, composition)?;
                let is_refused = plans.iter().any(|plan| plan.is_refused);
                parts.extend(plans);
                if is_refused {
                    return Ok(Err("see below".to_owned()));
                }
                object["status"] = status;
            }
            None => readiness::assume(&mut object, self.now),
        }
        Ok(Ok(object))
    }

    /// Goes through the deletion.
    fn end(
        &mut self,
        text: &mut String,
        mut snapshot: CompositionSnapshot,
        composition: &Composition,
    ) -> Result<(), Failure> {
        let is_held =
            snapshot.object.metadata.finalizers.iter().flatten().any(|one| one == INSTANCE_FINALIZER);
        if !is_held || snapshot.object.metadata.deletion_timestamp.is_some() {
            writeln!(text, "when it is deleted, the garbage collector takes its objects")?;
            return Ok(());
        }
        writeln!(text, "when it is deleted")?;
        snapshot.object.metadata.deletion_timestamp = Some(Time(self.now));
        for pass in 1..=MOST_PASSES {
            let Ok(Decision { plan, .. }) = decide_composition(&snapshot, Ok(composition)) else { break };
            writeln!(text, "pass {pass}")?;
            write!(text, "{plan}")?;
            if plan.is_idle() || plan.steps.contains(&Step::Kubernetes(KubernetesStep::RemoveFinalizer)) {
                break;
            }
            for step in &plan.steps {
                match step {
                    Step::Kubernetes(KubernetesStep::DeleteChild { kind, name, .. }) => {
                        drop(take(&mut snapshot.children, kind, name));
                    }
                    Step::Kubernetes(KubernetesStep::PatchChild { kind, name, patch, .. }) => {
                        if let Some(mut object) = take(&mut snapshot.children, kind, name) {
                            merge(&mut object, patch);
                            put(&mut snapshot.children, kind, object);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// The status after a pass whose steps all succeed.
fn said(
    snapshot: &CompositionSnapshot,
    made: &BTreeSet<ObjectKind>,
    decided: Result<&Decision, &Problem>,
) -> InstanceStatus {
    match decided {
        Ok(Decision { desired, report, plan }) => {
            let results = plan.steps.iter().map(|_| StepResult::Done(Effect::Nothing)).collect();
            let outcome = Outcome { plan: plan.clone(), results, resource_version: None };
            compute(snapshot, made, Ok(Pass { desired: desired.as_ref(), report, outcome: &outcome }))
        }
        Err(problem) => compute(snapshot, made, Err(problem)),
    }
}

/// What the instance comes to, if all goes as assumed.
fn ends(text: &mut String, status: &InstanceStatus) -> Result<(), Failure> {
    let condition = |name: &str| status.conditions.iter().find(|condition| condition.type_ == name);
    let holds = |name: &str| condition(name).filter(|condition: &&Condition| condition.status == "True");
    if let Some(degraded) = holds("Degraded") {
        writeln!(text, "then {}: {}", degraded.reason, degraded.message)?;
    } else if let Some(finished) = holds("Finished") {
        writeln!(text, "then finished: {}", finished.message)?;
    } else if let Some(ready) = holds("Ready") {
        writeln!(text, "then ready: {}", ready.message)?;
    } else if let Some(waiting) = condition("Ready") {
        writeln!(text, "then awaiting {}", waiting.message)?;
    }
    for name in ["Drifted", "Warnings"] {
        if let Some(condition) = holds(name) {
            writeln!(text, "{}: {}", condition.reason, condition.message)?;
        }
    }
    for (name, value) in &status.fields {
        writeln!(text, "    status      {name}: {value}")?;
    }
    Ok(())
}

/// Puts an object among those of its kind; it takes the place of one that has its name.
fn put(children: &mut Children, kind: &ObjectKind, object: Value) {
    take(children, kind, key(&object));
    if let Observed::Known(objects) =
        children.entry(kind.clone()).or_insert_with(|| Observed::Known(Vec::new()))
    {
        objects.push(object);
    }
}

/// Takes an object out.
fn take(children: &mut Children, kind: &ObjectKind, name: &str) -> Option<Value> {
    let Some(Observed::Known(objects)) = children.get_mut(kind) else { return None };
    let place = objects.iter().position(|object| key(object) == name)?;
    Some(objects.swap_remove(place))
}
