//! What to do about the objects that an instance is made of: those that lack are created, those that differ are patched,
//! those that are no longer wanted are deleted. Pure.
//!
//! They are patched and not written whole, unlike the operator's own workloads: the kind can be any, and of many a part
//! can neither be written again nor be left out.

mod instance;
mod object;
mod ownership;
mod prune;

use std::collections::{BTreeMap, BTreeSet};

pub use instance::{Decision, decide, plan_desired, plan_end, plan_instance};
use object::{annotation, is_terminating, name_of, owner_of, resource_of, uid_of};
use ownership::{adopt, orphan_child};
use prune::prune;

use serde_json::{Map, Value};

use super::{
    KubernetesStep, OwnershipError,
    admission::{self, Admitted},
    difference::{Surplus, lacking, merge_patch},
};
use crate::{
    api::{
        names::{ADMITTED_ANNOTATION, CONTENT_HASH_ANNOTATION, FIELDS_ANNOTATION},
        policy::{AdoptionPolicy, DriftPolicy},
        resource_definition::ObjectKind,
    },
    kinds::composition::{
        Composition, Desired, DesiredChild, DesiredResource, Instance, MUTABLE_OF_JOBS, Policies, Wanted,
        controller,
    },
    snapshot::{Children, Observed},
};

/// What to do about the objects of an instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CompositionPlan {
    /// The writes, in order.
    pub steps: Vec<KubernetesStep>,
    /// What is waited for.
    pub awaiting: Vec<String>,
    /// What is left as it is.
    pub report: Report,
}

/// What is not as the templates have it, and is left so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Objects of others that have a name of one of the instance's.
    pub foreign: Vec<OwnershipError>,
    /// Objects that others have changed, with the fields.
    pub drifted: Vec<String>,
    /// Objects that admission has changed and that are left so, with the fields.
    pub admitted: Vec<String>,
    /// What policies keep from being done.
    pub left: Vec<String>,
}

/// Plans what an instance should be made of.
#[must_use]
pub fn plan(desired: &Desired, children: &Children, instance: &Instance) -> CompositionPlan {
    let mut plan = CompositionPlan::default();
    let mut kept: BTreeSet<(&ObjectKind, &str)> = BTreeSet::new();
    for resource in &desired.resources {
        match (children.get(&resource.kind), &resource.wanted) {
            (_, Wanted::Unknown(why)) => plan.awaiting.push(format!("{} waits for {why}", resource.id)),
            (Some(Observed::Unknown(why)), Wanted::Objects(objects)) if !objects.is_empty() => {
                plan.awaiting.push(format!("{}: {} cannot be read: {why}", resource.id, resource.kind));
            }
            (found, Wanted::Objects(objects)) => {
                let found = by_name(found);
                for object in objects {
                    kept.insert((&object.kind, &object.name));
                    plan.object(resource, object, found.get(object.name.as_str()).copied(), instance);
                }
            }
        }
    }
    for (resource, kind, object) in surplus(desired, children, instance, &kept) {
        if resource.is_none_or(|resource| resource.policies.may_delete) {
            plan.steps.push(delete(kind, object, "it is no longer wanted"));
        } else {
            let line = "is no longer wanted and stays: its managementPolicies do not list Delete";
            plan.report.left.push(format!("{} {} {line}", kind.kind, name_of(object)));
        }
    }
    plan
}

/// Plans the end of all objects of an instance that is deleted: each after those that refer to it. Without a
/// composition, since the definition is gone or cannot be followed, there is no order. Objects of the resources in
/// `staying` are orphaned.
#[must_use]
pub fn plan_deletion(
    composition: Option<&Composition>,
    children: &Children,
    instance: &Instance,
    staying: &BTreeSet<&str>,
) -> CompositionPlan {
    let mut plan = CompositionPlan::default();
    for (kind, found) in children {
        if let Observed::Unknown(why) = found {
            plan.awaiting.push(format!("{kind} cannot be read: {why}"));
        }
    }
    let stays = |object: &Value| resource_of(object).is_some_and(|id| staying.contains(id));
    let (kept, left): (Vec<_>, Vec<_>) = own(children, instance).partition(|(_, object)| stays(object));
    let kept = kept.into_iter().filter(|(_, object)| !is_terminating(object));
    plan.steps.extend(kept.map(|(kind, object)| orphan_child(kind, object, instance)));
    let ids: BTreeSet<&str> = left.iter().filter_map(|(_, object)| resource_of(object)).collect();
    let is_whole = children.values().all(|found| found.known().is_some());
    for (kind, object) in &left {
        let id = resource_of(object).unwrap_or_default();
        let mut dependents = composition.into_iter().flat_map(|composition| composition.dependents(id));
        // What cannot be read may be there.
        match dependents.find(|dependent| ids.contains(dependent) || !is_whole) {
            Some(dependent) => {
                plan.awaiting.push(format!("{} {} goes after {dependent}", kind.kind, name_of(object)));
            }
            None if is_terminating(object) => {
                plan.awaiting.push(format!("{} {} to be gone", kind.kind, name_of(object)));
            }
            None => plan.steps.push(delete(kind, object, "the instance is deleted")),
        }
    }
    plan
}

