//! Puts together what one pass knows of a `ColonyCron`.

use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::reflector::{ObjectRef, Store},
};

use super::{
    executor_deployment::CacheBehind,
    snapshot::{ColonyCronSnapshot, CronRun},
    stores::Filled,
};
use crate::{
    api::{
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        names::{cron_run, parse_cron_run},
    },
    memory::writes::{Key, Writes},
    runtime::clock::Clock,
};

/// Reads the world for one pass over a `ColonyCron`.
#[derive(Clone)]
pub struct CronReader {
    /// Processes, those of others too.
    pub processes: Store<DeserializeGuard<ColonyProcess>>,
    /// When each of the caches is filled.
    pub filled: Vec<Filled>,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
}

impl CronReader {
    /// Puts a snapshot together.
    ///
    /// # Errors
    ///
    /// When the caches do not show what this process last wrote for the object.
    pub fn snapshot(&self, object: &ColonyCron) -> Result<ColonyCronSnapshot, CacheBehind> {
        let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
        let now = self.clock.now();
        self.caught_up("ColonyCron", &namespace, &name)?;
        let last = object.status.as_ref().and_then(|status| status.last_schedule_time.as_ref());
        if let Some(last) = last {
            // Without the run that was created last, another could be created beside it.
            let run = cron_run(&name, last.0.as_second().div_euclid(60));
            self.caught_up("ColonyProcess", &namespace, &run)?;
        }
        let uid = object.uid().unwrap_or_default();
        let (mut runs, mut strangers) = (Vec::new(), Vec::new());
        for guarded in self.processes.state() {
            let metadata = guarded.meta();
            let found = metadata.name.clone().unwrap_or_default();
            if metadata.namespace.as_ref() != Some(&namespace) {
                continue;
            }
            let Some(minute) = parse_cron_run(&name, &found) else { continue };
            self.writes.believe(&Key::new("ColonyProcess", &namespace, &found));
            if controller(guarded.as_ref()) != Some(uid.as_str()) {
                strangers.push(found);
                continue;
            }
            // Of one that cannot be read, nobody knows whether it has finished.
            let status = guarded.0.as_ref().ok().and_then(|process| process.status.as_ref());
            runs.push(CronRun {
                name: found,
                uid: metadata.uid.clone().unwrap_or_default(),
                minute,
                state: status.and_then(|status| status.state),
                ended_at: status.and_then(|status| status.completion_time.as_ref()).map(|time| time.0),
                is_deleted: metadata.deletion_timestamp.is_some(),
            });
        }
        runs.sort_by_key(|run| run.minute);
        Ok(ColonyCronSnapshot { object: object.clone(), runs, strangers, now })
    }

    fn caught_up(&self, kind: &'static str, namespace: &str, name: &str) -> Result<(), CacheBehind> {
        let key = Key::new(kind, namespace, name);
        if self.writes.is_cache_behind(&key, self.clock.instant()) { Err(CacheBehind) } else { Ok(()) }
    }
}

/// UID of the object that controls another.
fn controller<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.iter().flatten();
    owners.clone().find(|owner| owner.controller == Some(true)).map(|owner| owner.uid.as_str())
}

/// A process wakes the `ColonyCron` that controls it.
#[must_use]
pub fn cron_of(process: &DeserializeGuard<ColonyProcess>) -> Option<ObjectRef<DeserializeGuard<ColonyCron>>> {
    let kind = ColonyCron::kind(&());
    let mut owners = process.meta().owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == kind)?;
    Some(ObjectRef::new(&owner.name).within(process.meta().namespace.as_deref()?))
}
