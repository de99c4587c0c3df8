//! What a process has seen of a request's way, with times. Transitions that were not recorded in time are completed
//! from here, once it is our turn to write.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use parking_lot::Mutex;

use crate::api::request_state::{Position, PositionRecord, RequestState};

/// How fine the times are that an API server keeps of writes.
const SERVER_UNIT: SignedDuration = SignedDuration::from_secs(1);

/// Sightings of one request in their order. A position that was passed between two looks is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PositionLog {
    seen: Vec<PositionRecord>,
}

impl PositionLog {
    /// Most that are kept: what lies further back stands in the history.
    const MOST: usize = 128;

    /// Takes note of an object as it is at `now`; whether the request has moved since the last look.
    pub fn see(&mut self, object: &RequestState, now: Timestamp) -> bool {
        let position = Position::of(object);
        if self.seen.last().is_some_and(|last| last.position == position) {
            return false;
        }
        let at = match entered_at(object) {
            // The server knows it better than one who has come late.
            Some(written) if now.duration_since(written) >= SERVER_UNIT => written,
            _ => now,
        };
        self.seen.push(PositionRecord { position, at });
        let surplus = self.seen.len().saturating_sub(Self::MOST);
        self.seen.drain(..surplus);
        true
    }

    /// All of them, the newest last.
    #[must_use]
    pub fn all(&self) -> &[PositionRecord] {
        &self.seen
    }
}

/// What this process has seen of all requests, by UID.
#[derive(Clone, Default)]
pub struct PositionLogs {
    by_uid: Arc<Mutex<HashMap<String, PositionLog>>>,
}

impl PositionLogs {
    /// Takes note of an object as it is at `now`; all that was seen of it.
    #[must_use]
    pub fn see(&self, object: &RequestState, now: Timestamp) -> Vec<PositionRecord> {
        let mut by_uid = self.by_uid.lock();
        let position_log = by_uid.entry(object.uid().unwrap_or_default()).or_default();
        position_log.see(object, now);
        position_log.all().to_vec()
    }

    /// Forgets a request that has ended or is gone.
    pub fn forget(&self, uid: &str) {
        self.by_uid.lock().remove(uid);
    }
}

/// When the server last took a write of `spec.state`, to the second.
#[must_use]
pub fn entered_at(object: &RequestState) -> Option<Timestamp> {
    let writes = object.managed_fields().iter().filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        let spec = fields.and_then(|fields| fields.get("f:spec"));
        spec.is_some_and(|spec| spec.get("f:state").is_some())
    });
    writes.filter_map(|entry| entry.time.as_ref().map(|time| time.0)).max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(state: &str, written: &str) -> RequestState {
        serde_json::from_value(json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "r", "managedFields": [
                { "manager": "other", "time": "2030-01-01T00:00:00Z", "fieldsV1": { "f:status": {} } },
                { "manager": "a", "time": "2026-11-24T09:00:00Z",
                  "fieldsV1": { "f:spec": { "f:request-uid": {} } } },
                { "manager": "b", "time": written, "fieldsV1": { "f:spec": { "f:state": {} } } },
            ] },
            "spec": { "request-uid": "u", "job": "A", "state": state },
        }))
        .unwrap()
    }

    /// A worker that starts an hour later must not record that the request was created only now.
    #[test]
    fn the_server_knows_better_when_we_have_come_late() {
        let now: Timestamp = "2026-11-24T10:00:01.700Z".parse().unwrap();
        let mut position_log = PositionLog::default();
        assert!(position_log.see(&object("REQUESTED", "2026-11-24T09:30:00Z"), now));
        assert!(!position_log.see(&object("REQUESTED", "2026-11-24T09:30:00Z"), now));
        assert!(position_log.see(&object("STARTED", "2026-11-24T10:00:01Z"), now));
        let times: Vec<String> = position_log.all().iter().map(|seen| seen.at.to_string()).collect();
        assert_eq!(times, ["2026-11-24T09:30:00Z", "2026-11-24T10:00:01.7Z"]);
    }
}