/// Whether an instance still has objects, or may have some.
#[must_use]
pub fn any_left(children: &Children, instance: &Instance) -> bool {
    children.values().any(|found| found.unknown().is_some()) || own(children, instance).next().is_some()
}

impl CompositionPlan {
    fn object(
        &mut self,
        resource: &DesiredResource,
        wanted: &DesiredChild,
        found: Option<&Value>,
        instance: &Instance,
    ) {
        let policies = &resource.policies;
        let named = || format!("{} {}", wanted.kind.kind, wanted.name);
        let is_leaving = found.is_none_or(is_terminating);
        match (found, &resource.held_back) {
            // What has ended is not done again.
            _ if is_leaving && !policies.only_observes() && instance.finished_part(wanted).is_some() => {}
            (None, _) if policies.only_observes() => self.awaiting.push(format!("{} to be there", named())),
            (None, _) if !policies.may_create => {
                let line = "is not created: its managementPolicies do not list Create";
                self.report.left.push(format!("{} {line}", named()));
            }
            (None, _) if policies.adoption == AdoptionPolicy::Adopt => {
                self.awaiting.push(format!("{} to be there, for it is only adopted", named()));
            }
            (None, None) => self.steps.push(KubernetesStep::CreateChild(Box::new(wanted.clone()))),
            (None, Some(why)) => {
                // One line for all objects of a list.
                let line = format!("{} waits for {why}", resource.id);
                if self.awaiting.last() != Some(&line) {
                    self.awaiting.push(line);
                }
            }
            (Some(_), _) if policies.only_observes() => {}
            (Some(found), _) if !instance.owns(found) && may_adopt(policies, found) => {
                if is_terminating(found) {
                    self.awaiting.push(format!("{} to be gone", named()));
                } else {
                    self.steps.push(adopt(policies, wanted, found, instance));
                }
            }
            (Some(found), _) if !instance.owns(found) => self.report.foreign.push(OwnershipError::Foreign {
                kind: wanted.kind.kind.clone(),
                name: wanted.name.clone(),
                owner: owner_of(found),
            }),
            (Some(found), _) if is_terminating(found) => {
                self.awaiting.push(format!("the old {} {} to be gone", wanted.kind.kind, wanted.name));
            }
            (Some(found), _) => self.changes(policies, wanted, found),
        }
    }

