//! Status of a `Colony`. Pure.

use kube::ResourceExt as _;

use super::condition::{Finding, merge, whole_seconds};
use crate::{
    act::outcome::{FailureKind, StepFailure},
    api::{
        colony::{ColonyStatus, ExecutorCounts, ProcessCounts, ServerStatus},
        condition::{ConditionType, Reason},
        names::{
            ABANDON_ANNOTATION, ACCEPT_RESET_ANNOTATION, BLUEPRINT_DEFINITION, DEFAULT_COLONY_ANNOTATION,
            operator_secret,
        },
    },
    colony::model::{Executor, ExecutorState},
    diff::{definition_name_taken_by, plan_colony},
    snapshot::{ColonySnapshot, Credentials, Membership, Observed, OperatorExecutor},
};

/// Reports the state of the connection. `failure` is what stopped the operator from setting it up, if something did.
#[must_use]
pub fn compute(snapshot: &ColonySnapshot, failure: Option<&StepFailure>) -> ColonyStatus {
    let previous = snapshot.object.status.clone().unwrap_or_default();
    let generation = snapshot.object.metadata.generation;
    let finding = match failure {
        Some(failure) => Finding::no(ConditionType::Ready, failure_reason(failure), failure.message.clone()),
        None => ready(snapshot),
    };
    let warnings = another_operator(snapshot)
        .or_else(|| another_installation(snapshot))
        .or_else(|| second_default(snapshot));
    let warnings = warnings.or_else(|| taken_name(snapshot)).or_else(|| refused_blueprints(snapshot));
    let findings: Vec<Finding> = [leaving(snapshot), warnings, Some(finding)].into_iter().flatten().collect();
    ColonyStatus {
        observed_generation: generation,
        reset_at: snapshot.reset_at().map(whole_seconds),
        // What was last seen stays while the server is away.
        server: snapshot
            .server
            .known()
            .map_or(previous.server, |server| Some(ServerStatus { version: server.version.clone() })),
        processes: match &snapshot.membership {
            Membership::Member(statistics) => {
                Some(ProcessCounts { waiting: statistics.waiting, running: statistics.running })
            }
            Membership::Stranger | Membership::Unknown(_) => previous.processes,
        },
        executors: match &snapshot.executors {
            Observed::Known(executors) => {
                Some(ExecutorCounts { registered: approved(executors), busy: snapshot.busy_executors })
            }
            Observed::Unknown(_) => previous.executors,
        },
        member: match &snapshot.membership {
            Membership::Member(_) if snapshot.is_doubtful() => previous.member,
            Membership::Member(_) => snapshot.member_id.clone(),
            Membership::Stranger | Membership::Unknown(_) => previous.member,
        },
        operator_executor: snapshot.operator_executors.first().map(|executor| executor.name.clone()),
        conditions: merge(&previous.conditions, findings, generation, snapshot.now),
    }
}

/// Why fleets cannot be blueprints of the colony, if a definition of another kind is in the way.
fn taken_name(snapshot: &ColonySnapshot) -> Option<Finding> {
    let kind = definition_name_taken_by(snapshot)?;
    let colony = &snapshot.object.spec.colony_name;
    let message = format!(
        "spec.inbound.definition: colony {colony} has a BlueprintDefinition {BLUEPRINT_DEFINITION} of kind {kind}, so that none is added for ExecutorDeployments and they cannot be blueprints there: have it removed (colonies blueprint definition remove --name {BLUEPRINT_DEFINITION}), or set spec.inbound.definition to Ignore"
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::BlueprintNameTaken, message))
}

/// How many refused blueprints a message names.
const REFUSED_NAMED: usize = 3;

/// Which blueprints get no object, and why: their owner sees nothing of it in the colony.
fn refused_blueprints(snapshot: &ColonySnapshot) -> Option<Finding> {
    let (refused, spec) = (&snapshot.refused_blueprints, &snapshot.object.spec);
    let named = refused.iter().take(REFUSED_NAMED).map(|(name, why)| {
        let says_which = why.starts_with(&format!("blueprint {name}"));
        if says_which { why.clone() } else { format!("blueprint {name}: {why}") }
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        return None;
    }
    let more = match refused.len().saturating_sub(named.len()) {
        0 => String::new(),
        more => format!("; and {more} more, in the log with level debug"),
    };
    let message = format!(
        "{} blueprints of colony {} at location {} get no object: {}{more}",
        refused.len(),
        spec.colony_name,
        spec.location.as_deref().unwrap_or_default(),
        named.join("; ")
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::BlueprintRefused, message))
}

/// That another operator works on the same objects, as far as their status shows.
fn another_operator(snapshot: &ColonySnapshot) -> Option<Finding> {
    let label = snapshot.leftovers.other_intent.as_ref()?;
    let message = format!(
        "another operator works on objects of this cluster: it has recorded the intent to submit {label}. Two on one object can do its work twice: stop the other (a second release, or colonyos-operator run elsewhere), or give each its own namespaces (watchNamespaces). Until then no process and no executor is ended for the lack of an object"
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::AnotherInstallation, message))
}

fn another_installation(snapshot: &ColonySnapshot) -> Option<Finding> {
    let withheld = snapshot.leftovers.withheld.as_ref()?;
    let message = format!(
        "{withheld}: no process and no executor is ended for the lack of an object. If that cluster is meant to go on, give it keys of its own there: delete Secret {} and restart its operator",
        operator_secret(&snapshot.object.name_any())
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::AnotherInstallation, message))
}

