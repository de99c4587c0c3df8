//! Where a request is.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RequestStateStatus;
use crate::api::{
    condition::ConditionType,
    mirror::{MirrorStatus, Mirrored, UsedColony},
};

/// A request: the job that it is at, and how far that job is. The schema holds the rules for its transitions, so that
/// the API server refuses an illegal one from any client.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "com.redhat.ecosystem.sample",
    version = "v1",
    kind = "RequestState",
    plural = "requeststates",
    namespaced,
    status = "RequestStateStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "reqs",
    doc = "A request: a piece of work that passes through the jobs of a flow, one after the other.",
    printcolumn = r#"{"name": "Job", "type": "string", "jsonPath": ".spec.job"}"#,
    printcolumn = r#"{"name": "State", "type": "string", "jsonPath": ".spec.state"}"#,
    printcolumn = r#"{"name": "Step", "type": "string", "jsonPath": ".status.progress"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].reason"}"#,
    printcolumn = r#"{"name": "Paused", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Paused')].status"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Finished')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.state == oldSelf.state || (oldSelf.state == 'REQUESTED' && self.state in ['STARTED', 'FAILED', 'CANCELLED']) || (oldSelf.state == 'STARTED' && self.state in ['COMPLETED', 'FAILED', 'CANCELLED']) || (oldSelf.state in ['COMPLETED', 'FAILED'] && self.state == 'REQUESTED')").message(Message::Expression("'state cannot become ' + self.state + ' after ' + oldSelf.state + ': ' + (oldSelf.state == 'REQUESTED' ? 'set STARTED, FAILED or CANCELLED' : oldSelf.state == 'STARTED' ? 'set COMPLETED, FAILED or CANCELLED' : oldSelf.state in ['COMPLETED', 'FAILED'] ? 'set REQUESTED, with the job that comes next' : 'a cancelled request has ended, create another RequestState')".into())))]
#[x_kube(validation = Rule::new("self.job == oldSelf.job || (self.state == 'REQUESTED' && oldSelf.state != 'REQUESTED')").message(Message::Expression("'job cannot change from ' + oldSelf.job + ' to ' + self.job + ' while state is ' + self.state + ': name another job together with state REQUESTED, once the former job is COMPLETED or FAILED'".into())))]
#[x_kube(validation = Rule::new("!(oldSelf.state == 'COMPLETED' && self.state == 'REQUESTED') || self.job != oldSelf.job").message(Message::Expression("'job ' + self.job + ' is COMPLETED and cannot become REQUESTED again: name another job'".into())))]
pub struct RequestStateSpec {
    /// The unique identifier of this request, chosen by its creator.
    #[serde(rename = "request-uid")]
    #[x_kube(validation = Rule::new("self == oldSelf").message(Message::Expression("'request-uid cannot change from ' + oldSelf + ' to ' + self + ': create another RequestState'".into())))]
    #[schemars(length(min = 1, max = 253))]
    pub request_uid: String,

    /// The job that the request is at; a name of its flow. Changes only together with state becoming `REQUESTED`.
    #[schemars(length(min = 1, max = 253))]
    pub job: String,

    /// How far the job is: `REQUESTED`, then `STARTED`, then `COMPLETED`, `FAILED` or `CANCELLED`. After `COMPLETED` the
    /// next job may be `REQUESTED`; after `FAILED` the same job too.
    pub state: State,
}

impl RequestState {
    /// Whether it has ended and its status is final: nothing is left to do.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        let mut finished = conditions.filter(|condition| condition.type_ == ConditionType::Finished.as_str());
        finished.any(|condition| condition.status == "True") && self.spec.state.has_ended()
    }

    /// The generation at which its present job was requested: a request changes once from `REQUESTED` to `STARTED`. None once the job
    /// has ended.
    #[must_use]
    pub fn requested_at(&self) -> Option<i64> {
        let generation = self.metadata.generation?;
        match self.spec.state {
            State::Requested => Some(generation),
            State::Started => Some(generation - 1),
            State::Completed | State::Failed | State::Cancelled => None,
        }
    }
}

impl Mirrored for RequestState {
    fn mirror(&self) -> Option<&MirrorStatus> {
        self.status.as_ref()?.mirror.as_ref()
    }

    fn mirror_mut(&mut self) -> Option<&mut Option<MirrorStatus>> {
        Some(&mut self.status.as_mut()?.mirror)
    }

    fn used_colony(&self) -> Option<&UsedColony> {
        self.status.as_ref()?.colony.as_ref()
    }
}

/// How far a job is.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE", parse_err_ty = UnknownState, parse_err_fn = unknown)]
pub enum State {
    /// It is to be done.
    Requested,
    /// A worker is at it.
    Started,
    /// It is done.
    Completed,
    /// It has gone wrong.
    Failed,
    /// It is obsolete: the end of the request.
    Cancelled,
}

impl State {
    /// As it stands in objects.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the job has finished, whether it succeeded or failed.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// A word that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no state: REQUESTED, STARTED, COMPLETED, FAILED and CANCELLED are")]
pub struct UnknownState(pub String);

fn unknown(text: &str) -> UnknownState {
    UnknownState(text.to_owned())
}
