//! The status of a `ResourceDefinition`: whether its kind is served, with which permissions, and the handler of
//! instances. Pure.

mod authorized;
mod migration;
mod next;

use jiff::Timestamp;
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Time,
};

use self::{
    authorized::authorized,
    migration::{Migrated, MigrationOutcome},
};
pub use next::next;

use super::condition::{Finding, merge};
use crate::{
    act::outcome::Outcome,
    api::{
        condition::{ConditionType, Reason},
        mirror::UsedColony,
        resource_definition::{
            HandlerMode, MOST_COMPOSED, REVISION_HISTORY_LIMIT, ResourceDefinitionStatus, ResourceName,
            Revision,
        },
    },
    diff::{
        KubernetesStep, Problem, Step,
        definition::{
            DefinitionPlan, HeldBack, InColony, Migration, checked_here, is_established, is_foreign,
        },
    },
    kinds::definition::{accepted_generation, revision_hash},
    snapshot::{DefinitionSnapshot, Handlers, Observed},
};

/// What a pass came to.
type Pass<'a> = Result<(&'a DefinitionPlan, &'a Outcome), &'a Problem>;

/// The status after a pass, which may have rewritten objects in another version as well.
#[must_use]
pub fn compute(snapshot: &DefinitionSnapshot, pass: Pass<'_>) -> ResourceDefinitionStatus {
    let migrated = pass.map(|(plan, outcome)| (&plan.migration, MigrationOutcome::of(outcome)));
    let (migration, migrated) = migrated.unwrap_or((&Migration::Nothing, MigrationOutcome::default()));
    // Objects are written again although the spec cannot be carried out.
    let pass = pass.and_then(|(plan, outcome)| plan.problem.as_ref().map_or(Ok((plan, outcome)), Err));
    computed(snapshot, pass, (migration, &migrated))
}

fn computed(
    snapshot: &DefinitionSnapshot,
    pass: Pass<'_>,
    rewritten: Migrated<'_>,
) -> ResourceDefinitionStatus {
    let object = &snapshot.object;
    let before = object.status.clone().unwrap_or_default();
    let generation = object.metadata.generation;
    let own = own_crd(snapshot);
    let written = written(pass);
    let accepted = match &snapshot.crd {
        _ if written.is_some() => generation,
        Observed::Known(_) => own.and_then(accepted_generation),
        Observed::Unknown(_) => before.accepted_generation,
    };
    let revisions = revisions(before.revisions, written.or(own), snapshot.now);
    let held = held(snapshot, pass, &stays(accepted, generation));
    let stays = stays(accepted, generation);
    let authorized = authorized(snapshot);
    let established = established(snapshot, own, pass);
    let handled = in_colony(snapshot, pass, handled(snapshot));
    let trouble = if object.metadata.deletion_timestamp.is_some() {
        Some(deleting(pass))
    } else {
        trouble(snapshot, pass, held.as_ref(), &authorized, &established, &handled)
    };
    let is_degraded = trouble.as_ref().is_some_and(|(reason, _)| needs_intervention(*reason));
    let (degraded, ready) = if let Some((reason, message)) = trouble {
        let message = format!("{message}{stays}");
        let ready = Finding::no(ConditionType::Ready, reason, message.clone());
        (Finding { kind: ConditionType::Degraded, holds: Some(is_degraded), reason, message }, ready)
    } else {
        let message = format!("kubectl get {}.{}", object.spec.names.plural, object.spec.group);
        let degraded = Finding::no(ConditionType::Degraded, Reason::KindServed, "");
        (degraded, Finding::yes(ConditionType::Ready, Reason::KindServed, message))
    };
    let crd = pass.ok().and_then(|(_, outcome)| outcome.updated_crd()).or(own);
    let storage_migration = migration::progress(snapshot, crd, rewritten);
    let stored = migration::migrated(snapshot, crd, rewritten, storage_migration.as_ref());
    let findings = [authorized, established, handled, degraded, ready].into_iter().chain(stored).collect();
    ResourceDefinitionStatus {
        observed_generation: generation,
        accepted_generation: accepted,
        colony: used_colony(snapshot),
        adopts: adopts(snapshot).or(before.adopts),
        composes: composes(snapshot).or(before.composes),
        impact: held.and_then(|held| held.impact),
        revisions,
        storage_migration,
        instances: snapshot.instances.or(before.instances),
        conditions: merge(&before.conditions, findings, generation, snapshot.now),
    }
}

