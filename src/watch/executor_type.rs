//! Reads who else has the executor type of a fleet. Looks at caches only.

use std::collections::HashSet;

use kube::{Resource as _, ResourceExt as _};

use super::{colonies::ColonyClaim, executor_deployment::Reader, index::IndexKey, triggers};
use crate::{
    api::{executor_deployment::ExecutorDeployment, mirror::Mirrored as _, names::parse_executor_origin},
    colony::{Executor, ExecutorState},
    memory::connections::Connection,
    snapshot::{ColonyReference, Observed, TypeHolder, TypeUse},
};

impl Reader {
    /// Who else has the executor type of an object in its colony. Where some namespaces are not watched, the executors of the
    /// colony tell of fleets there.
    pub(super) fn type_use(
        &self,
        object: &ExecutorDeployment,
        colony: &ColonyReference,
        connection: Option<&Connection>,
    ) -> TypeUse {
        let Some(colony) = colony.resolved() else { return TypeUse::default() };
        let (executor_type, namespace) = (&object.spec.executor_type, object.metadata.namespace.as_deref());
        if colony.spec.executor_types.iter().any(|rule| rule.executor_type == *executor_type) {
            // The Colony says which namespaces may have it; others have no say.
            return TypeUse::default();
        }
        let is_there = |other: &ExecutorDeployment| {
            let is_named = |name: &str| name == colony.name;
            let used = other.used_colony().is_some_and(|used| is_named(&used.name));
            if !used && other.spec.colony.as_deref().is_some_and(|wanted| !is_named(wanted)) {
                return false;
            }
            let claim = ColonyClaim::of(other, other.spec.colony.as_deref());
            let found = self.colonies.find(claim, &other.namespace().unwrap_or_default()).0;
            found.resolved().is_some_and(|found| found.name == colony.name)
        };
        let same = triggers::of_type(executor_type, namespace, &self.stores.fleets);
        let same = same.iter().filter_map(|other| other.0.as_ref().ok());
        let same: Vec<&ExecutorDeployment> = same.filter(|other| is_there(other)).collect();
        let home = |fleet: &ExecutorDeployment| (fleet.namespace().unwrap_or_default(), fleet.name_any());
        let own = home(object);
        let mut registered: HashSet<(String, String)> = HashSet::new();
        let mut unwatched = Vec::new();
        let look = |executor: &Executor| {
            let Some(origin) = self.origin(executor) else { return };
            if !same.is_empty() {
                registered.insert((origin.namespace.to_owned(), origin.name.to_owned()));
            }
            let is_live = matches!(executor.state, ExecutorState::Approved | ExecutorState::Pending);
            let key = IndexKey::Uid(origin.uid.to_owned());
            if is_live && !self.stores.fleets.iter().any(|fleets| fleets.contains(&key)) {
                let uid = origin.uid.to_owned();
                unwatched.push(TypeHolder { uid, created_at: None, is_registered: Some(true) });
            }
        };
        // One that was adopted was registered for an object of the same name.
        let place = (self.cluster.clone(), own.0);
        let is_registered =
            connection.and_then(|connection| connection.each_elsewhere(executor_type, &place, &own.1, look));
        let is_known = is_registered.is_some();
        let cached = same.iter().map(|other| TypeHolder {
            uid: other.uid().unwrap_or_default(),
            created_at: other.meta().creation_timestamp.as_ref().map(|created| created.0),
            is_registered: is_known.then(|| registered.contains(&home(other))),
        });
        let unknown = || Observed::Unknown("the colony has not listed its executors yet".to_owned());
        TypeUse {
            is_registered: is_registered.map_or_else(unknown, Observed::Known),
            others: cached.chain(unwatched).collect(),
        }
    }

    /// The fleet of this cluster for which an executor was registered.
    fn origin<'a>(&self, executor: &'a Executor) -> Option<Origin<'a>> {
        let (cluster, uid, namespace, name) = parse_executor_origin(&executor.blueprint_id)?;
        (cluster == self.cluster).then_some(Origin { uid, namespace, name })
    }
}

struct Origin<'a> {
    uid: &'a str,
    namespace: &'a str,
    name: &'a str,
}
