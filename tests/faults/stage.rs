//! What the test starts from: a namespace, the proxy, a colony behind it, and an operator that comes back whenever it was
//! killed.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    proxy::Proxy,
    support::{
        colony::OwnColony,
        namespace::TestNamespace,
        operator::{Operator, Signal, configuration},
        server::server,
    },
};

/// The whole of it.
pub struct Stage {
    /// Where all objects are.
    pub namespace: TestNamespace,
    /// Between the operator and its servers.
    pub proxy: Proxy,
    /// The colony of all objects.
    pub colony: OwnColony,
    operator: Operator,
    kubeconfig: PathBuf,
    _folder: TempDir,
    /// How often the operator was started.
    pub starts: usize,
}

impl Stage {
    /// Everything is up, and the operator is connected to the colony.
    pub async fn new(namespace: TestNamespace) -> Self {
        let proxy = Proxy::start(&namespace.kubernetes, &server()).await;
        let colony = OwnColony::create_by(&namespace, "127.0.0.1", proxy.colony.port()).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "faults",
            "clusters": [{"name": "faults", "cluster": {"server": format!("http://{}", proxy.cluster)}}],
            "contexts": [{"name": "faults", "context": {"cluster": "faults", "user": "anonymous"}}],
            "users": [{"name": "anonymous", "user": {}}],
        });
        fs::write(&kubeconfig, content.to_string()).unwrap();
        let operator = start(&namespace, &kubeconfig).await;
        proxy.aim_at(operator.process());
        colony.wait_until_ready().await;
        Self { namespace, proxy, colony, operator, kubeconfig, _folder: folder, starts: 1 }
    }

    /// Waits for the end of an operator that was killed, and starts the next one at once.
    pub async fn restart(&mut self) {
        self.operator.wait_for_end(Duration::from_secs(10)).await;
        self.operator = start(&self.namespace, &self.kubeconfig).await;
        self.proxy.aim_at(self.operator.process());
        self.starts += 1;
    }

    /// Kills the operator, and starts the next one at once.
    pub async fn kill(&mut self) {
        self.operator.signal(Signal::Kill);
        self.restart().await;
    }

    /// Another operator with the same configuration, beside the one that runs.
    pub async fn second(&self) -> Operator {
        start(&self.namespace, &self.kubeconfig).await
    }

    /// Another colony, which the operator has to connect to.
    pub async fn another_colony(&self) -> OwnColony {
        OwnColony::create_by(&self.namespace, "127.0.0.1", self.proxy.colony.port()).await
    }
}

async fn start(namespace: &TestNamespace, kubeconfig: &std::path::Path) -> Operator {
    let environment = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
    Operator::start_in(configuration(&namespace.name), &namespace.name, &environment).await
}