    /// Brings an object in line with what it should be.
    fn changes(&mut self, policies: &Policies, wanted: &DesiredChild, found: &Value) {
        let mut should = wanted.object.clone();
        for field in &policies.ignored {
            field.leave(&mut should, found);
        }
        // Others may add references of their own; ours is there, or the object would not be the instance's.
        if let Some(Value::Object(metadata)) = should.get_mut("metadata") {
            metadata.remove("ownerReferences");
        }
        let is_new_wish =
            annotation(&wanted.object, CONTENT_HASH_ANNOTATION) != annotation(found, CONTENT_HASH_ANNOTATION);
        let is_pod = wanted.kind == ObjectKind::new("v1", "Pod");
        if let (Value::Object(should), true, false) = (&mut should, is_pod, is_new_wish) {
            // What runs pods adds to their lists, and their drift could not be corrected.
            should.remove("spec");
        }
        let is_remade = is_pod || wanted.kind == ObjectKind::new("batch/v1", "Job");
        let is_fixed = |path: &str| {
            let of_spec = path.strip_prefix("spec.").unwrap_or_default();
            is_remade && path.starts_with("spec") && (is_pod || !MUTABLE_OF_JOBS.contains(&of_spec))
        };
        // Another wish is written as it is, where it can be. What cannot change, and differs although the wish has not, was
        // changed when the object was created.
        let noted = Admitted::read(annotation(found, ADMITTED_ANNOTATION));
        let admitted = admission::accept(&mut should, found, Surplus::Theirs, |difference| {
            let is_fixed = is_fixed(&difference.to_string());
            (!is_new_wish || is_fixed) && noted.covers(difference) || !is_new_wish && is_fixed
        });
        self.report.admitted.extend(admission::told(&wanted.kind.kind, &wanted.name, &admitted));
        let (Value::Object(should), Value::Object(is)) = (should, found) else { return };
        let mut differences = lacking(&Value::Object(should.clone()), found);
        let mut patch = merge_patch(&should, is);
        let before =
            annotation(found, FIELDS_ANNOTATION).and_then(|fields| serde_json::from_str(fields).ok());
        if let (true, Some(Value::Object(before))) = (is_new_wish, before) {
            prune(&before, &should, is, "", &mut patch, &mut differences);
        }
        if differences.is_empty() {
            return;
        }
        let is_kept = policies.drift == DriftPolicy::DetectOnly && !is_new_wish;
        if is_kept || !policies.may_update {
            self.drifted(wanted, &differences);
            return;
        }
        if differences.iter().any(|path| is_fixed(path)) {
            if !policies.may_delete || !policies.may_create {
                self.drifted(wanted, &differences);
                return;
            }
            let fixed: Vec<&str> =
                differences.iter().map(String::as_str).filter(|path| is_fixed(path)).collect();
            let why = format!("a {} cannot change {}", wanted.kind.kind, fixed.join(", "));
            self.steps.push(delete(&wanted.kind, found, &why));
            self.awaiting.push(format!("the old {} {} to be gone", wanted.kind.kind, wanted.name));
            return;
        }
        let metadata = patch.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            // Another object of the name is not meant.
            metadata.insert("uid".to_owned(), Value::from(uid_of(found)));
        }
        self.steps.push(KubernetesStep::PatchChild {
            kind: wanted.kind.clone(),
            name: wanted.name.clone(),
            patch,
            differences,
        });
    }

    /// Reports fields that are left as others set them; the operator's own annotations are not reported.
    fn drifted(&mut self, wanted: &DesiredChild, differences: &[String]) {
        let is_ours = |path: &&String| {
            [CONTENT_HASH_ANNOTATION, FIELDS_ANNOTATION].iter().any(|name| path.ends_with(name))
        };
        let theirs: Vec<&str> =
            differences.iter().filter(|path| !is_ours(path)).map(String::as_str).collect();
        if !theirs.is_empty() {
            let fields = theirs.join(", ");
            self.report.drifted.push(format!("{} {}: {fields}", wanted.kind.kind, wanted.name));
        }
    }
}

/// Whether an object may be taken over. One that has a controller never is.
fn may_adopt(policies: &Policies, found: &Value) -> bool {
    policies.adoption != AdoptionPolicy::Fail && policies.may_update && controller(found).is_none()
}

/// The instance's objects that are not wanted, with their resources, those first that were made last. What belongs to a resource of
/// which nothing is known yet stays.
fn surplus<'a>(
    desired: &'a Desired,
    children: &'a Children,
    instance: &'a Instance,
    kept: &BTreeSet<(&ObjectKind, &str)>,
) -> Vec<(Option<&'a DesiredResource>, &'a ObjectKind, &'a Value)> {
    let place = |id: &str| desired.resources.iter().position(|resource| resource.id == id);
    let is_unknown = |place: Option<usize>| {
        place.is_some_and(|place| matches!(desired.resources[place].wanted, Wanted::Unknown(_)))
    };
    let mut surplus: Vec<(Option<usize>, &ObjectKind, &Value)> = own(children, instance)
        .filter(|(kind, object)| !kept.contains(&(*kind, name_of(object))) && !is_terminating(object))
        .map(|(kind, object)| {
            let place = resource_of(object).and_then(place);
            (place, kind, object)
        })
        .filter(|(place, ..)| !is_unknown(*place))
        .collect();
    // What no resource speaks of any more can have been referred to by nothing that is left.
    surplus.sort_by_key(|(place, ..)| std::cmp::Reverse(place.map_or(usize::MAX, |place| place)));
    let resource = |place: Option<usize>| place.and_then(|place| desired.resources.get(place));
    surplus.into_iter().map(|(place, kind, object)| (resource(place), kind, object)).collect()
}

fn by_name(found: Option<&Observed<Vec<Value>>>) -> BTreeMap<&str, &Value> {
    let objects = found.and_then(Observed::known).into_iter().flatten();
    objects.map(|object| (name_of(object), object)).collect()
}

/// The objects that the instance owns.
fn own<'c>(
    children: &'c Children,
    instance: &'c Instance,
) -> impl Iterator<Item = (&'c ObjectKind, &'c Value)> {
    children
        .iter()
        .flat_map(|(kind, found)| found.known().into_iter().flatten().map(move |object| (kind, object)))
        .filter(|(_, object)| instance.owns(object))
}

fn delete(kind: &ObjectKind, object: &Value, why: &str) -> KubernetesStep {
    KubernetesStep::DeleteChild {
        kind: kind.clone(),
        name: name_of(object).to_owned(),
        uid: uid_of(object).to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests;
