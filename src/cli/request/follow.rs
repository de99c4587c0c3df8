//! The watch of requests, as a stream of what has become of each.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api, Client, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::mpsc;

use crate::{api::request_state::RequestState, cli::output::complain, runtime::kubernetes::WATCH_SECONDS};

/// A change of a request.
#[derive(Debug)]
pub(super) enum Seen {
    /// It is so now.
    Is(Box<RequestState>),
    /// The request with this UID is gone.
    Gone(String),
}

/// Watches the requests of one namespace, or of all. Ends when the receiver is dropped.
pub(super) fn follow(client: Client, namespace: Option<&str>) -> mpsc::Receiver<Seen> {
    // One request that cannot be read must not stop the watch of all.
    let api: Api<DeserializeGuard<RequestState>> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(async move {
        let config = watcher::Config::default().timeout(WATCH_SECONDS);
        let mut events = watcher(api, config).default_backoff().into_stream().boxed();
        let (mut known, mut listed) = (HashSet::new(), HashSet::new());
        let mut reported = String::new();
        loop {
            let event = match events.try_next().await {
                Ok(Some(event)) => event,
                Ok(None) => return,
                Err(error) => {
                    let text = error.to_string();
                    if text != reported {
                        complain(format_args!(
                            "warning: failed to watch RequestStates, trying again: {text}"
                        ));
                        reported = text;
                    }
                    continue;
                }
            };
            reported.clear();
            let mut news = Vec::new();
            match event {
                watcher::Event::Init => listed.clear(),
                watcher::Event::InitApply(object) => {
                    listed.extend(object.uid());
                    news.extend(readable(object));
                }
                watcher::Event::InitDone => {
                    news.extend(known.difference(&listed).cloned().map(Seen::Gone));
                    known = std::mem::take(&mut listed);
                }
                watcher::Event::Apply(object) => {
                    known.extend(object.uid());
                    news.extend(readable(object));
                }
                watcher::Event::Delete(object) => {
                    let uid = object.uid().unwrap_or_default();
                    known.remove(&uid);
                    news.push(Seen::Gone(uid));
                }
            }
            for one in news {
                if sender.send(one).await.is_err() {
                    return;
                }
            }
        }
    });
    receiver
}

fn readable(object: DeserializeGuard<RequestState>) -> Option<Seen> {
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    match object.0 {
        Ok(object) => Some(Seen::Is(Box::new(object))),
        Err(error) => {
            complain(format_args!(
                "warning: RequestState {namespace}/{name} cannot be read and is left unchanged: {error}"
            ));
            None
        }
    }
}
