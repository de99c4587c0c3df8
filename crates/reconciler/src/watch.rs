//! Reads what a pass has to know: blueprints and executors of the colony, and what runs here. Reads only.

use std::{collections::BTreeMap, time::Duration};

use colonyos_client::{
    Blueprint, BlueprintDefinition, Error, Id, Process, ProcessQuery, ProcessState, Session,
};

use crate::{
    clock,
    fleet::{self, Allowed, KIND, Kind},
    name::{FleetName, ReplicaName},
    plan,
    port::{HostError, Runtime},
    snapshot::{Member, Patience, Replica, Snapshot, Wish, Work},
};

/// A year: how long ago a process that runs may have been submitted.
const WIDEST: u32 = 365 * 24 * 60 * 60;
/// As many processes as the server lists at most: there may be more.
const LIST_MAX: usize = 100;

/// Why a pass does not know enough to do anything.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The colony did not answer.
    #[error(transparent)]
    Colony(#[from] Error),
    /// The host did not answer.
    #[error(transparent)]
    Host(#[from] HostError),
}

/// Which blueprints are a reconciler's.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Where they are to be carried out.
    pub location: String,
    /// What carries them out.
    pub kind: Kind,
    /// The executor type that their definition names.
    pub executor_type: String,
    /// What they may ask for.
    pub allowed: Allowed,
    /// How patient to be.
    pub patience: Patience,
}

impl Seat {
    /// Whether a blueprint is to be carried out here: by its own runtime, if it names one, else by the handler of its kind.
    #[must_use]
    pub fn is_for(&self, blueprint: &Blueprint, handler: Option<&str>) -> bool {
        match blueprint.spec.get("runtime").and_then(serde_json::Value::as_str) {
            Some(runtime) => runtime.eq_ignore_ascii_case(self.kind.into()),
            None => handler == Some(&self.executor_type),
        }
    }
}

/// Reads all that a pass has to know. Executors are read before what runs here: what was registered then has been made before.
///
/// # Errors
/// When anything cannot be read: what is not known is not gone.
pub async fn read(
    seat: &Seat,
    session: &Session,
    host: &dyn Runtime,
    elapsed: Duration,
    forced: BTreeMap<FleetName, i64>,
) -> Result<Snapshot, WatchError> {
    let handler = handler(&session.blueprint_definitions().await?);
    let blueprints = session.blueprints(Some(KIND), Some(&seat.location)).await?;
    let ours = blueprints.iter().filter(|blueprint| seat.is_for(blueprint, handler.as_deref()));
    let wishes = ours.map(|blueprint| match fleet::parse(blueprint, seat.kind, &seat.allowed) {
        Ok(fleet) => Wish::Fleet(Box::new(fleet)),
        Err(refused) => Wish::Refused(refused),
    });
    let wishes = wishes.collect();
    let members = session.executors().await?.iter().filter_map(Member::of).collect();
    let replicas = host.list().await?;
    let mut snapshot = Snapshot {
        now: clock::now(),
        elapsed,
        host: host.host().clone(),
        wishes,
        members,
        replicas,
        work: BTreeMap::new(),
        patience: seat.patience,
        forced,
    };
    snapshot.work = work(session, plan::candidates(&snapshot)).await?;
    Ok(snapshot)
}

/// The executor type that answers for the kind: of several definitions, the first by name, as the server has it.
fn handler(definitions: &[BlueprintDefinition]) -> Option<String> {
    let of_kind = definitions.iter().filter(|definition| definition.spec.names.kind == KIND);
    let first = of_kind.min_by(|one, other| one.metadata.name.cmp(&other.metadata.name))?;
    Some(first.spec.handler.executor_type.clone())
}

/// What replicas do: from one list of all that runs, or of each by itself when there is more than a list holds.
async fn work(session: &Session, replicas: Vec<&Replica>) -> Result<BTreeMap<ReplicaName, Work>, Error> {
    if replicas.is_empty() {
        return Ok(BTreeMap::new());
    }
    let running = session.processes(&ProcessQuery::new(ProcessState::Running)).await?;
    let is_whole = running.len() < LIST_MAX;
    let mut work = BTreeMap::new();
    for replica in replicas {
        let Ok(id) = Id::parse(&replica.executor_id) else { continue };
        let of = |process: &&Process| process.assigned_executor.as_ref() == Some(&id);
        let found = match running.iter().find(of) {
            Some(process) => Some(process.id.clone()),
            None if is_whole => None,
            None => {
                let history = session.process_history(Some(&id), WIDEST, ProcessState::Running).await?;
                history.iter().find(of).map(|process| process.id.clone())
            }
        };
        work.insert(replica.name.clone(), found.map_or(Work::Idle, Work::Busy));
    }
    Ok(work)
}

#[cfg(test)]
mod tests {
    use colonyos_client::Blueprint;
    use serde_json::json;

    use super::*;

    /// The handler of the definition says who answers, unless the blueprint names its runtime itself.
    #[test]
    fn a_blueprint_is_for_its_runtime_else_for_the_handler() {
        let seat = Seat {
            location: "edge".into(),
            kind: Kind::Docker,
            executor_type: "docker-reconciler".into(),
            allowed: Allowed::default(),
            patience: Patience { drain: Duration::ZERO, grace: Duration::ZERO },
        };
        let with = |runtime: Option<&str>| {
            let mut blueprint = Blueprint::new("dev", KIND, "ml").unwrap();
            blueprint.spec.extend(runtime.map(|runtime| ("runtime".to_owned(), json!(runtime))));
            blueprint
        };
        let (ours, other) = (Some("docker-reconciler"), Some("kubernetes-reconciler"));
        assert!(
            seat.is_for(&with(None), ours)
                && !seat.is_for(&with(None), other)
                && !seat.is_for(&with(None), None)
        );
        assert!(seat.is_for(&with(Some("docker")), other) && !seat.is_for(&with(Some("local")), ours));
    }
}
