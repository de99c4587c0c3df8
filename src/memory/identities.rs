//! The content of the Secrets of executors except the key, so that they need not be read on every pass. They are not
//! watched: that would take the right to list every Secret.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use crate::{api::names::CONTENT_HASH_ANNOTATION, snapshot::Identity};

/// How long what was read is believed. Only pods that start need a deleted Secret, and those are observed to wait for
/// it.
const VALIDITY: Duration = Duration::from_mins(10);

/// Identities that were read, by namespace and name of the Secret.
#[derive(Clone, Default)]
pub struct Identities {
    read: Arc<Mutex<HashMap<SecretKey, (Identity, Instant)>>>,
}

/// Namespace and name of a Secret.
type SecretKey = (String, String);

impl Identities {
    /// The content of a Secret at its last read, unless that is too long ago.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str, now: Instant) -> Option<Identity> {
        let read = self.read.lock();
        read.get(&(namespace.to_owned(), name.to_owned()))
            .filter(|(_, at)| now.saturating_duration_since(*at) < VALIDITY)
            .map(|(identity, _)| identity.clone())
    }

    /// Records the content of a Secret.
    pub fn put(&self, namespace: &str, name: &str, identity: Identity, now: Instant) {
        let mut read = self.read.lock();
        read.insert((namespace.to_owned(), name.to_owned()), (identity, now));
    }

    /// Forgets a Secret that is written to or gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let mut read = self.read.lock();
        read.remove(&(namespace.to_owned(), name.to_owned()));
    }
}

/// The identity in a Secret; the key stays where it is.
#[must_use]
pub fn read_identity(secret: &Secret) -> Identity {
    let said = |key: &str| {
        if let Some(text) = secret.string_data.as_ref().and_then(|data| data.get(key)) {
            return Some(text.clone());
        }
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned())
    };
    let text = |key: &str| said(key).unwrap_or_default();
    let owners = secret.owner_references();
    // One that goes with another object is not free either.
    let owner = owners.iter().find(|owner| owner.controller == Some(true)).or(owners.first());
    Identity {
        owner_uid: owner.map(|owner| owner.uid.clone()),
        resource_version: secret.resource_version(),
        executor_name: text("COLONIES_EXECUTOR_NAME"),
        executor_id: text("COLONIES_EXECUTOR_ID"),
        executor_type: said("COLONIES_EXECUTOR_TYPE"),
        location: said("COLONIES_NODE_LOCATION"),
        content_hash: secret.annotations().get(CONTENT_HASH_ANNOTATION).cloned(),
    }
}
