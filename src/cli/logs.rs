//! `colonyos-operator logs`: what executors wrote about the processes of an object, as it comes. Reads only.

use std::{
    collections::HashSet,
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;
use tokio::runtime::Runtime;

use super::{
    Failure,
    process::shown,
    subject::{Found, Subject},
};
use crate::colony::{Log, LogQuery, Session};

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
}

/// Prints the log of a process.
///
/// # Errors
///
/// When the object, its process or its colony cannot be read; what to do about it.
pub(super) fn print(arguments: &Arguments) -> Result<(), Failure> {
    Runtime::new()?.block_on(async {
        let (member, found) = arguments.subject.find().await?;
        let mut left: Vec<(Found, Printed)> =
            found.into_iter().map(|found| (found, Printed::default())).collect();
        while !left.is_empty() {
            let mut going_on = Vec::new();
            for (found, mut printed) in left {
                // Asked before the lines are: what was written until the end is then among them.
                let is_over = !arguments.follow || member.process(&found.id).await?.state.is_final();
                printed.more(&member, &found).await?;
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
    /// Prints what is new, however much.
    async fn more(&mut self, member: &Session, found: &Found) -> Result<(), Failure> {
        let node = found.node.as_ref().map_or_else(String::new, |node| format!("[{node}] "));
        loop {
            let lines = member.logs(&LogQuery::new(found.id.clone()).since(self.until)).await?;
            let news: Vec<Log> = lines.into_iter().filter(|line| self.note(line)).collect();
            if news.is_empty() {
                return Ok(());
            }
            let mut stdout = io::stdout().lock();
            for line in news {
                writeln!(stdout, "{node}{}", shown(line.message.trim_end_matches('\n')))?;
            }
            stdout.flush()?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::colony::ProcessId;

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
