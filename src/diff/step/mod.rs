//! Effects as data: what the executor of plans can do, each a single write. Pure.

mod colony;
mod kubernetes;
mod repetition;

use std::fmt;

pub use colony::{Answer, ColonyStep};
pub use kubernetes::{KubernetesStep, Removal};
pub use repetition::OWN_SPEC;

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// A write to the cluster.
    Kubernetes(KubernetesStep),
    /// A write to the colony.
    Colony(ColonyStep),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kubernetes(step) => write!(f, "kubernetes  {step}"),
            Self::Colony(step) => write!(f, "colony      {step}"),
        }
    }
}
