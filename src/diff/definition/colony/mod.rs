//! What to do about the definition that a colony has of a kind whose instances are its blueprints. Pure.
//!
//! Definitions have no update, and one that has blueprints cannot be removed. Several may be of one kind: the first
//! by name holds. One of another owner is never written.

use kube::ResourceExt as _;

use super::super::{ColonyStep, Step};
use crate::{
    api::{
        names::{ABANDON_ANNOTATION, blueprint_definition_id},
        policy::DeletionPolicy,
        resource_definition::{Handler, HandlerMode},
    },
    colony::model::BlueprintDefinition,
    kinds::definition::{ColonyDefinition, is_handled_as},
    snapshot::{ColonyKindState, DefinitionSnapshot, HandlerState, Observed},
};

/// How a kind stands in its colony, for status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InColony {
    /// Nothing of it is there, or there is no `Colony`.
    #[default]
    Nothing,
    /// The colony cannot be asked; why.
    Unknown(String),
    /// It has the definition, if need be after this pass.
    Kept,
    /// It has the definition, which differs, has blueprints, and accepts everything that the kind allows now; what
    /// differs.
    Lags(String),
    /// It has one of another owner by this name, with the same handler.
    Used(String),
    /// It has one of another owner, which differs; what, and what to do.
    Foreign(String),
    /// It has the definition, which differs and has blueprints; what, and what to do.
    InUse(String),
}

/// Plans the definition in the colony.
pub(super) fn keep(snapshot: &DefinitionSnapshot) -> (InColony, Vec<Step>) {
    let Some((in_colony, ours)) = colony_definition(snapshot) else { return (InColony::Nothing, Vec::new()) };
    let definitions = match &in_colony.definitions {
        Observed::Unknown(why) => return (InColony::Unknown(why.clone()), Vec::new()),
        Observed::Known(definitions) => definitions,
    };
    let handler = &snapshot.object.spec.handler;
    let name = snapshot.object.name_any();
    let wanted = ours.in_colony(&in_colony.used.colony_name, &in_colony.cluster);
    let add = Step::Colony(ColonyStep::AddDefinition(Box::new(wanted.clone())));
    let remove = Step::Colony(ColonyStep::RemoveDefinition { name: name.clone() });
    let found = effective(definitions, &snapshot.object.spec.names.kind);
    let found = found.or_else(|| definitions.iter().find(|definition| definition.metadata.name == name));
    match found {
        None => (InColony::Kept, vec![add]),
        Some(found) if found.id == wanted.id => match (ours.difference(found), &in_colony.blueprints) {
            (None, _) => (InColony::Kept, Vec::new()),
            (Some(_), Observed::Known(0)) => (InColony::Kept, vec![remove, add]),
            (Some(_), Observed::Unknown(why)) => (InColony::Unknown(why.clone()), Vec::new()),
            (Some(what), Observed::Known(_)) if ours.may_lag(found) => (InColony::Lags(what), Vec::new()),
            (Some(what), Observed::Known(count)) => {
                let message = format!(
                    "colony {} has {count} blueprints of the kind, and their definition cannot change ({what}): delete them (most are instances of this kind), or revert the change",
                    in_colony.used.colony_name
                );
                (InColony::InUse(message), Vec::new())
            }
        },
        Some(found) if is_of_kind(found, snapshot) && is_handled_as(found, handler) => {
            (InColony::Used(found.metadata.name.clone()), Vec::new())
        }
        Some(found) => (InColony::Foreign(foreign(in_colony, found)), Vec::new()),
    }
}

/// Plans the end of the definition in the colony: what is to be done, or what is waited for. One that others have blueprints
/// of stays.
pub(super) fn end(snapshot: &DefinitionSnapshot) -> Result<Option<Step>, String> {
    let object = &snapshot.object;
    let is_abandoned = object.annotations().get(ABANDON_ANNOTATION).is_some_and(|value| value == "true");
    let in_colony =
        snapshot.in_colony.as_ref().filter(|_| object.spec.handler.mode == HandlerMode::Blueprint);
    let Some(in_colony) =
        in_colony.filter(|_| !is_abandoned && object.spec.deletion_policy == DeletionPolicy::Delete)
    else {
        return Ok(None);
    };
    let id = blueprint_definition_id(&in_colony.cluster, &object.name_any());
    let asked = "annotate the ResourceDefinition with colonies.io/abandon-remote: \"true\" to leave it there";
    match (&in_colony.definitions, &in_colony.blueprints) {
        (Observed::Unknown(why), _) | (_, Observed::Unknown(why)) => Err(format!(
            "colony {} to have its BlueprintDefinition removed: {why}; {asked}",
            in_colony.used.colony_name
        )),
        (Observed::Known(definitions), Observed::Known(0)) => {
            let ours = definitions.iter().find(|definition| definition.id == id);
            if ours.is_none() && in_colony.add_in_flight_until.is_some_and(|until| snapshot.now < until) {
                return Err(format!(
                    "an earlier add of the BlueprintDefinition that may still arrive in colony {}; {asked}",
                    in_colony.used.colony_name
                ));
            }
            Ok(ours
                .map(|ours| Step::Colony(ColonyStep::RemoveDefinition { name: ours.metadata.name.clone() })))
        }
        (Observed::Known(_), Observed::Known(_)) => Ok(None),
    }
}

/// Whether blueprints of a kind are handled as its definition declares; none if the colony cannot be asked.
#[must_use]
pub fn handler_state(snapshot: &DefinitionSnapshot, handler: &Handler) -> Option<HandlerState> {
    let in_colony = snapshot.in_colony.as_ref()?;
    let definitions = in_colony.definitions.known()?;
    Some(match effective(definitions, &snapshot.object.spec.names.kind) {
        None => HandlerState::Missing,
        Some(found) if is_handled_as(found, handler) => HandlerState::Handled,
        Some(found) => HandlerState::Foreign(foreign(in_colony, found)),
    })
}

/// What this cluster alone checks of the kind, for a person; none if its colony checks everything.
#[must_use]
pub fn checked_here(snapshot: &DefinitionSnapshot) -> Option<String> {
    let ours = ColonyDefinition::of(&snapshot.object).ok()?;
    ours.checked_here()
}

fn colony_definition(snapshot: &DefinitionSnapshot) -> Option<(&ColonyKindState, ColonyDefinition)> {
    let in_colony = snapshot.in_colony.as_ref()?;
    Some((in_colony, ColonyDefinition::of(&snapshot.object).ok()?))
}

/// The definition that holds for new blueprints of a kind: the server lists them by name.
fn effective<'a>(definitions: &'a [BlueprintDefinition], kind: &str) -> Option<&'a BlueprintDefinition> {
    let of_kind = definitions.iter().filter(|definition| definition.spec.names.kind == kind);
    of_kind.min_by_key(|definition| &definition.metadata.name)
}

fn is_of_kind(definition: &BlueprintDefinition, snapshot: &DefinitionSnapshot) -> bool {
    definition.spec.names.kind == snapshot.object.spec.names.kind
}

fn foreign(in_colony: &ColonyKindState, found: &BlueprintDefinition) -> String {
    let (name, spec) = (&found.metadata.name, &found.spec);
    format!(
        "colony {} has a BlueprintDefinition {name} that was not made for this ResourceDefinition: its kind is {} and its handler function {} of executors of type {}: name the same handler, or have it removed (colonies blueprint definition remove --name {name}); it is left unchanged",
        in_colony.used.colony_name, spec.names.kind, spec.handler.function, spec.handler.executor_type
    )
}

#[cfg(test)]
mod tests;
