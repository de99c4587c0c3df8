//! `colonyos-operator logs`: what executors wrote about the processes of an object, as it comes. Reads only.

use std::{collections::HashSet, ops::ControlFlow, time::Duration};

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{
    Failure,
    output::{Output, write},
    process::shown,
    subject::{Found, Source, Subject},
};
use crate::colony::Log;

/// How often more is asked for: the server does not report it.
const PERIOD: Duration = Duration::from_secs(1);

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// Go on until the process is over
    #[arg(long, short)]
    follow: bool,
    /// Form of the output: `json` is one object per line, `yaml` one list
    #[arg(long, short, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// Prints the log of a process.
///
/// # Errors
///
/// When the object, its process or its colony cannot be read; what to do about it.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    Runtime::new()?.block_on(async {
        let (source, found) = arguments.subject.find().await?;
        let mut left: Vec<(Found, Printed)> =
            found.into_iter().map(|found| (found, Printed::default())).collect();
        while !left.is_empty() {
            let mut going_on = Vec::new();
            for (found, mut printed) in left {
                // Asked before the lines are: what was written until the end is then among them.
                let is_over = !arguments.follow || source.process(&found).await?.state.is_final();
                if printed.more(&source, &found, arguments.output).await?.is_break() {
                    return Ok(());
                }
                if !is_over {
                    going_on.push((found, printed));
                }
            }
            left = going_on;
            if !left.is_empty() {
                tokio::time::sleep(PERIOD).await;
            }
        }
        Ok(())
    })
}

/// What was printed so far.
#[derive(Default)]
struct Printed {
    /// Time of the last line.
    until: i64,
    /// Lines of that very time: the next question brings them again.
    at_last: HashSet<String>,
}

impl Printed {
    /// Prints what is new, however much; `Break` when it is not read any more.
    async fn more(
        &mut self,
        source: &Source,
        found: &Found,
        output: Output,
    ) -> Result<ControlFlow<()>, Failure> {
        loop {
            let lines = source.logs(found, self.until).await?;
            let news: Vec<Log> = lines.into_iter().filter(|line| self.note(line)).collect();
            if news.is_empty() {
                return Ok(ControlFlow::Continue(()));
            }
            let text = news.iter().map(|line| line_of(line, found, output)).collect::<Result<String, _>>()?;
            if write(text.as_bytes())?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Whether a line is new.
    fn note(&mut self, line: &Log) -> bool {
        if line.written_at > self.until {
            self.until = line.written_at;
            self.at_last.clear();
        }
        line.written_at == self.until && self.at_last.insert(line.message.clone())
    }
}

/// A line of the log, as one of the output.
fn line_of(line: &Log, found: &Found, output: Output) -> Result<String, Failure> {
    let message = line.message.trim_end_matches('\n');
    Ok(match output {
        Output::Text => {
            let node = found.node.as_ref().map_or_else(String::new, |node| format!("[{node}] "));
            format!("{node}{}\n", shown(message))
        }
        Output::Json => format!("{}\n", json_of(line, found)),
        Output::Yaml => serde_norway::to_string(&[json_of(line, found)])?,
    })
}

fn json_of(line: &Log, found: &Found) -> Value {
    json!({
        "processId": found.id,
        "node": found.node,
        "executor": line.executor,
        "writtenAt": Timestamp::from_nanosecond(line.written_at.into()).ok(),
        "message": line.message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::documented::printed, colony::ProcessId};

    /// A program reads line by line while more comes.
    #[test]
    fn each_line_is_an_object_of_its_own() {
        let line = Log {
            process: ProcessId::new("p"),
            executor: "worker".to_owned(),
            message: "half\ndone\n".to_owned(),
            written_at: 1_763_719_200_000_000_000,
        };
        let found = Found { node: Some("join".to_owned()), id: ProcessId::new("p") };
        let text = |output| line_of(&line, &found, output).unwrap();
        assert_eq!(text(Output::Text), "[join] half\ndone\n");
        let json: Value = serde_json::from_str(&text(Output::Json)).unwrap();
        assert_eq!(
            (json["message"].as_str(), json["executor"].as_str()),
            (Some("half\ndone\n"), Some("worker"))
        );
        assert_eq!(json["writtenAt"], "2025-11-21T10:00:00Z");
        assert_eq!(text(Output::Json).lines().count(), 1);
        let twice = [text(Output::Yaml), text(Output::Yaml)].concat();
        assert_eq!(serde_norway::from_str::<Vec<Value>>(&twice).unwrap(), [json.clone(), json]);
    }

    #[test]
    fn the_page_shows_lines_as_they_are() {
        let line = |node: &str, message: &str| {
            let line = Log {
                process: ProcessId::new("p"),
                executor: "cli-0".to_owned(),
                message: message.to_owned(),
                written_at: 0,
            };
            let found = Found { node: Some(node.to_owned()), id: ProcessId::new("p") };
            line_of(&line, &found, Output::Text).unwrap()
        };
        let shown = [line("cut", "40 scenes"), line("join", "painting\n")].concat();
        assert_eq!(shown, printed("kubectl colony logs --follow colonyworkflow/render"));
    }

    /// The server is asked for what was written since the last line, and may give that line again.
    #[test]
    fn no_line_is_printed_twice_and_none_is_left_out() {
        let line = |at: i64, text: &str| Log {
            process: ProcessId::new("p"),
            executor: String::new(),
            message: text.to_owned(),
            written_at: at,
        };
        let mut printed = Printed::default();
        let mut take = |lines: &[(i64, &str)]| -> Vec<String> {
            let lines = lines.iter().map(|(at, text)| line(*at, text));
            lines.filter(|line| printed.note(line)).map(|line| line.message).collect()
        };
        assert_eq!(take(&[(1, "a"), (2, "b"), (2, "c")]), ["a", "b", "c"]);
        assert_eq!(take(&[(2, "b"), (2, "c"), (2, "d"), (3, "b")]), ["d", "b"]);
        assert_eq!(take(&[(3, "b")]), [""; 0]);
    }
}
