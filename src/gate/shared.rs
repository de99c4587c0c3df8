//! What all requests to a gate share.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use super::{record::Record, reply::Reply, state::State, upstream::Upstream};
use crate::colony::{PrivateKey, Session};

/// What becomes of a process that has not ended when the time to drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum AtTimeout {
    /// The executor is stopped. Its process goes back to the queue when the executor is removed from the colony.
    Requeue,
    /// The process is cancelled, and the executor is stopped.
    Cancel,
}

/// What all requests share.
pub(super) struct Inner {
    pub state: watch::Sender<State>,
    /// Replies with a process that the executor did not wait for: they are for its next call.
    pub kept: Mutex<VecDeque<Reply>>,
    pub record: Record,
    pub upstream: Upstream,
    /// Calls as the executor.
    pub session: Session,
    pub key: PrivateKey,
    pub tunnels: Arc<Semaphore>,
    pub token: String,
    pub timeout: Option<Duration>,
    pub at_timeout: AtTimeout,
    pub hold: Duration,
    pub withdrawal: Duration,
}

impl Inner {
    /// Changes what is in hand, and keeps it where it outlives the gate.
    pub fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(|state| {
            change(state);
            self.record.write(state.open_processes());
        });
    }

    /// Changes anything else.
    pub fn change_quietly<T: Default>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut result = T::default();
        self.state.send_modify(|state| result = change(state));
        result
    }
}
