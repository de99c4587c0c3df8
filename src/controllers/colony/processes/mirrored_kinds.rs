//! The objects that processes carry, of whatever kind: what is on record of their processes, and how their passes are
//! woken.

use std::{fmt, hash::Hash, sync::Arc};

use kube::{Resource, ResourceExt as _, core::DeserializeGuard, runtime::reflector::ObjectRef};
use parking_lot::RwLock;

use crate::{
    api::{
        executor_deployment::ExecutorDeployment,
        mirror::{LiveProcess, MirrorState, MirrorStatus, Mirrored},
        resource_definition::ObjectKind,
    },
    colony::{ProcessId, ProcessState},
    controllers::engine::context::Requeuer,
    snapshot::ColonyUser,
    watch::{
        holders::Holder,
        index::{Index, IndexKey},
        stores::Filled,
    },
};

/// The objects of all kinds and scopes. Kinds come and go: users make them up.
#[derive(Clone, Default)]
pub struct MirroredKinds(Arc<RwLock<Vec<Arc<dyn Kind>>>>);

impl MirroredKinds {
    /// Adds the objects of a kind in a scope.
    pub fn add(&self, kind: Arc<dyn Kind>) {
        self.0.write().push(kind);
    }

    /// Forgets objects that were added.
    pub fn remove(&self, kind: &Arc<dyn Kind>) {
        self.0.write().retain(|other| !Arc::ptr_eq(other, kind));
    }

    /// What status says of the object with a UID.
    pub fn recorded(&self, uid: &str) -> Option<MirrorStatus> {
        self.all().iter().find_map(|objects| objects.recorded(uid))
    }

    /// Has the object with this UID looked at, of whatever kind it is.
    pub fn wake_uid(&self, uid: &str) {
        for objects in self.all() {
            objects.wake_uid(uid);
        }
    }

    /// All there are at the moment.
    pub fn all(&self) -> Vec<Arc<dyn Kind>> {
        self.0.read().clone()
    }
}

/// A kind whose objects have processes.
pub trait MirroredKind:
    Mirrored
    + Resource<DynamicType: Clone + fmt::Debug + Eq + Hash + Send + Sync + Unpin + 'static>
    + Clone
    + fmt::Debug
    + Send
    + Sync
    + 'static
{
    /// The states of its process that the operator does not bring about itself, given the one on record.
    /// Of what others carry out, that is every state that may follow.
    fn watched_states(recorded: ProcessState) -> &'static [ProcessState] {
        use ProcessState::{Cancelled, Failed, Running, Successful};
        match recorded {
            ProcessState::Waiting => &[Running, Failed, Cancelled],
            _ => &[Successful, Failed, Cancelled],
        }
    }
    /// The Colony that an object, or its kind, names.
    fn colony<'a>(&'a self, kind: &'a Self::DynamicType) -> Option<&'a str>;
    /// Whether nothing becomes of an object any more, but that its time may be over.
    fn is_finished(&self) -> bool {
        false
    }
    /// Whether its end needs the colony in which it is.
    fn needs_colony(&self, _kind: &Self::DynamicType) -> bool {
        !self.is_finished()
    }
    /// Whether others carry it out, who may have moved it on before the operator listens.
    const RUN_BY_OTHERS: bool = true;
    /// Whether status shows the last line of the log while it runs.
    const SHOWS_LOG: bool = false;
}

impl MirroredKind for ExecutorDeployment {
    fn colony<'a>(&'a self, (): &'a ()) -> Option<&'a str> {
        self.spec.colony.as_deref()
    }

    /// All other ends are the operator's own doing, and it hears of an assignment by being assigned.
    fn watched_states(_: ProcessState) -> &'static [ProcessState] {
        &[ProcessState::Cancelled]
    }

    const RUN_BY_OTHERS: bool = false;
}

/// Objects of one kind in one scope.
pub trait Kind: Send + Sync {
    /// When they are all known.
    fn filled(&self) -> &Filled;
    /// Their processes that are not over, as far as status knows.
    fn carried(self: Arc<Self>) -> Vec<LiveProcessRef>;
    /// Has an object looked at.
    fn wake(&self, namespace: &str, name: &str);
    /// Whether one of them has this UID.
    fn has_uid(&self, uid: &str) -> bool;
    /// What status says of the process of the one with this UID.
    fn recorded(&self, uid: &str) -> Option<MirrorStatus>;
    /// The kind, the namespace and the name of the one with this UID.
    fn with_uid(&self, uid: &str) -> Option<String>;
    /// Those that are bound to a process, or workflow, but for that with UID `but`.
    fn bound_to(&self, id: &str, but: &str) -> Vec<Holder>;
    /// Whether they are of this kind.
    fn is_of(&self, kind: &ObjectKind) -> bool;
    /// The group and the name of their kind.
    fn group_and_kind(&self) -> (String, String);
    /// Whether they are of a kind of this group and name, in whatever version.
    fn is_named(&self, group: &str, kind: &str) -> bool;
    /// Those whose end needs the colony of the `Colony` of this name.
    fn users(&self, colony: &str) -> Vec<ColonyUser>;
    /// Has the object with this UID looked at, if it is one of them.
    fn wake_uid(&self, uid: &str);
    /// Has every object looked at that something may still become of.
    fn wake_all(&self);
}