/// By what a `Colony` that is deleted is held, if it is.
fn leaving(snapshot: &ColonySnapshot) -> Option<Finding> {
    if !snapshot.is_leaving() {
        return None;
    }
    let awaited = plan_colony(snapshot).awaiting.into_iter().next()?;
    let message = format!(
        "deletion waits for {awaited}; delete them, or, to leave behind what they have there, annotate this object with {ABANDON_ANNOTATION}=true"
    );
    Some(Finding::yes(ConditionType::Progressing, Reason::ColonyInUse, message))
}

/// That another `Colony` is the default.
fn second_default(snapshot: &ColonySnapshot) -> Option<Finding> {
    let other = snapshot.other_default.as_ref()?;
    let message = format!(
        "annotation {DEFAULT_COLONY_ANNOTATION}: Colony {other} is older and is the default already, so this one is not used where an object names none: remove the annotation from one of them"
    );
    Some(Finding::yes(ConditionType::Warnings, Reason::DefaultTaken, message))
}

fn approved(executors: &[Executor]) -> i64 {
    let count = executors.iter().filter(|executor| executor.state == ExecutorState::Approved).count();
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn failure_reason(failure: &StepFailure) -> Reason {
    match failure.kind {
        FailureKind::Refused => Reason::CredentialsRefused,
        FailureKind::Conflict
        | FailureKind::Unavailable
        | FailureKind::TimedOut
        | FailureKind::Ambiguous
        | FailureKind::NotLeading => Reason::ColonyUnavailable,
    }
}

fn ready(snapshot: &ColonySnapshot) -> Finding {
    let spec = &snapshot.object.spec;
    let no = |reason, message: String| Finding::no(ConditionType::Ready, reason, message);
    let secret = &spec.credentials_secret_name;
    match &snapshot.credentials {
        Credentials::SecretNotFound => {
            return no(
                Reason::CredentialsNotFound,
                format!(
                    "spec.credentialsSecretName: there is no Secret {secret:?} in the operator's namespace: create it with key colonyPrvKey"
                ),
            );
        }
        Credentials::Invalid { problem } => return no(Reason::CredentialsInvalid, problem.clone()),
        Credentials::Unknown(why) => {
            return Finding::unknown(
                ConditionType::Ready,
                Reason::ReadFailed,
                format!("Secret {secret}: {why}"),
            );
        }
        Credentials::OperatorKeysMissing | Credentials::ReconcilerKeyMissing | Credentials::Complete => {}
    }
    let address = format!("{}:{}", spec.server.host, spec.server.port);
    if let Observed::Unknown(why) = &snapshot.server {
        return no(
            Reason::ColonyUnavailable,
            format!(
                "the server at {address} does not answer: {why}; check spec.server and that pods can reach it"
            ),
        );
    }
    if snapshot.is_doubtful() {
        return no(
            Reason::ColonyReset,
            format!(
                "colony {} at {address} does not know what this cluster has there, or this Colony was created anew: the colony may have been emptied or restored, or be another. Nothing that is missing there is believed to be gone, and nothing is submitted. If this is meant: kubectl annotate --overwrite colony {} {ACCEPT_RESET_ANNOTATION}={}",
                spec.colony_name,
                snapshot.object.name_any(),
                snapshot.reset_token(),
            ),
        );
    }
    match &snapshot.membership {
        Membership::Stranger => no(
            Reason::ColonyNotReady,
            format!("the member key is not known to colony {} yet", spec.colony_name),
        ),
        Membership::Unknown(why) => {
            no(Reason::ColonyUnavailable, format!("colony {}: {why}", spec.colony_name))
        }
        Membership::Member(_) => operator(snapshot, &address),
    }
}

/// Whether the operator serves the colony as its executors. The first failure is reported.
fn operator(snapshot: &ColonySnapshot, address: &str) -> Finding {
    let findings = snapshot.operator_executors.iter().map(|own| operator_executor(snapshot, own, address));
    let worst = findings.min_by_key(|finding| finding.holds == Some(true));
    worst.unwrap_or_else(|| {
        let message = "the operator's executors have no keys yet";
        Finding::no(ConditionType::Ready, Reason::ColonyNotReady, message)
    })
}

fn operator_executor(snapshot: &ColonySnapshot, own: &OperatorExecutor, address: &str) -> Finding {
    let colony = &snapshot.object.spec.colony_name;
    let no = |reason, message| Finding::no(ConditionType::Ready, reason, message);
    match &snapshot.executors {
        Observed::Unknown(why) => no(Reason::ColonyUnavailable, format!("colony {colony}: {why}")),
        Observed::Known(executors) => {
            let state =
                executors.iter().find(|executor| executor.name == own.name).map(|executor| executor.state);
            match state {
                Some(ExecutorState::Approved) => Finding::yes(
                    ConditionType::Ready,
                    Reason::Connected,
                    format!(
                        "colony {colony} at {address} answers; the operator serves it as executor {}",
                        own.name
                    ),
                ),
                Some(ExecutorState::Rejected) => no(
                    Reason::CredentialsRefused,
                    format!(
                        "the operator's executor {} was rejected in colony {colony}: approve it (colonies executor approve)",
                        own.name
                    ),
                ),
                _ => no(
                    Reason::ColonyNotReady,
                    format!("the operator's executor {} is not registered in colony {colony} yet", own.name),
                ),
            }
        }
    }
}

#[cfg(test)]
mod tests;
