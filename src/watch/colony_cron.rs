//! Puts together what one pass knows of a `ColonyCron`.

use jiff::Timestamp;
use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use super::{freshness::CacheBehind, stores::Filled};
use crate::{
    api::{
        colony_cron::{ColonyCron, RunKind},
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        kind::{HasKind as _, Kind},
        names::{cron_run, parse_cron_run},
        work::WorkState,
    },
    memory::writes::{Key, Writes},
    runtime::clock::Clock,
    snapshot::{ColonyCronSnapshot, CronRun},
};

/// Kinds that a schedule can repeat.
pub trait ScheduledKind: Resource<DynamicType = ()> + Clone + 'static {
    const KIND: RunKind;
    /// Its state, and when it ended, as far as known.
    fn progress(&self) -> (Option<WorkState>, Option<Timestamp>);
}

impl ScheduledKind for ColonyProcess {
    const KIND: RunKind = RunKind::Process;

    fn progress(&self) -> (Option<WorkState>, Option<Timestamp>) {
        let Some(status) = &self.status else { return (None, None) };
        (status.state, status.completion_time.as_ref().map(|time| time.0))
    }
}

impl ScheduledKind for ColonyWorkflow {
    const KIND: RunKind = RunKind::Workflow;

    fn progress(&self) -> (Option<WorkState>, Option<Timestamp>) {
        let Some(status) = &self.status else { return (None, None) };
        (status.state, status.completion_time.as_ref().map(|time| time.0))
    }
}

/// Builds the snapshot for one pass over a `ColonyCron`.
#[derive(Clone)]
pub struct CronReader {
    /// Processes, those of others too.
    pub processes: Store<DeserializeGuard<ColonyProcess>>,
    /// Workflows, those of others too.
    pub workflows: Store<DeserializeGuard<ColonyWorkflow>>,
    /// When each of the caches is filled.
    pub filled: Vec<Filled>,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
}

impl CronReader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the caches do not show what this process last wrote for the object.
    pub fn snapshot(&self, object: &ColonyCron) -> Result<ColonyCronSnapshot, CacheBehind> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let now = self.clock.now();
        self.ensure_cache_fresh(ColonyCron::KIND.name(), &namespace, &name)?;
        let last = object.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
        if let Some(last) = last {
            // Without the run that was created last, another could be created beside it.
            let run = cron_run(&name, last.0.as_second().div_euclid(60));
            for kind in [RunKind::Process, RunKind::Workflow] {
                self.ensure_cache_fresh(Kind::from(kind).name(), &namespace, &run)?;
            }
        }
        let mut snapshot =
            ColonyCronSnapshot { object: object.clone(), runs: Vec::new(), strangers: Vec::new(), now };
        self.collect(&self.processes, &mut snapshot);
        self.collect(&self.workflows, &mut snapshot);
        snapshot.runs.sort_by_key(|run| run.minute);
        Ok(snapshot)
    }

    /// Adds the runs of a kind, and those that only have the name of one.
    fn collect<K: ScheduledKind>(
        &self,
        store: &Store<DeserializeGuard<K>>,
        snapshot: &mut ColonyCronSnapshot,
    ) {
        let namespace = snapshot.object.namespace().unwrap_or_default();
        for guarded in store.state() {
            if let Some(name) = add_run(snapshot, &guarded) {
                self.writes.revalidate(&Key::new(Kind::from(K::KIND).name(), &namespace, &name));
            }
        }
    }

    fn ensure_cache_fresh(&self, kind: &'static str, namespace: &str, name: &str) -> Result<(), CacheBehind> {
        let key = Key::new(kind, namespace, name);
        if self.writes.is_cache_behind(&key, self.clock.instant()) { Err(CacheBehind) } else { Ok(()) }
    }
}

/// Adds a run to the snapshot, or an object that only has the name of one; that name, if the object is either.
pub fn add_run<K: ScheduledKind>(
    snapshot: &mut ColonyCronSnapshot,
    guarded: &DeserializeGuard<K>,
) -> Option<String> {
    let metadata = guarded.meta();
    let name = metadata.name.clone().unwrap_or_default();
    if metadata.namespace != snapshot.object.namespace() {
        return None;
    }
    let minute = parse_cron_run(&snapshot.object.name_any(), &name)?;
    let uid = snapshot.object.uid();
    if uid.is_none() || controller(guarded) != uid.as_deref() {
        snapshot.strangers.push((K::KIND, name.clone()));
        return Some(name);
    }
    // Whether an unreadable one has finished is unknown.
    let (state, ended_at) = guarded.0.as_ref().map_or((None, None), K::progress);
    snapshot.runs.push(CronRun {
        kind: K::KIND,
        name: name.clone(),
        uid: metadata.uid.clone().unwrap_or_default(),
        minute,
        state,
        ended_at,
        is_deleted: metadata.deletion_timestamp.is_some(),
    });
    Some(name)
}

/// UID of the object that controls another.
fn controller<K: Resource>(object: &K) -> Option<&str> {
    let mut owners = object.meta().owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// A run wakes the `ColonyCron` that controls it.
#[must_use]
pub fn cron_of<K: ScheduledKind>(
    run: &DeserializeGuard<K>,
) -> Option<ObjectRef<DeserializeGuard<ColonyCron>>> {
    let kind = ColonyCron::kind(&());
    let mut owners = run.meta().owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == kind)?;
    Some(ObjectRef::new(&owner.name).within(run.meta().namespace.as_deref()?))
}
