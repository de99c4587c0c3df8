//! Shared by the readers of mirrored kinds: caches, the colony of an object, the values that it refers to.

use std::{borrow::Cow, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Secret},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde_json::Value;

use super::{
    colonies::{Colonies, ColonyClaim},
    flows::Requests,
    freshness::CacheBehind,
    holders::HolderLookup,
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
        work::WorkObject as _,
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
    snapshot::{ColonyReference, Observed, ValueSource, Values, WorkHeader, WorkSnapshot},
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
        WorkHeader {
            cluster: self.cluster.clone(),
            processes: explained(processes, &colony),
            colony,
            submit_not_before: self.processes.submit_not_before(mirror),
            is_owner_gone: Observed::Known(false),
            now,
        }
    }

    /// Whether an object was created for a `ColonyCron` that is deleted, or about to be.
    pub(super) async fn is_cron_gone(&self, run: &ObjectMeta) -> Observed<bool> {
        let owners = run.owner_references.iter().flatten();
        let is_cron = |owner: &&OwnerReference| {
            owner.kind == ColonyCron::KIND.name() && owner.api_version == ColonyCron::api_version(&())
        };
        let Some(owner) = owners.filter(|owner| owner.controller == Some(true)).find(is_cron) else {
            return Observed::Known(false);
        };
        let namespace = run.namespace.as_deref().unwrap_or_default();
        let api = Api::<ColonyCron>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_metadata_opt(&owner.name)).await {
            Ok(found) => Observed::Known(found.is_none_or(|cron| {
                cron.metadata.uid.as_ref() != Some(&owner.uid) || cron.metadata.deletion_timestamp.is_some()
            })),
            Err(error) => Observed::Unknown(error.explain(&format!("get ColonyCron {}", owner.name))),
        }
    }

    /// The object that has what another, with UID `uid`, is to adopt: the process or workflow of this id, whose
    /// processes are `found`. Their labels name the object that they were submitted for.
    pub(super) fn holder(
        &self,
        uid: &str,
        id: &str,
        found: &Observed<Vec<Process>>,
    ) -> Observed<Option<String>> {
        if let Some(holder) = self.holder_lookup.bound_to(id, uid) {
            return Observed::Known(Some(holder));
        }
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

    /// What variables refer to.
    pub(super) async fn values(
        &self,
        namespace: &str,
        variables: impl IntoIterator<Item = &Variable>,
    ) -> Values {
        let mut values = Values::default();
        let sources: Vec<_> = variables
            .into_iter()
            .filter_map(|variable| ValueSource::of(variable.value_from.as_ref()?))
            .collect();
        for (source, _) in sources {
            if values.get(&source).is_none() {
                let read = self.value(namespace, &source).await;
                values.insert(source, read);
            }
        }
        values
    }

    async fn value(&self, namespace: &str, source: &ValueSource) -> Observed<Option<String>> {
        match source {
            ValueSource::Secret { name, key } => {
                let found = self.get::<Secret>(namespace, name, "Secret").await;
                let bytes = |secret: &Secret| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
                match found {
                    Observed::Unknown(why) => Observed::Unknown(why),
                    Observed::Known(secret) => match secret.as_ref().and_then(bytes).map(String::from_utf8) {
                        None => Observed::Known(None),
                        Some(Ok(text)) => Observed::Known(Some(text)),
                        Some(Err(_)) => Observed::Unknown("it is not text".to_owned()),
                    },
                }
            }
            ValueSource::ConfigMap { name, key } => {
                let found = self.get::<ConfigMap>(namespace, name, "ConfigMap").await;
                let text = |map: Option<ConfigMap>| map?.data?.remove(key);
                match found {
                    Observed::Unknown(why) => Observed::Unknown(why),
                    Observed::Known(map) => Observed::Known(text(map)),
                }
            }
        }
    }

    async fn get<K>(&self, namespace: &str, name: &str, kind: &str) -> Observed<Option<K>>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found),
            Err(error) => Observed::Unknown(error.explain(&format!("get {kind} {name}"))),
        }
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

    /// The variables of its calls.
    fn variables(object: &Self::Object) -> Vec<&Variable>;

    /// Puts the snapshot together, with what only this kind looks at.
    fn complete(read: WorkRead<'_, Self::Object>) -> impl Future<Output = Self> + Send;
}

/// What was read of an object of any kind of work.
pub struct WorkRead<'a, K> {
    pub(super) object: &'a K,
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
        let policies = object.policies();
        let is_to_end = policies.cancel || policies.suspend;
        let claim = ColonyClaim::of_work(object, policies.colony, is_to_end);
        let (colony, connection) = self.colonies.find(claim, &namespace);
        self.ensure_colony_read(&colony)?;
        let mirror = object.mirror();
        let is_ending = object.is_over() || object.is_terminating();
        let (processes, holder) = match policies.adopted_id.filter(|_| mirror.is_none() && !is_ending) {
            None => {
                let found = W::recorded(object, &self.processes, connection.as_deref()).await;
                (found, Observed::Known(None))
            }
            Some(id) => {
                let found = W::named(id, &self.processes, connection.as_deref()).await;
                let holder = self.holder(&object.uid().unwrap_or_default(), id, &found);
                (found, holder)
            }
        };
        let may_submit = !is_ending && mirror.is_none_or(|mirror| !mirror.state.is_live());
        let values =
            if may_submit { self.values(&namespace, W::variables(object)).await } else { Values::default() };
        let mut header = self.header(colony, processes, mirror, now);
        if mirror.is_none() && !is_ending {
            header.is_owner_gone = self.is_cron_gone(object.meta()).await;
        }
        Ok(W::complete(WorkRead { object, header, holder, values, connection }).await)
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
