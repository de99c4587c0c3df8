//! Watches: the changes of some objects, as lines of JSON, for as long as the client listens.

use std::{collections::VecDeque, convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    kind::{Kind, Version},
    request::ResourceRequest,
    store::{Change, In, Store, set},
};

/// Tells watches that there may be something new; clones are the same bell.
#[derive(Clone, Debug)]
pub(super) struct Bell(Arc<watch::Sender<()>>);

impl Default for Bell {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Bell {
    pub(super) fn ring(&self) {
        self.0.send_replace(());
    }

    /// How many watches are open.
    pub(super) fn listeners(&self) -> usize {
        self.0.receiver_count()
    }
}

/// A watch that is open.
struct Watch {
    store: Arc<Mutex<Store>>,
    changed: watch::Receiver<()>,
    request: ResourceRequest,
    kind: Arc<Kind>,
    version: Version,
    /// The first change that was not looked at yet.
    next: usize,
    waiting: VecDeque<Bytes>,
}

/// The changes that come after the version that the request names, for ever.
pub(super) fn open(
    store: Arc<Mutex<Store>>,
    bell: &Bell,
    request: ResourceRequest,
    kind: Arc<Kind>,
    version: Version,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + use<> {
    let since = request.query.resource_version.unwrap_or_default();
    let next = store.lock().changes.partition_point(|change| change.version <= since);
    let changed = bell.0.subscribe();
    let watch = Watch { store, changed, request, kind, version, next, waiting: VecDeque::new() };
    futures::stream::unfold(watch, |mut watch| async move {
        loop {
            if let Some(line) = watch.waiting.pop_front() {
                return Some((Ok(Frame::data(line)), watch));
            }
            watch.changed.mark_unchanged();
            watch.look();
            // The server is gone when this fails, and with it whatever could change.
            if watch.waiting.is_empty() && watch.changed.changed().await.is_err() {
                return None;
            }
        }
    })
}

impl Watch {
    fn look(&mut self) {
        let Self { store, request, kind, version, next, waiting, .. } = self;
        let store = store.lock();
        if store.held.contains(&kind.plural) {
            return;
        }
        let of = In { kind, version };
        for change in store.changes.iter().skip(*next).filter(|change| request.covers(&change.key)) {
            waiting.extend(event(request, of, change).map(|event| Bytes::from(format!("{event}\n"))));
        }
        *next = store.changes.len();
    }
}

/// What a change is to one who sees only some objects.
fn event(request: &ResourceRequest, of: In<'_>, change: &Change) -> Option<Value> {
    let before = change.before.as_deref().filter(|object| request.selects(object));
    let after = change.after.as_deref().filter(|object| request.selects(object));
    let (type_, object) = match (before, after) {
        (None, None) => return None,
        (None, Some(after)) => ("ADDED", after.clone()),
        (Some(_), Some(after)) => ("MODIFIED", after.clone()),
        (Some(before), None) => {
            let mut last = before.clone();
            set(&mut last, "resourceVersion", change.version.to_string().into());
            ("DELETED", last)
        }
    };
    Some(json!({ "type": type_, "object": of.shown(&object, request.metadata_only) }))
}
