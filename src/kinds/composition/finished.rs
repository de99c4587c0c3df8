//! Parts that end by themselves: what has ended is not done again because its object is gone. A Job or a `ColonyProcess`
//! with a TTL deletes itself, and absence alone would be a reason to create it again.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Desired, DesiredChild, Instance, Readiness, Wanted};
use crate::{
    api::{
        instance::FinishedPart, metadata::content_hash, names::CONTENT_HASH_ANNOTATION,
        resource_definition::ObjectKind,
    },
    snapshot::Children,
};

/// Fields of a Job's spec that can change while it is there.
pub const MUTABLE_OF_JOBS: [&str; 5] =
    ["activeDeadlineSeconds", "backoffLimit", "parallelism", "suspend", "ttlSecondsAfterFinished"];
/// How long an object is kept after its end is not what it does.
const TIME_TO_LIVE: &str = "ttlSecondsAfterFinished";
/// Most bytes of the status that is kept of one part.
const MAX_STATUS_BYTES: usize = 4 << 10;
/// Most bytes of the statuses that are kept of all parts of an instance.
const MAX_STATUSES_BYTES: usize = 128 << 10;

/// The parts of an instance that are known to have ended what its templates ask for: those that are seen to have ended,
/// and those that were and are gone. What cannot be looked at stays as it was.
#[must_use]
pub fn finished_parts(desired: &Desired, children: &Children, instance: &Instance) -> Vec<FinishedPart> {
    let mut parts = Vec::new();
    for resource in &desired.resources {
        match &resource.wanted {
            Wanted::Unknown(_) => {
                parts.extend(instance.finished.iter().filter(|part| part.resource == resource.id).cloned());
            }
            Wanted::Objects(objects) => {
                let ended =
                    objects.iter().filter_map(|wanted| part(&resource.id, wanted, children, instance));
                parts.extend(ended);
            }
        }
    }
    let mut left = MAX_STATUSES_BYTES;
    for part in &mut parts {
        abridge(part, left.min(MAX_STATUS_BYTES));
        left -= part.status.as_ref().map_or(0, size).min(left);
    }
    parts
}

fn part(
    resource: &str,
    wanted: &DesiredChild,
    children: &Children,
    instance: &Instance,
) -> Option<FinishedPart> {
    let remembered = || instance.finished_part(wanted).cloned();
    let Some(objects) = children.get(&wanted.kind)?.known() else { return remembered() };
    let is_it = |object: &&Value| {
        object.pointer("/metadata/name").and_then(Value::as_str) == Some(&wanted.name)
            && instance.owns(object)
    };
    let Some(found) = objects.iter().find(is_it) else { return remembered() };
    // What carries out another wish says nothing about this one.
    if wish(found) != wish(&wanted.object) {
        return remembered();
    }
    Some(FinishedPart {
        resource: resource.to_owned(),
        kind: wanted.kind.clone(),
        name: wanted.name.clone(),
        run: run(wanted),
        succeeded: end(&wanted.kind, found)?,
        status: found.get("status").cloned(),
        is_abridged: false,
    })
}

/// Leaves out the largest fields of a status until it fits, for the small ones say how it ended.
fn abridge(part: &mut FinishedPart, limit: usize) {
    let Some(Value::Object(fields)) = &mut part.status else { return };
    let mut sizes: Vec<(usize, String)> =
        fields.iter().map(|(name, value)| (name.len() + size(value), name.clone())).collect();
    sizes.sort();
    let mut whole = fields.iter().map(|(name, value)| name.len() + size(value) + 4).sum::<usize>() + 2;
    while whole > limit {
        let Some((bytes, name)) = sizes.pop() else { break };
        fields.remove(&name);
        part.is_abridged = true;
        whole -= bytes + 4;
    }
    if fields.is_empty() {
        part.status = None;
    }
}

fn size(value: &Value) -> usize {
    value.to_string().len()
}

/// Whether an object has ended, and well. An object of a kind that never ends has not.
fn end(kind: &ObjectKind, object: &Value) -> Option<bool> {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let is_current = |condition: &Value| {
        condition
            .get("observedGeneration")
            .and_then(Value::as_i64)
            .is_none_or(|seen| Some(seen) >= generation)
    };
    let holds = |name: &str| {
        conditions.into_iter().flatten().any(|condition| {
            condition.get("type").and_then(Value::as_str) == Some(name)
                && condition.get("status").and_then(Value::as_str) == Some("True")
                && is_current(condition)
        })
    };
    match (kind.group(), kind.kind.as_str()) {
        ("batch", "Job") => holds("Complete").then_some(true).or_else(|| holds("Failed").then_some(false)),
        // One that failed may have been evicted: what it did is not done.
        ("", "Pod") => {
            (object.pointer("/status/phase").and_then(Value::as_str) == Some("Succeeded")).then_some(true)
        }
        _ => holds("Finished").then(|| !holds("Failed")),
    }
}

/// What an object does, without what it is called and how long it is kept: work is done once for each.
fn run(wanted: &DesiredChild) -> String {
    let mut object = wanted.object.as_object().cloned().unwrap_or_default();
    object.remove("metadata");
    if let Some(Value::Object(spec)) = object.get_mut("spec") {
        spec.remove(TIME_TO_LIVE);
        if wanted.kind == ObjectKind::new("batch/v1", "Job") {
            spec.retain(|field, _| !MUTABLE_OF_JOBS.contains(&field.as_str()));
        }
    }
    content_hash(&Value::Object(object))
}

fn wish(object: &Value) -> Option<&str> {
    object.pointer("/metadata/annotations")?.get(CONTENT_HASH_ANNOTATION)?.as_str()
}

impl Instance {
    /// What is remembered of an object that has ended what is wanted of it now.
    #[must_use]
    pub fn finished_part(&self, wanted: &DesiredChild) -> Option<&FinishedPart> {
        let mut named =
            self.finished.iter().filter(|part| part.kind == wanted.kind && part.name == wanted.name);
        named.next().filter(|part| part.run == run(wanted))
    }
}

/// An object that is gone after it has ended, as what refers to it sees it.
pub(super) fn remembered<'o>(part: &FinishedPart, wanted: &DesiredChild) -> Cow<'o, Value> {
    let mut object = wanted.object.as_object().cloned().unwrap_or_default();
    object.insert("status".to_owned(), part.status.clone().unwrap_or_else(|| Value::Object(Map::new())));
    Cow::Owned(Value::Object(object))
}

/// The readiness of an object of which no more is remembered than how it ended.
pub(super) fn readiness(part: &FinishedPart) -> Readiness {
    if part.succeeded { Readiness::Ready } else { Readiness::Failed("it failed".to_owned()) }
}