/// An object, by its kind and name.
#[derive(Clone)]
pub struct Reference {
    /// The objects of its kind.
    pub kind: Arc<dyn Kind>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// A process of an object that is not over, as far as status knows.
pub struct LiveProcessRef {
    /// The object.
    pub object: Reference,
    /// The process.
    pub process_id: ProcessId,
    /// The state of the process as status has it.
    pub recorded: ProcessState,
    /// The states to subscribe to.
    pub watched_states: &'static [ProcessState],
    /// Whether others carry it out.
    pub run_by_others: bool,
    /// Whether status shows the last line of the log.
    pub shows_log: bool,
}

/// Objects of kind `K` in one scope.
pub struct Objects<K: MirroredKind> {
    /// Their kind.
    pub kind: K::DynamicType,
    /// The cache.
    pub index: Index<DeserializeGuard<K>>,
    /// When it is filled.
    pub filled: Filled,
    /// Wakes them.
    pub requeuer: Requeuer<DeserializeGuard<K>>,
}

/// An object by kind, namespace and name, for a person.
fn named<K: MirroredKind>(object: &DeserializeGuard<K>, kind: &K::DynamicType) -> String {
    let namespace = object.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    format!("{} {namespace}{}", K::kind(kind), object.name_any())
}

/// The processes of an object that are not over.
fn carried<K: MirroredKind>(object: &K, kind: &Arc<dyn Kind>) -> Vec<LiveProcessRef> {
    let followed = |process: LiveProcess<'_>| {
        let recorded = match process.state {
            MirrorState::Waiting => ProcessState::Waiting,
            MirrorState::Running => ProcessState::Running,
            _ => return None,
        };
        let object = Reference {
            kind: kind.clone(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        let watched_states: &[ProcessState] =
            if process.is_blocked { &[] } else { K::watched_states(recorded) };
        Some(LiveProcessRef {
            object,
            process_id: ProcessId::new(process.id),
            recorded,
            watched_states,
            run_by_others: K::RUN_BY_OTHERS,
            shows_log: K::SHOWS_LOG,
        })
    };
    object.live_processes().into_iter().filter_map(followed).collect()
}

impl<K: MirroredKind> Objects<K> {
    fn of_uid(&self, uid: &str) -> Option<Arc<DeserializeGuard<K>>> {
        self.index.get(&IndexKey::Uid(uid.to_owned())).into_iter().next()
    }
}

impl<K: MirroredKind> Kind for Objects<K> {
    fn filled(&self) -> &Filled {
        &self.filled
    }

    fn carried(self: Arc<Self>) -> Vec<LiveProcessRef> {
        let objects = self.index.store().state();
        let kind: Arc<dyn Kind> = self;
        let readable = objects.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        readable.flat_map(|object| carried(object, &kind)).collect()
    }

    fn wake(&self, namespace: &str, name: &str) {
        let reference = ObjectRef::new_with(name, self.kind.clone());
        self.requeuer.wake(&if namespace.is_empty() { reference } else { reference.within(namespace) });
    }

    fn has_uid(&self, uid: &str) -> bool {
        self.of_uid(uid).is_some()
    }

    fn recorded(&self, uid: &str) -> Option<MirrorStatus> {
        self.of_uid(uid)?.0.as_ref().ok()?.mirror().cloned()
    }

    fn with_uid(&self, uid: &str) -> Option<String> {
        Some(named(self.of_uid(uid)?.as_ref(), &self.kind))
    }

    fn bound_to(&self, id: &str, but: &str) -> Vec<Holder> {
        let bound = self.index.get(&IndexKey::Process(id.to_owned()));
        let others = bound.iter().filter(|object| object.meta().uid.as_deref() != Some(but));
        others.map(|object| Holder::new(named(object.as_ref(), &self.kind), object.meta())).collect()
    }

    fn is_of(&self, kind: &ObjectKind) -> bool {
        *kind == ObjectKind::new(K::api_version(&self.kind), K::kind(&self.kind))
    }

    fn group_and_kind(&self) -> (String, String) {
        (K::group(&self.kind).into_owned(), K::kind(&self.kind).into_owned())
    }

    fn is_named(&self, group: &str, kind: &str) -> bool {
        K::group(&self.kind) == group && K::kind(&self.kind) == kind
    }

    fn users(&self, colony: &str) -> Vec<ColonyUser> {
        let objects = self.index.store().state();
        let user = |guarded: &Arc<DeserializeGuard<K>>| {
            let object = guarded.0.as_ref().ok()?;
            let used = object.used_colony().filter(|used| used.name == colony)?;
            let colony_uid = used.uid.clone();
            object
                .needs_colony(&self.kind)
                .then(|| ColonyUser { object: named(guarded, &self.kind), colony_uid })
        };
        objects.iter().filter_map(user).collect()
    }

    fn wake_uid(&self, uid: &str) {
        if let Some(found) = self.of_uid(uid) {
            self.requeuer.wake(&ObjectRef::from_obj_with(found.as_ref(), self.kind.clone()));
        }
    }

    fn wake_all(&self) {
        for guarded in self.index.store().state() {
            if let Ok(object) = &guarded.0
                && object.mirror().is_none_or(MirrorStatus::may_live)
            {
                self.wake(&object.namespace().unwrap_or_default(), &object.name_any());
            }
        }
    }
}
