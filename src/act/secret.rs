//! Writes to Secrets: keys of executors and what stands beside them. Part of stage 4.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use zeroize::Zeroize;

use super::{
    failure::{is_gone, of_call},
    identity,
    kubernetes::Cluster,
    outcome::StepFailure,
};
use crate::{
    api::names::OPERATOR,
    desired::DesiredIdentity,
    runtime::{
        kubernetes::{CALL_TIME_LIMIT, call},
        metrics::{WriteKind, WriteVerb},
    },
};

/// Values of a Secret, some of them keys: overwritten when dropped.
#[derive(Default)]
pub(super) struct WipedValues(pub(super) BTreeMap<String, String>);

impl Deref for WipedValues {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for WipedValues {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for WipedValues {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// A Secret with new keys, or one that was read: its values are overwritten when it is dropped.
pub struct WipedSecret(pub(super) Secret);

impl Deref for WipedSecret {
    type Target = Secret;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for WipedSecret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(secret: &mut Secret) {
    secret.string_data.iter_mut().flat_map(BTreeMap::values_mut).for_each(Zeroize::zeroize);
    secret.data.iter_mut().flat_map(BTreeMap::values_mut).for_each(|bytes| bytes.0.zeroize());
}

impl Cluster {
    pub(super) async fn update_identity(
        &self,
        namespace: &str,
        identity: &DesiredIdentity,
        resource_version: Option<&str>,
        is_adopted: bool,
    ) -> Result<(), StepFailure> {
        let name = identity.metadata.name.clone().unwrap_or_default();
        let mut patch = json!({
            "metadata": {
                "resourceVersion": resource_version,
                "labels": identity.metadata.labels,
                "annotations": identity.metadata.annotations,
            },
            "stringData": identity::environment(identity),
        });
        if is_adopted {
            patch["metadata"]["ownerReferences"] = json!(identity.metadata.owner_references);
        }
        self.patch(namespace, &name, &patch).await
    }

    /// Orphans a Secret, if it has not changed.
    pub(super) async fn release_secret(
        &self,
        namespace: &str,
        name: &str,
        resource_version: Option<&str>,
    ) -> Result<(), StepFailure> {
        let metadata = json!({ "resourceVersion": resource_version, "ownerReferences": null });
        self.patch(namespace, name, &json!({ "metadata": metadata })).await
    }

    /// Adds keys to a Secret.
    ///
    /// # Errors
    ///
    /// When the API server refuses or does not answer.
    pub async fn add_to_secret(
        &self,
        namespace: &str,
        name: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<(), StepFailure> {
        self.patch(namespace, name, &json!({ "stringData": data })).await
    }

    /// Sets values in a Secret that is still as it was seen.
    ///
    /// # Errors
    ///
    /// When it has changed, or the API server refuses or does not answer.
    pub async fn renew_secret(
        &self,
        namespace: &str,
        name: &str,
        version: &str,
        data: &BTreeMap<String, String>,
    ) -> Result<(), StepFailure> {
        let patch = json!({ "metadata": { "resourceVersion": version }, "stringData": data });
        self.patch(namespace, name, &patch).await
    }

    /// Writes notes to a Secret of the operator's own, if there is one: it goes with its `Colony`.
    pub(super) async fn note_in_secret(&self, name: &str, patch: &Value) -> Result<(), StepFailure> {
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(patch))).await;
        self.count(WriteVerb::Patch, WriteKind::Secret, &result);
        match result {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(of_call(&format!("update Secret {name}"), &error)),
        }
    }

    async fn patch(&self, namespace: &str, name: &str, patch: &Value) -> Result<(), StepFailure> {
        let api = Api::<Secret>::namespaced(self.client.clone(), namespace);
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(patch))).await;
        self.count(WriteVerb::Patch, WriteKind::Secret, &result);
        result.map(|_| ()).map_err(|error| of_call(&format!("update Secret {name}"), &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_secret_is_left() {
        let mut secret: Secret = serde_json::from_value(json!({
            "data": {"a": "c2VjcmV0"}, "stringData": {"b": "secret"},
        }))
        .unwrap();
        wipe(&mut secret);
        assert_eq!(secret.data.unwrap()["a"].0, b"");
        assert_eq!(secret.string_data.unwrap()["b"], "");
    }
}
