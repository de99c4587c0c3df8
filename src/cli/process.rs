//! `colonyos-operator process`: the complete processes of an object. Status shows outputs and errors bounded and
//! cleaned; here they are complete, with the log. Reads only.

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{Failure, output::Output, subject::Subject};
use crate::colony::{Log, Process};

/// Arguments of `process`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Form of the output
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints a process.
///
/// # Errors
///
/// When the object, its process or its colony cannot be read; what to do about it.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let found = Runtime::new()?.block_on(find(arguments))?;
    let text = || {
        let texts: Vec<String> = found.iter().map(|(process, log)| text_of(process, log)).collect();
        texts.join("\n")
    };
    arguments.output.print(text, || whole(&found))
}

/// The processes as one value.
fn whole(found: &[(Process, Vec<Log>)]) -> Value {
    let mut all: Vec<Value> = found.iter().map(|(process, log)| json_of(process, log)).collect();
    // A workflow is a list, also when only one of its nodes is there yet.
    let is_workflow = found.iter().any(|(process, _)| !process.spec.node_name.is_empty());
    if is_workflow { Value::Array(all) } else { all.pop().unwrap_or_default() }
}

async fn find(arguments: &Arguments) -> Result<Vec<(Process, Vec<Log>)>, Failure> {
    let (source, found) = arguments.subject.find().await?;
    let mut processes = Vec::new();
    for one in found {
        let process = source.process(&one).await?;
        let log = source.logs(&one, 0).await?;
        processes.push((process, log));
    }
    Ok(processes)
}

fn json_of(process: &Process, log: &[Log]) -> Value {
    json!({
        "processId": process.id,
        "node": Some(&process.spec.node_name).filter(|node| !node.is_empty()),
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
    let node = Some(&process.spec.node_name).filter(|node| !node.is_empty());
    let node = node.map(|node| ("Node", shown(node)));
    let head = node.into_iter().chain(head);
    let mut lines: Vec<String> = head.map(|(name, value)| format!("{name:<10} {value}")).collect();
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

/// Untrusted text, made safe for a terminal: it must not steer it.
pub(super) fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::documented::printed;

    fn process() -> Process {
        serde_json::from_value(json!({
            "processid": "p1", "state": 3, "submissiontime": "2026-11-21T10:00:00Z",
            "starttime": "2026-11-21T10:00:01Z", "endtime": "2026-11-21T10:00:02Z",
            "spec": {"funcname": "encode", "label": "k8s:c/u/1"}, "out": [{"a": "x".repeat(5000)}],
            "errors": ["first\nsecond", "\u{1b}[31mred"],
        }))
        .unwrap()
    }

    #[test]
    fn the_page_shows_a_process_as_it_is() {
        let process = serde_json::from_value(json!({
            "processid": "1f2e…", "state": 2, "submissiontime": "2026-11-21T09:55:01Z", "assignedexecutorid": "5542".repeat(16),
            "starttime": "2026-11-21T09:55:02Z", "endtime": "2026-11-21T09:57:40Z",
            "spec": {"funcname": "encode", "label": "k8s:0b1c…/7d41…/1"}, "out": ["s3://out/4711.mp4"],
        }))
        .unwrap();
        let text = text_of(&process, &[]).replace(&"5542".repeat(16), "5542…");
        assert_eq!(text, printed("kubectl colony process colonyprocess/encode"));
    }

    /// Status cuts it; a user of this command wants the rest.
    #[test]
    fn outputs_and_errors_are_complete_and_steer_no_terminal() {
        let text = text_of(&process(), &[]);
        assert!(text.contains(&"x".repeat(5000)));
        assert!(text.contains("Errors:\n  first\n  second\n"), "{text}");
        assert!(!text.contains('\u{1b}'));
        assert_eq!(json_of(&process(), &[])["errors"][0], "first\nsecond");
    }
}
