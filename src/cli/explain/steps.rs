//! What was done for an object, is being done, and comes next. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use serde_json::Value;

use super::facts::Facts;
use crate::api::{
    colony_workflow::NodeStatus,
    condition::ConditionType,
    kind::Kind,
    mirror::{MirrorState, MirrorStatus},
    names::parse_process_label,
    request_state::HistoryEntry,
};

/// A step on the way of an object.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    pub stands: Stands,
    pub what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "camelCase")]
#[strum(serialize_all = "camelCase")]
pub(super) enum Stands {
    Done,
    Now,
    Next,
}

fn step(stands: Stands, what: impl Into<String>, at: Option<&Time>) -> Step {
    Step { stands, what: what.into(), at: at.map(|time| time.0) }
}

/// What was done, is being done, and comes next.
pub(super) fn plan(facts: &Facts, now: Timestamp) -> Vec<Step> {
    let mut steps = vec![looked_at(facts)];
    steps.extend(connected(facts));
    match facts.kind() {
        Kind::ColonyProcess => steps.extend(work(facts, "process")),
        Kind::ColonyWorkflow => {
            steps.extend(work(facts, "workflow"));
            steps.extend(nodes(facts));
        }
        Kind::RequestState => steps.extend(request(facts)),
        Kind::ColonyCron => steps.extend(cron(facts, now)),
        Kind::Instance if facts.mirror().is_some() => steps.extend(work(facts, "process")),
        Kind::ExecutorDeployment => steps.extend(fleet(facts)),
        Kind::Colony | Kind::RequestFlow | Kind::ResourceDefinition | Kind::Instance => {
            steps.extend(by_conditions(facts));
        }
    }
    steps
}

/// Whether the operator has looked at the spec.
fn looked_at(facts: &Facts) -> Step {
    let number = |pointer: &str| facts.object.pointer(pointer).and_then(Value::as_i64);
    let (generation, observed) = (number("/metadata/generation"), number("/status/observedGeneration"));
    let created = facts.time("/metadata/creationTimestamp");
    match (generation, observed) {
        (Some(generation), Some(observed)) if observed < generation => step(
            Stands::Now,
            format!("the operator looks at generation {generation}; status is of generation {observed}"),
            None,
        ),
        (Some(_), None) if facts.conditions().is_empty() => {
            step(Stands::Now, "the operator looks at it for the first time", created.as_ref())
        }
        (Some(generation), _) => {
            step(Stands::Done, format!("the operator has looked at generation {generation}"), None)
        }
        (None, _) => step(Stands::Done, "it was created", created.as_ref()),
    }
}

/// Whether its Colony is connected.
fn connected(facts: &Facts) -> Option<Step> {
    let colony = facts.colony.as_ref()?;
    let name = colony.metadata.name.as_deref().unwrap_or_default();
    let conditions = colony.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.into_iter().find(|one| one.type_ == ConditionType::Ready.as_str());
    Some(match ready {
        Some(ready) if ready.status == "True" => {
            step(Stands::Done, format!("Colony {name} is connected"), Some(&ready.last_transition_time))
        }
        Some(ready) => {
            let since = Some(&ready.last_transition_time);
            step(
                Stands::Now,
                format!("Colony {name} is not connected ({}): {}", ready.reason, ready.message),
                since,
            )
        }
        None => step(Stands::Now, format!("Colony {name} is connected for the first time"), None),
    })
}

/// The way of a process or workflow.
fn work(facts: &Facts, what: &str) -> Vec<Step> {
    use Stands::{Done, Next, Now};
    let taken = |stands, at: Option<&Time>| {
        let executor = facts.text("/status/executor");
        let what = match (executor, facts.kind()) {
            (_, Kind::ColonyWorkflow) => "executors run its nodes".to_owned(),
            ("", _) => "an executor runs it".to_owned(),
            (executor, _) => format!("executor {executor} runs it"),
        };
        step(stands, what, at)
    };
    let (started, ended) = (facts.time("/status/startTime"), facts.time("/status/completionTime"));
    let Some(mirror) = facts.mirror() else {
        // A Colony that is not connected, or a spec that was not looked at, comes before.
        let is_held = facts.text("/status/state") == "Suspended"
            || looked_at(facts).stands == Now
            || connected(facts).is_some_and(|step| step.stands == Now);
        let stands = if is_held || facts.is_over() { Next } else { Now };
        return vec![
            step(stands, format!("it is submitted to the colony as a {what}"), None),
            taken(Next, None),
            step(Next, "it ends", None),
        ];
    };
    let submitted = submitted(&mirror, what);
    let (running, end) = match mirror.state {
        MirrorState::Intended => (taken(Next, None), step(Next, "it ends", None)),
        MirrorState::Waiting => (step(Now, "an executor takes it", None), step(Next, "it ends", None)),
        MirrorState::Running => (taken(Now, started.as_ref()), step(Next, "it ends", None)),
        MirrorState::Successful | MirrorState::Failed | MirrorState::Cancelled | MirrorState::Lost => {
            let state: &str = match mirror.state {
                MirrorState::Successful => "it was closed as successful",
                MirrorState::Failed => "it failed",
                MirrorState::Cancelled => "it was cancelled",
                _ => "the server no longer has it",
            };
            (taken(Done, started.as_ref()), step(Done, state, ended.as_ref()))
        }
    };
    let was_taken = running.at.is_some() || !facts.text("/status/executor").is_empty();
    let is_over = end.stands == Done;
    let mut steps = vec![submitted];
    // What failed or was cancelled may never have run.
    steps.extend((!is_over || was_taken).then_some(running));
    steps.push(end);
    steps
}

