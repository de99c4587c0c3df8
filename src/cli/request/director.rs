//! `colonyos-operator director`: creates requests and decides which job comes next, with nothing but an API server.
//!
//! It writes to a request only when a job has ended and another follows, or when all is over; a worker that cannot bear
//! a conflict may be at it the rest of the time.

use std::{collections::HashMap, time::Duration};

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use rand::Rng as _;
use tokio::{runtime::Runtime, sync::watch, task::JoinSet};

use super::{
    RETRY, duration,
    flow::{self, Choice},
    follow::{Seen, follow},
    tracked_request::{Setting, TrackedRequest, Wanted},
};
use crate::{
    act::request::{Change, RequestName, Requests, WriteError},
    api::{
        names::FLOW_ANNOTATION,
        policy::is_paused,
        request_state::{RequestState, RequestStateSpec, State},
    },
    cli::{Failure, connection::Connection, output::complain},
    diff::request::{DirectorStep, Position, direct},
    runtime::{clock::Clock, shutdown::Shutdown},
};

/// What names of requests begin with.
const PREFIX: &str = "request-";

/// Arguments of `director`.
#[derive(Debug, Args)]
#[command(mut_arg("namespace", |namespace| namespace.help("Namespace to create requests in [default: the context's]")))]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Jobs in their order, separated by commas, or the name of a `RequestFlow`
    #[arg(long, value_name = "FLOW", default_value = "JOB1,JOB2", value_parser = flow::read)]
    flow: Choice,
    /// How many requests to create and drive at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    count: u32,
    /// Name of the request; with --count NAME-0, NAME-1 and so on [default: a new one each time]
    #[arg(
        long,
        long_help = "Name of the request; with --count NAME-0, NAME-1 and so on. Requests that exist already are continued: a director that was stopped and is started again with the same arguments finishes them.",
        value_name = "NAME"
    )]
    name: Option<String>,
    /// Used by a worker only; accepted, so that both can be started with the same arguments
    #[arg(long = "job-duration", value_name = "SPAN", hide = true, value_parser = duration)]
    _job_duration: Option<Duration>,
}

/// Drives requests to their end.
pub(in crate::cli) fn drive(arguments: Arguments) -> Result<(), Failure> {
    Runtime::new()?.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let shutdown = Shutdown::on_signals()?;
    let kubernetes = arguments.connection.connect().await?;
    let namespace = kubernetes.namespace;
    let requests = Requests::discover(kubernetes.calls.clone(), "colonyos-director").await?;
    let course = arguments.flow.course(&kubernetes.calls, &namespace).await?;
    let setting = Setting::new(kubernetes.calls, requests, course, Clock::system());

    let mut inboxes: HashMap<String, watch::Sender<RequestState>> = HashMap::new();
    let mut tasks = JoinSet::new();
    for index in 0..arguments.count {
        let name = match &arguments.name {
            None => RequestName::New(PREFIX.to_owned()),
            Some(name) if arguments.count == 1 => RequestName::Fixed(name.clone()),
            Some(name) => RequestName::Fixed(format!("{name}-{index}")),
        };
        let object = begin(&setting, &namespace, &name).await?;
        let (sender, inbox) = watch::channel(object.clone());
        inboxes.insert(object.uid().unwrap_or_default(), sender);
        tasks.spawn(drive_request(setting.clone(), object, inbox));
    }

    let mut seen = follow(kubernetes.watches, Some(&namespace));
    let mut bad = Vec::new();
    loop {
        tokio::select! {
            () = shutdown.requested() => {
                return Err(format!("stopped; {} requests go on without a director", tasks.len()).into());
            }
            ended = tasks.join_next() => match ended {
                None => break,
                Some(ended) => bad.extend(ended?.err()),
            },
            Some(one) = seen.recv() => match one {
                Seen::Gone(uid) => drop(inboxes.remove(&uid)),
                Seen::Is(object) => {
                    if let Some(inbox) = object.uid().and_then(|uid| inboxes.get(&uid)) {
                        // The receiver is gone once its end is known.
                        let _ = inbox.send(*object);
                    }
                }
            },
        }
    }
    if bad.is_empty() { Ok(()) } else { Err(bad.join("\n").into()) }
}

/// Creates a request, or finds the one that an earlier run has created.
async fn begin(setting: &Setting, namespace: &str, name: &RequestName) -> Result<RequestState, String> {
    let spec = RequestStateSpec {
        request_uid: new_uid(),
        job: setting.course.first().to_owned(),
        state: State::Requested,
    };
    let flow = setting.course.annotation();
    let object =
        setting.requests.create_or_get(namespace, name, spec, (FLOW_ANNOTATION, flow.clone())).await?;
    if setting.course_of(&object).is_none() {
        let own = object.annotations().get(FLOW_ANNOTATION).map_or("", String::as_str);
        return Err(format!(
            "RequestState {namespace}/{} is there and follows {own}, not {flow}: give --flow {own}, or another --name",
            object.name_any()
        ));
    }
    Ok(object)
}

