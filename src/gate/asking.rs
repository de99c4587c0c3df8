//! Calls for work. Each is made in short spans, so that none is under way for long when a drain begins; and each of them is waited for
//! to its end, even if the executor has left: what it wins is kept for the executor's next call.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Inner,
    message::{self, Assign},
    state::State,
    upstream::{self, Begun},
};
use crate::colony::ProcessId;

/// How long the server is asked to wait at a time. It misses some wake-ups, so that longer spans only delay.
const SPAN: i64 = 10;
/// How much longer than that an answer may take.
const MARGIN: Duration = Duration::from_secs(30);
/// Largest reply that is read before it is passed on; of a larger one, the rest passes in pieces.
const REPLY_MAX: usize = 4 << 20;
/// Most replies that are kept for calls to come.
const KEPT_MAX: usize = 16;

/// A reply of the server's to a call for work.
pub(super) struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    first: Bytes,
    /// What follows, if that was not all.
    rest: Option<reqwest::Body>,
}

impl Reply {
    /// What the server says when there is nothing.
    fn nothing() -> Self {
        let first = message::nothing().into();
        Self { status: StatusCode::NOT_FOUND, headers: HeaderMap::new(), first, rest: None }
    }

    fn is_nothing(&self) -> bool {
        self.rest.is_none() && message::is_nothing(self.status.as_u16(), &self.first)
    }

    fn process(&self) -> Option<ProcessId> {
        if self.status.is_success() { message::assigned(&self.first) } else { None }
    }

    /// Whether it brings a process.
    pub fn is_of(&self, process: &ProcessId) -> bool {
        self.process().as_ref() == Some(process)
    }

    fn into_response(self) -> Response {
        let body = match self.rest {
            None => Body::from(self.first),
            Some(rest) => Body::new(Begun::new(self.first, rest)),
        };
        upstream::reply(self.status, self.headers, body)
    }
}

/// Answers a call for work.
pub(super) async fn ask(gate: &Arc<Inner>, parts: &Parts, assign: Assign, body: Bytes) -> Response {
    let is_own = assign.is_by(&gate.key);
    let patience = Duration::from_secs(u64::try_from(assign.seconds).unwrap_or_default());
    let deadline = Instant::now() + patience;
    loop {
        if is_own && let Some(kept) = gate.kept.lock().pop_front() {
            return kept.into_response();
        }
        if !gate.change_quietly(State::ask) {
            // Also those who are awake again do not ask for what they have waited for already.
            return wait(gate, deadline, is_own).await.into_response();
        }
        // A call that another has signed is sent on as it is.
        let span = if is_own { assign.seconds.min(SPAN).min(left(deadline)) } else { assign.seconds };
        let shortened = (span < assign.seconds).then(|| assign.for_seconds(span.max(1), &gate.key)).flatten();
        let sent = shortened.map_or_else(|| body.clone(), Bytes::from);
        let limit = Duration::from_secs(u64::try_from(span).unwrap_or_default()) + MARGIN;
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(attempt(gate.clone(), parts.clone(), sent, limit, is_own, sender));
        // The task always answers; a runtime that ends asks for nothing more.
        let Ok(answer) = receiver.await else { return Reply::nothing().into_response() };
        match answer {
            Err(refused) => return *refused,
            Ok(reply) if !(reply.is_nothing() && span < assign.seconds && left(deadline) > 0) => {
                return reply.into_response();
            }
            Ok(_) => {}
        }
    }
}

/// Seconds until then, rounded.
fn left(deadline: Instant) -> i64 {
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(500);
    i64::try_from(left.as_secs()).unwrap_or(i64::MAX)
}

/// Waits while nothing may be asked for: what a call wins that was under way is for this one, if its own has left.
async fn wait(gate: &Inner, deadline: Instant, is_own: bool) -> Reply {
    let mut changes = gate.state.subscribe();
    loop {
        if !changes.borrow_and_update().is_closed() {
            return Reply::nothing();
        }
        if is_own && let Some(kept) = gate.kept.lock().pop_front() {
            return kept;
        }
        if !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            return Reply::nothing();
        }
    }
}

type Answer = Result<Reply, Box<Response>>;

/// Asks the server once, and waits for its answer whether anybody waits for it or not.
async fn attempt(
    gate: Arc<Inner>,
    parts: Parts,
    body: Bytes,
    limit: Duration,
    is_own: bool,
    to: oneshot::Sender<Answer>,
) {
    let answer = match timeout(limit, read(&gate, &parts, body)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(Box::new(upstream::unreachable(error))),
        Err(_) => {
            let why = "the server of the colony did not answer in time";
            Err(Box::new(upstream::refused(StatusCode::GATEWAY_TIMEOUT, why)))
        }
    };
    let process = answer.as_ref().ok().and_then(Reply::process);
    gate.change(|state| state.answered(process.clone()));
    let (Err(unwanted), Some(process)) = (to.send(answer), process) else { return };
    let Ok(reply) = unwanted else { return };
    let mut kept = gate.kept.lock();
    if is_own && reply.rest.is_none() && kept.len() < KEPT_MAX {
        tracing::info!(%process, "assigned after its executor had left: kept for its next call");
        kept.push_back(reply);
        drop(kept);
        // For calls that wait behind the gate.
        gate.state.send_modify(|_| {});
    } else {
        drop(kept);
        tracing::warn!(%process, "assigned after its executor had left");
        gate.change(|state| state.close(&process));
    }
}

async fn read(gate: &Inner, parts: &Parts, body: Bytes) -> reqwest::Result<Reply> {
    let response = gate.upstream.send(parts, body, false).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = reqwest::Body::from(response);
    let (first, is_whole) = upstream::beginning(&mut body, REPLY_MAX).await?;
    Ok(Reply { status, headers, first, rest: (!is_whole).then_some(body) })
}