/// The colony that has the definition, with handler mode `blueprint`: from the first time that it was asked.
fn used_colony(snapshot: &DefinitionSnapshot) -> Option<UsedColony> {
    let in_colony = snapshot.in_colony.as_ref();
    let recorded = || snapshot.object.status.as_ref()?.colony.clone();
    let is_blueprint = snapshot.object.spec.handler.mode == HandlerMode::Blueprint;
    let asked = in_colony.filter(|asked| asked.definitions.known().is_some());
    asked.map(|asked| asked.used.clone()).or_else(recorded).filter(|_| is_blueprint)
}

/// What instances are made of, if the mode makes something of them and all of it could be looked for.
fn composes(snapshot: &DefinitionSnapshot) -> Option<Vec<ResourceName>> {
    is_composed(snapshot).then(|| snapshot.composes.resources.iter().take(MOST_COMPOSED).cloned().collect())
}

/// Whether objects of others may be taken over for that.
fn adopts(snapshot: &DefinitionSnapshot) -> Option<bool> {
    is_composed(snapshot).then_some(snapshot.composes.adopts)
}

fn is_composed(snapshot: &DefinitionSnapshot) -> bool {
    snapshot.object.spec.handler.mode == HandlerMode::Compose && snapshot.composes.trouble.is_none()
}

/// The CRD, if it is the definition's own.
fn own_crd(snapshot: &DefinitionSnapshot) -> Option<&CustomResourceDefinition> {
    snapshot.crd.known()?.as_ref().filter(|crd| !is_foreign(snapshot, crd))
}

/// The CRD that the pass wrote, if it wrote one.
fn written(pass: Pass<'_>) -> Option<&CustomResourceDefinition> {
    let (_, outcome) = pass.ok()?;
    let written = outcome.done().filter_map(|(step, _)| match step {
        Step::Kubernetes(KubernetesStep::CreateCrd(crd) | KubernetesStep::UpdateCrd { crd, .. }) => {
            Some(crd.as_ref())
        }
        _ => None,
    });
    written.last()
}

/// Why the CRD stays as it is. The previous status of this generation holds until instances are known again: a
/// restart is no news.
fn held(snapshot: &DefinitionSnapshot, pass: Pass<'_>, stays: &str) -> Option<HeldBack> {
    let held = pass.ok()?.0.held.clone()?;
    let object = &snapshot.object;
    let before =
        object.status.as_ref().filter(|before| before.observed_generation == object.metadata.generation);
    let Some((before, impact)) = before.and_then(|before| Some((before, before.impact.clone()?))) else {
        return Some(held);
    };
    let mut ready =
        before.conditions.iter().filter(|condition| condition.type_ == ConditionType::Ready.as_str());
    match ready.next() {
        Some(said)
            if held.reason == Reason::ReadFailed && said.reason == Reason::BreaksInstances.as_str() =>
        {
            let message = said.message.strip_suffix(stays).unwrap_or(&said.message).to_owned();
            Some(HeldBack { reason: Reason::BreaksInstances, message, impact: Some(impact) })
        }
        _ => Some(held),
    }
}

/// The accepted generations, including that of the current CRD.
fn revisions(
    mut revisions: Vec<Revision>,
    crd: Option<&CustomResourceDefinition>,
    now: Timestamp,
) -> Vec<Revision> {
    let latest = revisions.last().map(|last| last.generation);
    if let Some((crd, generation)) = crd.and_then(|crd| Some((crd, accepted_generation(crd)?)))
        && latest != Some(generation)
    {
        revisions.push(Revision { generation, hash: revision_hash(crd), carried_out_at: Time(now) });
        let surplus = revisions.len().saturating_sub(REVISION_HISTORY_LIMIT);
        revisions.drain(..surplus);
    }
    revisions
}

/// A note if instances follow an earlier generation.
fn stays(accepted: Option<i64>, generation: Option<i64>) -> String {
    match accepted {
        Some(accepted) if Some(accepted) != generation => {
            format!("; instances stay as generation {accepted} of this definition has them")
        }
        _ => String::new(),
    }
}

