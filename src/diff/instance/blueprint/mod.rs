//! What to do for an instance that is kept as a blueprint: add it once, keep both sides alike, take it away. Pure.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{
    super::{
        ColonyStep, KubernetesStep, Mirror, Plan, Step, Sync,
        agreement::{SyncSides, WrittenSide, describe},
        attempt::Attempts as _,
        mirror::MirrorPlan,
        process_state::state_of,
        work::of_mirror,
    },
    policies::{release, terms},
};
use crate::{
    api::{
        executor_deployment::BlueprintStatus,
        mirror::{MirrorStatus, Mirrored as _},
        names::{BLUEPRINT_ANNOTATION, WRITTEN_SPEC_ANNOTATION, cleanup_generation, process_label},
        policy::{ManagementPolicy, SyncPolicy},
    },
    colony::{Process, model::Blueprint},
    desired::SharedSpec,
    snapshot::{HandlerState, InstanceSnapshot, Observed},
};

/// How long the clean-up after a blueprint is waited for; what remains by then is reported and left to the colony.
const CLEANUP_LIMIT: Duration = Duration::from_mins(5);

/// Plans an instance that is to exist.
#[must_use]
pub fn plan(snapshot: &InstanceSnapshot, desired: &Blueprint) -> Plan {
    if recorded(snapshot).is_none()
        && let Some(left) =
            forbidden_write(snapshot, ManagementPolicy::Create, &snapshot.object.wanted_blueprint_name())
    {
        return Plan { left: vec![left], sync: Sync::Unchanged, ..Plan::default() };
    }
    let mut steps = Vec::new();
    if !terms(snapshot).has_finalizer() {
        steps.push(Step::Kubernetes(KubernetesStep::AddFinalizer));
    }
    let Some(recorded) = recorded(snapshot) else {
        // On record before anything is sent: the deletion of the instance must know what to look for.
        return Plan { steps, sync: intent(&snapshot.object.wanted_blueprint_name()), ..Plan::default() };
    };
    if !steps.is_empty() {
        return Plan { steps, sync: Sync::Unchanged, ..Plan::default() };
    }
    match &snapshot.in_colony.blueprint {
        Observed::Unknown(why) => waiting(format!("the colony to report blueprint {}: {why}", recorded.name)),
        Observed::Known(None) => absent(snapshot, recorded, desired),
        Observed::Known(Some(found)) if !snapshot.owns(found) => {
            taken(snapshot, recorded, &desired.metadata.colony)
        }
        Observed::Known(Some(found)) => alike(snapshot, recorded, found, desired),
    }
}

/// Plans an instance that is being deleted or released. It needs no valid spec.
#[must_use]
pub fn plan_deletion(snapshot: &InstanceSnapshot) -> Plan {
    if snapshot.kind.terms().is_released {
        return release(snapshot);
    }
    let mut plan = snapshot.finalize(|| match recorded(snapshot) {
        None => Plan::default(),
        Some(recorded) => end(snapshot, recorded),
    });
    plan.sync = Sync::Unchanged;
    plan
}

/// What remains of an instance that is released, as a message; none if nothing is.
#[must_use]
pub fn remaining_in_colony(snapshot: &InstanceSnapshot) -> Option<String> {
    let recorded = recorded(snapshot)?;
    if terms(snapshot).is_abandoned() {
        return Some(format!("remains in the colony: blueprint {}", recorded.name));
    }
    let cleanup = snapshot.object.mirror()?;
    let id = cleanup.process_id.as_deref().unwrap_or_default();
    if cleanup.may_live() {
        return Some(format!("remains in the colony: cleanup process {id}, which did not end in time"));
    }
    let errors = cleanup.errors.as_deref()?;
    Some(format!("clean-up process {id} of blueprint {} failed: {errors}", recorded.name))
}

fn recorded(snapshot: &InstanceSnapshot) -> Option<&BlueprintStatus> {
    snapshot.object.status.as_ref()?.blueprint.as_ref()
}

fn intent(name: &str) -> Sync {
    Sync::Agreed(BlueprintStatus { name: name.to_owned(), ..BlueprintStatus::default() })
}

fn waiting(awaited: String) -> Plan {
    Plan { awaiting: vec![awaited], sync: Sync::Unchanged, ..Plan::default() }
}

