//! The kinds that the cluster was found to serve, and where: their names alone do not suffice to write their objects.

use std::{collections::HashMap, sync::Arc};

use kube::core::ApiResource;
use parking_lot::RwLock;

use crate::api::resource_definition::ObjectKind;

#[derive(Clone, Default)]
pub struct ServedKinds(Arc<RwLock<HashMap<ObjectKind, ApiResource>>>);

impl ServedKinds {
    /// Notes where the objects of a kind are.
    pub fn found(&self, kind: ObjectKind, resource: ApiResource) {
        self.0.write().insert(kind, resource);
    }

    /// Notes that a kind is not served.
    pub fn missed(&self, kind: &ObjectKind) {
        self.0.write().remove(kind);
    }

    #[must_use]
    pub fn resource(&self, kind: &ObjectKind) -> Option<ApiResource> {
        self.0.read().get(kind).cloned()
    }
}
