//! Stage 3, what to do: from what should be and what is to a plan. Pure.

pub mod admission;
mod agreement;
mod attempt;
mod blueprint;
mod busy_pods;
mod colony;
pub mod colony_cron;
mod colony_process;
mod colony_workflow;
pub mod composition;
pub mod definition;
pub mod difference;
pub mod duplicates;
pub mod executor_deployment;
pub mod graph;
mod hold;
mod identity;
pub mod inbound;
pub mod instance;
mod mirror;
pub mod orphans;
mod plan;
mod pod_identities;
mod process_state;
pub mod request;
mod step;
mod submission;
pub mod verify;
mod work;
pub mod work_plan;
mod workload;

pub use crate::desired::Problem;

pub use agreement::Sync;
pub use colony::{definition_name_taken_by, plan_colony};
pub use executor_deployment::{
    current_progress, finalizers_of_others, is_carried_by_colony, plan, plan_deletion, remaining_in_colony,
};
pub use mirror::Mirror;
pub use plan::{Order, Plan};
pub use step::{Answer, ColonyStep, KubernetesStep, OWN_SPEC, Removal, Step};
pub use work::{Terms, stop_message};
pub use workload::finished_job;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnershipError {
    /// An object with the required name belongs to another owner.
    #[error(
        "{kind} {name} exists and belongs to {owner}: rename or delete it, or rename this object; it is left unchanged"
    )]
    Foreign {
        /// Kind of the object.
        kind: String,
        name: String,
        /// Who controls it.
        owner: String,
    },
    /// The Secret of a fleet names an executor that is not the fleet's.
    #[error(
        "Secret {secret}: {why}: nothing is done for that executor; delete the Secret, and the operator makes another"
    )]
    Identity { secret: String, why: String },
    /// An object that may be taken over selects other pods than it should, which cannot be changed.
    #[error(
        "spec.adoptionPolicy: {kind} {name} selects pods by {selector}, which cannot change: delete it, with --cascade=orphan if its pods are to stay, or rename this object; it is left unchanged"
    )]
    Unadoptable {
        /// Kind of the object.
        kind: String,
        name: String,
        /// What it selects, as JSON.
        selector: String,
    },
}