fn submitted(mirror: &MirrorStatus, what: &str) -> Step {
    let attempt = parse_process_label(&mirror.label).map_or(mirror.generation, |(_, _, attempt)| attempt);
    match &mirror.process_id {
        Some(id) => step(
            Stands::Done,
            format!("submitted as {what} {id} (attempt {attempt})"),
            mirror.submitted_at.as_ref(),
        ),
        None => step(Stands::Now, format!("attempt {attempt} is submitted"), Some(&mirror.intended_at)),
    }
}

/// The nodes of a workflow, in the order of its spec.
fn nodes(facts: &Facts) -> Vec<Step> {
    let nodes: Vec<NodeStatus> = facts.part("/status/nodes").unwrap_or_default();
    let stands = |node: &NodeStatus| {
        let is_now = node.start_time.is_some()
            || node.waits_for.as_deref().is_some_and(|what| what.starts_with("an "));
        match () {
            () if node.state.is_final() => Stands::Done,
            () if is_now => Stands::Now,
            () => Stands::Next,
        }
    };
    let told = nodes.iter().map(|node| {
        let mut what = format!("node {}: {}", node.name, node.state.as_str());
        if let Some(waits_for) = &node.waits_for {
            what = format!("{what}, waits for {waits_for}");
        } else if let Some(executor) = &node.executor {
            what = format!("{what}, executor {executor}");
        }
        if !node.errors.is_empty() {
            what = format!("{what}: {}", node.errors.join("; "));
        }
        step(stands(node), what, node.completion_time.as_ref().or(node.start_time.as_ref()))
    });
    told.collect()
}

/// The way of a request: the states that it has entered, its process, and the jobs that follow.
fn request(facts: &Facts) -> Vec<Step> {
    let history: Vec<HistoryEntry> = facts.part("/status/history").unwrap_or_default();
    let is_over = facts.is_over();
    let last = history.len().saturating_sub(1);
    let mut steps: Vec<Step> = history
        .iter()
        .enumerate()
        .map(|(index, entry)| {
            let why = entry.message.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let stands = if index == last && !is_over { Stands::Now } else { Stands::Done };
            let at = entry.timestamp.parse().ok();
            Step { stands, what: format!("{} {}{why}", entry.job, entry.state), at }
        })
        .collect();
    if let Some(mirror) = facts.mirror().filter(|mirror| mirror.state.is_live()) {
        steps.push(submitted(&mirror, "process"));
    }
    let job = facts.text("/spec/job");
    let jobs = facts.flow.iter().flat_map(|flow| flow.spec.jobs.iter().map(|job| job.name.as_str()));
    let later = jobs.skip_while(|name| *name != job).skip(1);
    steps.extend(later.filter(|_| !is_over).map(|name| step(Stands::Next, name, None)));
    steps
}

fn cron(facts: &Facts, now: Timestamp) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(last) = facts.time("/status/lastScheduleTime") {
        steps.push(step(Stands::Done, "the last run was created", Some(&last)));
    }
    let active: Vec<String> = facts.part("/status/active").unwrap_or_default();
    steps.extend(active.iter().map(|name| step(Stands::Now, format!("run {name} has not finished"), None)));
    if let Some(next) = facts.time("/status/nextScheduleTime") {
        let stands = if next.0 <= now { Stands::Now } else { Stands::Next };
        steps.push(step(stands, "the next run is created", Some(&next)));
    }
    steps
}

fn fleet(facts: &Facts) -> Vec<Step> {
    let number = |pointer: &str| facts.object.pointer(pointer).and_then(Value::as_i64);
    let mut steps = Vec::new();
    if let Some(executor) = Some(facts.text("/status/executor/name")).filter(|name| !name.is_empty()) {
        let is_registered = facts.object.pointer("/status/executor/registered") == Some(&Value::Bool(true));
        let stands = if is_registered { Stands::Done } else { Stands::Now };
        steps.push(step(stands, format!("executor {executor} is registered in the colony"), None));
    }
    if let Some(mirror) = facts.mirror() {
        steps.push(submitted(&mirror, "process"));
    } else if let Some(name) = Some(facts.text("/status/blueprint/name")).filter(|name| !name.is_empty()) {
        steps.push(step(Stands::Done, format!("mirrored as blueprint {name}"), None));
    }
    let (ready, desired) = (number("/status/readyReplicas").unwrap_or(0), number("/status/desiredReplicas"));
    if let Some(desired) = desired {
        let stands = if ready >= desired { Stands::Done } else { Stands::Now };
        steps.push(step(stands, format!("{ready} of {desired} executors are ready"), None));
    }
    steps
}

/// The conditions that are met one after the other.
fn by_conditions(facts: &Facts) -> Vec<Step> {
    use ConditionType::{Authorized, Established, Handled, Mirrored, Ready, StorageMigrated};
    let mut is_open = false;
    let met = [Authorized, Established, Handled, StorageMigrated, Mirrored, Ready];
    let found = met.into_iter().filter_map(|kind| facts.condition(kind));
    let told = found.map(|condition| {
        let stands = match (condition.status.as_str(), is_open) {
            ("True", _) => Stands::Done,
            (_, false) => Stands::Now,
            _ => Stands::Next,
        };
        is_open |= condition.status != "True";
        let what = format!("{}: {}", condition.type_, condition.message);
        step(stands, what, Some(&condition.last_transition_time))
    });
    told.collect()
}
