//! What to do for an instance that is made of other objects as a whole: keep its finalizer while its deletion is
//! ordered, and remove it. Pure.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use super::{
    super::{KubernetesStep, Plan, Step},
    CompositionPlan, Report,
    object::is_terminating,
    own,
    ownership::orphan_child,
    plan, plan_deletion,
};
use crate::{
    api::{
        names::{ABANDON_ANNOTATION, FOREGROUND_FINALIZER, INSTANCE_FINALIZER, ORPHAN_FINALIZER},
        policy::{DeletionPolicy, ManagementPolicy},
    },
    desired::{
        Problem,
        composition::{DesiredParts, desired, has_ended},
    },
    kinds::composition::{Composition, CompositionErrors, Desired, Instance},
    snapshot::{Children, CompositionSnapshot, Observed},
};

/// Stage 3: the plan, and what is left as it is.
#[must_use]
pub fn plan_desired(
    snapshot: &CompositionSnapshot,
    composition: Option<&Composition>,
    desired: &DesiredParts,
) -> (Plan, Report) {
    if snapshot.object.metadata.deletion_timestamp.is_some() {
        return (plan_end(snapshot, composition, &desired.instance), Report::default());
    }
    match (composition, &desired.parts) {
        (Some(composition), Some(parts)) => plan_instance(snapshot, composition, &desired.instance, parts),
        _ => (Plan::default(), Report::default()),
    }
}

/// What a plan is for, and what follows from it.
pub struct Decision {
    /// What the instance should be made of; none while it is deleted, or has ended.
    pub desired: Option<Desired>,
    /// What is left as it is.
    pub report: Report,
    /// What to do.
    pub plan: Plan,
}

/// Stages 2 and 3.
///
/// # Errors
///
/// When there can be no plan.
pub fn decide(
    snapshot: &CompositionSnapshot,
    composition: Result<&Composition, &CompositionErrors>,
) -> Result<Decision, Problem> {
    let desired = desired(snapshot, composition)?;
    let (plan, report) = plan_desired(snapshot, composition.ok(), &desired);
    Ok(Decision { desired: desired.parts, report, plan })
}

/// Plans an instance that is to exist: holds it if its end has an order, and brings its objects in line. One that has ended
/// is left as it is.
#[must_use]
pub fn plan_instance(
    snapshot: &CompositionSnapshot,
    composition: &Composition,
    instance: &Instance,
    desired: &Desired,
) -> (Plan, Report) {
    let terms = snapshot.kind.terms();
    if terms.is_released {
        return (release(snapshot), Report::default());
    }
    if has_ended(snapshot) {
        return (Plan::default(), Report::default());
    }
    let is_orphaning = terms.accepted.deletion_policy == DeletionPolicy::Orphan;
    let must_be_held = composition.is_ordered() || is_orphaning || !staying(snapshot).is_empty();
    let mut steps = Vec::new();
    if must_be_held && !is_held(snapshot) {
        steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    let CompositionPlan { steps: writes, awaiting, report } = plan(desired, &snapshot.children, instance);
    steps.extend(writes.into_iter().map(Step::Kubernetes));
    let unserved = snapshot.unserved.iter().filter(|kind| composition.kinds().any(|made| made == *kind));
    let awaiting = unserved.map(|kind| format!("the cluster to serve {kind}")).chain(awaiting).collect();
    (Plan { steps, awaiting, ..Plan::default() }, report)
}

/// Plans the end of an instance. It needs no definition that can be followed.
#[must_use]
pub fn plan_end(
    snapshot: &CompositionSnapshot,
    composition: Option<&Composition>,
    instance: &Instance,
) -> Plan {
    let is_abandoned =
        snapshot.object.annotations().get(ABANDON_ANNOTATION).is_some_and(|value| value == "true");
    let finalizers = snapshot.object.finalizers();
    if snapshot.kind.terms().is_released
        || is_abandoned
        || finalizers.iter().any(|one| one == ORPHAN_FINALIZER)
    {
        return release(snapshot);
    }
    if !is_held(snapshot) {
        // The garbage collector takes its objects.
        return Plan::default();
    }
    let ours = [INSTANCE_FINALIZER, FOREGROUND_FINALIZER];
    let others: Vec<&str> =
        finalizers.iter().map(String::as_str).filter(|finalizer| !ours.contains(finalizer)).collect();
    if !others.is_empty() {
        let awaited = format!("finalizers of other controllers to be removed: {}", others.join(", "));
        return Plan { awaiting: vec![awaited], ..Plan::default() };
    }
    let end = if snapshot.kind.terms().accepted.deletion_policy == DeletionPolicy::Orphan {
        plan_release(&snapshot.children, instance)
    } else {
        plan_deletion(composition, &snapshot.children, instance, &staying(snapshot))
    };
    let mut plan = Plan {
        steps: end.steps.into_iter().map(Step::Kubernetes).collect(),
        awaiting: end.awaiting,
        ..Plan::default()
    };
    if plan.steps.is_empty() && plan.awaiting.is_empty() {
        plan.steps.push(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    }
    plan
}

/// The resources whose objects stay when the instance goes. Taken from the definition as written: it must not depend
/// on whether that can be followed.
fn staying(snapshot: &CompositionSnapshot) -> BTreeSet<&str> {
    let resources = &snapshot.kind.handler().resources;
    let staying =
        resources.iter().filter(|resource| !resource.management_policies.allow(ManagementPolicy::Delete));
    staying.map(|resource| resource.id.as_str()).collect()
}

fn is_held(snapshot: &CompositionSnapshot) -> bool {
    snapshot.object.finalizers().iter().any(|finalizer| finalizer == INSTANCE_FINALIZER)
}

/// Removes the finalizer of the instance; its objects are garbage-collected or orphaned.
fn release(snapshot: &CompositionSnapshot) -> Plan {
    let steps = is_held(snapshot).then_some(Step::Kubernetes(KubernetesStep::RemoveFinalizer));
    Plan { steps: steps.into_iter().collect(), ..Plan::default() }
}

/// Plans that an instance's objects stay when it goes: without its reference the garbage collector leaves them.
fn plan_release(children: &Children, instance: &Instance) -> CompositionPlan {
    let mut plan = CompositionPlan::default();
    for (kind, found) in children {
        if let Observed::Unknown(why) = found {
            plan.awaiting.push(format!("{kind} cannot be read: {why}"));
        }
    }
    for (kind, object) in own(children, instance).filter(|(_, object)| !is_terminating(object)) {
        plan.steps.push(orphan_child(kind, object, instance));
    }
    plan
}
