//! Carries the steps of a plan out in their order, and asks before each whether this process still leads.

use super::{
    kinds::StatusKind,
    outcome::{Outcome, StepResult},
    port::{Port, Target},
};
use crate::diff::{Order, Plan, Step};

/// Carries plans out.
#[derive(Clone)]
pub struct Actor<P> {
    port: P,
}

impl<P: Port> Actor<P> {
    /// An actor that writes through `port`.
    #[must_use]
    pub const fn new(port: P) -> Self {
        Self { port }
    }

    /// Carries a plan out. A step that fails holds up those behind it as the plan's order says.
    pub async fn execute<K: StatusKind>(&self, plan: Plan, target: &Target<'_, K>) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut cluster_held, mut colony_held) = (false, false);
        for step in &plan.steps {
            let is_held = match (plan.order, step) {
                (Order::Strict, _) => cluster_held || colony_held,
                (Order::BySide, Step::Kubernetes(_)) => cluster_held,
                (Order::BySide, Step::Colony(_)) => colony_held,
            };
            if is_held || !self.port.is_leader() {
                outcome.results.push(StepResult::Skipped);
                continue;
            }
            outcome.results.push(match self.port.execute(step, target).await {
                Ok(done) => {
                    tracing::info!(step = %step, "done");
                    outcome.resource_version = done.resource_version.or(outcome.resource_version);
                    if let Some(next) = done.follow_up {
                        self.follow_up(Step::Kubernetes(*next), target).await;
                    }
                    StepResult::Done(done.effect)
                }
                Err(failure) => {
                    tracing::warn!(step = %step, kind = ?failure.kind, "{}", failure.message);
                    if !step.holds_up_nothing(failure.kind) {
                        match step {
                            Step::Kubernetes(_) => cluster_held = true,
                            Step::Colony(_) => colony_held = true,
                        }
                    }
                    StepResult::Failed(failure)
                }
            });
        }
        outcome.plan = plan;
        outcome
    }

    /// Carries out what the answer to a step asks for. Nothing hangs on it: what is not noted shows again after the next write.
    async fn follow_up<K: StatusKind>(&self, step: Step, target: &Target<'_, K>) {
        if !self.port.is_leader() {
            return;
        }
        match self.port.execute(&step, target).await {
            Ok(_) => tracing::info!(step = %step, "done"),
            Err(failure) => tracing::warn!(step = %step, kind = ?failure.kind, "{}", failure.message),
        }
    }
}

#[cfg(test)]
mod tests;
