//! The port that records: every step counts as done, and nothing is written.

use parking_lot::Mutex;

use super::{
    kinds::StatusKind,
    outcome::{Done, Effect, StepFailure},
    port::{Port, Target},
};
use crate::diff::{ColonyStep, Step};

/// Records steps instead of carrying them out.
#[derive(Debug, Default)]
pub struct Recorder {
    steps: Mutex<Vec<Step>>,
}

impl Recorder {
    /// The steps so far, in their order.
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
        let number = {
            let mut steps = self.steps.lock();
            steps.push(step.clone());
            steps.len()
        };
        Ok(match step {
            // A server would give it an id.
            Step::Colony(ColonyStep::Submit(process)) if !process.is_gated => Effect::Submitted {
                process_id: format!("recorded-{number}"),
                submitted_at: None,
                is_running: false,
            }
            .into(),
            _ => Effect::Nothing.into(),
        })
    }
}
