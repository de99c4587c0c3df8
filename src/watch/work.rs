//! Shared by the readers of mirrored kinds: caches, the colony of an object, the values that it refers to.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    discovery::{Scope as KindScope, pinned_kind},
};
use serde_json::Value;

use super::{
    children::is_unserved,
    colonies::{Colonies, ColonyClaim},
    flows::Requests,
    freshness::CacheBehind,
    holders::{Holder, HolderLookup},
    mirror::ProcessReader,
    stores::Filled,
};
use crate::{
    api::{
        colony_cron::ColonyCron,
        function::Variable,
        kind::HasKind,
        mirror::{MirrorStatus, Mirrored as _},
        names::parse_process_label,
        resource_definition::ObjectKind,
        work::WorkObject,
    },
    colony::{Id, Process},
    memory::{
        blueprints::Blueprints,
        connections::Connection,
        lines::Lines,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{Belonging, ColonyReference, Observed, Values, WorkHeader, WorkSnapshot},
};

/// Builds the snapshot of one pass over an object with processes.
#[derive(Clone)]
pub struct WorkReader {
    /// For what is not cached.
    pub client: Client,
    /// Which colony an object may use.
    pub colonies: Colonies,
    /// The processes of objects.
    pub processes: ProcessReader,
    /// Blueprints as colonies last described them.
    pub blueprints: Blueprints,
    /// The last lines of the logs of processes.
    pub lines: Lines,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
    /// UID of the `kube-system` namespace.
    pub cluster: String,
    /// Who has a process.
    pub holder_lookup: Arc<dyn HolderLookup>,
    /// What is known of requests alone.
    pub requests: Requests,
    /// When each of the caches is filled.
    pub filled: Vec<Filled>,
}

impl WorkReader {
    /// Whether the cache shows what this process last wrote to an object.
    ///
    /// # Errors
    ///
    /// When it does not: a pass over it would write again.
    pub(super) fn ensure_cache_fresh(
        &self,
        kind: impl Into<Cow<'static, str>>,
        namespace: &str,
        name: &str,
    ) -> Result<(), CacheBehind> {
        let key = Key::new(kind, namespace, name);
        if self.writes.is_cache_behind(&key, self.clock.instant()) { Err(CacheBehind) } else { Ok(()) }
    }

    /// Whether the colony of an object was asked since the operator began.
    ///
    /// # Errors
    ///
    /// When it was not, and is about to be: reporting it now would be reverted at once.
    pub(super) fn ensure_colony_read(&self, colony: &ColonyReference) -> Result<(), CacheBehind> {
        let is_early = self.processes.awaits_first_read(colony, &self.colonies.connections);
        if is_early { Err(CacheBehind) } else { Ok(()) }
    }

    /// What the snapshots of work share.
    pub(super) fn header(
        &self,
        colony: ColonyReference,
        processes: Observed<Vec<Process>>,
        mirror: Option<&MirrorStatus>,
        now: Timestamp,
    ) -> WorkHeader {
        let connection = colony.resolved().and_then(|colony| self.colonies.connections.get(&colony.name));
        WorkHeader {
            workforce: connection.and_then(|connection| connection.workforce.clone()),
            cluster: self.cluster.clone(),
            processes: explained(processes, &colony),
            colony,
            submit_not_before: self.processes.submit_not_before(mirror),
            is_owner_gone: Observed::Known(false),
            restored: Observed::Known(None),
            earlier: Observed::Known(Vec::new()),
            now,
        }
    }

    /// Whether the controller that an object was created for is deleted, or about to be. A kind that the operator may not read is not
    /// asked for.
    pub(super) async fn is_owner_gone(&self, object: &ObjectMeta) -> Observed<bool> {
        let owners = object.owner_references.iter().flatten();
        let Some(owner) = owners.into_iter().find(|owner| owner.controller == Some(true)) else {
            return Observed::Known(false);
        };
        let is_cron =
            owner.kind == ColonyCron::KIND.name() && owner.api_version == ColonyCron::api_version(&());
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let api: Api<DynamicObject> = if is_cron {
            Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<ColonyCron>(&()))
        } else {
            let kind = ObjectKind::new(&owner.api_version, &owner.kind);
            let named = GroupVersionKind::gvk(kind.group(), kind.version(), &kind.kind);
            match call(CALL_TIME_LIMIT, pinned_kind(&self.client, &named)).await {
                Ok((resource, capabilities)) if capabilities.scope == KindScope::Cluster => {
                    Api::all_with(self.client.clone(), &resource)
                }
                Ok((resource, _)) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                Err(error) if is_unserved(&error) => return Observed::Known(true),
                Err(error) => return Observed::Unknown(error.explain(&format!("look for kind {kind}"))),
            }
        };
        match call(CALL_TIME_LIMIT, api.get_metadata_opt(&owner.name)).await {
            Ok(found) => Observed::Known(found.is_none_or(|found| {
                found.metadata.uid.as_ref() != Some(&owner.uid) || found.metadata.deletion_timestamp.is_some()
            })),
            Err(error) if error.is_forbidden() => Observed::Known(false),
            Err(error) => Observed::Unknown(error.explain(&format!("get {} {}", owner.kind, owner.name))),
        }
    }

    /// The object that has what another, with UID `uid`, is to adopt: the process or workflow of this id, whose
    /// processes are `found`.
    pub(super) fn holder(
        &self,
        uid: &str,
        id: &str,
        found: &Observed<Vec<Process>>,
    ) -> Observed<Option<String>> {
        match self.holder_lookup.bound_to(id, uid).into_iter().next() {
            Some(holder) => Observed::Known(Some(holder.name)),
            None => self.submitter(uid, found),
        }
    }

    /// The object, but for the one with UID `uid`, for which these processes were submitted. Their labels name it.
    fn submitter(&self, uid: &str, found: &Observed<Vec<Process>>) -> Observed<Option<String>> {
        for process in found.known().into_iter().flatten() {
            let Some((cluster, owner, _)) = parse_process_label(&process.spec.label) else { continue };
            if cluster != self.cluster || owner == uid {
                continue;
            }
            match self.holder_lookup.with_uid(owner) {
                Observed::Known(None) => {}
                holder => return holder,
            }
            // Kinds of users come and go: while one is not reconciled, its objects are in no cache.
            if let Some(kind) = kind_of(process, owner).filter(|kind| !self.holder_lookup.knows(kind)) {
                return Observed::Unknown(format!(
                    "it was submitted for a {kind}, a kind that is not reconciled"
                ));
            }
        }
        Observed::Known(None)
    }

    /// The object that keeps what an object of work has adopted as well. Several may adopt one process at the same moment: the oldest
    /// keeps it, and the others are woken to learn that. Of an object that ends, any that stays. What was submitted for an object
    /// is no other's while that object is there, whatever the status of others says.
    fn keeper<K: WorkObject>(&self, object: &K, bound: &str) -> Option<String> {
        let (metadata, is_leaving) = (object.meta(), object.is_terminating());
        if object.policies().adopted_id != Some(bound) {
            return None;
        }
        let own = Holder::new(String::new(), metadata);
        let others = self.holder_lookup.bound_to(bound, &own.uid);
        let others: Vec<Holder> = others.into_iter().filter(|other| !other.is_leaving).collect();
        if let Some(keeper) = others.iter().find(|other| is_leaving || other.precedes(&own)) {
            return Some(keeper.name.clone());
        }
        for younger in &others {
            self.holder_lookup.wake(&younger.uid);
        }
        None
    }
}

