//! An object and its blueprint, both with a spec: whose edit goes where, and who is overruled. Pure.
//!
//! Both sides are compared with the spec about which they last agreed, which status keeps: a side that differs from
//! it was edited, unless it is as this operator wrote it: the status that says so may not have been written. One side owns the spec, so an edit travels one way only and nothing is ever sent back and forth.

use crate::{
    api::{executor_deployment::BlueprintStatus, names::WRITTEN_SPEC_ANNOTATION, policy::SyncPolicy},
    colony::model::Blueprint,
    desired::SharedSpec,
};

/// How many differing fields a message names.
const FIELDS_NAMED: usize = 3;

/// How an object and its blueprint stand to each other, for status.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Sync {
    /// It has no blueprint.
    #[default]
    None,
    /// The colony could not be asked, or has the blueprint only after this pass; status does not change.
    Unchanged,
    /// Both are equal, if necessary after this pass.
    Agreed(BlueprintStatus),
    /// An edit of the side that does not own the spec is undone next: on record first, since nothing tells of it once both are equal.
    Undoes(BlueprintStatus),
    /// They differ, and neither side owns the spec. The fields, with both values.
    Differs {
        /// What they last agreed about, if they ever did.
        agreed: Option<BlueprintStatus>,
        /// For a person.
        message: String,
    },
    /// The blueprint is none that could be followed.
    Invalid(String),
    /// The blueprint of that name belongs to another owner.
    NameTaken(String),
    /// The blueprint was removed in the colony and is not created again.
    Lost(String),
}

/// An object and its blueprint.
pub(super) struct SyncSides<'a> {
    /// Who owns the spec.
    pub policy: SyncPolicy,
    /// How a user makes the colony the owner.
    pub hand_over: &'static str,
    /// The recorded status.
    pub recorded: Option<&'a BlueprintStatus>,
    pub blueprint: &'a Blueprint,
    /// Whether the object is as the operator wrote it last.
    pub object_is_as_written: bool,
    /// The spec of the object.
    pub ours: &'a SharedSpec,
    /// The spec of the blueprint.
    pub theirs: &'a SharedSpec,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrittenSide {
    Object,
    Blueprint,
}

impl SyncSides<'_> {
    /// The status to record, and the side to write first.
    pub fn agree(&self) -> (Sync, Option<WrittenSide>) {
        let Self { recorded, blueprint, ours, theirs, .. } = *self;
        let agreed = |spec: &SharedSpec, generation: i64, overruled: Option<String>| {
            Sync::Agreed(BlueprintStatus {
                name: blueprint.metadata.name.clone(),
                generation,
                agreed: spec.hash(),
                overruled,
            })
        };
        // Nothing was agreed about while only the intent is recorded.
        let before = recorded.map(|recorded| recorded.agreed.as_str()).filter(|agreed| !agreed.is_empty());
        let still = recorded.and_then(|recorded| recorded.overruled.clone());
        let generation = blueprint.metadata.generation;
        if ours == theirs {
            // The owner has moved on since: no edit is overruled any more.
            let overruled = still.filter(|_| before == Some(ours.hash().as_str()));
            return (agreed(ours, generation, overruled), None);
        }
        let is_blueprint_as_written =
            blueprint.metadata.annotations.get(WRITTEN_SPEC_ANNOTATION) == Some(&theirs.hash());
        let here = before != Some(ours.hash().as_str()) && !self.object_is_as_written;
        let there = before != Some(theirs.hash().as_str()) && !is_blueprint_as_written;
        let message = describe(ours, theirs, &blueprint.metadata.name, generation);
        match self.policy {
            SyncPolicy::Observe => {
                let message = format!("{message}; syncPolicy Observe: edit one side until both are equal");
                (Sync::Differs { agreed: recorded.cloned(), message }, None)
            }
            SyncPolicy::ColonyWins => {
                let overruled =
                    here.then(|| format!("{message}; the colony owns the spec: edit the blueprint"));
                let overruled = overruled.filter(|_| before.is_some());
                (agreed(theirs, generation, overruled), Some(WrittenSide::Object))
            }
            SyncPolicy::KubernetesWins => {
                let overruled = there
                    .then(|| format!("{message}; this object owns the spec: edit it, or {}", self.hand_over));
                let overruled = overruled.filter(|_| before.is_some());
                (agreed(ours, generation.saturating_add(1), overruled), Some(WrittenSide::Blueprint))
            }
        }
    }
}

impl SyncSides<'_> {
    /// What is to be on record before an edit is undone; none where nothing is undone, or where it is on record.
    pub fn told_first(&self, sync: &Sync) -> Option<Sync> {
        let Sync::Agreed(agreed) = sync else { return None };
        let overruled = agreed.overruled.as_ref()?;
        let is_told = self.recorded.and_then(|recorded| recorded.overruled.as_ref()) == Some(overruled);
        let generation = self.blueprint.metadata.generation;
        (!is_told).then(|| Sync::Undoes(BlueprintStatus { generation, ..agreed.clone() }))
    }
}

/// The fields in which an object and its blueprint differ, with both values.
pub(super) fn describe(ours: &SharedSpec, theirs: &SharedSpec, name: &str, generation: i64) -> String {
    let differences = ours.differences(theirs);
    let named = differences.iter().take(FIELDS_NAMED).map(|difference| {
        format!("{}: {} in Kubernetes, {} in the colony", difference.field, difference.one, difference.other)
    });
    let mut named: Vec<String> = named.collect();
    if differences.len() > FIELDS_NAMED {
        named.push(format!("{} more fields", differences.len() - FIELDS_NAMED));
    }
    format!("{} (blueprint {name}, generation {generation})", named.join("; "))
}
