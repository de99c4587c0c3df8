//! What was really done: the noun that stage 4 hands to the stage that writes status. Plain data.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::diff::{ColonyStep, KubernetesStep, Plan, Step};

/// What one step brought about.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// What only the answer tells.
    pub effect: Effect,
    /// Version of the object after the write, if it was written to.
    pub resource_version: Option<String>,
    /// What the answer asks for: a note of what admission made of the write.
    pub follow_up: Option<Box<KubernetesStep>>,
}

impl From<Effect> for Done {
    fn from(effect: Effect) -> Self {
        Self { effect, resource_version: None, follow_up: None }
    }
}

/// What came of a plan.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The plan.
    pub plan: Plan,
    /// What came of its steps, in the same order.
    pub results: Vec<StepResult>,
    /// Version of the object after the last write to it, if there was one.
    pub resource_version: Option<String>,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub enum StepResult {
    /// It was done.
    Done(Effect),
    /// It failed.
    Failed(StepFailure),
    /// It was not tried, since one before it failed.
    Skipped,
}

/// The result of a step that only its reply contains.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing that was not planned.
    Nothing,
    /// There was nothing left to write to: the object is gone.
    Gone,
    /// The CRD as the API server has it now.
    Crd(Box<CustomResourceDefinition>),
    /// The id that the server gave to a process, and the time at which it took it.
    Submitted {
        /// The id.
        process_id: String,
        /// The time, if the server reported it.
        submitted_at: Option<jiff::Timestamp>,
        /// Whether it was assigned right away, as a process of the operator's own is.
        is_running: bool,
    },
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// What it means for the next try.
    pub kind: FailureKind,
    /// For a person: the attempted call and the server's reply.
    pub message: String,
}

/// What a failure means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The world has changed since the snapshot: look again at once.
    Conflict,
    /// The server has no time, or could not be reached: try again later.
    Unavailable,
    /// There was no answer in time: whether it was done shows when the world is looked at again.
    TimedOut,
    /// It was sent to a colony, but there is no answer: whether it was done has to be looked up.
    Ambiguous,
    /// The server refuses it: a person has to change something.
    Refused,
    /// Another replica leads: it was not tried, and is that one's to do.
    NotLeading,
}

/// A write that was not tried, since another replica leads.
#[must_use]
pub fn not_leading() -> StepFailure {
    StepFailure { kind: FailureKind::NotLeading, message: "another replica leads".to_owned() }
}

impl Outcome {
    /// Whether some step was not tried although none before it failed: another replica leads.
    #[must_use]
    pub fn is_skipped(&self) -> bool {
        self.failure().is_none() && self.results.iter().any(|result| matches!(result, StepResult::Skipped))
    }

    /// Whether a step was not tried, or not answered, since this process leads no longer.
    #[must_use]
    pub fn lost_leadership(&self) -> bool {
        self.failures().any(|(_, failure)| failure.kind == FailureKind::NotLeading)
    }

    /// Whether nothing holds the object any more, or it was deleted.
    #[must_use]
    pub fn released_object(&self) -> bool {
        let is_end = |step: &KubernetesStep| {
            matches!(step, KubernetesStep::RemoveFinalizer | KubernetesStep::DeleteObject { .. })
        };
        self.done_kubernetes().any(is_end)
    }

    /// The first failure.
    #[must_use]
    pub fn failure(&self) -> Option<&StepFailure> {
        self.failures().next().map(|(_, failure)| failure)
    }

    /// The first failure that held up the steps behind it.
    #[must_use]
    pub fn holding_failure(&self) -> Option<&StepFailure> {
        let mut failures = self.failures();
        failures.find(|(step, failure)| !step.holds_up_nothing(failure.kind)).map(|(_, failure)| failure)
    }

    /// The first failure on the cluster's side.
    #[must_use]
    pub fn kubernetes_failure(&self) -> Option<&StepFailure> {
        self.failures().find_map(|(step, failure)| matches!(step, Step::Kubernetes(_)).then_some(failure))
    }

    /// The first failure on the colony's side.
    #[must_use]
    pub fn colony_failure(&self) -> Option<&StepFailure> {
        self.failures().find_map(|(step, failure)| matches!(step, Step::Colony(_)).then_some(failure))
    }

    /// Whether anything was written.
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.results.iter().any(|result| matches!(result, StepResult::Done(_)))
    }

    /// Id of the process that was submitted, if one was and its reply is to be believed.
    #[must_use]
    pub fn submitted(&self) -> Option<&str> {
        self.done().find_map(|(_, effect)| match effect {
            Effect::Submitted { process_id, .. } => Some(process_id.as_str()),
            _ => None,
        })
    }

    /// The steps to the cluster that were done.
    pub fn done_kubernetes(&self) -> impl Iterator<Item = &KubernetesStep> {
        self.done().filter_map(|(step, _)| match step {
            Step::Kubernetes(step) => Some(step),
            Step::Colony(_) => None,
        })
    }

    /// The steps to the colony that were done, and what they brought about.
    pub fn done_colony(&self) -> impl Iterator<Item = (&ColonyStep, &Effect)> {
        self.done().filter_map(|(step, effect)| match step {
            Step::Kubernetes(_) => None,
            Step::Colony(step) => Some((step, effect)),
        })
    }

    /// The CRD as the API server has it after the last step that updated it.
    #[must_use]
    pub fn updated_crd(&self) -> Option<&CustomResourceDefinition> {
        let written = self.done().filter_map(|(_, effect)| match effect {
            Effect::Crd(crd) => Some(crd.as_ref()),
            _ => None,
        });
        written.last()
    }

    /// The steps that were done, and what they brought about.
    pub fn done(&self) -> impl Iterator<Item = (&Step, &Effect)> {
        self.plan.steps.iter().zip(&self.results).filter_map(|(step, result)| match result {
            StepResult::Done(effect) => Some((step, effect)),
            StepResult::Failed(_) | StepResult::Skipped => None,
        })
    }

    /// The steps that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&Step, &StepFailure)> {
        self.plan.steps.iter().zip(&self.results).filter_map(|(step, result)| match result {
            StepResult::Failed(failure) => Some((step, failure)),
            StepResult::Done(_) | StepResult::Skipped => None,
        })
    }
}

impl Step {
    /// Whether such a failure of the step says nothing of those behind it.
    #[must_use]
    pub fn holds_up_nothing(&self, kind: FailureKind) -> bool {
        let stands_alone = matches!(self, Self::Kubernetes(step) if step.stands_alone());
        stands_alone && kind == FailureKind::Refused
    }
}
