//! What the spec of an object asks for, in a few lines. Pure.

use serde_json::Value;

use super::facts::Facts;
use crate::api::{
    colony_process::ColonyProcessSpec,
    colony_workflow::ColonyWorkflowSpec,
    function::{ExecutorConditions, FunctionCall},
    kind::Kind,
    names::{CRON_LABEL, FLOW_ANNOTATION, RERUN_ANNOTATION, TRIGGER_ANNOTATION, TRIGGER_BY_COMMAND},
    resource_definition::{Handler, HandlerMode},
};

/// What is asked for.
pub(super) fn wish(facts: &Facts) -> Vec<String> {
    let text = |pointer: &str| facts.text(pointer);
    let mut wish = match facts.kind() {
        Kind::Colony => {
            let port = facts.object.pointer("/spec/server/port").and_then(Value::as_u64).unwrap_or(443);
            vec![format!(
                "connect to colony {} at {}:{port}",
                text("/spec/colonyName"),
                text("/spec/server/host")
            )]
        }
        Kind::ExecutorDeployment => fleet(facts),
        Kind::ColonyProcess => match facts.part::<ColonyProcessSpec>("/spec") {
            Some(spec) => match &spec.process_id {
                Some(id) => vec![format!("adopt process {id}"), call(&spec.call)],
                None => vec![call(&spec.call)],
            },
            None => Vec::new(),
        },
        Kind::ColonyWorkflow => {
            facts.part::<ColonyWorkflowSpec>("/spec").map(|spec| workflow(&spec)).unwrap_or_default()
        }
        Kind::ColonyCron => vec![cron(facts)],
        Kind::RequestFlow => {
            let jobs = facts.object.pointer("/spec/jobs").and_then(Value::as_array).into_iter().flatten();
            let names: Vec<&str> = jobs.filter_map(|job| job["name"].as_str()).collect();
            vec![format!("have requests pass through {}", names.join(", "))]
        }
        Kind::RequestState => vec![request(facts)],
        Kind::ResourceDefinition => {
            let (kind, group) = (text("/spec/names/kind"), text("/spec/group"));
            let handler = facts.part::<Handler>("/spec/handler");
            let how = handler.map(|handler| format!(": {}", handled(&handler))).unwrap_or_default();
            vec![format!("have instances of {kind} ({group}){how}")]
        }
        Kind::Instance => {
            let handler = facts.definition.as_ref().map(|definition| &definition.spec.handler);
            handler.map(handled).into_iter().collect()
        }
    };
    if facts.kind() != Kind::Colony {
        wish.extend(colony(facts));
    }
    wish.extend(origin(facts));
    wish
}

/// The object that it goes back to, if a command has created it for one.
fn origin(facts: &Facts) -> Option<String> {
    let first = facts.annotation(RERUN_ANNOTATION);
    if !first.is_empty() {
        return Some(format!("run again what {}/{first} has run", facts.text("/kind").to_lowercase()));
    }
    let labels = facts.object.pointer("/metadata/labels");
    let cron = labels.and_then(|labels| labels.get(CRON_LABEL)).and_then(Value::as_str)?;
    let by_command = facts.annotation(TRIGGER_ANNOTATION) == TRIGGER_BY_COMMAND;
    by_command.then(|| format!("run colonycron/{cron} now, as a user has asked by trigger"))
}

/// The Colony in which it is to be.
fn colony(facts: &Facts) -> Option<String> {
    let composes = facts
        .definition
        .as_ref()
        .is_some_and(|definition| definition.spec.handler.mode == HandlerMode::Compose);
    match (&facts.colony, facts.named_colony()) {
        _ if composes => None,
        (Some(colony), named) => {
            let name = colony.metadata.name.as_deref().unwrap_or_default();
            let (which, spec) = (if named.is_none() { ", the default one" } else { "" }, &colony.spec);
            Some(format!("in Colony {name}{which} (colony {} at {})", spec.colony_name, spec.server.host))
        }
        (None, Some(named)) => Some(format!("in Colony {named}")),
        (None, None) if facts.kind() == Kind::ResourceDefinition => None,
        (None, None) => Some("in the default Colony".to_owned()),
    }
}

fn call(call: &FunctionCall) -> String {
    format!("call function {} on {}", call.function, executor(&call.conditions))
}

fn executor(conditions: &ExecutorConditions) -> String {
    let mut words = vec![format!("an executor of type {}", conditions.executor_type)];
    if !conditions.executor_names.is_empty() {
        words.push(format!("named {}", conditions.executor_names.join(" or ")));
    }
    if let Some(location) = &conditions.location {
        words.push(format!("at location {location}"));
    }
    if let Some(nodes) = conditions.nodes {
        words.push(format!("with {nodes} nodes"));
    }
    words.join(" ")
}

fn workflow(spec: &ColonyWorkflowSpec) -> Vec<String> {
    let nodes = spec.nodes.iter().map(|node| {
        let after = match node.dependencies.as_slice() {
            [] => String::new(),
            names => format!(", after {}", names.join(", ")),
        };
        format!("node {}: {}{after}", node.name, call(&node.call))
    });
    nodes.collect()
}

fn fleet(facts: &Facts) -> Vec<String> {
    let text = |pointer: &str| facts.text(pointer);
    let or = |pointer: &str, default: &'static str| {
        let found = text(pointer);
        if found.is_empty() { default.to_owned() } else { found.to_owned() }
    };
    let replicas = facts.object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    vec![format!(
        "run {replicas} executors of type {} from image {} ({}, runtime {})",
        text("/spec/executorType"),
        text("/spec/image"),
        or("/spec/workload", "Deployment"),
        or("/spec/runtime", "kubernetes")
    )]
}

fn cron(facts: &Facts) -> String {
    let is_workflow = facts.object.pointer("/spec/workflowTemplate").is_some();
    let kind = if is_workflow { "ColonyWorkflow" } else { "ColonyProcess" };
    let zone = facts.text("/spec/timeZone");
    let zone = if zone.is_empty() { "UTC" } else { zone };
    format!("create a {kind} at {} ({zone})", facts.text("/spec/schedule"))
}

fn request(facts: &Facts) -> String {
    let (job, state) = (facts.text("/spec/job"), facts.text("/spec/state"));
    let jobs = match (&facts.flow, facts.flow_name()) {
        (Some(flow), Some(name)) => {
            let jobs: Vec<&str> = flow.spec.jobs.iter().map(|job| job.name.as_str()).collect();
            format!("{} of RequestFlow {name}", jobs.join(", "))
        }
        (_, Some(name)) => format!("the jobs of RequestFlow {name}"),
        (_, None) => {
            let listed = facts.annotation(FLOW_ANNOTATION);
            let jobs: Vec<&str> = if listed.is_empty() {
                vec!["JOB1", "JOB2"]
            } else {
                listed.split(',').map(str::trim).filter(|job| !job.is_empty()).collect()
            };
            jobs.join(", ")
        }
    };
    format!("pass through {jobs}; it is at {job}, {state}")
}

/// Who handles instances of a kind.
fn handled(handler: &Handler) -> String {
    let executor_type = handler.executor_type.as_deref().unwrap_or_default();
    match handler.mode {
        HandlerMode::Process => format!(
            "each generation calls function {} on an executor of type {executor_type}",
            handler.function_name.as_deref().unwrap_or_default()
        ),
        HandlerMode::Blueprint => {
            format!("each is a blueprint, which a reconciler of type {executor_type} handles")
        }
        HandlerMode::Compose => {
            let made: Vec<String> = handler.makes().iter().map(ToString::to_string).collect();
            format!("each is made of {}", made.join(", "))
        }
    }
}
