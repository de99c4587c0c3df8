//! What runs the executors in this cluster.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The Kubernetes kind that runs the executors.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Deserialize,
    Serialize,
    JsonSchema,
    strum::IntoStaticStr,
)]
pub enum Workload {
    /// A number of interchangeable executors that run continuously.
    #[default]
    Deployment,
    /// One executor on each node.
    DaemonSet,
    /// A number of executors that each run to their end.
    Job,
}

impl Workload {
    /// The kind's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
