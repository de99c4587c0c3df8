//! The converter of each kind, by its CRD. An API server names in its request the hash of what it expects, which
//! changes with schemas and conversions: what is known under a hash never gets old, and what is not known is read
//! from the CRD. Hence no watch, and no request that is converted by what was before.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::{
    kinds::{conversion::Converter, definition::is_made_for},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
};

/// How many states of one kind are remembered: API servers of one cluster may be a little apart.
const REMEMBERED: usize = 4;
/// How many CRDs are read at the same time.
const READS: usize = 4;

/// What converts the objects of each kind.
pub(super) struct Converters {
    client: Client,
    known: Mutex<HashMap<String, Vec<CachedConverter>>>,
    reads: Semaphore,
}

struct CachedConverter {
    hash: String,
    converter: Arc<Converter>,
}

impl Converters {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default(), reads: Semaphore::new(READS) }
    }

    /// What converts as an API server expects by this hash; the current one of the CRD if that is no longer known.
    pub(super) async fn find(&self, definition: &str, hash: &str) -> Result<Arc<Converter>, String> {
        if let Some(found) = self.known(definition, hash) {
            return Ok(found);
        }
        let _turn = self.reads.acquire().await.map_err(|error| error.to_string())?;
        // Another request may have read it meanwhile.
        if let Some(found) = self.known(definition, hash) {
            return Ok(found);
        }
        let api = Api::<CustomResourceDefinition>::all(self.client.clone());
        let crd = call(CALL_TIME_LIMIT, api.get(definition))
            .await
            .map_err(|error| error.explain(&format!("get CustomResourceDefinition {definition}")))?;
        let declared = Converter::remembered(&crd).filter(|_| is_made_for(&crd, definition));
        let Some(declared) = declared else {
            return Err(format!(
                "CustomResourceDefinition {definition} declares no conversions to the operator"
            ));
        };
        let found = CachedConverter {
            hash: Converter::hash_of(&crd.spec.versions, declared),
            converter: Arc::new(
                Converter::of(&crd).map_err(|error| error.to_string())?.ok_or("no conversions")?,
            ),
        };
        let converter = found.converter.clone();
        let mut all = self.known.lock();
        let known = all.entry(definition.to_owned()).or_default();
        known.retain(|known| known.hash != found.hash);
        known.push(found);
        let surplus = known.len().saturating_sub(REMEMBERED);
        known.drain(..surplus);
        Ok(converter)
    }

    fn known(&self, definition: &str, hash: &str) -> Option<Arc<Converter>> {
        let all = self.known.lock();
        let found = all.get(definition)?.iter().find(|known| known.hash == hash)?;
        Some(found.converter.clone())
    }
}
