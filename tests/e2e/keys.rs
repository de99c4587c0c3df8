//! Who can read a namespace must not thereby own a colony.

use colonyos_operator::{
    api::names::{identity_secret, operator_secret},
    colony::{Client, Error, NewExecutor, PrivateKey, Timeouts},
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api,
    api::{ListParams, ObjectList},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    fleet::Fleet,
    installation::{self, NAMESPACE},
    stage::Stage,
};

pub async fn no_key_of_a_colony_comes_near_a_pod(stage: Stage) {
    stage.connect().await;
    let fleet = Fleet::create(&stage, "guarded", json!({"replicas": 1})).await;
    fleet.until_ready(1).await;

    let mut keys: Vec<(String, String)> =
        stage.keys.iter().map(|(whose, key)| ((*whose).to_owned(), key.clone())).collect();
    let system = Api::<Secret>::namespaced(stage.namespace.kubernetes.calls.clone(), NAMESPACE);
    let own = system.get(&operator_secret(&stage.colony)).await.unwrap();
    for name in ["prvKey", "executorPrvKey"] {
        keys.push((format!("the operator ({name})"), text(&own, name)));
    }
    let secret = stage.namespace.api::<Secret>().get(&identity_secret("guarded")).await.unwrap();
    let executor_key = text(&secret, "COLONIES_PRVKEY");

    let seen = everything_in(&stage).await;
    assert!(seen.contains(&executor_key), "the search finds a key that is there");
    let log = installation::log().await;
    assert!(log.contains(&stage.namespace.name), "the log is that of the operator");
    for (whose, key) in &keys {
        assert_eq!(key.len(), 64, "{whose}: a key");
        assert!(!seen.contains(key), "the key of {whose} is in the namespace");
        assert!(!log.contains(key), "the key of {whose} is in the operator's log");
    }
    assert!(!log.contains(&executor_key), "the executor's key is in the operator's log");
    the_key_of_a_pod_owns_nothing(&stage, &executor_key).await;

    let pods = fleet.pods().await.unwrap();
    for pod in &pods {
        let spec = pod.spec.as_ref().unwrap();
        assert_eq!(spec.automount_service_account_token, Some(false));
        let volumes = spec.volumes.as_deref().unwrap_or_default();
        assert!(volumes.iter().all(|volume| volume.projected.is_none()), "no token is mounted: {volumes:#?}");
        // That the namespace lets only restricted pods in says the rest.
        let user = spec.security_context.as_ref().and_then(|context| context.run_as_non_root);
        assert_eq!(user, Some(true));
    }
    assert_eq!(pods.len(), 1);
}

/// Secrets are searched as they are mounted, not as they are stored.
async fn everything_in(stage: &Stage) -> String {
    let all = ListParams::default();
    let mut secrets = stage.namespace.api::<Secret>().list(&all).await.unwrap();
    let mut seen = String::new();
    for secret in &mut secrets {
        for (name, value) in secret.data.take().unwrap_or_default() {
            seen.extend([&name, "=", &String::from_utf8_lossy(&value.0), "\n"]);
        }
    }
    seen.push_str(&shown(&secrets));
    seen.push_str(&shown(&stage.namespace.api::<ConfigMap>().list(&all).await.unwrap()));
    let pods = stage.namespace.api::<Pod>().list(&all).await.unwrap();
    assert_eq!(pods.items.len(), 1, "there is a pod to look at");
    seen + &shown(&pods)
}

fn shown<K: Clone + Serialize>(list: &ObjectList<K>) -> String {
    list.items.iter().map(|item| serde_json::to_string(item).unwrap()).collect()
}

async fn the_key_of_a_pod_owns_nothing(stage: &Stage, key: &str) {
    let client = Client::new(&stage.server, Timeouts::default()).unwrap();
    let executor = client.session(&stage.colony, PrivateKey::from_hex(key).unwrap());
    // It is the executor's key, and a good one.
    executor.executors().await.unwrap();
    let stranger = PrivateKey::generate().unwrap();
    let new =
        NewExecutor::new(&stage.colony, "intruder", &stage.executor_type, stranger.id().clone()).unwrap();
    let refusal = executor.add_executor(&new).await.unwrap_err();
    assert!(matches!(refusal, Error::Forbidden(_)), "{refusal:?}");
}

fn text(secret: &Secret, key: &str) -> String {
    let value = secret.data.as_ref().and_then(|data| data.get(key));
    String::from_utf8(value.unwrap_or_else(|| panic!("there is no {key}")).0.clone()).unwrap()
}