/// There is no blueprint of the name.
fn absent(snapshot: &InstanceSnapshot, recorded: &BlueprintStatus, desired: &Blueprint) -> Plan {
    let was_there = !recorded.agreed.is_empty();
    let wanted = snapshot.object.wanted_blueprint_name();
    let terms = snapshot.kind.handler().blueprint_terms();
    if !was_there && wanted != recorded.name {
        return Plan { sync: intent(&wanted), ..Plan::default() };
    }
    let name = &recorded.name;
    if was_there && terms.sync_policy != SyncPolicy::KubernetesWins {
        let message = format!(
            "blueprint {name} was removed in the colony, and with syncPolicy {} it is not created again: delete this object, or set handler.blueprint.syncPolicy of the ResourceDefinition to KubernetesWins",
            terms.sync_policy.as_str()
        );
        return Plan { sync: Sync::Lost(message), ..Plan::default() };
    }
    if let Some(left) = forbidden_write(snapshot, ManagementPolicy::Create, name) {
        return Plan { left: vec![left], sync: Sync::Unchanged, ..Plan::default() };
    }
    if let Some(awaited) = not_handled(snapshot) {
        return waiting(awaited);
    }
    let sync = if was_there {
        let overruled = Some(format!(
            "blueprint {name} was removed in the colony, and created again; this object owns it: delete this object instead"
        ));
        if recorded.overruled != overruled {
            let sync = Sync::Undoes(BlueprintStatus { overruled, ..recorded.clone() });
            return Plan { sync, ..Plan::default() };
        }
        let agreed = SharedSpec::of_instance(&desired.spec).hash();
        let generation = desired.metadata.generation;
        Sync::Agreed(BlueprintStatus { name: name.clone(), generation, agreed, overruled })
    } else {
        Sync::Unchanged
    };
    let steps = vec![Step::Colony(ColonyStep::AddBlueprint(Box::new(desired.clone())))];
    Plan { steps, sync, ..Plan::default() }
}

/// Why a blueprint is not written, where it takes what may not be done.
fn forbidden_write(snapshot: &InstanceSnapshot, what: ManagementPolicy, name: &str) -> Option<String> {
    let may_be_done = snapshot.kind.handler().management_policies.allow(what);
    let remedy = what.remedy();
    (!may_be_done)
        .then(|| format!("blueprint {name} is not written: handler.{remedy} in the ResourceDefinition"))
}

/// Why nothing may be written to the colony: another handler would handle it, or none.
fn not_handled(snapshot: &InstanceSnapshot) -> Option<String> {
    match &snapshot.in_colony.handler_state {
        Some(HandlerState::Handled) => None,
        Some(HandlerState::Foreign(why)) => Some(why.clone()),
        Some(HandlerState::Missing) => Some("the colony to be given the definition of the kind".to_owned()),
        None => Some("the definition of the kind in the colony to be looked at".to_owned()),
    }
}

/// The blueprint of the name was not made for this instance.
fn taken(snapshot: &InstanceSnapshot, recorded: &BlueprintStatus, colony: &str) -> Plan {
    let wanted = snapshot.object.wanted_blueprint_name();
    if recorded.agreed.is_empty() && wanted != recorded.name {
        return Plan { sync: intent(&wanted), ..Plan::default() };
    }
    let name = &recorded.name;
    let remedy = if recorded.agreed.is_empty() {
        format!(
            "annotate this object with {BLUEPRINT_ANNOTATION}: another name, or remove it (colonies blueprint remove --name {name})"
        )
    } else {
        format!("remove it (colonies blueprint remove --name {name})")
    };
    let message = format!(
        "colony {colony} has a blueprint {name} that was not made for this object: {remedy}; it is left unchanged"
    );
    Plan { sync: Sync::NameTaken(message), ..Plan::default() }
}

/// The blueprint is there, and was made for this instance.
fn alike(
    snapshot: &InstanceSnapshot,
    recorded: &BlueprintStatus,
    found: &Blueprint,
    desired: &Blueprint,
) -> Plan {
    let policy = snapshot.kind.handler().blueprint_terms().sync_policy;
    let ours = SharedSpec::of_instance(&desired.spec);
    let as_written = || SharedSpec::of_instance(&found.spec);
    let as_stored = || SharedSpec::of_instance_blueprint(&found.spec, snapshot.kind.terms().schema.as_ref());
    let theirs = match policy {
        // It becomes the instance's, hence has to be one.
        SyncPolicy::ColonyWins => as_stored(),
        // A missing default is no difference.
        SyncPolicy::Observe => Ok(as_stored().unwrap_or_else(|_| as_written())),
        SyncPolicy::KubernetesWins => Ok(as_written()),
    };
    let theirs = match theirs {
        Ok(theirs) => theirs,
        Err(error) => {
            let message = format!("blueprint {}: {error}", recorded.name);
            return Plan { sync: Sync::Invalid(message), ..Plan::default() };
        }
    };
    let sides = SyncSides {
        policy,
        hand_over: "set handler.blueprint.syncPolicy of the ResourceDefinition to ColonyWins",
        recorded: Some(recorded),
        blueprint: found,
        object_is_as_written: snapshot.object.annotations().get(WRITTEN_SPEC_ANNOTATION)
            == Some(&ours.hash()),
        ours: &ours,
        theirs: &theirs,
    };
    let (sync, written) = sides.agree();
    let colony = snapshot.header.colony.resolved().filter(|colony| !colony.is_admitted);
    if let (Some(WrittenSide::Object), Some(colony)) = (written, colony) {
        let differences = describe(&ours, &theirs, &found.metadata.name, found.metadata.generation);
        let message = format!(
            "{differences}; Colony {} does not admit the namespace of this object any more, which keeps its spec: have spec.allowedNamespaces changed",
            colony.name
        );
        return Plan { sync: Sync::Differs { agreed: Some(recorded.clone()), message }, ..Plan::default() };
    }
    if written == Some(WrittenSide::Blueprint)
        && let Some(left) = forbidden_write(snapshot, ManagementPolicy::Update, &found.metadata.name)
    {
        let differences = describe(&ours, &theirs, &found.metadata.name, found.metadata.generation);
        let message = format!("{differences}; {left}");
        return Plan { sync: Sync::Differs { agreed: Some(recorded.clone()), message }, ..Plan::default() };
    }
    if written == Some(WrittenSide::Blueprint)
        && let Some(awaited) = not_handled(snapshot)
    {
        return waiting(awaited);
    }
    if let Some(sync) = sides.told_first(&sync).filter(|_| written.is_some()) {
        return Plan { sync, ..Plan::default() };
    }
    let (name, generation) = (&found.metadata.name, found.metadata.generation);
    let step = written.map(|written| match written {
        WrittenSide::Object => Step::Kubernetes(KubernetesStep::UpdateSpec {
            spec: theirs.blueprint_spec(),
            hash: Some(theirs.hash()),
            why: format!("blueprint {name} generation {generation} requests it"),
        }),
        WrittenSide::Blueprint => Step::Colony(ColonyStep::UpdateBlueprint {
            name: name.clone(),
            spec: ours.blueprint_spec(),
            hash: ours.hash(),
            seen_generation: generation,
        }),
    });
    Plan { steps: step.into_iter().collect(), sync, ..Plan::default() }
}

