//! `colonyos-operator process`: the process that carries an object, whole. Status shows outputs and errors bounded and
//! cleaned; here they are complete, with the log.
//!
//! Reads only, with the rights of whoever calls it: the object, its Colony, and the Secrets of that in the operator's
//! namespace.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::Failure;
use crate::{
    api::{
        colony::Colony,
        executor_deployment::ExecutorDeployment,
        names::{DEFAULT_COLONY_ANNOTATION, PROCESS_ANNOTATION},
    },
    colony::{Log, LogQuery, Process, ProcessId},
    runtime::{
        clock::Clock,
        kubernetes::{self, CALL_TIME_LIMIT, Kubernetes, call},
    },
    watch::colony::{Surroundings, read},
};

/// Arguments of `process`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The object, such as `executordeployment/NAME`, or the id of a process
    #[arg(value_name = "OBJECT|ID")]
    subject: String,
    /// Namespace of the object [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// The Colony [default: the object's, else the default one]
    #[arg(long, value_name = "NAME")]
    colony: Option<String>,
    /// Namespace of the operator, where the Secrets of Colonies are
    #[arg(long, value_name = "NAME", default_value = "colonyos-system", env = "POD_NAMESPACE")]
    operator_namespace: String,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Aligned lines for people
    Text,
    /// One JSON object
    Json,
    /// One YAML document
    Yaml,
}

/// Prints a process.
///
/// # Errors
///
/// When the object, its process or its colony cannot be read; what to do about it.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let (process, log) = Runtime::new()?.block_on(find(arguments))?;
    let whole = json_of(&process, &log);
    let mut stdout = std::io::stdout().lock();
    match arguments.output {
        Output::Text => write!(stdout, "{}", text_of(&process, &log))?,
        Output::Json => writeln!(stdout, "{whole:#}")?,
        Output::Yaml => write!(stdout, "{}", serde_norway::to_string(&whole)?)?,
    }
    Ok(())
}

async fn find(arguments: &Arguments) -> Result<(Process, Vec<Log>), Failure> {
    let kubernetes = kubernetes::connect().await?;
    let (id, colony) = match arguments.subject.split_once('/') {
        None => (arguments.subject.clone(), arguments.colony.clone()),
        Some((kind, name)) => {
            let object = object(&kubernetes, kind, name, arguments.namespace.as_deref()).await?;
            (process_of(&object)?, arguments.colony.clone().or(object.spec.colony))
        }
    };
    let colony = find_colony(&kubernetes, colony.as_deref()).await?;
    let clock = Clock::system();
    let surroundings = Surroundings {
        kubernetes: &kubernetes.calls,
        namespace: &arguments.operator_namespace,
        clock: &clock,
        metrics: None,
    };
    let reading = read(&colony, &surroundings, &mut None).await;
    let sessions = reading.sessions.ok_or_else(|| {
        format!(
            "failed to get the keys of Colony {}: may you read Secrets in namespace {}? See colonyos-operator doctor",
            colony.name_any(),
            arguments.operator_namespace
        )
    })?;
    let id = ProcessId::new(id);
    let process = sessions.member.process(&id).await?;
    let log = sessions.member.logs(&LogQuery::new(id)).await?;
    Ok((process, log))
}

async fn object(
    kubernetes: &Kubernetes,
    kind: &str,
    name: &str,
    namespace: Option<&str>,
) -> Result<ExecutorDeployment, Failure> {
    if !["executordeployment", "executordeployments", "ed", "edeploy"].contains(&kind.to_lowercase().as_str())
    {
        return Err(format!(
            "{kind:?} is no kind that is carried by a process: give executordeployment/NAME"
        )
        .into());
    }
    let namespace = namespace.unwrap_or(&kubernetes.namespace);
    let api = Api::<ExecutorDeployment>::namespaced(kubernetes.calls.clone(), namespace);
    call(CALL_TIME_LIMIT, api.get(name))
        .await
        .map_err(|error| error.explain(&format!("get ExecutorDeployment {namespace}/{name}")).into())
}

/// The process that carries an object now.
fn process_of(object: &ExecutorDeployment) -> Result<String, Failure> {
    let mirror = object.status.as_ref().and_then(|status| status.mirror.as_ref());
    let id = mirror.and_then(|mirror| mirror.process_id.clone());
    let id = id.or_else(|| object.annotations().get(PROCESS_ANNOTATION).cloned());
    id.ok_or_else(|| {
        let name = object.name_any();
        match object.blueprint_name() {
            Some(blueprint) => format!(
                "ExecutorDeployment {name} is carried by blueprint {blueprint}: see colonies blueprint get --name {blueprint}"
            ),
            None => format!("ExecutorDeployment {name} has no process yet: see its condition Mirrored"),
        }
        .into()
    })
}

