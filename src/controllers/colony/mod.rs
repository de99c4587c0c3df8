//! The controller of `Colonies`: keeps a connection to each, and the operator registered in it.

mod assignments;
pub(super) mod blueprints;
mod figures;
mod fleets;
mod inbound;
mod leftovers;
pub(super) mod processes;
mod served;
mod stages;
mod users;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

pub use self::stages::{Clients, ColonyStages, ServeColony};
use self::{
    leftovers::LeftoverReader,
    processes::MirroredKinds,
    served::{ServedColonies, ServingTask},
};
use super::engine::{
    context::{Requeuer, Services},
    pass::Engine,
    wiring::{self, Wiring},
};
use crate::{
    runtime::shutdown::Shutdown,
    watch::{
        index::Index,
        stores::{self, Filled, GuardedExecutorDeployment},
    },
};

/// How many colonies are reconciled at the same time; each pass waits for a server somewhere.
const CONCURRENCY: u16 = 8;

/// Runs the controller until the shutdown. `objects` are the caches in which the objects of processes are looked up,
/// `mirrored_kinds` the objects of all kinds that processes carry.
pub async fn run(
    services: Arc<Services>,
    objects: Vec<(Index<GuardedExecutorDeployment>, Filled)>,
    requeuer: Requeuer<GuardedExecutorDeployment>,
    mirrored_kinds: MirroredKinds,
    shutdown: Shutdown,
) {
    let selector = &services.configuration.cluster_selector;
    let colonies = stores::colonies(&services.kubernetes.watches, selector);
    let served = Arc::<Mutex<HashMap<_, _>>>::default();
    let (waker, woken) = futures::channel::mpsc::unbounded();
    let served_colonies = ServedColonies {
        services: services.clone(),
        requeuer,
        colonies: colonies.store.clone(),
        objects,
        leftovers: LeftoverReader::new(services.clone(), mirrored_kinds.clone()),
        own: Requeuer::new(vec![waker]),
        mirrored_kinds,
        served: served.clone(),
        inbound: Mutex::default(),
    };
    let stages =
        ColonyStages::new(services.clone(), colonies.filled.clone(), HashMap::new(), served_colonies);
    let wiring = Wiring::new(colonies, woken, CONCURRENCY);
    wiring::run(Engine::new(services, stages), wiring, shutdown).await;
    for ServingTask { task, .. } in std::mem::take(&mut *served.lock()).values() {
        task.abort();
    }
}