/// What was read. Where there is no colony to ask, that is why nothing was.
pub(super) fn explained<T>(read: Observed<T>, colony: &ColonyReference) -> Observed<T> {
    match (read, colony.obstacle()) {
        (Observed::Unknown(_), Some((_, why))) => Observed::Unknown(why),
        (read, _) => read,
    }
}

/// The kind of the object with UID `owner`, if a process was given that object as its arguments.
fn kind_of(process: &Process, owner: &str) -> Option<ObjectKind> {
    let arguments = &process.spec.kwargs;
    let is_given = arguments.get("metadata")?.get("uid").and_then(Value::as_str) == Some(owner);
    let text = |name: &str| arguments.get(name).and_then(Value::as_str);
    is_given.then_some(())?;
    Some(ObjectKind::new(text("apiVersion")?, text("kind")?))
}

/// A snapshot of work that is read from caches and the colony.
pub trait ReadWork: WorkSnapshot + Sized {
    /// The processes that matter to what is on record.
    fn recorded(
        object: &Self::Object,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> impl Future<Output = Observed<Vec<Process>>> + Send;

    /// The processes of what the spec names by `id`; none if the colony reports that there is none.
    fn named(
        id: &str,
        reader: &ProcessReader,
        connection: Option<&Connection>,
    ) -> impl Future<Output = Observed<Vec<Process>>> + Send;

    /// The id of the process, or workflow, that the processes of a label are; the oldest of several.
    fn id_of(labelled: &[Process]) -> Option<String>;

    /// The variables of its calls.
    fn variables(object: &Self::Object) -> Vec<&Variable>;

    /// Puts the snapshot together, with what only this kind looks at.
    fn complete(read: WorkRead<Self::Object>) -> impl Future<Output = Self> + Send;
}

/// What was read of an object of any kind of work.
pub struct WorkRead<K> {
    pub(super) object: K,
    pub(super) header: WorkHeader,
    pub(super) holder: Observed<Option<String>>,
    pub(super) values: Values,
    pub(super) connection: Option<Arc<Connection>>,
}

impl WorkReader {
    /// Builds a snapshot of work.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn work<W: ReadWork<Object: HasKind>>(&self, object: &W::Object) -> Result<W, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.ensure_cache_fresh(W::Object::KIND.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        let mut object = Belonging::new(&self.cluster, object.meta()).believed(object);
        let (policies, is_bound) = (object.policies(), object.mirror().is_some());
        let is_to_end = policies.cancel || policies.suspend;
        let claim = ColonyClaim::of_work(&object, policies.colony, is_to_end);
        let (colony, connection) = self.colonies.find(claim, &namespace);
        self.ensure_colony_read(&colony)?;
        let is_ending = object.is_over() || object.is_terminating();
        let adopted_id = policies.adopted_id.filter(|_| !is_bound && !is_ending);
        let adopted_id = adopted_id.map(str::to_owned);
        let restored = if adopted_id.is_none() && !is_bound && !is_ending {
            self.restored::<W>(&object, connection.as_deref()).await
        } else {
            Observed::Known(None)
        };
        let (processes, holder) = match adopted_id {
            None if let Some(Some(before)) = restored.known() => {
                (W::named(&before.id, &self.processes, connection.as_deref()).await, Observed::Known(None))
            }
            None => {
                let found = self.own::<W>(&mut object, connection.as_deref()).await;
                let bound = object.mirror().filter(|mirror| mirror.state.is_live());
                let bound = bound.and_then(|mirror| mirror.process_id.as_deref());
                (found, Observed::Known(bound.and_then(|bound| self.keeper(&object, bound))))
            }
            Some(id) => {
                let found = W::named(&id, &self.processes, connection.as_deref()).await;
                let holder = self.holder(&object.uid().unwrap_or_default(), &id, &found);
                (found, holder)
            }
        };
        let mirror = object.mirror();
        let may_submit = !is_ending && mirror.is_none_or(|mirror| !mirror.state.is_live());
        let values =
            if may_submit { self.values(&namespace, W::variables(&object)).await } else { Values::default() };
        let mut header = self.header(colony, processes, mirror, now);
        header.restored = restored;
        if mirror.is_none() && !is_ending {
            header.is_owner_gone = self.is_owner_gone(object.meta()).await;
        }
        Ok(W::complete(WorkRead { object, header, holder, values, connection }).await)
    }

