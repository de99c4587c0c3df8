//! Reads who else has the executor type of a fleet. Looks at caches only.

use jiff::Timestamp;
use kube::{Resource as _, ResourceExt as _};

use super::{colonies::ColonyClaim, executor_deployment::Reader, index::IndexKey, triggers};
use crate::{
    api::{executor_deployment::ExecutorDeployment, names::parse_executor_origin},
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
        let executors = connection.and_then(|connection| connection.of_type(executor_type));
        let registered = |fleet: &ExecutorDeployment| {
            let (home, name) = (fleet.namespace().unwrap_or_default(), fleet.name_any());
            // One that was adopted was registered for an object of the same name.
            let is_for = |executor: &Executor| {
                self.origin(executor).is_some_and(|origin| (origin.namespace, origin.name) == (&home, &name))
            };
            Some(executors.as_ref()?.iter().any(is_for))
        };
        let is_there = |other: &ExecutorDeployment| {
            let claim = ColonyClaim::of(other, other.spec.colony.as_deref());
            let found = self.colonies.find(claim, &other.namespace().unwrap_or_default()).0;
            found.resolved().is_some_and(|found| found.name == colony.name)
        };
        let created = |other: &ExecutorDeployment| -> Option<Timestamp> {
            other.meta().creation_timestamp.as_ref().map(|created| created.0)
        };
        let same = triggers::of_type(executor_type, namespace, &self.stores.fleets);
        let same = same.iter().filter_map(|other| other.0.as_ref().ok());
        let cached = same.filter(|other| is_there(other)).map(|other| {
            let uid = other.uid().unwrap_or_default();
            TypeHolder { uid, created_at: created(other), is_registered: registered(other) }
        });
        let live = executors
            .iter()
            .flatten()
            .filter(|executor| matches!(executor.state, ExecutorState::Approved | ExecutorState::Pending));
        let unwatched = live.filter_map(|executor| {
            let origin = self.origin(executor)?;
            let uid = origin.uid.to_owned();
            let key = IndexKey::Uid(uid.clone());
            let is_cached = self.stores.fleets.iter().any(|fleets| !fleets.get(&key).is_empty());
            (Some(origin.namespace) != namespace && !is_cached).then_some(TypeHolder {
                uid,
                created_at: None,
                is_registered: Some(true),
            })
        });
        let others = cached.chain(unwatched).collect();
        let is_registered = registered(object);
        let unknown = || Observed::Unknown("the colony has not listed its executors yet".to_owned());
        TypeUse { is_registered: is_registered.map_or_else(unknown, Observed::Known), others }
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
