//! The port to the real servers: the API server, and the colony of each object.

use kube::ResourceExt as _;

use super::{
    colony::Colony,
    failure::not_connected,
    kinds::StatusKind,
    kubernetes::Cluster,
    outcome::{Done, FailureKind, StepFailure, not_leading},
    port::{Port, Target},
};
use crate::{
    diff::{KubernetesStep, Step},
    memory::{
        absences::Absences,
        adds::{Added, Adds},
        blueprints::Blueprints,
        processes::Processes,
        submissions::Submissions,
    },
    runtime::{clock::Clock, lease::Leadership},
};

/// The servers that the operator writes to.
#[derive(Clone)]
pub struct Servers {
    /// The API server.
    pub cluster: Cluster,
    /// Submits of this process.
    pub submissions: Submissions,
    /// Executors and blueprints that this process has tried to add.
    pub adds: Adds,
    /// What colonies have reported to be gone.
    pub absences: Absences,
    /// Blueprints as colonies last described them.
    pub blueprints: Blueprints,
    /// Processes as they were last read.
    pub processes: Processes,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// The time.
    pub clock: Clock,
}

impl Port for Servers {
    fn is_leader(&self) -> bool {
        self.leadership.is_leader()
    }

    async fn execute<K: StatusKind>(&self, step: &Step, target: &Target<'_, K>) -> Result<Done, StepFailure> {
        // A write that outlives leadership is another's to make. What becomes of one that is given up is looked up later.
        let left = self.leadership.remaining().ok_or_else(not_leading)?;
        let executed = tokio::time::timeout(left, self.carry_out(step, target)).await;
        executed.unwrap_or_else(|_| Err(not_leading()))
    }
}

impl Servers {
    async fn carry_out<K: StatusKind>(
        &self,
        step: &Step,
        target: &Target<'_, K>,
    ) -> Result<Done, StepFailure> {
        match step {
            Step::Kubernetes(step) => {
                if let KubernetesStep::CreateCrd(crd) = step {
                    self.adds.sent(Added::Crd(crd.name_any()), self.clock.instant());
                }
                let executed = self.cluster.execute(step, target).await;
                if let Some(name) = settled_crd(step, executed.as_ref().err()) {
                    self.adds.settled(Added::Crd(name), self.clock.instant());
                }
                executed
            }
            Step::Colony(step) => {
                let connection = target.connection.as_deref().ok_or_else(not_connected)?;
                let colony = Colony {
                    connection,
                    name: target.colony.as_deref().unwrap_or_default(),
                    blueprints: &self.blueprints,
                    submissions: &self.submissions,
                    adds: &self.adds,
                    absences: &self.absences,
                    alone_since: self.leadership.alone_since().map(|since| since.monotonic),
                    processes: &self.processes,
                    clock: &self.clock,
                };
                colony.execute(step).await.map(Done::from)
            }
        }
    }
}

/// The CRD of which nothing is on its way any more, after a step that was answered.
fn settled_crd(step: &KubernetesStep, failure: Option<&StepFailure>) -> Option<String> {
    let answers = [FailureKind::Refused, FailureKind::Conflict];
    match step {
        // Also of one that is there already, or is refused.
        KubernetesStep::CreateCrd(crd) => {
            failure.is_none_or(|failure| answers.contains(&failure.kind)).then(|| crd.name_any())
        }
        KubernetesStep::DeleteCrd { name, .. } => failure.is_none().then(|| name.clone()),
        _ => None,
    }
}