/// Whether nothing gets better by waiting.
const fn needs_intervention(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Establishing
            | Reason::ReadFailed
            | Reason::Deleting
            | Reason::InstancesLeft
            | Reason::StorageMigrating
    )
}

fn established(
    snapshot: &DefinitionSnapshot,
    own: Option<&CustomResourceDefinition>,
    pass: Pass<'_>,
) -> Finding {
    let kind = ConditionType::Established;
    if let Some(crd) = own {
        if is_established(crd) {
            let versions = crd.spec.versions.iter().filter(|version| version.served);
            let names: Vec<&str> = versions.map(|version| version.name.as_str()).collect();
            let message = format!("served as {} in {}", crd.spec.names.kind, names.join(", "));
            return Finding::yes(kind, Reason::KindServed, message);
        }
        let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let mut refused =
            conditions.filter(|condition| condition.type_ == "NamesAccepted" && condition.status == "False");
        if let Some(refused) = refused.next() {
            let why = refused.message.as_deref().unwrap_or("a name is taken");
            return Finding::no(
                kind,
                Reason::NamesNotAccepted,
                format!("spec.names: {why}: choose other names"),
            );
        }
    }
    match pass {
        Err(problem) => Finding::no(kind, problem.reason, &problem.message),
        Ok((_, outcome)) => match (outcome.holding_failure(), &snapshot.crd) {
            (Some(failure), _) => Finding::no(kind, Reason::ApplyFailed, &failure.message),
            (None, Observed::Unknown(why)) => Finding::unknown(kind, Reason::ReadFailed, why),
            (None, Observed::Known(_)) => {
                Finding::no(kind, Reason::Establishing, "the API server does not serve the kind yet")
            }
        },
    }
}

fn handled(snapshot: &DefinitionSnapshot) -> Finding {
    let kind = ConditionType::Handled;
    let handler = &snapshot.object.spec.handler;
    if handler.mode == HandlerMode::Compose {
        let composes = &snapshot.composes;
        if let Some(why) = &composes.trouble {
            return Finding::unknown(kind, Reason::ReadFailed, why);
        }
        if !composes.unserved.is_empty() {
            let names: Vec<String> = composes.unserved.iter().map(ToString::to_string).collect();
            let message = format!(
                "the cluster does not serve {}: define or install it; instances wait for it",
                names.join(", ")
            );
            return Finding::no(kind, Reason::HandlerNotFound, message);
        }
        let message = format!("the operator makes instances of {} resources", handler.resources.len());
        return Finding::yes(kind, Reason::HandlerFound, message);
    }
    let wanted = handler.executor_type.as_deref().unwrap_or_default();
    match &snapshot.handlers {
        Handlers::Executors { count: 0, colony } => Finding::no(
            kind,
            Reason::HandlerNotFound,
            format!(
                "spec.handler.executorType: {wanted}: no executor of that type is approved in Colony {colony}: start one; processes of instances wait for it"
            ),
        ),
        Handlers::Executors { colony, .. } => {
            let how = if handler.mode == HandlerMode::Blueprint { ", as blueprints" } else { "" };
            let says = format!("executors of type {wanted} in Colony {colony} handle instances{how}");
            Finding::yes(kind, Reason::HandlerFound, says)
        }
        Handlers::Unread(colony) => said_before(snapshot, kind).unwrap_or_else(|| {
            Finding::unknown(kind, Reason::ColonyNotReady, format!("Colony {colony} is being connected"))
        }),
        Handlers::Unknown(why) => Finding::unknown(kind, Reason::ColonyNotReady, why),
        Handlers::None => Finding::yes(kind, Reason::HandlerFound, ""),
    }
}

