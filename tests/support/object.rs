//! Objects as tests handle them: created, changed and waited for, whatever their kind.

use std::{fmt::Debug, time::Duration};

use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::wait::eventually;

/// How long the operator may take for what needs several steps, a quiet period and a colony.
pub const SOON: Duration = Duration::from_mins(1);

/// Creates an object.
pub async fn create<K>(api: &Api<K>, object: Value) -> Result<K, kube::Error>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    api.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await
}

/// Changes the spec of an object by a merge patch.
pub async fn change<K>(api: &Api<K>, name: &str, spec: Value) -> Result<K, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await
}

/// Waits until an object is as it should be.
pub async fn until<K>(api: &Api<K>, name: &str, what: &str, is_reached: impl Fn(&K) -> bool) -> K
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    eventually(&format!("{name}: {what}"), SOON, async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        if is_reached(&object) {
            return Ok(object);
        }
        let shown = serde_json::to_value(&object).unwrap_or_default();
        Err(format!("generation {}, status {}", shown["metadata"]["generation"], shown["status"]))
    })
    .await
}

/// Waits until an object is gone.
pub async fn until_gone<K>(api: &Api<K>, name: &str)
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    eventually(&format!("{name} is gone"), SOON, async || {
        match api.get_opt(name).await.map_err(|error| error.to_string())? {
            None => Ok(()),
            Some(object) => Err(format!("it is still there: {object:?}")),
        }
    })
    .await;
}
