//! Lists the objects of a kind that may be stored in another version than that of now: page by page, as their
//! migration proceeds. Only which objects there are is asked for, not what is in them.

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, ResourceExt as _, api::ListParams, core::PartialObjectMeta};

use super::{DefinitionReader, Right};
use crate::{
    api::{
        instance::{AcceptedHandler, Instance, InstanceKind},
        resource_definition::{
            DefinitionScope, NextOfMigration, ResourceDefinition, SeenObject, StoredObject,
            next_of_migration, versions_left,
        },
    },
    runtime::kubernetes::{CALL_TIME_LIMIT, CallError, call},
    snapshot::{Observed, StoredObjects, StoredPage},
};

/// How many objects are listed, and then written, in one pass.
const PAGE: u32 = 50;

impl DefinitionReader {
    /// What is to be written next.
    pub(super) async fn stored(
        &self,
        object: &ResourceDefinition,
        crd: &Observed<Option<CustomResourceDefinition>>,
        now: Timestamp,
    ) -> StoredObjects {
        let Observed::Known(Some(crd)) = crd else { return StoredObjects::NotAsked };
        if object.metadata.deletion_timestamp.is_some() || versions_left(crd).is_empty() {
            return StoredObjects::NotAsked;
        }
        let Some(kind) = InstanceKind::of(crd, AcceptedHandler::default(), false) else {
            return StoredObjects::NotAsked;
        };
        match self.missing_for_all(&kind).await {
            Ok(missing) if missing.is_empty() => {}
            Ok(missing) => return StoredObjects::OutOfReach(missing),
            Err(why) => return StoredObjects::Unknown(why),
        }
        let recorded = object.status.as_ref().and_then(|status| status.storage_migration.as_ref());
        match next_of_migration(crd, recorded, now) {
            NextOfMigration::Page(token) => self.page(crd, &kind, token).await,
            _ => StoredObjects::NotAsked,
        }
    }

    /// The rights that the operator lacks to write all objects, if it looks after some namespaces only.
    async fn missing_for_all(&self, kind: &InstanceKind) -> Result<Vec<String>, String> {
        if self.watched.is_empty() || kind.terms().scope == DefinitionScope::Cluster {
            return Ok(Vec::new());
        }
        let resource = &kind.terms().resource;
        let mut missing = Vec::new();
        for verb in ["list", "patch"] {
            let (group, resource) = (resource.group.as_str(), resource.plural.as_str());
            let right = Right { group, resource, subresource: "", verb, namespace: "" };
            if !self.is_granted(&right).await? {
                missing.push(right.to_string());
            }
        }
        Ok(missing)
    }

    /// A part of the list. An object that cannot be converted keeps the API server from listing in the version of now: then
    /// it is asked in others, in one of which that object is stored.
    async fn page(
        &self,
        crd: &CustomResourceDefinition,
        kind: &InstanceKind,
        token: Option<&str>,
    ) -> StoredObjects {
        let others = crd.spec.versions.iter().filter(|version| version.served && !version.storage);
        let others = others.map(|version| kind.in_version(&version.name));
        let mut why = None;
        for kind in std::iter::once(kind.clone()).chain(others) {
            match self.page_in(&kind, token).await {
                Ok(page) => return StoredObjects::Page(page),
                Err(error) => {
                    why.get_or_insert_with(|| error.explain(&format!("list {}", kind.name())));
                    // What is the request's own fault is so in any version.
                    if !error.is_server_failure() {
                        break;
                    }
                }
            }
        }
        StoredObjects::Unknown(why.unwrap_or_default())
    }

    async fn page_in(&self, kind: &InstanceKind, token: Option<&str>) -> Result<StoredPage, CallError> {
        let api = Api::<PartialObjectMeta<Instance>>::all_with(self.client.clone(), kind);
        let list = async |token: Option<&str>| {
            let mut parameters = ListParams::default().limit(PAGE);
            if let Some(token) = token {
                parameters = parameters.continue_token(token);
            }
            call(CALL_TIME_LIMIT, api.list_metadata(&parameters)).await
        };
        let (listed, is_first) = match list(token).await {
            // Between two pages the API server has forgotten what there was. It continues with what is available;
            // what came meanwhile is stored in the version of now.
            Err(error) if error.is_expired() && token.is_some() => {
                let token = error.continue_token();
                (list(token.as_deref()).await?, token.is_none())
            }
            listed => (listed?, token.is_none()),
        };
        let seen = |object: &PartialObjectMeta<_>| {
            Some(SeenObject { uid: object.uid()?, resource_version: object.resource_version()? })
        };
        let objects = listed.items.iter().map(|object| StoredObject {
            namespace: object.namespace(),
            name: object.name_any(),
            seen: seen(object),
        });
        let remaining = listed.metadata.remaining_item_count.unwrap_or_default();
        Ok(StoredPage {
            objects: objects.collect(),
            is_first,
            next: listed.metadata.continue_.clone().filter(|token| !token.is_empty()),
            remaining: i32::try_from(remaining).unwrap_or(i32::MAX),
        })
    }
}
