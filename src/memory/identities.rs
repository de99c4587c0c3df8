//! The content of the Secrets of executors except the key, so that they need not be read on every pass. They are not
//! watched: that would take the right to list every Secret.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use parking_lot::Mutex;

use crate::{api::names::CONTENT_HASH_ANNOTATION, colony::PrivateKey, snapshot::Identity};

/// How long what was read is believed. Only pods that start need a deleted Secret, and those are observed to wait for
/// it.
const VALIDITY: Duration = Duration::from_mins(10);

/// Identities that were read, by namespace and name of the Secret.
#[derive(Clone, Default)]
pub struct Identities {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    read: HashMap<SecretKey, (Identity, Instant)>,
    /// When this process first took what is on record for what there is.
    begun: Option<Instant>,
    /// Of which this process has known more since. Nothing is assumed of any when this has grown for [`VALIDITY`].
    met: HashSet<SecretKey>,
}

/// Namespace and name of a Secret.
type SecretKey = (String, String);

impl Identities {
    /// The content of a Secret at its last read, unless that is too long ago.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str, now: Instant) -> Option<Identity> {
        let state = self.state.lock();
        let read = &state.read;
        read.get(&(namespace.to_owned(), name.to_owned()))
            .filter(|(_, at)| now.saturating_duration_since(*at) < VALIDITY)
            .map(|(identity, _)| identity.clone())
    }

    /// Records the content of a Secret.
    pub fn put(&self, namespace: &str, name: &str, identity: Identity, now: Instant) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.state.lock();
        state.met.insert(key.clone());
        state.read.insert(key, (identity, now));
    }

    /// Believes what is on record of a Secret, once, and in the first minutes alone: a process that has just begun would read
    /// as many Secrets as there are fleets, to find that nothing is to be done. None where this process knows better.
    #[must_use]
    pub fn assume(&self, namespace: &str, name: &str, recorded: Identity, now: Instant) -> Option<Identity> {
        let mut state = self.state.lock();
        let begun = *state.begun.get_or_insert(now);
        if now.saturating_duration_since(begun) >= VALIDITY {
            state.met.clear();
            return None;
        }
        let key = (namespace.to_owned(), name.to_owned());
        if !state.met.insert(key.clone()) {
            return None;
        }
        state.read.insert(key, (recorded.clone(), now));
        Some(recorded)
    }

    /// Forgets a Secret that is written to or gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut state = self.state.lock();
        state.read.remove(&key);
        state.met.insert(key);
    }
}

/// The identity in a Secret; the key stays where it is. Its id is that of the key: what the Secret says of it beside the key is
/// written by users who may edit Secrets in the namespace.
#[must_use]
pub fn read_identity(secret: &Secret) -> Identity {
    let value = |key: &str| {
        if let Some(text) = secret.string_data.as_ref().and_then(|data| data.get(key)) {
            return Some(text.as_str());
        }
        let bytes = secret.data.as_ref().and_then(|data| data.get(key))?;
        std::str::from_utf8(&bytes.0).ok()
    };
    let said = |key: &str| value(key).map(str::to_owned);
    let id = value("COLONIES_PRVKEY").and_then(|key| PrivateKey::from_hex(key).ok());
    let text = |key: &str| said(key).unwrap_or_default();
    let owners = secret.owner_references();
    // One that goes with another object is not free either.
    let owner = owners.iter().find(|owner| owner.controller == Some(true)).or(owners.first());
    Identity {
        owner_uid: owner.map(|owner| owner.uid.clone()),
        uid: secret.uid(),
        resource_version: secret.resource_version(),
        executor_name: text("COLONIES_EXECUTOR_NAME"),
        executor_id: id.map(|key| key.id().to_string()).unwrap_or_default(),
        executor_type: said("COLONIES_EXECUTOR_TYPE"),
        location: said("COLONIES_NODE_LOCATION"),
        content_hash: secret.annotations().get(CONTENT_HASH_ANNOTATION).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(name: &str) -> Identity {
        Identity {
            owner_uid: Some("u".to_owned()),
            uid: None,
            resource_version: None,
            executor_name: name.to_owned(),
            executor_id: "i".to_owned(),
            executor_type: None,
            location: None,
            content_hash: None,
        }
    }

    #[test]
    fn an_identity_follows_from_its_key() {
        let key = PrivateKey::generate().unwrap();
        let secret = |key: &str| {
            let data = serde_json::json!({
                "COLONIES_EXECUTOR_NAME": "n", "COLONIES_EXECUTOR_ID": "theirs", "COLONIES_PRVKEY": key,
            });
            read_identity(&serde_json::from_value(serde_json::json!({ "stringData": data })).unwrap())
        };
        assert_eq!(secret(key.to_hex().as_str()).executor_id, key.id().to_string());
        assert_eq!(secret("no key").executor_id, "");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "any moment will do")]
    fn what_is_on_record_is_believed_once_by_a_process_that_has_just_begun() {
        let (identities, now) = (Identities::default(), Instant::now());
        assert_eq!(identities.assume("n", "a", identity("a"), now), Some(identity("a")));
        assert_eq!(identities.get("n", "a", now), Some(identity("a")));
        identities.forget("n", "a");
        assert_eq!(identities.assume("n", "a", identity("a"), now), None, "it was written to since");
        identities.put("n", "b", identity("other"), now);
        assert_eq!(identities.assume("n", "b", identity("b"), now), None, "it was read");
        let later = now + VALIDITY;
        assert_eq!(identities.assume("n", "c", identity("c"), later), None, "it did not just begin");
        assert_eq!(identities.state.lock().met.len(), 0);
    }
}
