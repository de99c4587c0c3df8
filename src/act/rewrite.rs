//! Has objects stored in another version: each is written again by a patch that changes nothing, which the API server
//! carries out only because what it would store is not what is stored. So no concurrent write can be lost.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    failure::{of_call, stored_again},
    kinds::WritableKind as _,
    kubernetes::Cluster,
    outcome::{Effect, StepFailure},
};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        names::OPERATOR,
        resource_definition::StoredObject,
    },
    runtime::{
        kubernetes::{CALL_TIME_LIMIT, call},
        metrics::{WriteKind, WriteVerb},
    },
};

/// Pause after each object, so that at most a hundred of a kind are written in a second: an API server takes about eight
/// hundred writes of one client, and others want to write too.
const PAUSE: Duration = Duration::from_millis(10);

impl Cluster {
    /// Writes an instance again without a change.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or there is no telling.
    pub(super) async fn rewrite(
        &self,
        kind: &InstanceKind,
        object: &StoredObject,
    ) -> Result<Effect, StepFailure> {
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let api = Instance::api(self.client.clone(), namespace, kind);
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(nothing(object));
        let result = call(CALL_TIME_LIMIT, api.patch_metadata(&object.name, &parameters, &patch)).await;
        self.count(WriteVerb::Patch, Instance::METRIC, &result);
        tokio::time::sleep(PAUSE).await;
        stored_again(&format!("write {} again", object.name), result)
    }

    /// Writes the status of a CRD, if it is still the one that was seen.
    ///
    /// # Errors
    ///
    /// When it has changed, or the API server refuses or does not answer.
    pub(super) async fn conclude_migration(&self, crd: &CustomResourceDefinition) -> Result<(), StepFailure> {
        let (name, api) = (crd.name_any(), Api::<CustomResourceDefinition>::all(self.client.clone()));
        let parameters = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let result = call(CALL_TIME_LIMIT, api.replace_status(&name, &parameters, crd)).await;
        self.count(WriteVerb::Replace, WriteKind::CustomResourceDefinitionStatus, &result);
        let what = format!("update the status of CustomResourceDefinition {name}");
        result.map(drop).map_err(|error| of_call(&what, &error))
    }
}

/// A patch that changes nothing of the object that was seen, and is refused for any other.
fn nothing(object: &StoredObject) -> Value {
    match &object.seen {
        Some(seen) => json!({ "metadata": { "uid": seen.uid, "resourceVersion": seen.resource_version } }),
        None => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::resource_definition::SeenObject;

    #[test]
    fn the_patch_is_for_the_object_that_was_seen() {
        let mut object = StoredObject { namespace: None, name: "a".to_owned(), seen: None };
        assert_eq!(nothing(&object), json!({}));
        object.seen = Some(SeenObject { uid: "u".to_owned(), resource_version: "7".to_owned() });
        assert_eq!(nothing(&object), json!({ "metadata": { "uid": "u", "resourceVersion": "7" } }));
    }
}