/// Whether the colony has the definition for blueprints of the kind, with mode `blueprint`.
fn in_colony(snapshot: &DefinitionSnapshot, pass: Pass<'_>, handled: Finding) -> Finding {
    let Ok((plan, _)) = pass else { return handled };
    let kind = ConditionType::Handled;
    let with = |said: &str| {
        let message = format!("{}; {said}", handled.message);
        Finding { message, ..handled.clone() }
    };
    let checked_here =
        checked_here(snapshot).map(|fields| format!("checked by this cluster alone: {fields}"));
    match &plan.in_colony {
        InColony::Foreign(message) => Finding::no(kind, Reason::ForeignObject, message),
        InColony::Unknown(why) if handled.holds == Some(true) => Finding::unknown(
            kind,
            Reason::ColonyNotReady,
            format!("the definitions of the colony cannot be read: {why}"),
        ),
        InColony::Used(name) => {
            let whose = format!("by BlueprintDefinition {name} of another owner, which is left unchanged");
            with(&checked_here.map_or(whose.clone(), |checked| format!("{whose}; {checked}")))
        }
        InColony::Lags(what) => {
            let lags = format!(
                "the definition in the colony accepts all instances, and changes once it has no blueprints ({what})"
            );
            with(&checked_here.map_or(lags.clone(), |checked| format!("{lags}; {checked}")))
        }
        InColony::Kept | InColony::InUse(_) => checked_here.map_or(handled.clone(), |checked| with(&checked)),
        InColony::Nothing | InColony::Unknown(_) => handled,
    }
}

/// The previous status of this generation, which holds until it can be read again: a restart is no news.
fn said_before(snapshot: &DefinitionSnapshot, kind: ConditionType) -> Option<Finding> {
    let conditions = &snapshot.object.status.as_ref()?.conditions;
    let said = conditions.iter().find(|condition| condition.type_ == kind.as_str())?;
    let is_current = said.observed_generation == snapshot.object.metadata.generation;
    let told = [Reason::HandlerFound, Reason::HandlerNotFound, Reason::ColonyNotReady];
    let reason = told.into_iter().find(|reason| is_current && reason.as_str() == said.reason)?;
    let holds = match said.status.as_str() {
        "True" => Some(true),
        "False" => Some(false),
        _ => None,
    };
    Some(Finding { kind, holds, reason, message: said.message.clone() })
}

/// What keeps the kind from matching the definition. That executors are missing does not: work waits for them.
fn trouble(
    snapshot: &DefinitionSnapshot,
    pass: Pass<'_>,
    held: Option<&HeldBack>,
    authorized: &Finding,
    established: &Finding,
    handled: &Finding,
) -> Option<(Reason, String)> {
    let failure = pass.ok().and_then(|(_, outcome)| outcome.holding_failure());
    if let (Err(problem), Some(true)) = (pass, authorized.holds) {
        return Some((problem.reason, problem.message.clone()));
    }
    if let Some(failure) = failure {
        return Some((Reason::ApplyFailed, failure.message.clone()));
    }
    if let Some(held) = held {
        return Some((held.reason, held.message.clone()));
    }
    let foreign = Some(handled).filter(|finding| finding.reason == Reason::ForeignObject);
    // What is missing for the safety of others does not stop a kind that works.
    let is_guarded = snapshot.missing_policies.known().is_some_and(Vec::is_empty);
    let authorized = Some(authorized).filter(|_| is_guarded || !has_rights(snapshot));
    let mut first = authorized.into_iter().chain([established]).filter(|finding| finding.holds != Some(true));
    let found = first.next().or(foreign)?;
    let is_read = snapshot.missing_rights.known().is_some();
    let reason = if is_read { found.reason } else { Reason::ReadFailed };
    Some((reason, found.message.clone()))
}

fn has_rights(snapshot: &DefinitionSnapshot) -> bool {
    snapshot.missing_rights.known().is_some_and(Vec::is_empty) && snapshot.composes.missing.is_empty()
}

fn deleting(pass: Pass<'_>) -> (Reason, String) {
    match pass {
        Err(problem) => (problem.reason, problem.message.clone()),
        Ok((_, outcome)) => match (outcome.holding_failure(), outcome.plan.awaiting.is_empty()) {
            (Some(failure), _) => (Reason::ApplyFailed, failure.message.clone()),
            (None, true) => (Reason::Deleting, "it is being deleted".to_owned()),
            (None, false) => {
                (Reason::InstancesLeft, format!("awaiting {}", outcome.plan.awaiting.join("; ")))
            }
        },
    }
}

#[cfg(test)]
mod tests;
