//! What an attempt of an object is submitted as: a process or a workflow. Pure.

use super::ColonyStep;
use crate::desired::{DesiredProcess, DesiredWorkflow};

/// What an attempt is submitted as.
pub trait Submission: Sized {
    /// What ties it to the object.
    fn label(&self) -> &str;
    /// The attempt.
    fn generation(&self) -> i64;
    /// The step that submits it.
    fn step(&self) -> ColonyStep;
}

macro_rules! submission {
    ($($desired:ty => $step:ident),+) => {$(
        impl Submission for $desired {
            fn label(&self) -> &str {
                &self.label
            }

            fn generation(&self) -> i64 {
                self.generation
            }

            fn step(&self) -> ColonyStep {
                ColonyStep::$step(Box::new(self.clone()))
            }
        }
    )+};
}

submission!(DesiredProcess => Submit, DesiredWorkflow => SubmitWorkflow);
