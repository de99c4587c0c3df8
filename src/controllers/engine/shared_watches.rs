//! What passes over all kinds of work look at besides the objects themselves.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;

use super::context::Services;
use crate::{
    api::colony::Colony,
    watch::{
        colonies::Colonies,
        flows::Requests,
        holders::HolderLookup,
        stores::{self, Changes, Filled},
    },
};

/// What passes over objects look at besides them, and the changes of it that concern all of them.
pub(in crate::controllers) struct SharedWatches {
    /// Which colony an object may use.
    pub colonies: Colonies,
    /// When its caches are filled.
    pub filled: Vec<Filled>,
    /// What is known of requests alone.
    pub requests: Requests,
    /// Who has a process.
    pub holder_lookup: Arc<dyn HolderLookup>,
    /// `Colonies` that have changed.
    pub colony_changes: Changes<Colony>,
    /// Namespaces that have changed.
    pub namespace_changes: Changes<PartialObjectMeta<Namespace>>,
}

impl SharedWatches {
    /// Looked at by watches of their own.
    pub fn watched(services: &Services, requests: Requests, holder_lookup: Arc<dyn HolderLookup>) -> Self {
        let client = &services.kubernetes.watches;
        let (colonies, namespaces) =
            (stores::colonies(client, &services.configuration.cluster_selector), stores::namespaces(client));
        Self {
            colonies: Colonies {
                colonies: colonies.store,
                namespaces: namespaces.store,
                connections: services.connections.clone(),
                operator_namespace: services.kubernetes.namespace.clone(),
            },
            filled: vec![colonies.filled, namespaces.filled],
            requests,
            holder_lookup,
            colony_changes: colonies.changes,
            namespace_changes: namespaces.changes,
        }
    }
}
