//! What a server tells about requests, version by version.

use std::sync::{Arc, Mutex};

use colonyos_operator::api::request_state::RequestState;
use futures::StreamExt as _;
use kube::{Api, ResourceExt as _, runtime::watcher};
use tokio::task::JoinHandle;

/// Every version of every request of a namespace, in the order in which the server made them.
pub struct Record {
    versions: Arc<Mutex<Vec<RequestState>>>,
    watch: JoinHandle<()>,
}

impl Record {
    /// Begins to record.
    pub fn start(api: Api<RequestState>) -> Self {
        let versions = Arc::new(Mutex::new(Vec::new()));
        let kept = versions.clone();
        let watch = tokio::spawn(async move {
            let mut events = watcher(api, watcher::Config::default()).boxed();
            while let Some(event) = events.next().await {
                if let Ok(watcher::Event::Apply(object) | watcher::Event::InitApply(object)) = event {
                    kept.lock().unwrap().push(object);
                }
            }
        });
        Self { versions, watch }
    }

    /// The places that requests have been at, each as often as it was written there.
    pub fn writes(&self) -> Vec<(String, usize)> {
        let mut writes: Vec<(String, usize)> = Vec::new();
        for version in self.versions.lock().unwrap().iter() {
            let place = place(version);
            match writes.last_mut() {
                Some((last, count)) if *last == place => *count += 1,
                _ => writes.push((place, 1)),
            }
        }
        writes
    }

    /// The places that requests have been at.
    pub fn places(&self) -> Vec<String> {
        self.writes().into_iter().map(|(place, _)| place).collect()
    }

    /// The newest version of the only request.
    pub fn last(&self) -> Option<RequestState> {
        let versions = self.versions.lock().unwrap();
        let last = versions.last()?;
        assert!(versions.iter().all(|version| version.uid() == last.uid()), "there is one request only");
        Some(last.clone())
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

/// Where a request is.
pub fn place(object: &RequestState) -> String {
    format!("{} {}", object.spec.job, object.spec.state)
}

/// What its history says, times left out.
pub fn history(object: &RequestState) -> Vec<String> {
    let entries = object.status.iter().flat_map(|status| &status.history);
    entries.map(|entry| format!("{} {}", entry.job, entry.state)).collect()
}

/// The test stops unless all times of a history are RFC 3339 and in order.
pub fn assert_times(object: &RequestState) {
    let entries = &object.status.as_ref().unwrap().history;
    let times: Vec<jiff::Timestamp> = entries
        .iter()
        .map(|entry| entry.timestamp.parse().unwrap_or_else(|error| panic!("{entry:?}: {error}")))
        .collect();
    assert!(times.is_sorted(), "{entries:?}");
}
