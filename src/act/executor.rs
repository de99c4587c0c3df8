//! Carries the steps of a plan out in their order, and asks before each whether this process still leads.

use std::sync::Arc;

use kube::Resource;

use super::{
    colony::Colony,
    kinds::Held,
    kubernetes::Cluster,
    outcome::{FailureKind, Outcome, StepFailure, StepResult},
};
use crate::{
    diff::{Plan, Step},
    memory::{
        blueprints::Blueprints, connections::Connection, processes::Processes, submissions::Submissions,
    },
    runtime::{clock::Clock, lease::Leadership},
};

/// Carries plans out.
#[derive(Clone)]
pub struct Actor {
    cluster: Cluster,
    submissions: Submissions,
    blueprints: Blueprints,
    processes: Processes,
    leadership: Leadership,
    clock: Clock,
}

/// What a plan is for.
pub struct Target<'a, K: Resource> {
    /// The object.
    pub object: &'a K,
    /// Its kind.
    pub kind: &'a K::DynamicType,
    /// The connection to its colony, if there is one.
    pub connection: Option<Arc<Connection>>,
    /// Name of the `Colony`, if there is one.
    pub colony: Option<String>,
}

impl Actor {
    /// An actor that writes to `cluster` while `leadership` lasts.
    #[must_use]
    pub fn new(
        cluster: Cluster,
        submissions: Submissions,
        processes: Processes,
        blueprints: Blueprints,
        leadership: Leadership,
        clock: Clock,
    ) -> Self {
        Self { cluster, submissions, blueprints, processes, leadership, clock }
    }

    /// Carries a plan out. A step that fails holds up those behind it on its own side only: the cluster is kept right
    /// while the colony is away.
    pub async fn execute<K: Held>(&self, plan: Plan, target: &Target<'_, K>) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut cluster_held, mut colony_held) = (false, false);
        for step in &plan.steps {
            let held = match step {
                Step::Kubernetes(_) => &mut cluster_held,
                Step::Colony(_) => &mut colony_held,
            };
            if *held || !self.leadership.is_leader() {
                outcome.results.push(StepResult::Skipped);
                continue;
            }
            let result = match step {
                Step::Kubernetes(step) => {
                    self.cluster.carry_out(step, target, &mut outcome.resource_version).await
                }
                Step::Colony(step) => match &target.connection {
                    Some(connection) => {
                        let colony = Colony {
                            connection,
                            name: target.colony.as_deref().unwrap_or_default(),
                            blueprints: &self.blueprints,
                            submissions: &self.submissions,
                            processes: &self.processes,
                            clock: &self.clock,
                        };
                        colony.carry_out(step).await
                    }
                    None => Err(StepFailure {
                        kind: FailureKind::Unavailable,
                        message: "the colony is not connected; see the status of the Colony".to_owned(),
                    }),
                },
            };
            outcome.results.push(match result {
                Ok(effect) => {
                    tracing::info!(step = %step, "done");
                    StepResult::Done(effect)
                }
                Err(failure) => {
                    *held = true;
                    tracing::warn!(step = %step, kind = ?failure.kind, "{}", failure.message);
                    StepResult::Failed(failure)
                }
            });
        }
        outcome.plan = plan;
        outcome
    }
}
