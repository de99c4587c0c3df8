//! A process: one function to run, where it stands, and what came of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::{Attribute, AttributeKind, Id, ProcessId, SubmittedSpec, null_is_empty, timestamp};

/// Where a process stands. The numbers are the protocol's.
///
/// The order of the variants is the usual order of a life, but **a process can go from `Running` back to
/// `Waiting`**: when its time limit passes and retries are left, and when its executor is removed.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Deserialize,
    strum::Display,
    strum::FromRepr,
    strum::IntoStaticStr,
)]
#[serde(try_from = "i64")]
#[repr(u8)]
pub enum ProcessState {
    /// 0: in the queue.
    Waiting,
    /// 1: an executor has it.
    Running,
    /// 2: closed as successful.
    Successful,
    /// 3: closed as failed by its executor, or by the server when a time limit passed.
    Failed,
    /// 4: cancelled by a member.
    Cancelled,
}

impl ProcessState {
    /// All states, in the order of a life.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Running, Self::Successful, Self::Failed, Self::Cancelled];

    /// The number that stands for the state in the protocol.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether the process will never run (again).
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Cancelled)
    }

    /// The state as one word, as the variant is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl TryFrom<i64> for ProcessState {
    type Error = String;

    fn try_from(number: i64) -> Result<Self, String> {
        let known = u8::try_from(number).ok().and_then(Self::from_repr);
        known.ok_or_else(|| format!("{number} is no state of a process (0 to 4)"))
    }
}

/// A process as the server describes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Process {
    /// The server's id of it.
    #[serde(rename = "processid")]
    pub id: ProcessId,
    /// Where it stands.
    pub state: ProcessState,
    /// What was asked for.
    pub spec: SubmittedSpec,
    /// The member who submitted it.
    #[serde(rename = "initiatorid", default)]
    pub initiator_id: String,
    /// The name of the member who submitted it.
    #[serde(rename = "initiatorname", default)]
    pub initiator_name: String,
    /// The executor that has, or had, it.
    #[serde(rename = "assignedexecutorid", default, deserialize_with = "empty_is_none")]
    pub assigned_executor: Option<Id>,
    /// When the server took it.
    #[serde(rename = "submissiontime", deserialize_with = "timestamp::required")]
    pub submitted_at: Timestamp,
    /// When it was last assigned. `None` before that, and again after its executor was removed; a process
    /// that was put back into the queue by its time limit keeps the time.
    #[serde(rename = "starttime", deserialize_with = "timestamp::optional")]
    pub started_at: Option<Timestamp>,
    /// When it was closed.
    #[serde(rename = "endtime", deserialize_with = "timestamp::optional")]
    pub ended_at: Option<Timestamp>,
    /// How often its time limit has passed and it was put back into the queue.
    #[serde(default)]
    pub retries: i64,
    /// What was attached to it; its environment among it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub attributes: Vec<Attribute>,
    /// Whether it still waits for others of its workflow.
    #[serde(rename = "waitforparents", default)]
    pub waits_for_parents: bool,
    /// The processes of its workflow that it waits for, or waited for.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub parents: Vec<ProcessId>,
    /// The processes of its workflow that wait for it.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub children: Vec<ProcessId>,
    /// The workflow that it belongs to; empty when it stands alone.
    #[serde(rename = "processgraphid", default)]
    pub graph_id: String,
    /// What its parents in the workflow put out, one after the other.
    #[serde(rename = "in", default, deserialize_with = "null_is_empty")]
    pub input: Vec<Value>,
    /// What its executor put out. **Not fixed even when final**: the executor may close again, or have closed
    /// a cancelled process, and the server overwrites it.
    #[serde(rename = "out", default, deserialize_with = "null_is_empty")]
    pub output: Vec<Value>,
    /// Why it failed. The server writes the state first and this a moment later: a failed process without
    /// reasons may still get some, so read it again before you report them.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub errors: Vec<String>,
    /// Whether output and errors are left out, for the output is larger than what is read. Never so for what a call gives:
    /// see [`Error::into_known`](crate::Error::into_known).
    #[serde(skip)]
    pub is_cut: bool,
}

impl Process {
    /// What its executor has attached to it as output: each key once, and for good.
    #[must_use]
    pub fn reported(&self) -> BTreeMap<&str, &str> {
        let reported = self.attributes.iter().filter(|attribute| attribute.kind == AttributeKind::Output);
        reported.map(|attribute| (attribute.key.as_str(), attribute.value.as_str())).collect()
    }

    /// Orders processes by age: the time of submission, then the id.
    #[must_use]
    pub fn age_key(&self) -> (Timestamp, &ProcessId) {
        (self.submitted_at, &self.id)
    }
}

fn empty_is_none<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Id>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Ok(None) } else { Id::parse(&text).map(Some).map_err(serde::de::Error::custom) }
}
