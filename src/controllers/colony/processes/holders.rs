//! Tells which object has a process, among the objects of all kinds that processes carry.

use futures::FutureExt as _;

use super::Carriers;
use crate::{
    api::resource_definition::ObjectKind, controllers::engine::context::Machinery,
    memory::departed::Departed, snapshot::Observed, watch::holders::Living,
};

/// The objects that may have a process.
pub struct Holders {
    carriers: Carriers,
    departed: Departed,
    /// Whether objects of some namespaces are not looked after.
    is_partial: bool,
}

impl Holders {
    /// Those among `carriers`, as far as the configuration has them looked after.
    pub fn new(carriers: &Carriers, machinery: &Machinery) -> Self {
        Self {
            carriers: carriers.clone(),
            departed: machinery.departed.clone(),
            is_partial: !machinery.configuration.watch_namespaces.is_empty(),
        }
    }
}

impl Living for Holders {
    fn with_uid(&self, uid: &str) -> Observed<Option<String>> {
        let all = self.carriers.all();
        if let Some(found) = all.iter().find_map(|objects| objects.with_uid(uid)) {
            return Observed::Known(Some(found));
        }
        if self.is_partial && !self.departed.contains(uid) {
            let why = "it was submitted for an object of this cluster, which may be in a namespace that this operator does not look after (watchNamespaces)";
            return Observed::Unknown(why.to_owned());
        }
        let is_filled = all.iter().all(|objects| objects.filled().reached().now_or_never().is_some());
        if is_filled {
            Observed::Known(None)
        } else {
            Observed::Unknown("not all objects are known yet".to_owned())
        }
    }

    fn bound_to(&self, id: &str, but: &str) -> Option<String> {
        self.carriers.all().iter().find_map(|objects| objects.bound_to(id, but))
    }

    fn knows(&self, kind: &ObjectKind) -> bool {
        self.carriers.all().iter().any(|objects| objects.is_of(kind))
    }
}
