//! The API server under test, and the operator's CRDs on it.

use std::{
    fs,
    ops::Deref,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use colonyos_operator::runtime::kubernetes::{self, Kubernetes};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use tokio::sync::{OnceCell, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::{environment, wait::eventually};

/// Field manager of the tests.
pub const TESTER: &str = "colonyos-operator-tests";

/// Tests that measure or break the whole cluster run alone; all others run side by side.
static TESTS: OnceLock<Arc<RwLock<()>>> = OnceLock::new();

fn tests() -> Arc<RwLock<()>> {
    TESTS.get_or_init(Arc::default).clone()
}

/// The cluster, for as long as a test holds this.
pub struct Connection {
    kubernetes: Kubernetes,
    _turn: Turn,
}

/// A place among the tests, held only to be dropped.
enum Turn {
    Shared { _guard: OwnedRwLockReadGuard<()> },
    Alone { _guard: OwnedRwLockWriteGuard<()> },
}

impl Deref for Connection {
    type Target = Kubernetes;

    fn deref(&self) -> &Kubernetes {
        &self.kubernetes
    }
}

/// Connects to the cluster that `KUBECONFIG` names; the test stops where there is none.
pub async fn connect() -> Connection {
    let turn = Turn::Shared { _guard: tests().read_owned().await };
    Connection { kubernetes: kubernetes().await, _turn: turn }
}

/// Connects once no other test of this process runs, and keeps the others waiting. The CRDs are installed.
pub async fn connect_alone() -> Connection {
    let turn = Turn::Alone { _guard: tests().write_owned().await };
    let kubernetes = kubernetes().await;
    install_crds(&kubernetes).await;
    Connection { kubernetes, _turn: turn }
}

async fn kubernetes() -> Kubernetes {
    assert!(
        environment::variable("KUBECONFIG").is_some(),
        "KUBECONFIG is not set, and these tests need a real API server.\n\
         Run `cargo xtask test --rung apiserver`, which starts one, or `eval \"$(cargo xtask cluster env)\"` first."
    );
    kubernetes::connect()
        .await
        .unwrap_or_else(|error| panic!("{error}: {:?}", std::error::Error::source(&error)))
}

/// Connects, and sees to it that the CRDs of `crds/` are installed; once for all tests of this process.
pub async fn connect_with_crds() -> Connection {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let connection = connect().await;
    INSTALLED.get_or_init(|| install_crds(&connection)).await;
    connection
}

/// The definitions in `crds/`, by file name.
pub fn definitions() -> Vec<(String, CustomResourceDefinition)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!("failed to read {}: {error}; write it with `cargo xtask generate`", folder.display())
    });
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let definition = serde_norway::from_str(&text)
                .unwrap_or_else(|error| panic!("{} is no CRD: {error}", path.display()));
            (path.file_name().unwrap().to_string_lossy().into_owned(), definition)
        })
        .collect()
}

/// Applies the CRDs with strict validation and waits until they are served.
pub async fn install_crds(kubernetes: &Kubernetes) {
    let api: Api<CustomResourceDefinition> = Api::all(kubernetes.calls.clone());
    let parameters = PatchParams::apply(TESTER).force().validation_strict();
    for (file, definition) in definitions() {
        let name = definition.metadata.name.clone().unwrap();
        api.patch(&name, &parameters, &Patch::Apply(&definition))
            .await
            .unwrap_or_else(|error| panic!("the API server refuses crds/{file}: {error}"));
        eventually(&format!("CRD {name} is established"), Duration::from_secs(20), async || {
            let seen = api.get(&name).await.map_err(|error| error.to_string())?;
            let conditions = seen.status.and_then(|status| status.conditions).unwrap_or_default();
            let is_established = conditions
                .iter()
                .any(|condition| condition.type_ == "Established" && condition.status == "True");
            is_established.then_some(()).ok_or_else(|| format!("conditions are {conditions:?}"))
        })
        .await;
    }
}

/// What the operator calls the cluster in labels of processes.
pub async fn uid(kubernetes: &Kubernetes) -> String {
    let namespaces: Api<Namespace> = Api::all(kubernetes.calls.clone());
    namespaces.get("kube-system").await.unwrap().metadata.uid.unwrap()
}
