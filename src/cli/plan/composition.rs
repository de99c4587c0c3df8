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
    passes::{self, End, Rehearsed, Status, rehearse},
    readiness,
};
use crate::{
    act::outcome::Outcome,
    api::{
        instance::{Instance, InstanceKind, InstanceStatus},
        names::INSTANCE_FINALIZER,
        resource_definition::{DefinitionScope, HandlerMode, ObjectKind},
    },
    diff::{
        KubernetesStep, Plan, Problem, Step,
        composition::{Decision, Report, decide},
    },
    kinds::composition::{Composition, Desired},
    snapshot::{Children, CompositionSnapshot, Observed},
    status::composition::{Pass, compute},
};

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
        let snapshot = self.snapshot(object, kind, composition)?;
        let made = composition.kinds().cloned().collect();
        let (whole, prepared, parts) = (named(object), Vec::new(), Vec::new());
        let mut composed = Composed { snapshot, composition, made, rehearsal: self, whole, prepared, parts };
        let status = passes::first(&composed)?;
        let is_refused = matches!(rehearse(&mut text, &mut composed)?, End::Refused);
        let last = composed.snapshot.object.status.clone().unwrap_or_default();
        if !is_refused {
            ends(&mut text, &last)?;
            composed.end(&mut text)?;
        }
        let mut plans = vec![Rendered { steps: text, status, is_refused }];
        plans.append(&mut composed.parts);
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
            unready_workloads: 0,
            troubles: Vec::new(),
            now: self.now,
        })
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
}

/// An instance, and what is made of its parts.
struct Composed<'r, 'w> {
    snapshot: CompositionSnapshot,
    composition: &'r Composition,
    /// The kinds that it is made of.
    made: BTreeSet<ObjectKind>,
    rehearsal: &'r mut Rehearsal<'w>,
    /// What it is called.
    whole: String,
    /// The objects that the steps of a plan make, as an API server would store them.
    prepared: Vec<(Step, Value)>,
    /// The plans of its parts.
    parts: Vec<Rendered>,
}

impl Composed<'_, '_> {
    /// The object that a step writes, and its kind.
    fn written(&self, step: &Step) -> Option<(ObjectKind, Value)> {
        let Step::Kubernetes(step) = step else { return None };
        match step {
            KubernetesStep::CreateChild(child) => Some((child.kind.clone(), child.object.clone())),
            KubernetesStep::AdoptChild { kind, name, patch }
            | KubernetesStep::PatchChild { kind, name, patch, .. } => {
                let found = self.snapshot.children.get(kind)?.known()?.iter();
                let mut object = found.clone().find(|object| key(object) == name)?.clone();
                merge(&mut object, patch);
                Some((kind.clone(), object))
            }
            _ => None,
        }
    }

    fn is_leaving(&self) -> bool {
        self.snapshot.object.metadata.deletion_timestamp.is_some()
    }

    /// Goes through the deletion.
    fn end(&mut self, text: &mut String) -> Result<(), Failure> {
        let finalizers = self.snapshot.object.metadata.finalizers.iter().flatten();
        let is_held = finalizers.into_iter().any(|one| one == INSTANCE_FINALIZER);
        if !is_held || self.is_leaving() {
            writeln!(text, "when it is deleted, the garbage collector takes its objects")?;
            return Ok(());
        }
        writeln!(text, "when it is deleted")?;
        self.snapshot.object.metadata.deletion_timestamp = Some(Time(self.snapshot.now));
        let end = rehearse(text, self)?;
        passes::tell(text, &end)
    }
}

impl Rehearsed for Composed<'_, '_> {
    type Findings = (Option<Desired>, Report);
    type Object = Instance;

    const FINALIZER: Option<&'static str> = Some(INSTANCE_FINALIZER);
    // A definition has 64 resources at most.
    const MOST_PASSES: usize = 80;

    fn decide(&self) -> Result<(Plan, Self::Findings), Problem> {
        let Decision { desired, report, plan } = decide(&self.snapshot, Ok(self.composition))?;
        Ok((plan, (desired, report)))
    }

    fn status(&self, pass: Result<(&Outcome, &Self::Findings), &Problem>) -> Option<Status<Self>> {
        let pass =
            pass.map(|(outcome, (desired, report))| Pass { desired: desired.as_ref(), report, outcome });
        Some(compute(&self.snapshot, &self.made, pass))
    }

    fn object(&mut self) -> &mut Instance {
        &mut self.snapshot.object
    }

    fn kind(&self) -> InstanceKind {
        self.snapshot.kind.clone()
    }

    fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    fn refusals(&mut self, plan: &Plan) -> Result<Vec<(Step, String)>, Failure> {
        self.prepared.clear();
        let mut refusals = Vec::new();
        for step in &plan.steps {
            let Some((kind, object)) = self.written(step) else { continue };
            let made = if self.is_leaving() {
                Ok(object.clone())
            } else {
                self.rehearsal.made(&object, &self.whole, &mut self.parts)?
            };
            match made {
                Ok(object) => self.prepared.push((step.clone(), object)),
                Err(why) => refusals.push((step.clone(), format!("{} {}: {why}", kind.kind, key(&object)))),
            }
        }
        Ok(refusals)
    }

    fn apply(&mut self, step: Step) -> bool {
        let children = &mut self.snapshot.children;
        let made = self.prepared.iter().position(|(prepared, _)| *prepared == step);
        match (step, made.map(|place| self.prepared.swap_remove(place).1)) {
            (Step::Kubernetes(KubernetesStep::CreateChild(child)), Some(object)) => {
                put(children, &child.kind, object);
            }
            (
                Step::Kubernetes(
                    KubernetesStep::AdoptChild { kind, .. } | KubernetesStep::PatchChild { kind, .. },
                ),
                Some(object),
            ) => put(children, &kind, object),
            (Step::Kubernetes(KubernetesStep::DeleteChild { kind, name, .. }), _) => {
                drop(take(children, &kind, &name));
            }
            _ => {}
        }
        true
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
