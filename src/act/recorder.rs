//! The port that records: every step counts as done, unless it is one that a server would refuse, and nothing is written.

use parking_lot::Mutex;

use super::{
    kinds::StatusKind,
    outcome::{Done, Effect, FailureKind, StepFailure},
    port::{Port, Target},
};
use crate::diff::{ColonyStep, Step};

/// What stands for the id that a server would give to a process. A plan submits one at most.
pub const PLACEHOLDER: &str = "<id>";

/// Records steps instead of carrying them out.
#[derive(Debug, Default)]
pub struct Recorder {
    steps: Mutex<Vec<Step>>,
    refusals: Vec<(Step, String)>,
}

impl Recorder {
    /// A port that refuses some steps, each for a reason.
    #[must_use]
    pub fn refusing(refusals: Vec<(Step, String)>) -> Self {
        Self { refusals, ..Self::default() }
    }

    /// The steps that were done so far, in their order.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        self.steps.lock().clone()
    }
}

impl Port for &Recorder {
    fn is_leader(&self) -> bool {
        true
    }

    async fn execute<K: StatusKind>(&self, step: &Step, _: &Target<'_, K>) -> Result<Done, StepFailure> {
        if let Some((_, why)) = self.refusals.iter().find(|(refused, _)| refused == step) {
            let what = match step {
                Step::Kubernetes(step) => step.to_string(),
                Step::Colony(step) => step.to_string(),
            };
            let message = format!("failed to {what}: {why}");
            return Err(StepFailure { kind: FailureKind::Refused, message });
        }
        self.steps.lock().push(step.clone());
        Ok(match step {
            Step::Colony(ColonyStep::Submit(process)) if !process.is_gated => Effect::Submitted {
                process_id: PLACEHOLDER.to_owned(),
                submitted_at: None,
                is_running: false,
            }
            .into(),
            _ => Effect::Nothing.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        act::Actor,
        api::colony_process::ColonyProcess,
        diff::{KubernetesStep, Plan},
    };

    /// What a server would refuse holds up what the plan's order says, and counts as not done.
    #[tokio::test]
    async fn a_step_that_is_refused_is_not_recorded() {
        let delete = |name: &str| {
            Step::Kubernetes(KubernetesStep::DeleteIdentity { name: name.to_owned(), uid: None })
        };
        let cancel =
            Step::Colony(ColonyStep::Cancel { process_id: "p".to_owned(), why: "because".to_owned() });
        let object: ColonyProcess = serde_json::from_value(json!({
            "metadata": { "name": "a" }, "spec": { "function": "f", "conditions": { "executorType": "t" } },
        }))
        .unwrap();
        let recorder = Recorder::refusing(vec![(delete("b"), "it is b".to_owned())]);
        let target = Target { object: &object, kind: &(), finalizer: None, connection: None, colony: None };
        let steps = vec![delete("a"), delete("b"), delete("c"), cancel.clone()];
        let outcome = Actor::new(&recorder).execute(Plan { steps, ..Plan::default() }, &target).await;
        assert_eq!(recorder.steps(), [delete("a"), cancel]);
        assert_eq!(
            outcome.failure().map(|failure| failure.message.as_str()),
            Some("failed to delete Secret b: it is b")
        );
    }
}
