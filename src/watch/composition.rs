//! Puts together what one pass knows of an instance that is made of other objects.

use std::collections::BTreeSet;

use kube::ResourceExt as _;
use serde_json::Value;

use super::{
    children::{ChildWatches, Found, last_write},
    freshness::CacheBehind,
    part_trouble::of_parts,
};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        resource_definition::ObjectKind,
    },
    memory::writes::{Key, Writes},
    runtime::clock::Clock,
    snapshot::{Children, CompositionSnapshot, Observed},
};

/// Builds the snapshot for one pass over an instance that is made of other objects.
#[derive(Clone)]
pub struct CompositionReader {
    /// The objects.
    pub children: ChildWatches,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
}

impl CompositionReader {
    /// Builds a snapshot. `kinds` are those that the definition makes now, `kinds_with_readiness` those whose objects
    /// say by a condition `Ready` when they are.
    ///
    /// # Errors
    ///
    /// When a cache does not show what this process last wrote.
    pub async fn snapshot(
        &self,
        kind: &InstanceKind,
        object: &Instance,
        kinds: BTreeSet<ObjectKind>,
        kinds_with_readiness: BTreeSet<ObjectKind>,
    ) -> Result<CompositionSnapshot, CacheBehind> {
        let (namespace, uid) = (object.namespace().unwrap_or_default(), object.uid().unwrap_or_default());
        self.ensure_cache_fresh(&Key::new(kind.name(), &namespace, &object.name_any()))?;
        let earlier = object.status.iter().flat_map(|status| status.composed_of.iter().cloned());
        let kinds: BTreeSet<ObjectKind> = kinds.into_iter().chain(earlier).collect();
        let (mut children, mut unserved) = (Children::new(), BTreeSet::new());
        for kind in kinds {
            self.ensure_cache_fresh(&last_write(&kind, &namespace, &uid))?;
            match self.children.of(&kind, &namespace, &uid).await {
                Found::Served(Observed::Known(own)) => {
                    let found = self.with_invalidated(&kind, &namespace, own).await;
                    children.insert(kind, found);
                }
                Found::Served(unknown) => drop(children.insert(kind, unknown)),
                Found::Unserved => drop(unserved.insert(kind)),
            }
        }
        let now = self.clock.now();
        let (unready_workloads, troubles) = if object.metadata.deletion_timestamp.is_some() {
            (0, Vec::new())
        } else {
            of_parts(self.children.client(), &namespace, &children, now).await
        };
        Ok(CompositionSnapshot {
            object: object.clone(),
            kind: kind.clone(),
            children,
            unserved,
            kinds_with_readiness,
            unready_workloads,
            troubles,
            now,
        })
    }

    /// Adds objects, by kind and name, to a snapshot, whatever their owner: no watch shows those that are not the
    /// instance's.
    pub async fn look_up(&self, snapshot: &mut CompositionSnapshot, names: Vec<(ObjectKind, String)>) {
        let namespace = snapshot.object.namespace().unwrap_or_default();
        for (kind, name) in names {
            let read = self.children.by_name(&kind, &namespace, &name).await;
            let Some(found) = snapshot.children.get_mut(&kind) else { continue };
            match (read, &mut *found) {
                (Observed::Known(Some(object)), Observed::Known(objects)) => objects.push(object),
                (Observed::Unknown(why), _) => *found = Observed::Unknown(why),
                _ => {}
            }
        }
    }

    fn ensure_cache_fresh(&self, key: &Key) -> Result<(), CacheBehind> {
        if self.writes.is_cache_behind(key, self.clock.instant()) { Err(CacheBehind) } else { Ok(()) }
    }

    /// With objects whose names turned out to be taken: the watch shows the operator's own alone.
    async fn with_invalidated(
        &self,
        kind: &ObjectKind,
        namespace: &str,
        mut own: Vec<Value>,
    ) -> Observed<Vec<Value>> {
        let of_kind = kind.to_string();
        for name in self.writes.invalidated(&of_kind, namespace) {
            let is_own =
                |object: &Value| object.pointer("/metadata/name").and_then(Value::as_str) == Some(&name);
            let key = Key::new(of_kind.clone(), namespace, &name);
            if own.iter().any(is_own) {
                self.writes.revalidate(&key);
                continue;
            }
            match self.children.by_name(kind, namespace, &name).await {
                Observed::Known(Some(found)) => own.push(found),
                Observed::Known(None) => self.writes.revalidate(&key),
                Observed::Unknown(why) => return Observed::Unknown(why),
            }
        }
        Observed::Known(own)
    }
}