/// Drives one request; an error tells why it did not succeed.
async fn drive_request(
    setting: Setting,
    object: RequestState,
    mut inbox: watch::Receiver<RequestState>,
) -> Result<(), String> {
    let mut known = TrackedRequest::new(object, &setting);
    loop {
        let state = known.object.spec.state;
        let now = setting.clock.now();
        let next = setting.course_of(&known.object).map(|course| course.next(&known.object, now));
        let not_before =
            next.as_ref().and_then(|next| next.not_before).filter(|not_before| *not_before > now);
        let job = next.and_then(|next| next.job);
        let metadata = &known.object.metadata;
        let (is_deleted, is_paused) = (metadata.deletion_timestamp.is_some(), is_paused(metadata));
        let news = known.news(&setting, Wanted::default());
        let (before, dropped) = news.map(|(status, history)| (status, history.dropped)).unzip();
        let change = match direct(state, job.as_deref(), is_deleted, is_paused) {
            DirectorStep::Wait => None,
            // Before it waits, the failure is reported: since when it waits stands in the history.
            DirectorStep::Request(_) if not_before.is_some() => {
                before.map(|before| Change { before: Some(before), ..Change::default() })
            }
            DirectorStep::Request(job) => {
                let position = Some(Position::new(job, State::Requested));
                Some(Change { before, position, ..Change::default() })
            }
            DirectorStep::Finish if before.is_none() => return end(&known),
            DirectorStep::Finish => Some(Change { before, ..Change::default() }),
        };
        let mut is_retried = false;
        if let Some(change) = change {
            let is_end = change.position.is_none();
            setting.archive_history(&known.object, &dropped.unwrap_or_default()).await;
            match setting.requests.write(&known.object, change).await {
                Ok(object) => {
                    known.update(object, &setting);
                    if is_end {
                        known.settle();
                    }
                    continue;
                }
                Err(WriteError::Gone) => return Err(gone(&known)),
                Err(WriteError::Conflict) => match setting.requests.read(&known.object).await {
                    Ok(Some(object)) => {
                        known.update(object, &setting);
                        continue;
                    }
                    Ok(None) => return Err(gone(&known)),
                    Err(why) => {
                        complain(format_args!("warning: {why}"));
                        is_retried = true;
                    }
                },
                Err(WriteError::Failed(why)) => {
                    complain(format_args!("warning: {why}"));
                    is_retried = true;
                }
            }
        }
        tokio::select! {
            changed = inbox.changed() => match changed {
                Ok(()) => {
                    let object = inbox.borrow_and_update().clone();
                    known.update(object, &setting);
                }
                Err(_) => return Err(gone(&known)),
            },
            () = tokio::time::sleep(RETRY), if is_retried => {}
            () = tokio::time::sleep(until(not_before, now)), if not_before.is_some() => {}
        }
    }
}

/// How long it is until a moment.
fn until(moment: Option<Timestamp>, now: Timestamp) -> Duration {
    moment.and_then(|moment| Duration::try_from(moment.duration_since(now)).ok()).unwrap_or_default()
}

fn gone(known: &TrackedRequest) -> String {
    format!("request {} was deleted at {}", known.name(), Position::of(&known.object))
}

/// The result of an ended request.
fn end(known: &TrackedRequest) -> Result<(), String> {
    if known.object.spec.state == State::Completed {
        return Ok(());
    }
    let last = known.object.status.as_ref().and_then(|status| status.history.last());
    let why =
        last.and_then(|entry| entry.message.as_ref()).map_or_else(String::new, |text| format!(": {text}"));
    Err(format!("request {} is at its end with {}{why}", known.name(), Position::of(&known.object)))
}

/// A UUID of version 4.
fn new_uid() -> String {
    uuid(rand::rng().random())
}

/// A UUID of version 4 from chance.
fn uuid(chance: u128) -> String {
    let bits = (chance & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let text = format!("{bits:032x}");
    let mut parts = Vec::new();
    let mut rest = text.as_str();
    for length in [8, 4, 4, 4] {
        let (part, others) = rest.split_at(length);
        parts.push(part);
        rest = others;
    }
    parts.push(rest);
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_have_the_form_of_a_uuid_of_version_4() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_ne!(new_uid(), new_uid());
    }
}
