//! How an executor is drained before its pod goes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::duration::Duration;

/// How an executor is drained before its pod goes: it is given no more processes, and its pod stays until those that it has have
/// ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long the processes of an executor may take to end, such as `10m`, from `1s` to `720h`. Then `policy` decides. The pod gets
    /// 30 s more to end by itself.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('720h')").message(Message::Expression("'drain.timeout: ' + self + ' is too short or too long: give 1s to 720h, or policy Wait'".into())))]
    pub timeout: Duration,

    /// What happens to a process that has not ended by then. `Requeue`: its executor is killed. With `identity: PerPod` the process is
    /// run again, by another executor, since its own is removed from the colony; with `Shared` it keeps running on record until its
    /// `maxexectime` has passed. `Cancel`: it is cancelled, and its executor killed. `Wait`: `timeout` does not count, and the pod stays
    /// until the process has ended.
    #[serde(default)]
    pub policy: DrainPolicy,
}

fn default_timeout() -> Duration {
    std::time::Duration::from_mins(10).into()
}

/// What happens to a process that has not ended in time.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, strum::IntoStaticStr,
)]
pub enum DrainPolicy {
    /// Its executor is killed, and it goes back to the queue.
    #[default]
    Requeue,
    /// It is cancelled.
    Cancel,
    /// It is waited for.
    Wait,
}
