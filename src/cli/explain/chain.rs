//! The whole chain of an object, from what is wished to what would change it. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

use super::{
    facts::Facts,
    remedy::remedies,
    steps::{Step, plan},
    wish::wish,
};
use crate::api::{condition::ConditionType, kind::Kind};

/// Most Events that are shown.
const MOST_EVENTS: usize = 5;

/// Why an object is as it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Explanation {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    pub name: String,
    /// Where it stands, in a word or two.
    pub state: String,
    /// What its spec asks for.
    pub wish: Vec<String>,
    /// What was done, is being done, and comes next.
    pub plan: Vec<Step>,
    pub waits_for: Vec<String>,
    /// What bites later.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The condition that has changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_decision: Option<Decision>,
    /// The latest Events, the newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Decision>,
    pub would_change_it: Vec<String>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<String>,
}

/// Something that was decided or reported.
#[derive(Debug, Serialize)]
pub(super) struct Decision {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    pub reason: String,
    pub message: String,
}

/// Why an object is as it is.
pub(super) fn explain(facts: &Facts, now: Timestamp) -> Explanation {
    let optional = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    Explanation {
        kind: facts.text("/kind").to_owned(),
        namespace: optional(facts.text("/metadata/namespace")),
        name: facts.text("/metadata/name").to_owned(),
        state: state(facts),
        wish: wish(facts),
        plan: plan(facts, now),
        waits_for: waits_for(facts),
        warnings: messages(
            facts,
            &[ConditionType::Warnings, ConditionType::Conflict, ConditionType::Drifted],
        ),
        last_decision: last_decision(facts),
        events: events(facts),
        would_change_it: remedies(facts),
        unread: facts.unread.clone(),
    }
}

fn state(facts: &Facts) -> String {
    let main = facts.condition(facts.main_condition());
    let reason = main.as_ref().map_or("not looked at yet", |main| main.reason.as_str());
    let word = match facts.kind() {
        Kind::RequestState => facts.text("/spec/state"),
        Kind::ColonyProcess | Kind::ColonyWorkflow | Kind::ExecutorDeployment => facts.text("/status/state"),
        _ => match main.as_ref().map(|main| main.status.as_str()) {
            Some("True") => "Ready",
            Some(_) => "not Ready",
            None => "",
        },
    };
    let mut words: Vec<&str> = [word, reason].into_iter().filter(|word| !word.is_empty()).collect();
    words.dedup();
    let is_true = |kind| facts.condition(kind).is_some_and(|condition| condition.status == "True");
    if is_true(ConditionType::Paused) {
        words.insert(0, "Paused");
    }
    if !facts.text("/metadata/deletionTimestamp").is_empty() {
        words.insert(0, "being deleted");
    }
    words.join(", ")
}

/// What it waits for, or what stands in the way; each once.
fn waits_for(facts: &Facts) -> Vec<String> {
    let mut waits = messages(facts, &[ConditionType::Paused, ConditionType::Degraded]);
    let main = facts.condition(facts.main_condition()).filter(|main| main.status != "True");
    let blocked = [facts.kind().info().process_condition, Some(ConditionType::Progressing)];
    let is_open = |kind: ConditionType, condition: &Condition| {
        let bad = if kind == ConditionType::Progressing { "True" } else { "False" };
        condition.status == bad
    };
    let blocked = blocked
        .into_iter()
        .flatten()
        .filter_map(|kind| facts.condition(kind).filter(|condition| is_open(kind, condition)));
    for condition in main.into_iter().chain(blocked) {
        if !waits.iter().any(|known| known.contains(&condition.message)) {
            waits.retain(|known| !condition.message.contains(known));
            waits.push(condition.message);
        }
    }
    let finalizers: Vec<String> = facts.part("/metadata/finalizers").unwrap_or_default();
    if !facts.text("/metadata/deletionTimestamp").is_empty() && !finalizers.is_empty() {
        waits.push(format!("its deletion waits for finalizers {}", finalizers.join(", ")));
    }
    if facts.is_over() {
        return Vec::new();
    }
    waits
}

/// The messages of those of these conditions that hold.
fn messages(facts: &Facts, kinds: &[ConditionType]) -> Vec<String> {
    let found = kinds.iter().filter_map(|kind| facts.condition(*kind));
    found.filter(|condition| condition.status == "True").map(|condition| condition.message).collect()
}

fn last_decision(facts: &Facts) -> Option<Decision> {
    let main = facts.main_condition();
    let conditions = facts.conditions().into_iter();
    // Of several that changed at once, the one that stops everything, else the one that sums up.
    let rank = |one: &Condition| {
        let is = |kind: ConditionType| one.type_ == kind.as_str();
        (is(ConditionType::Paused), is(main))
    };
    let last = conditions.max_by_key(|one| (one.last_transition_time.0, rank(one)))?;
    let message = format!("{} is {}: {}", last.type_, last.status, last.message);
    Some(Decision { at: Some(last.last_transition_time.0), reason: last.reason, message })
}

fn events(facts: &Facts) -> Vec<Decision> {
    let told = facts.events.iter().map(|event| {
        let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref());
        let at = series
            .map(|time| time.0)
            .or_else(|| event.last_timestamp.as_ref().map(|time| time.0))
            .or_else(|| event.event_time.as_ref().map(|time| time.0));
        let mark = if event.type_.as_deref() == Some("Warning") { "Warning " } else { "" };
        let reason = format!("{mark}{}", event.reason.as_deref().unwrap_or_default());
        Decision { at, reason, message: event.message.clone().unwrap_or_default() }
    });
    let mut all: Vec<Decision> = told.collect();
    all.sort_by_key(|event| std::cmp::Reverse(event.at));
    all.truncate(MOST_EVENTS);
    all
}