async fn find_colony(kubernetes: &Kubernetes, name: Option<&str>) -> Result<Colony, Failure> {
    let api = Api::<Colony>::all(kubernetes.calls.clone());
    let list = call(CALL_TIME_LIMIT, api.list(&kube::api::ListParams::default()))
        .await
        .map_err(|error| error.explain("list Colonies"))?;
    let wanted = |colony: &Colony| match name {
        Some(name) => colony.name_any() == name,
        None => colony.annotations().get(DEFAULT_COLONY_ANNOTATION).is_some_and(|value| value == "true"),
    };
    list.items.into_iter().find(wanted).ok_or_else(|| {
        let which = name.map_or("annotated as the default".to_owned(), |name| format!("named {name:?}"));
        format!("there is no Colony {which}: name one with --colony (kubectl get colonies)").into()
    })
}

fn json_of(process: &Process, log: &[Log]) -> Value {
    json!({
        "processId": process.id,
        "state": process.state.to_string(),
        "label": process.spec.label,
        "function": process.spec.function,
        "executorType": process.spec.conditions.executor_type,
        "executor": process.assigned_executor,
        "submittedAt": process.submitted_at,
        "startedAt": process.started_at,
        "endedAt": process.ended_at,
        "retries": process.retries,
        "output": process.output,
        "errors": process.errors,
        "log": log.iter().map(|line| &line.message).collect::<Vec<_>>(),
    })
}

fn text_of(process: &Process, log: &[Log]) -> String {
    let time = |moment: Option<jiff::Timestamp>| moment.map_or("-".to_owned(), |moment| moment.to_string());
    let executor = process.assigned_executor.as_ref().map_or("-".to_owned(), ToString::to_string);
    let head = [
        ("Process", process.id.to_string()),
        ("State", process.state.to_string()),
        ("Label", shown(&process.spec.label)),
        ("Function", shown(&process.spec.function)),
        ("Executor", executor),
        ("Submitted", process.submitted_at.to_string()),
        ("Started", time(process.started_at)),
        ("Ended", time(process.ended_at)),
        ("Retries", process.retries.to_string()),
    ];
    let mut lines: Vec<String> = head.map(|(name, value)| format!("{name:<10} {value}")).into();
    lines.extend(section("Output", process.output.iter().map(|value| format!("{value:#}"))));
    lines.extend(section("Errors", process.errors.iter().map(|line| shown(line))));
    lines.extend(section("Log", log.iter().map(|line| shown(&line.message))));
    lines.push(String::new());
    lines.join("\n")
}

/// A heading and what is below it; nothing if there is nothing.
fn section(name: &str, texts: impl Iterator<Item = String>) -> Vec<String> {
    let below: Vec<String> =
        texts.flat_map(|text| text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>()).collect();
    let heading = (!below.is_empty()).then(|| format!("{name}:"));
    heading.into_iter().chain(below).collect()
}

/// A text of somebody else's, fit for a terminal: it must not steer it.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        serde_json::from_value(json!({
            "processid": "p1", "state": 3, "submissiontime": "2026-11-21T10:00:00Z",
            "starttime": "2026-11-21T10:00:01Z", "endtime": "2026-11-21T10:00:02Z",
            "spec": {"funcname": "encode", "label": "k8s:c/u/1"}, "out": [{"a": "x".repeat(5000)}],
            "errors": ["first\nsecond", "\u{1b}[31mred"],
        }))
        .unwrap()
    }

    /// Status cuts it; whoever looks here wants the rest.
    #[test]
    fn outputs_and_errors_are_complete_and_steer_no_terminal() {
        let text = text_of(&process(), &[]);
        assert!(text.contains(&"x".repeat(5000)));
        assert!(text.contains("Errors:\n  first\n  second\n"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(json_of(&process(), &[])["errors"][0], "first\nsecond");
    }

    #[test]
    fn an_object_without_a_process_says_what_carries_it() {
        let object = |annotations: Value| -> ExecutorDeployment {
            serde_json::from_value(json!({
                "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
                "metadata": {"name": "workers", "annotations": annotations},
                "spec": {"executorType": "cli", "image": "i"},
            }))
            .unwrap()
        };
        assert_eq!(process_of(&object(json!({"colonies.io/process": "p9"}))).unwrap(), "p9");
        let error = process_of(&object(json!({"colonies.io/blueprint": "b"}))).unwrap_err().to_string();
        assert!(error.contains("blueprint b"), "{error}");
        assert!(process_of(&object(json!({}))).unwrap_err().to_string().contains("Mirrored"));
    }
}
