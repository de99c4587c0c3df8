//! What the benchmarks start from: a running operator with a colony, in a namespace of its own.

use std::{
    collections::BTreeMap,
    env, fs,
    net::TcpListener,
    process::{Child, Command},
    time::Duration,
};

use colonyos_operator::{api::colony::Colony, runtime::kubernetes::Kubernetes};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{ObjectMeta, PostParams},
};
use serde_json::json;

/// Longest wait for one object.
pub const LIMIT: Duration = Duration::from_secs(30);

pub type Failure = Box<dyn std::error::Error>;

/// The operator under test, ended with the benchmark.
pub struct Operator {
    process: Child,
    address: String,
}

impl Operator {
    /// Starts one that looks after `namespace` and a colony of that name.
    pub async fn start(kubernetes: &Kubernetes, namespace: &str) -> Result<Self, Failure> {
        let configuration = env::temp_dir().join(format!("{namespace}.yaml"));
        // Free a moment ago, which is the best that can be had without asking the operator.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let settings =
            format!("{{logging: {{format: text, level: warn}}, http: {{bindAddress: \"{address}\"}}}}");
        fs::write(&configuration, settings)?;
        connect_colony(kubernetes, namespace).await?;
        let process = Command::new(env!("CARGO_BIN_EXE_colonyos-operator"))
            .args(["run", "--namespace", namespace, "--config"])
            .arg(&configuration)
            .spawn()?;
        Ok(Self { process, address })
    }

    /// Writes to the API server so far, all of them.
    #[allow(dead_code, reason = "each benchmark uses its part of the stage")]
    pub async fn writes(&self) -> Result<f64, Failure> {
        let metrics = reqwest::get(format!("http://{}/metrics", self.address)).await?.text().await?;
        let counts = metrics.lines().filter(|line| line.starts_with("colonyos_operator_writes_total{"));
        Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// Memory of its own that it has at the moment, in bytes.
    #[allow(dead_code, reason = "each benchmark uses its part of the stage")]
    pub fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Killed already is as good as killed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A `Colony` of the namespace's name, with its credentials beside the operator's lease.
async fn connect_colony(kubernetes: &Kubernetes, namespace: &str) -> Result<(), Failure> {
    let secret = Secret {
        metadata: ObjectMeta { name: Some("credentials".to_owned()), ..ObjectMeta::default() },
        string_data: Some(BTreeMap::from([("colonyPrvKey".to_owned(), variable("COLONIES_COLONY_PRVKEY")?)])),
        ..Secret::default()
    };
    Api::<Secret>::namespaced(kubernetes.calls.clone(), namespace)
        .create(&PostParams::default(), &secret)
        .await?;
    let colony: Colony = serde_json::from_value(json!({
        "apiVersion": "colonies.io/v1", "kind": "Colony", "metadata": {"name": namespace},
        "spec": {
            "server": {
                "host": variable("COLONIES_SERVER_HOST")?,
                "port": variable("COLONIES_SERVER_PORT")?.parse::<u16>()?,
                "insecure": true,
            },
            "colonyName": variable("COLONIES_COLONY_NAME")?,
            "location": namespace,
            "credentialsSecretName": "credentials",
        },
    }))?;
    Api::<Colony>::all(kubernetes.calls.clone()).create(&PostParams::default(), &colony).await?;
    Ok(())
}

/// A setting that `cargo xtask bench` makes.
pub fn variable(name: &str) -> Result<String, Failure> {
    env::var(name).map_err(|_| format!("{name} is not set: run cargo xtask bench").into())
}

/// Prints median and 99th percentile, in milliseconds, and gives them back.
pub fn show(what: &str, mut took: Vec<Duration>) -> [f64; 2] {
    took.sort();
    let at = |share: usize| {
        let index = (took.len() * share / 100).min(took.len().saturating_sub(1));
        took.get(index).copied().unwrap_or_default().as_secs_f64() * 1000.0
    };
    let figures = [at(50), at(99)];
    println!("{what:<18}  p50 {:>6.1} ms   p99 {:>6.1} ms   of {}", figures[0], figures[1], took.len());
    figures
}
