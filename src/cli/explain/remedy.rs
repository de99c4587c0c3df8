//! What would change that an object is as it is. Pure.

use super::facts::Facts;
use crate::api::{
    condition::{ConditionType, Reason},
    kind::Kind,
    names::{ABANDON_ANNOTATION, PAUSED_ANNOTATION},
};

/// What a user can do where no executor fits.
const REGISTER: &str = "register an executor that fits: an ExecutorDeployment with executorType: {type} runs some; or create another object that asks for one that there is";
/// What a user can do about a reason. `{…}` stands for what the object says.
const REMEDIES: [(&[Reason], &str); 31] = [
    (&[Reason::ReconcilePaused], "go on: {annotate} {paused}-"),
    (&[Reason::Suspended], "go on: {patch} '{\"spec\":{\"suspend\":false}}'"),
    (&[Reason::NoExecutor], REGISTER),
    (
        &[Reason::ExecutorAwaited],
        "nothing yet: what the message says may pass within half a minute; if not, run an ExecutorDeployment with executorType: {type}, or have the owner of the colony approve executors or resume assignments",
    ),
    (
        &[Reason::ExecutorsBusy],
        "nothing: it is taken when an executor is free; more executors take it sooner: kubectl scale the ExecutorDeployment of type {type}",
    ),
    (
        &[Reason::ExecutorsNotApproved],
        "the owner of the colony approves the executors: colonies executor approve --name NAME",
    ),
    (&[Reason::AssignmentsPaused], "the owner of the colony resumes assignments"),
    (
        &[Reason::NoReconciler],
        "start a reconciler that is an executor of type {type} in the colony, or correct spec.handler.executorType of the kind",
    ),
    (
        &[Reason::ResourceFailed, Reason::ResourcesNotReady],
        "see the objects that the message names: kubectl describe",
    ),
    (
        &[Reason::ColonyNotFound],
        "create the Colony, or annotate one with colonies.io/default=true (kubectl get colony.colonies.io)",
    ),
    (&[Reason::NamespaceNotAllowed], "have the Colony admit the namespace, in its spec.allowedNamespaces"),
    (
        &[Reason::ColonyUnavailable, Reason::ColonyNotReady],
        "nothing here: it goes on when the colony answers; see kubectl describe colony.colonies.io {colony}, and colonyos-operator doctor",
    ),
    (
        &[Reason::ColonyReset, Reason::ColonyChanged],
        "see kubectl describe colony.colonies.io {colony}: it says what to accept",
    ),
    (
        &[Reason::CredentialsNotFound, Reason::CredentialsInvalid, Reason::CredentialsRefused],
        "correct the Secret that the Colony names in spec.credentialsSecretName",
    ),
    (
        &[Reason::InvalidSpec, Reason::InvalidExpression, Reason::SourceNotFound, Reason::InvalidSchedule],
        "correct what the message names: {edit}",
    ),
    (
        &[Reason::FlowUnusable],
        "create or correct the RequestFlow, or name another in annotation colonies.io/flow",
    ),
    (&[Reason::ForeignObject], "rename this object, or delete or adopt what the message names"),
    (&[Reason::LeftAlone], "allow the action in spec.managementPolicies: {edit}"),
    (&[Reason::AwaitingAdoption], "nothing here: it goes on when the colony has what spec names to adopt"),
    (&[Reason::ProcessLost], "run it again: {rerun}"),
    (
        &[Reason::ProcessFailed, Reason::BackoffLimitExceeded, Reason::WorkflowIncomplete],
        "see the whole output, the errors and the log: colonyos-operator process {object}; to run it again: {rerun}",
    ),
    (
        &[Reason::DeadlineExceeded, Reason::ProgressDeadlineExceeded],
        "give it more time in its spec, or see what takes so long: colonyos-operator logs {object}",
    ),
    (&[Reason::RightsMissing], "grant the operator the rights that the message names"),
    (&[Reason::HandlerNotFound], "register an executor of the type that spec.handler names"),
    (
        &[Reason::WaitingForColony, Reason::CleanupFailed],
        "if the colony is gone for good: {annotate} {abandon}=true",
    ),
    (&[Reason::WaitingForFinalizer], "have the controller of the finalizer that the message names finish"),
    (
        &[
            Reason::PodsRefused,
            Reason::ExecutorNotNamed,
            Reason::ImageNotPulled,
            Reason::ConfigurationMissing,
            Reason::OutOfMemory,
            Reason::ContainerNotCreated,
            Reason::VolumeNotMounted,
            Reason::PodUnschedulable,
            Reason::PodEvicted,
        ],
        "do what the message ends with: {edit}",
    ),
    (
        &[Reason::IntegerInexact],
        "write the number as text, in quotes: what was submitted cannot change, so create another object",
    ),
    (
        &[Reason::ContainerFails],
        "see why it ends: kubectl logs --previous of the pod that the message names; then correct its image, command or variables: {edit}",
    ),
    (&[Reason::TooManyNodes], "ask for fewer nodes, or register a larger executor"),
    (&[Reason::RunActive], "wait for the run that is active, or delete it"),
];

