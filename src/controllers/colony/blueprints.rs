//! Follows the blueprints of a kind of instances, so that what reconcilers and others write to them in the colony reaches the
//! cluster: all blueprints of the kind are listed in one request from time to time, whatever their number, and the instances
//! of those that have changed are woken. The pass of the instance decides.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use kube::{
    ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use crate::{
    api::{
        instance::{Instance, InstanceKind},
        mirror::Mirrored as _,
    },
    controllers::engine::{
        context::{Requeuer, Services},
        retry::jitter,
    },
    runtime::shutdown::Shutdown,
    watch::{colonies::Colonies, stores::Filled},
};

/// The instances of a kind in one scope.
pub(in crate::controllers) struct Members {
    pub store: Store<DeserializeGuard<Instance>>,
    pub filled: Filled,
    pub requeuer: Requeuer<DeserializeGuard<Instance>>,
}

/// The blueprints of a kind.
pub(in crate::controllers) struct FollowedBlueprints {
    pub kind: InstanceKind,
    pub members: Vec<Members>,
    pub colonies: Colonies,
    pub services: Arc<Services>,
}

impl FollowedBlueprints {
    /// Follows them until the shutdown.
    pub async fn follow(self, stop: Shutdown) {
        // As processes: with 0 there is no polling, and changes are found when an instance is reconciled.
        let seconds = self.services.configuration.process_poll_seconds;
        if seconds == 0 {
            return stop.requested().await;
        }
        let between = Duration::from_secs(seconds.into());
        let polls = async {
            join_all(self.members.iter().map(|members| members.filled.reached())).await;
            loop {
                self.poll().await;
                tokio::time::sleep(jitter(between)).await;
            }
        };
        tokio::select! {
            () = stop.requested() => {}
            () = polls => {}
        }
    }

    /// Lists the blueprints once. An unresponsive colony changes nothing, and one without instances is not read.
    async fn poll(&self) {
        let services = &self.services;
        let has_some = self.members.iter().any(|members| !members.store.is_empty());
        if !has_some || !services.leadership.is_leader() {
            return;
        }
        let kind = &self.kind.terms().resource.kind;
        for colony in self.used() {
            let Some(connection) = services.connections.get(&colony) else { continue };
            if connection.problem.is_some() {
                continue;
            }
            match connection.member.blueprints(Some(kind), None).await {
                Ok(listed) => self.wake(&services.blueprints.put_all(&colony, kind, listed)),
                Err(error) => tracing::debug!(kind, colony, %error, "blueprints cannot be listed"),
            }
        }
    }

    /// Names of the Colonies in which there are instances, or will be.
    fn used(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for guarded in self.members.iter().flat_map(|members| members.store.state()) {
            let Ok(object) = &guarded.0 else { continue };
            used.extend(object.used_colony().map(|colony| colony.name.clone()));
        }
        let home = self.services.blueprints.home(&self.kind.name());
        let named = self.kind.handler().colony.as_deref().or(home.as_deref());
        let (next, _) = self.colonies.find_any(named);
        used.extend(next.resolved().map(|colony| colony.name.clone()));
        used
    }

    /// Wakes the instances of blueprints that have changed.
    fn wake(&self, changed: &[String]) {
        if changed.is_empty() {
            return;
        }
        for members in &self.members {
            for guarded in members.store.state() {
                let Ok(object) = &guarded.0 else { continue };
                if changed.contains(&object.blueprint_name()) {
                    let reference = ObjectRef::new_with(&object.name_any(), self.kind.clone());
                    let namespace = object.namespace();
                    members
                        .requeuer
                        .wake(&namespace.map_or(reference.clone(), |space| reference.within(&space)));
                }
            }
        }
    }
}
