//! What was really done: the noun that stage 4 hands to the stage that writes status. Plain data.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;

use crate::{
    api::resource_definition::BrokenInstance,
    diff::{ColonyStep, KubernetesStep, Plan, Step, colony_cron::CronStep, definition::DefinitionStep},
};

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

/// What came of the plan for a `ColonyCron`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CronOutcome {
    /// The steps that were done.
    pub done: Vec<CronStep>,
    /// Why those that follow were not.
    pub failure: Option<StepFailure>,
}

/// What came of the plan for a `ResourceDefinition`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefinitionOutcome {
    /// The steps that were done.
    pub done: Vec<DefinitionStep>,
    /// Why those that follow were not.
    pub failure: Option<StepFailure>,
    /// Version of the definition after the last write to it, if there was one.
    pub resource_version: Option<String>,
    /// The CRD as the API server has it after an update.
    pub updated: Option<Box<CustomResourceDefinition>>,
}

/// What came of the next part of the migration of a kind's objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MigrationOutcome {
    /// How many objects are stored in the version of now.
    pub migrated: usize,
    /// Those that could not be written, and why. The others were all the same.
    pub failures: Vec<BrokenInstance>,
    /// Whether the API server has been told that all are stored in the version.
    pub is_concluded: bool,
    /// Why it was broken off: what is planned is to be done again.
    pub failure: Option<StepFailure>,
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

/// What a step brought about that only its answer tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that was not planned.
    Nothing,
    /// The id that the server gave to a process, and the time at which it took it.
    Submitted {
        /// The id.
        process_id: String,
        /// The time, if the server said it.
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
    /// For a person: what was tried and what the server said.
    pub message: String,
}

/// What a failure means for the next try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The world has changed since the snapshot: look again at once.
    Conflict,
    /// There is no answer, or the server has no time: try again later.
    Unavailable,
    /// It was sent, but there is no answer: whether it was done has to be looked up.
    Ambiguous,
    /// The server refuses it: somebody has to change something.
    Refused,
}

impl Outcome {
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

    fn done(&self) -> impl Iterator<Item = (&Step, &Effect)> {
        self.plan.steps.iter().zip(&self.results).filter_map(|(step, result)| match result {
            StepResult::Done(effect) => Some((step, effect)),
            StepResult::Failed(_) | StepResult::Skipped => None,
        })
    }

    fn failures(&self) -> impl Iterator<Item = (&Step, &StepFailure)> {
        self.plan.steps.iter().zip(&self.results).filter_map(|(step, result)| match result {
            StepResult::Failed(failure) => Some((step, failure)),
            StepResult::Done(_) | StepResult::Skipped => None,
        })
    }
}
