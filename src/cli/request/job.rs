//! Doing a job: running a command, or letting time pass.

use std::{collections::VecDeque, io::Write as _, process::Stdio, sync::Arc, time::Duration};

use kube::ResourceExt as _;
use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
};

use crate::{
    api::{condition::Reason, request_state::RequestState},
    diff::request::Ending,
    status::condition::clean,
};

/// How much of the end of a command's output is kept.
const OUTPUT_TAIL_BYTES: usize = 4096;
/// How long the last words of a command are waited for after its end: one that it started may hold the pipe.
const OUTPUT_DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// How a job runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// A command, by `/bin/sh`.
    Command(String),
    /// Waits.
    Time(Duration),
}

/// Reads the value of `--exec`: a job and its command.
pub(super) fn read(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((job, command)) if !job.is_empty() && !command.trim().is_empty() => {
            Ok((job.to_owned(), command.to_owned()))
        }
        _ => Err(format!("{text:?} is not a job with a command: give JOB=COMMAND, such as JOB1=./script.sh")),
    }
}

/// Runs a job. When it is dropped, the command and all that it started are killed.
pub(super) async fn run(work: Work, object: RequestState) -> Ending {
    match work {
        Work::Time(span) => {
            tokio::time::sleep(span).await;
            Ending::completed()
        }
        Work::Command(command) => execute(&command, &object).await,
    }
}

/// A command with all that it started.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // An error means that the process group is empty.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn execute(command: &str, object: &RequestState) -> Ending {
    let failed = |message: String| Ending::failed(Reason::JobFailed.as_str(), clean(&message));
    let child = Command::new("/bin/sh")
        .args(["-c", command])
        .env("REQUEST_UID", &object.spec.request_uid)
        .env("JOB", &object.spec.job)
        .env("REQUEST_NAME", object.name_any())
        .env("REQUEST_NAMESPACE", object.namespace().unwrap_or_default())
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return failed(format!("failed to start /bin/sh: {error}")),
    };
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let tail = Arc::new(Mutex::new(VecDeque::new()));
    let reading = child.stderr.take().map(|stderr| tokio::spawn(forward_output(stderr, tail.clone())));
    let ended = child.wait().await;
    // Background processes keep running, as under a shell.
    group.0 = None;
    if let Some(mut reading) = reading
        && tokio::time::timeout(OUTPUT_DRAIN_TIMEOUT, &mut reading).await.is_err()
    {
        reading.abort();
    }
    match ended {
        Ok(status) if status.success() => Ending::completed(),
        Ok(status) => {
            let how = status.code().map_or_else(|| status.to_string(), |code| format!("exit code {code}"));
            let tail: Vec<u8> = tail.lock().iter().copied().collect();
            match last_line(&tail) {
                Some(line) => failed(format!("{how}: {line}")),
                None => failed(format!("{how}, without a word on standard error")),
            }
        }
        Err(error) => failed(format!("failed to wait for the command: {error}")),
    }
}

/// Forwards the output of a command, and keeps the end of it.
async fn forward_output(mut from: impl AsyncRead + Unpin, tail: Arc<Mutex<VecDeque<u8>>>) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let said = buffer.get(..length).unwrap_or_default();
        {
            let mut tail = tail.lock();
            tail.extend(said);
            let surplus = tail.len().saturating_sub(OUTPUT_TAIL_BYTES);
            tail.drain(..surplus);
        }
        // The worker's own standard error may be closed; the job continues regardless.
        let _ = std::io::stderr().write_all(said);
    }
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;

    use super::*;
    use crate::api::request_state::{RequestStateSpec, State};

    fn request() -> RequestState {
        let spec = RequestStateSpec {
            request_uid: "uid-1".to_owned(),
            job: "JOB1".to_owned(),
            state: State::Started,
        };
        let mut object = RequestState::new("r", spec);
        object.meta_mut().namespace = Some("n".to_owned());
        object
    }

    async fn ending(command: &str) -> Ending {
        run(Work::Command(command.to_owned()), request()).await
    }

    #[tokio::test]
    async fn a_command_knows_its_request_and_its_exit_code_decides() {
        assert_eq!(
            ending(r#"test "$REQUEST_UID $JOB $REQUEST_NAME $REQUEST_NAMESPACE" = "uid-1 JOB1 r n""#).await,
            Ending::completed()
        );
        let failed = ending("echo first >&2; echo 'disk full' >&2; exit 3").await;
        assert_eq!(failed.message.as_deref(), Some("exit code 3: disk full"));
        assert_eq!((failed.state, failed.reason.as_deref()), (State::Failed, Some("JobFailed")));
        let killed = ending("kill -9 $$").await;
        assert!(killed.message.as_deref().is_some_and(|text| text.contains("signal: 9")), "{killed:?}");
        let silent = ending("exit 1").await;
        assert!(silent.message.as_deref().is_some_and(|text| text.contains("without a word")), "{silent:?}");
    }

    /// A request that is cancelled must not leave half of its work running.
    #[tokio::test]
    async fn what_a_command_started_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let command = format!("sleep 1000 & echo $! > {0}.new && mv {0}.new {0}; wait", ready.display());
        let job = tokio::spawn(async move { ending(&command).await });
        let grandchild = loop {
            match std::fs::read_to_string(&ready) {
                Ok(id) => break id.trim().to_owned(),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let stat = format!("/proc/{grandchild}/stat");
        let runs = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(runs());
        job.abort();
        assert!(job.await.unwrap_err().is_cancelled());
        while runs() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[test]
    fn a_job_and_its_command_are_told_apart_at_the_first_sign() {
        assert_eq!(read("J=a=b c"), Ok(("J".to_owned(), "a=b c".to_owned())));
        for text in ["J", "=x", "J=", "J= "] {
            assert!(read(text).unwrap_err().contains("JOB=COMMAND"), "{text}");
        }
    }
}