/// What would change it, by the reasons that conditions give.
pub(super) fn remedies(facts: &Facts) -> Vec<String> {
    let conditions = facts.conditions();
    let says = |reason: Reason| {
        conditions.iter().any(|condition| {
            condition.reason == reason.as_str() && speaks(facts, &condition.type_, &condition.status)
        })
    };
    let filled = REMEDIES
        .iter()
        .filter(|(reasons, _)| reasons.iter().any(|reason| says(*reason)))
        .map(|(_, text)| fill(facts, text));
    let mut remedies: Vec<String> = filled.collect();
    if remedies.is_empty() {
        remedies.extend(otherwise(facts));
    }
    remedies
}

/// Whether a condition says that the object is not as it is to be.
fn speaks(facts: &Facts, kind: &str, status: &str) -> bool {
    let is = |one: ConditionType| one.as_str() == kind;
    let reports_trouble =
        [ConditionType::Paused, ConditionType::Degraded, ConditionType::Failed, ConditionType::Warnings];
    if reports_trouble.into_iter().any(is) {
        return status == "True";
    }
    if is(ConditionType::Finished) || is(facts.main_condition()) {
        return true;
    }
    status != "True"
}

fn otherwise(facts: &Facts) -> Option<String> {
    let text = if !facts.text("/metadata/deletionTimestamp").is_empty() {
        "nothing: it goes when what the conditions name is done"
    } else if facts.is_over() {
        "nothing: it is over; to run it again: {rerun}"
    } else if facts.condition(ConditionType::Ready).is_some_and(|ready| ready.status == "True") {
        "nothing needs to: it is as its spec asks"
    } else if facts.conditions().is_empty() {
        "see that the operator runs: colonyos-operator doctor"
    } else if matches!(facts.kind(), Kind::RequestState | Kind::ColonyProcess | Kind::ColonyWorkflow) {
        "nothing: it goes on by itself"
    } else {
        return None;
    };
    Some(fill(facts, text))
}

fn fill(facts: &Facts, text: &str) -> String {
    let (name, namespace) = (facts.text("/metadata/name"), facts.text("/metadata/namespace"));
    let place = if namespace.is_empty() { String::new() } else { format!(" -n {namespace}") };
    let kind = facts.text("/kind").to_lowercase();
    let executor_type = ["/spec/conditions/executorType", "/spec/executorType", "/spec/handler/executorType"];
    let executor_type =
        executor_type.into_iter().map(|pointer| facts.text(pointer)).find(|text| !text.is_empty());
    let of_definition = || facts.definition.as_ref()?.spec.handler.executor_type.as_deref();
    // Of several, the one that it waits for.
    let message = facts.condition(facts.main_condition()).map(|main| main.message).unwrap_or_default();
    let awaited = message.split_once("an executor of type ").map(|(_, rest)| rest);
    let awaited = awaited.and_then(|rest| rest.split([':', ' ']).next());
    let executor_type = awaited.or(executor_type);
    let colony = facts.colony.as_ref().and_then(|colony| colony.metadata.name.clone());
    let object = format!("{kind}/{name}{place}");
    let rerun = match facts.kind() {
        Kind::ColonyProcess | Kind::ColonyWorkflow | Kind::RequestState => {
            format!("colonyos-operator rerun {object}")
        }
        _ => "create another object of the same spec".to_owned(),
    };
    let values = [
        ("{rerun}", rerun),
        ("{annotate}", format!("kubectl annotate {kind} {name}{place}")),
        ("{patch}", format!("kubectl patch {kind} {name}{place} --type merge -p")),
        ("{edit}", format!("kubectl edit {kind} {name}{place}")),
        ("{object}", object),
        ("{paused}", PAUSED_ANNOTATION.to_owned()),
        ("{abandon}", ABANDON_ANNOTATION.to_owned()),
        ("{type}", executor_type.or_else(of_definition).unwrap_or("the type that it asks for").to_owned()),
        ("{colony}", colony.or_else(|| facts.named_colony()).unwrap_or_default()),
    ];
    values.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
}
