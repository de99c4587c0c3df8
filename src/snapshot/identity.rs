//! The identity of an executor: its Secret, and what the colony knows of it.

use crate::{
    api::names::{is_executor_of, parse_executor_origin},
    colony::model::{Executor, ExecutorState},
};

/// An executor's identity as it stands in its Secret, without the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// UID of the object that controls the Secret, or with which it goes.
    pub owner_uid: Option<String>,
    /// UID of the Secret: precondition of its deletion. None of one that was not read.
    pub uid: Option<String>,
    /// Version of the Secret: precondition of its replacement. None of one that was not read.
    pub resource_version: Option<String>,
    /// Name of the executor in the colony.
    pub executor_name: String,
    /// Id of the executor, derived from its key; empty where there is no key.
    pub executor_id: String,
    /// The executor type of its registration, if the Secret records it.
    pub executor_type: Option<String>,
    /// The location of its registration, which may be empty, if the Secret records it.
    pub location: Option<String>,
    /// Hash of the rest of the environment.
    pub content_hash: Option<String>,
}

impl Identity {
    /// Whether it was not read: status says so.
    #[must_use]
    pub const fn is_on_record_only(&self) -> bool {
        self.resource_version.is_none()
    }
}

/// What a colony knows of an executor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It has never heard of it.
    Absent,
    /// It knows it.
    Present(ExecutorState),
    /// It knows one of this name that is another's.
    Foreign,
}

/// A fleet, as executors say for which they were registered.
#[derive(Clone, Copy, Debug)]
pub struct Fleet<'a> {
    pub cluster: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
}

impl Registration {
    /// What the executor that a colony has under a name is to a fleet that says that it is its own. It must have the name of one
    /// of that fleet and the id of the fleet's key; where the key is gone, it must say itself for which fleet it was
    /// registered: only the owner of the colony can write that.
    #[must_use]
    pub fn of(found: Option<&Executor>, fleet: Fleet<'_>, id: Option<&str>) -> Self {
        let Some(found) = found else { return Self::Absent };
        let origin = parse_executor_origin(&found.blueprint_id);
        let is_made_for_it = origin.map(|(cluster, _, namespace, name)| {
            (cluster, namespace, name) == (fleet.cluster, fleet.namespace, fleet.name)
        });
        let is_its_key = id.map_or(is_made_for_it == Some(true), |id| found.id.as_str() == id);
        let is_its_name = is_executor_of(&found.name, fleet.namespace, fleet.name);
        if is_its_name && is_its_key && is_made_for_it != Some(false) {
            Self::Present(found.state)
        } else {
            Self::Foreign
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FLEET: Fleet<'_> = Fleet { cluster: "c", namespace: "media", name: "encoders" };

    fn executor(name: &str, id: &str, origin: &str) -> Executor {
        serde_json::from_value(json!({
            "executorid": id.repeat(64), "executorname": name, "executortype": "t", "colonyname": "dev", "state": 1,
            "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
            "blueprintid": origin,
        }))
        .unwrap()
    }

    /// A Secret with the name of another's executor was enough to have that one removed.
    #[test]
    fn an_executor_is_a_fleets_own_by_key_name_and_origin() {
        let present = Registration::Present(ExecutorState::Approved);
        let (own, before) = ("k8s:c/u/media/encoders", "k8s:c/before/media/encoders");
        let name = "media-encoders-abc123";
        for (found, id, wanted) in [
            (executor(name, "a", own), Some("a"), present),
            (executor(name, "a", before), Some("a"), present),
            (executor(name, "a", ""), Some("a"), present),
            (executor(name, "a", own), None, present),
            (executor(name, "b", own), Some("a"), Registration::Foreign),
            (executor(name, "a", ""), None, Registration::Foreign),
            (executor(name, "a", "k8s:c/u/other/encoders"), Some("a"), Registration::Foreign),
            (executor(name, "a", "k8s:d/u/media/encoders"), Some("a"), Registration::Foreign),
            (executor("other-encoders-abc123", "a", ""), Some("a"), Registration::Foreign),
            (executor("edge-operator-abc123", "a", "k8s:c/operator"), Some("a"), Registration::Foreign),
        ] {
            let id = id.map(|id| id.repeat(64));
            let says = format!("{found:?} {id:?}");
            assert_eq!(Registration::of(Some(&found), FLEET, id.as_deref()), wanted, "{says}");
        }
        assert_eq!(Registration::of(None, FLEET, Some("a")), Registration::Absent);
    }
}
