//! Who works on a job. A worker takes a job by writing `STARTED` with the resource version that it has seen, and in
//! the same write an annotation with its identity: of several workers one wins, and a restarted worker knows what it
//! had begun.

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::{Deserialize, Serialize};

use crate::api::{
    names::CLAIM_ANNOTATION,
    request_state::{RequestState, State},
};

/// The content of the annotation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Claim {
    /// The worker.
    pub identity: String,
    /// Its process, in words that no other process of this machine has had.
    pub process: String,
    /// Generation of the object at which its job is `STARTED`. Any later one is not this claim's.
    pub generation: i64,
    /// When it was made.
    pub at: Timestamp,
}

/// Who has claimed the job that is `STARTED`, as one worker sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The worker's own process.
    Ourselves(Claim),
    /// An earlier process of the same worker, which has ended.
    Predecessor(Claim),
    /// Another worker, or one without the annotation; or none, since the job is not `STARTED`.
    Other,
}

impl Claim {
    /// The claim under which an object's job is `STARTED`; none if there is none, or if it was of an earlier job.
    #[must_use]
    pub fn of(object: &RequestState) -> Option<Self> {
        let text = object.annotations().get(CLAIM_ANNOTATION)?;
        let claim: Self = serde_json::from_str(text).ok()?;
        let is_current = object.spec.state == State::Started
            && object.metadata.generation.is_none_or(|generation| generation == claim.generation);
        is_current.then_some(claim)
    }

    /// As it stands in the annotation.
    #[must_use]
    pub fn text(&self) -> String {
        // Four plain fields, which cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Holder {
    /// Who holds an object's job, for the worker `identity` in `process`; `runs`: whether a process runs.
    #[must_use]
    pub fn of(object: &RequestState, identity: &str, process: &str, runs: impl Fn(&str) -> bool) -> Self {
        match Claim::of(object) {
            Some(claim) if claim.identity == identity && claim.process == process => Self::Ourselves(claim),
            Some(claim) if claim.identity == identity && !runs(&claim.process) => Self::Predecessor(claim),
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(state: &str, generation: i64, claim: &str) -> RequestState {
        serde_json::from_value(json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": { "name": "r", "generation": generation, "annotations": { CLAIM_ANNOTATION: claim } },
            "spec": { "request-uid": "u", "job": "A", "state": state },
        }))
        .unwrap()
    }

    /// Failing a job of another worker would crash programs that do not expect it.
    #[test]
    fn only_what_a_dead_process_of_the_same_worker_began_is_ours_to_end() {
        let claim = Claim {
            identity: "w".to_owned(),
            process: "p1".to_owned(),
            generation: 2,
            at: Timestamp::UNIX_EPOCH,
        };
        let text = claim.text();
        let holder = |object: &RequestState, identity: &str, process: &str, running: bool| {
            Holder::of(object, identity, process, |_| running)
        };
        let started = object("STARTED", 2, &text);
        assert_eq!(holder(&started, "w", "p1", true), Holder::Ourselves(claim.clone()));
        assert_eq!(holder(&started, "w", "p2", false), Holder::Predecessor(claim));
        assert_eq!(holder(&started, "w", "p2", true), Holder::Other);
        assert_eq!(holder(&started, "x", "p1", false), Holder::Other);
        // Another worker has started a later job since.
        assert_eq!(holder(&object("STARTED", 5, &text), "w", "p1", false), Holder::Other);
        assert_eq!(holder(&object("REQUESTED", 2, &text), "w", "p1", false), Holder::Other);
        assert_eq!(holder(&object("STARTED", 2, "somebody"), "w", "p1", false), Holder::Other);
    }
}
