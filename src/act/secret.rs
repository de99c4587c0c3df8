//! Writes to Secrets: keys of executors and what stands beside them. Part of stage 4.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

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
