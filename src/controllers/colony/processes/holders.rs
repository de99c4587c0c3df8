//! Finds the object of a process, among the objects of all mirrored kinds.

use super::MirroredKinds;
use crate::{
    api::resource_definition::ObjectKind,
    controllers::engine::context::Services,
    memory::released::ReleasedObjects,
    snapshot::Observed,
    watch::holders::{Holder, HolderLookup},
};

/// The objects that may have a process.
pub struct ProcessHolders {
    mirrored_kinds: MirroredKinds,
    released: ReleasedObjects,
    /// Whether some namespaces are not watched.
    is_partial: bool,
}

impl ProcessHolders {
    /// Those among `mirrored_kinds`, as far as the configuration enables them.
    pub fn new(mirrored_kinds: &MirroredKinds, services: &Services) -> Self {
        Self {
            mirrored_kinds: mirrored_kinds.clone(),
            released: services.released.clone(),
            is_partial: !services.configuration.watch_namespaces.is_empty(),
        }
    }
}

impl HolderLookup for ProcessHolders {
    fn with_uid(&self, uid: &str) -> Observed<Option<String>> {
        let all = self.mirrored_kinds.all();
        if let Some(found) = all.iter().find_map(|objects| objects.with_uid(uid)) {
            return Observed::Known(Some(found));
        }
        if self.is_partial && !self.released.contains(uid) {
            let why = "it was submitted for an object of this cluster, which may be in a namespace that this operator does not watch (watchNamespaces)";
            return Observed::Unknown(why.to_owned());
        }
        let is_filled = all.iter().all(|objects| objects.filled().is_reached());
        if is_filled {
            Observed::Known(None)
        } else {
            Observed::Unknown("not all objects are known yet".to_owned())
        }
    }

    fn bound_to(&self, id: &str, but: &str) -> Vec<Holder> {
        self.mirrored_kinds.all().iter().flat_map(|objects| objects.bound_to(id, but)).collect()
    }

    fn wake(&self, uid: &str) {
        self.mirrored_kinds.wake_uid(uid);
    }

    fn knows(&self, kind: &ObjectKind) -> bool {
        self.mirrored_kinds.all().iter().any(|objects| objects.is_of(kind))
    }
}
