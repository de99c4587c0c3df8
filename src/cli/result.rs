//! `colonyos-operator output`: what a process has given back, raw and whole. Status shows it bounded and cleaned. Reads only.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::PathBuf,
};

use clap::Args;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Failure,
    output::{Output, complain, write},
    process::shown,
    subject::Subject,
};
use crate::colony::{Process, ProcessState};

/// Arguments of `output`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Write to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Form of the output: `text` is raw (a single text as it is, else a JSON value per line), `json` and `yaml` are the list
    /// of values, by node for a workflow
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints the output of a process.
///
/// # Errors
///
/// When it has none, or it cannot be read; what to do about it.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    let processes = Runtime::new()?.block_on(find(arguments))?;
    let text = match arguments.output {
        Output::Text => raw(&processes)?,
        Output::Json => format!("{:#}\n", values(&processes)?),
        Output::Yaml => serde_norway::to_string(&values(&processes)?)?,
    };
    let Some(file) = &arguments.file else {
        let text = if io::stdout().is_terminal() { for_terminal(&text) } else { text };
        return write(text.as_bytes()).map(|_| ());
    };
    fs::write(file, &text).map_err(|error| format!("failed to write {}: {error}", file.display()))?;
    complain(format_args!("wrote {} bytes to {}", text.len(), file.display()));
    Ok(())
}

async fn find(arguments: &Arguments) -> Result<Vec<Process>, Failure> {
    let (source, found) = arguments.subject.find().await?;
    let mut processes = Vec::new();
    for one in found {
        processes.push(source.process(&one).await?);
    }
    Ok(processes)
}

/// As the executor gave it.
fn raw(processes: &[Process]) -> Result<String, String> {
    let [process] = processes else {
        let nodes: Vec<&str> = processes.iter().map(|process| process.spec.node_name.as_str()).collect();
        return Err(format!(
            "it is a workflow of several nodes, each with an output of its own: name one with --node ({}), or give all with -o json",
            nodes.join(", ")
        ));
    };
    ended(process)?;
    if let [Value::String(text)] = process.output.as_slice() {
        return Ok(text.clone());
    }
    let lines: Vec<String> = process.output.iter().map(|value| format!("{value}\n")).collect();
    Ok(lines.concat())
}

/// The values; of a workflow, by node.
fn values(processes: &[Process]) -> Result<Value, String> {
    match processes {
        [process] if process.spec.node_name.is_empty() => {
            ended(process)?;
            Ok(json!(process.output))
        }
        nodes => {
            let by_node = nodes.iter().map(|node| (node.spec.node_name.clone(), json!(node.output)));
            Ok(Value::Object(by_node.collect()))
        }
    }
}

/// One that has not ended, or has failed, has no output: an empty one would be taken for it.
fn ended(process: &Process) -> Result<(), String> {
    let id = &process.id;
    match process.state {
        ProcessState::Successful => Ok(()),
        state if state.is_final() && !process.output.is_empty() => Ok(()),
        state if state.is_final() => Err(format!(
            "process {id} has no output, for it has ended as {state}: see its errors with colonyos-operator process {id}"
        )),
        state => Err(format!("process {id} has no output yet: it is {state}")),
    }
}

/// Output is untrusted and must not steer a terminal.
fn for_terminal(text: &str) -> String {
    let text = shown(text);
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::documented::printed;

    fn process(state: i64, output: &Value, node: &str) -> Process {
        serde_json::from_value(json!({
            "processid": "p1", "state": state, "submissiontime": "2026-11-21T10:00:00Z",
            "starttime": "2026-11-21T10:00:01Z", "endtime": "2026-11-21T10:00:02Z",
            "spec": { "funcname": "encode", "nodename": node }, "out": output,
        }))
        .unwrap()
    }

    #[test]
    fn a_single_text_is_given_byte_for_byte_and_all_else_as_json() {
        let raw = |output: Value| raw(&[process(2, &output, "")]).unwrap();
        assert_eq!(raw(json!(["bell \u{7}\nwithout an end"])), "bell \u{7}\nwithout an end");
        assert_eq!(raw(json!(["a", { "b": 1 }, "c\nd"])), "\"a\"\n{\"b\":1}\n\"c\\nd\"\n");
        assert_eq!(raw(json!([])), "");
        let long = "x".repeat(3 << 20);
        assert_eq!(raw(json!([long])), long);
        assert_eq!(for_terminal("bell \u{7}"), "bell \u{fffd}\n");
    }

    #[test]
    fn the_page_shows_an_output_as_it_is() {
        let text = raw(&[process(2, &json!(["s3://out/4711.mp4"]), "")]).unwrap();
        assert_eq!(for_terminal(&text), printed("kubectl colony output colonyprocess/encode"));
    }

    #[test]
    fn what_has_no_output_says_so() {
        let error = raw(&[process(1, &json!([]), "")]).unwrap_err();
        assert!(error.contains("no output yet"), "{error}");
        let error = raw(&[process(3, &json!([]), "")]).unwrap_err();
        assert!(error.contains("colonyos-operator process p1"), "{error}");
        assert_eq!(raw(&[process(3, &json!(["partial"]), "")]).unwrap(), "partial");
    }

    #[test]
    fn the_nodes_of_a_workflow_are_told_apart() {
        let nodes = [process(2, &json!(["a"]), "left"), process(0, &json!([]), "right")];
        assert_eq!(values(&nodes), Ok(json!({ "left": ["a"], "right": [] })));
        assert!(raw(&nodes).unwrap_err().contains("--node (left, right)"));
        assert_eq!(raw(&nodes[..1]).unwrap(), "a");
        assert_eq!(values(&[process(2, &json!(["a"]), "")]), Ok(json!(["a"])));
    }
}
