//! What to do for a `Colony`: keys of the operator's own, its membership and its executor. Pure.

use crate::{
    api::names::CONTROLLER_EXECUTOR_TYPE,
    colony::model::ExecutorState,
    watch::snapshot::{ColonySnapshot, Credentials, Membership, Observed},
};

/// One write on behalf of a `Colony`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColonyConnectionStep {
    /// Make keys for a member and for an executor and write them to the operator's own Secret.
    CreateOperatorKeys,
    /// Register the member key as a user of the colony.
    RegisterMember,
    /// Register the operator's executor and approve it.
    RegisterOperatorExecutor {
        /// Its name.
        name: String,
        /// Its id.
        id: String,
        /// Its type.
        executor_type: &'static str,
        /// Its location.
        location: Option<String>,
    },
}

/// Plans a connection. Nothing is done on the strength of an answer that did not come.
#[must_use]
pub fn plan_colony(snapshot: &ColonySnapshot) -> Vec<ColonyConnectionStep> {
    match snapshot.credentials {
        Credentials::Complete => {}
        Credentials::OperatorKeysMissing => return vec![ColonyConnectionStep::CreateOperatorKeys],
        Credentials::SecretNotFound | Credentials::Invalid { .. } | Credentials::Unknown(_) => {
            return Vec::new();
        }
    }
    if snapshot.server.known().is_none() {
        return Vec::new();
    }
    match snapshot.membership {
        Membership::Stranger => return vec![ColonyConnectionStep::RegisterMember],
        Membership::Unknown(_) => return Vec::new(),
        Membership::Member(_) => {}
    }
    let (Some(own), Observed::Known(executors)) = (&snapshot.operator_executor, &snapshot.executors) else {
        return Vec::new();
    };
    let register = ColonyConnectionStep::RegisterOperatorExecutor {
        name: own.name.clone(),
        id: own.id.clone(),
        executor_type: CONTROLLER_EXECUTOR_TYPE,
        location: snapshot.object.spec.location.clone(),
    };
    match executors.iter().find(|executor| executor.name == own.name).map(|executor| executor.state) {
        // One that the server has dropped, since the operator was away for too long, comes back by approval.
        None | Some(ExecutorState::Pending | ExecutorState::Unregistered) => vec![register],
        // Rejected by somebody: it is not ours to overrule.
        Some(ExecutorState::Approved | ExecutorState::Rejected) => Vec::new(),
    }
}
