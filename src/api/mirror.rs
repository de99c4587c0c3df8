//! The record of the process of an object in a colony, for objects of any kind.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The process of a generation of an object.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MirrorStatus {
    /// Label of the process: `k8s:<cluster>/<uid>/<generation>`.
    pub label: String,
    /// Its generation.
    pub generation: i64,
    /// Its id; absent while only the intent is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_id: Option<String>,
    /// Its state.
    pub state: MirrorState,
    /// When the intent to submit it was recorded.
    pub intended_at: Time,
    /// When the server took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Time>,
    /// Why it failed: its errors, cut to fit. `colonyos-operator process` shows all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<String>,
}

/// The colony in which an object has processes or a blueprint. The object stays with it for as long as anything of it may be
/// there, whatever becomes of its `Colony` and of the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UsedColony {
    /// Name of the Colony.
    pub name: String,
    /// UID of the Colony.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// The colony's own name, on its server.
    pub colony_name: String,
}

/// A kind whose objects have processes.
pub trait Mirrored {
    /// The process, as status records it.
    fn mirror(&self) -> Option<&MirrorStatus>;

    /// The same, to be changed.
    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>>;

    /// Takes out of status which process it is: it is to be looked up by its label.
    fn unbind(&mut self) {
        if let Some(Some(mirror)) = self.mirror_mut() {
            mirror.unbind();
        }
    }

    /// The colony in which it is, as status records it.
    fn used_colony(&self) -> Option<&UsedColony>;

    /// Whether anything of it may be in that colony now.
    fn is_in_colony(&self) -> bool {
        self.mirror().is_some_and(MirrorStatus::may_live) || self.blueprint().is_some()
    }

    /// The name of the blueprint that mirrors the object, if status records one.
    fn blueprint(&self) -> Option<&str> {
        None
    }

    /// Its processes that are not over, as far as status knows. None while only the intent is on record.
    fn live_processes(&self) -> Vec<LiveProcess<'_>> {
        let live = self.mirror().filter(|mirror| mirror.state.is_live());
        live.and_then(|mirror| {
            let id = mirror.process_id.as_deref()?;
            Some(LiveProcess { id, state: mirror.state, is_blocked: false })
        })
        .into_iter()
        .collect()
    }
}

/// A process that is not over, as far as status knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveProcess<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its state: `Waiting` or `Running`.
    pub state: MirrorState,
    /// Whether it waits for others that are followed too, and moves only when they do.
    pub is_blocked: bool,
}

impl MirrorStatus {
    /// Whether only the intent is on record: whether anything was submitted for it has to be looked up.
    #[must_use]
    pub fn is_unbound(&self) -> bool {
        self.process_id.is_none() && self.state == MirrorState::Intended
    }

    /// Leaves only the intent on record.
    pub fn unbind(&mut self) {
        self.process_id = None;
        self.state = MirrorState::Intended;
    }

    /// Whether something of it may still be alive in the colony.
    #[must_use]
    pub fn may_live(&self) -> bool {
        self.state.is_live() || self.state == MirrorState::Intended
    }
}

/// State of a mirrored process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr)]
pub enum MirrorState {
    /// The intent to submit is recorded; nothing is known on the server.
    Intended,
    /// Waits for an executor.
    Waiting,
    /// Assigned to an executor.
    Running,
    /// Closed as successful.
    Successful,
    /// Closed as failed, or out of time.
    Failed,
    /// Cancelled.
    Cancelled,
    /// Bound, but no longer on the server. It is not submitted again.
    Lost,
}

impl MirrorState {
    /// The name in status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the process can still change by itself.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Waiting | Self::Running)
    }
}