/// Removes the blueprint, then follows the process by which the server has what was made for it cleaned up.
fn end(snapshot: &InstanceSnapshot, recorded: &BlueprintStatus) -> Plan {
    let name = &recorded.name;
    let uid = snapshot.object.uid().unwrap_or_default();
    match &snapshot.in_colony.blueprint {
        Observed::Unknown(why) => waiting(format!("the colony to remove blueprint {name}: {why}")),
        Observed::Known(Some(found)) if snapshot.owns(found) => Plan {
            steps: vec![Step::Colony(ColonyStep::RemoveBlueprint { name: name.clone() })],
            awaiting: vec![format!("blueprint {name} to be removed")],
            ..Plan::default()
        },
        Observed::Known(None)
            if snapshot
                .in_colony
                .blueprint_in_flight_until
                .is_some_and(|until| snapshot.header.now < until) =>
        {
            let due = snapshot.in_colony.blueprint_in_flight_until;
            Plan { due, ..waiting(format!("an earlier add of blueprint {name} that may still arrive")) }
        }
        Observed::Known(_) => match snapshot.object.mirror() {
            Some(cleanup) => follow(snapshot, cleanup),
            None => look_for_cleanup(snapshot, name, &uid),
        },
    }
}

fn look_for_cleanup(snapshot: &InstanceSnapshot, name: &str, uid: &str) -> Plan {
    let deleted_at = snapshot.object.metadata.deletion_timestamp.as_ref().map(|deleted| deleted.0);
    match &snapshot.in_colony.cleanups {
        Observed::Known(found) => match found.iter().max_by_key(|process| process.age_key()) {
            None => Plan::default(),
            Some(process) => {
                of_mirror(MirrorPlan { mirror: cleanup_mirror(snapshot, process, uid), ..awaited(process) })
            }
        },
        Observed::Unknown(why) => {
            let due = deleted_at.and_then(limit);
            if due.is_none_or(|due| due <= snapshot.header.now) {
                return Plan::default();
            }
            let awaited = format!("the colony to report whether it cleans up after blueprint {name}: {why}");
            Plan { due, ..waiting(awaited) }
        }
    }
}

fn awaited(process: &Process) -> MirrorPlan {
    MirrorPlan { awaiting: vec![format!("clean-up process {}", process.id)], ..MirrorPlan::default() }
}

fn cleanup_mirror(snapshot: &InstanceSnapshot, process: &Process, uid: &str) -> Mirror {
    let generation = cleanup_generation(0);
    Mirror::Found {
        label: process_label(&snapshot.header.cluster, uid, generation),
        generation,
        process_id: process.id.to_string(),
        state: state_of(process),
        submitted_at: process.submitted_at,
    }
}

/// The clean-up is the server's own: it is not retried, and deletion does not wait forever.
fn follow(snapshot: &InstanceSnapshot, cleanup: &MirrorStatus) -> Plan {
    let due = limit(cleanup.intended_at.0);
    if !cleanup.may_live() || due.is_none_or(|due| due <= snapshot.header.now) {
        return Plan::default();
    }
    let mut plan = MirrorPlan::default();
    plan.look(&snapshot.known(), cleanup);
    plan.awaiting.push(format!("clean-up process {}", cleanup.process_id.as_deref().unwrap_or_default()));
    Plan { due, ..of_mirror(plan) }
}

fn limit(since: Timestamp) -> Option<Timestamp> {
    since.checked_add(CLEANUP_LIMIT).ok()
}

#[cfg(test)]
mod tests;
