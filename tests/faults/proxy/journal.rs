//! What has passed the proxy: every write that the servers carried out, and every look for a label.

use std::{
    collections::{BTreeMap, HashMap},
    time::Instant,
};

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;
use tokio::sync::Notify;

use super::point::{About, Point};

/// One write that a server carried out.
#[derive(Clone, Debug)]
pub struct Write {
    /// What it was.
    pub point: Point,
    /// The object that it was about, if that is known.
    pub subject: Option<String>,
    /// When it was answered.
    pub at: Instant,
}

/// What has passed.
#[derive(Default)]
pub struct Journal {
    state: Mutex<State>,
    looked: Notify,
}

#[derive(Default)]
struct State {
    writes: Vec<Write>,
    look_ups: HashMap<String, usize>,
    /// Names of objects by UID, process and executor.
    names: HashMap<String, String>,
}

impl Journal {
    /// Notes a write.
    pub fn wrote(&self, write: Write) {
        self.state().writes.push(write);
    }

    /// The writes so far.
    pub fn writes(&self) -> Vec<Write> {
        self.state().writes.clone()
    }

    /// How many writes there were so far.
    pub fn count(&self) -> usize {
        self.state().writes.len()
    }

    /// The writes that followed the first `count`, by point.
    pub fn since(&self, count: usize) -> BTreeMap<Point, usize> {
        let mut counts = BTreeMap::new();
        for write in &self.state().writes[count..] {
            *counts.entry(write.point.clone()).or_default() += 1;
        }
        counts
    }

    /// Whether any of the writes that followed the first `count` came to a point for an object whose name begins so.
    pub fn has_come(&self, count: usize, point: &Point, prefix: &str) -> bool {
        let state = self.state();
        let of_such =
            |write: &Write| write.subject.as_ref().is_some_and(|subject| subject.starts_with(prefix));
        state.writes[count..].iter().any(|write| write.point == *point && of_such(write))
    }

    /// When something was first written about an object after a moment.
    pub fn next_about(&self, subject: &str, after: Instant) -> Option<Instant> {
        let state = self.state();
        let mut about = state.writes.iter().filter(|write| write.subject.as_deref() == Some(subject));
        about.find(|write| write.at > after).map(|write| write.at)
    }

    /// Notes that the server has answered a look for a label.
    pub fn looked_up(&self, label: &str) {
        *self.state().look_ups.entry(label.to_owned()).or_default() += 1;
        self.looked.notify_waiters();
    }

    /// Waits until a label has been looked for so many times more.
    pub async fn look_ups(&self, label: &str, more: usize) {
        let count = || self.state().look_ups.get(label).copied().unwrap_or_default();
        let wanted = count() + more;
        loop {
            let looked = self.looked.notified();
            if count() >= wanted {
                return;
            }
            looked.await;
        }
    }

    /// Learns from a status which object a process and an executor belong to.
    pub fn learn_status(&self, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let Some(name) = text("/metadata/name") else { return };
        for pointer in ["/metadata/uid", "/status/mirror/processId", "/status/executor/name"] {
            if let Some(key) = text(pointer) {
                self.learn(key, name.clone());
            }
        }
    }

    /// Learns which object something belongs to.
    pub fn learn(&self, key: String, name: String) {
        self.state().names.insert(key, name);
    }

    /// The object that a request is about.
    pub fn subject(&self, about: &About) -> Option<String> {
        let state = self.state();
        match about {
            About::Object(name) => Some(name.clone()),
            About::Process(id) => state.names.get(id).cloned(),
            About::Label(label) => state.names.get(label.rsplit('/').nth(1)?).cloned(),
            // Called `<namespace>-<object>-<random>`; the last is what the objects of this rung have in their names.
            About::Executor(name) => state.names.get(name).cloned().or_else(|| {
                let mut parts = name.rsplit('-').skip(1);
                let (number, word) = (parts.next()?, parts.next()?);
                Some(format!("{word}-{number}"))
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}