    /// The processes that matter to what is on record of an object, which are its own. An id in status that is of another's is
    /// taken out of `object`, and its own are looked up.
    async fn own<W: ReadWork>(
        &self,
        object: &mut W::Object,
        connection: Option<&Connection>,
    ) -> Observed<Vec<Process>> {
        let mut found = W::recorded(object, &self.processes, connection).await;
        let mut belonging = Belonging::new(&self.cluster, object.meta());
        if let Some(id) = object.policies().adopted_id
            && object.mirror().and_then(|mirror| mirror.process_id.as_deref()) == Some(id)
        {
            match self.submitter(&object.uid().unwrap_or_default(), &found) {
                Observed::Known(None) => belonging = belonging.adopting(id),
                Observed::Known(Some(_)) => {}
                Observed::Unknown(why) => return Observed::Unknown(why),
            }
        }
        if belonging.verify(object, &mut found) {
            return found;
        }
        W::recorded(object, &self.processes, connection).await
    }
}

/// Name of the executor of the recorded process, if the colony reports it.
pub(super) async fn executor(
    processes: &Observed<Vec<Process>>,
    id: Option<&str>,
    connection: Option<&Arc<Connection>>,
) -> Option<String> {
    let processes = processes.known()?;
    let process = processes.iter().find(|process| id.is_none_or(|id| process.id.as_str() == id))?;
    named(connection?, process.assigned_executor.as_ref()?).await
}

/// Name of an executor. One that came since the colony was last asked for all of them is asked for by itself.
pub(super) async fn named(connection: &Connection, id: &Id) -> Option<String> {
    if let Some(name) = connection.executor_name(id) {
        return Some(name);
    }
    let asked = connection.member.executor_by_id(id).await;
    let found = asked.inspect_err(|error| tracing::debug!(executor = %id, %error, "cannot be read")).ok()?;
    connection.note_executor_name(id, &found.name);
    Some(found.name)
}
