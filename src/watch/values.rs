//! Reads the Secrets and ConfigMaps that variables refer to.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Resource};

use super::work::WorkReader;
use crate::{
    api::function::Variable,
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{Observed, ValueSource, Values},
};

impl WorkReader {
    /// What variables refer to.
    pub(super) async fn values(
        &self,
        namespace: &str,
        variables: impl IntoIterator<Item = &Variable>,
    ) -> Values {
        let mut values = Values::default();
        let sources: Vec<_> = variables
            .into_iter()
            .filter_map(|variable| ValueSource::of(variable.value_from.as_ref()?))
            .collect();
        for (source, _) in sources {
            if values.get(&source).is_none() {
                let read = self.value(namespace, &source).await;
                values.insert(source, read);
            }
        }
        values
    }

    async fn value(&self, namespace: &str, source: &ValueSource) -> Observed<Option<String>> {
        match source {
            ValueSource::Secret { name, key } => {
                let found = self.get::<Secret>(namespace, name, "Secret").await;
                let bytes = |secret: &Secret| secret.data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
                match found {
                    Observed::Unknown(why) => Observed::Unknown(why),
                    Observed::Known(secret) => match secret.as_ref().and_then(bytes).map(String::from_utf8) {
                        None => Observed::Known(None),
                        Some(Ok(text)) => Observed::Known(Some(text)),
                        Some(Err(_)) => Observed::Unknown("it is not text".to_owned()),
                    },
                }
            }
            ValueSource::ConfigMap { name, key } => {
                let found = self.get::<ConfigMap>(namespace, name, "ConfigMap").await;
                let text = |map: Option<ConfigMap>| map?.data?.remove(key);
                match found {
                    Observed::Unknown(why) => Observed::Unknown(why),
                    Observed::Known(map) => Observed::Known(text(map)),
                }
            }
        }
    }

    async fn get<K>(&self, namespace: &str, name: &str, kind: &str) -> Observed<Option<K>>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found),
            Err(error) => Observed::Unknown(error.explain(&format!("get {kind} {name}"))),
        }
    }
}
