//! Calls for work. Each is made in short spans, so that none is under way for long when a drain begins; and each of them is waited for
//! to its end, even if the executor has left: what it wins is kept for the executor's next call.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{StatusCode, request::Parts},
    response::Response,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{message::Assign, reply::Reply, shared::Inner, state::State, upstream};

/// How long the server is asked to wait at a time. It misses some wake-ups, so that longer spans only delay.
const SPAN: i64 = 10;
/// How much longer than that an answer may take.
const MARGIN: Duration = Duration::from_secs(30);
/// How long a call for work waits once the executor is drained: it is about to be told to stop, and some end their call first.
const HELD: Duration = Duration::from_secs(1);
/// Most replies that are kept for calls to come.
const KEPT_MAX: usize = 16;

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
        let (is_closed, is_held) = {
            let state = changes.borrow_and_update();
            (state.is_closed(), state.is_held())
        };
        if !is_closed {
            return Reply::nothing();
        }
        if is_own && let Some(kept) = gate.kept.lock().pop_front() {
            return kept;
        }
        let until = if is_held { deadline.min(Instant::now() + HELD) } else { deadline };
        if !matches!(timeout_at(until, changes.changed()).await, Ok(Ok(()))) {
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
    let answer = match timeout(limit, Reply::to(&gate.upstream, &parts, body)).await {
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
    if is_own && reply.is_whole() && kept.len() < KEPT_MAX {
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
