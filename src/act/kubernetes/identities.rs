//! Writes for executors that are one pod each: gates of pods, and the webhook that names their executors.

use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::MutatingWebhookConfiguration, core::v1::Pod},
};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::{Map, Value, json};

use super::Cluster;
use crate::{
    act::{
        failure::{of_call, refused, removed},
        kinds::WritableKind,
        outcome::StepFailure,
    },
    api::names::OPERATOR,
    memory::writes::Key,
    runtime::{
        kubernetes::{CALL_TIME_LIMIT, call},
        metrics::{WriteKind, WriteVerb},
    },
};

impl Cluster {
    /// Leaves a pod the gates of others only.
    pub(in crate::act) async fn open_pod(
        &self,
        namespace: &str,
        name: &str,
        (uid, resource_version): (&str, Option<&str>),
        gates: &[String],
    ) -> Result<(), StepFailure> {
        let gates: Vec<Value> = gates.iter().map(|gate| json!({ "name": gate })).collect();
        let patch = json!({
            "metadata": { "uid": uid, "resourceVersion": resource_version },
            "spec": { "schedulingGates": gates },
        });
        let api = <Pod as WritableKind>::api(self.client.clone(), namespace, &());
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, Pod::METRIC, &result);
        removed(&format!("remove the gate from Pod {name}"), result).map(drop)
    }

    /// Writes labels and annotations of a pod; of one that has gone, none.
    pub(in crate::act) async fn mark_pod(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        metadata: &Map<String, Value>,
    ) -> Result<(), StepFailure> {
        let mut metadata = metadata.clone();
        metadata.insert("uid".to_owned(), json!(uid));
        let patch = json!({ "metadata": metadata });
        let api = Pod::api(self.client.clone(), namespace, &());
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(&patch))).await;
        self.count(WriteVerb::Patch, Pod::METRIC, &result);
        let marked = removed(&format!("mark Pod {name}"), result)?;
        if let Some(marked) = marked {
            let key = Key::new(Pod::name_of(&()), namespace, name);
            self.writes.wrote(key, marked.resource_version().as_deref(), self.clock.instant());
        }
        Ok(())
    }

    /// Writes by which authorities API servers know a webhook, if it is still at its place in its configuration.
    ///
    /// # Errors
    ///
    /// When the configuration has changed, or the API server refuses or does not answer.
    pub async fn write_ca_bundle(
        &self,
        configuration: &str,
        (index, webhook): (usize, &str),
        authorities: &[u8],
    ) -> Result<(), StepFailure> {
        let place = format!("/webhooks/{index}");
        let bundle = ByteString(authorities.to_vec());
        let patch = json!([
            { "op": "test", "path": format!("{place}/name"), "value": webhook },
            { "op": "add", "path": format!("{place}/clientConfig/caBundle"), "value": bundle },
        ]);
        let what = format!("write the authorities to MutatingWebhookConfiguration {configuration}");
        let patch = serde_json::from_value(patch).map_err(|error| refused(&what, &error))?;
        let api = Api::<MutatingWebhookConfiguration>::all(self.client.clone());
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let patch = Patch::Json::<()>(patch);
        let result = call(CALL_TIME_LIMIT, api.patch(configuration, &parameters, &patch)).await;
        self.count(WriteVerb::Patch, WriteKind::MutatingWebhookConfiguration, &result);
        result.map(drop).map_err(|error| of_call(&what, &error))
    }
}
