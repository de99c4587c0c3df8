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

/// Ticks of the kernel's clock in a second.
const TICKS: f64 = 100.0;

/// What an operator has done.
#[allow(dead_code, reason = "each benchmark uses its part of the stage")]
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Passes over objects of one kind.
    pub passes: f64,
    /// Those of them that only found that the cache was behind.
    pub waits: f64,
    /// Writes to the API server, by kind.
    pub writes: BTreeMap<String, f64>,
    /// Calls of colonies, by payload type.
    pub calls: BTreeMap<String, f64>,
    /// Reads of Secrets by any client.
    pub reads: f64,
    /// Processor time, in seconds.
    pub processor: f64,
}

#[allow(dead_code, reason = "each benchmark uses its part of the stage")]
impl Counts {
    /// What was done since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let less = |after: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let difference =
                |(name, value): (&String, &f64)| (name.clone(), value - before.get(name).unwrap_or(&0.0));
            after.iter().map(difference).filter(|(_, value)| *value > 0.0).collect()
        };
        Self {
            passes: self.passes - before.passes,
            waits: self.waits - before.waits,
            writes: less(&self.writes, &before.writes),
            calls: less(&self.calls, &before.calls),
            reads: self.reads - before.reads,
            processor: self.processor - before.processor,
        }
    }

    /// Whether no pass lies between the two.
    pub fn is_as_many_passes_as(&self, other: &Self) -> bool {
        self.passes <= other.passes
    }

    /// Prints what fell to each of `count` objects.
    pub fn show(&self, what: &str, count: usize) {
        let each = |sum: f64| sum / f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let list = |all: &BTreeMap<String, f64>| {
            let parts: Vec<String> =
                all.iter().map(|(name, value)| format!("{name} {:.2}", each(*value))).collect();
            format!("{:.2} ({})", each(all.values().sum()), parts.join(", "))
        };
        println!(
            "  {what}: {:.2} passes, {:.2} of them in vain, {:.2} ms of processor, {:.2} reads of Secrets",
            each(self.passes),
            each(self.waits),
            each(self.processor) * 1000.0,
            each(self.reads)
        );
        println!("    writes {}", list(&self.writes));
        println!("    calls of the colony {}", list(&self.calls));
    }
}

/// How often a Secret was read by itself, as the API server says.
#[allow(dead_code, reason = "each benchmark uses its part of the stage")]
pub async fn reads_of_secrets(kubernetes: &Kubernetes) -> Result<f64, Failure> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = kubernetes.calls.request_text(request).await?;
    let counts = text.lines().filter(|line| {
        line.starts_with("apiserver_request_total{")
            && [r#"resource="secrets""#, r#"verb="GET""#].iter().all(|part| line.contains(part))
    });
    Ok(counts.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

/// The operator under test, ended with the benchmark.
pub struct Operator {
    process: Child,
    address: String,
}

impl Operator {
    /// Starts one that looks after `namespace` and a colony of that name.
    pub async fn start(kubernetes: &Kubernetes, namespace: &str) -> Result<Self, Failure> {
        connect_colony(kubernetes, namespace).await?;
        Self::restart(namespace)
    }

    /// Starts one for a namespace and a colony in which another has been.
    pub fn restart(namespace: &str) -> Result<Self, Failure> {
        let configuration = env::temp_dir().join(format!("{namespace}.yaml"));
        // Free a moment ago, which is the best that can be had without asking the operator.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let settings =
            format!("{{logging: {{format: text, level: warn}}, http: {{bindAddress: \"{address}\"}}}}");
        fs::write(&configuration, settings)?;
        let built = env!("CARGO_BIN_EXE_colonyos-operator");
        let process = Command::new(env::var("OPERATOR_BIN").as_deref().unwrap_or(built))
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

    /// What it has done so far, passes over objects of `kind` among it.
    #[allow(dead_code, reason = "each benchmark uses its part of the stage")]
    pub async fn counts(&self, kubernetes: &Kubernetes, kind: &str) -> Result<Counts, Failure> {
        let text = reqwest::get(format!("http://{}/metrics", self.address)).await?.text().await?;
        let mut counts = Counts {
            reads: reads_of_secrets(kubernetes).await?,
            processor: self.processor_seconds()?,
            ..Counts::default()
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let value: f64 = value.parse()?;
            let label = |name: &str| series.split(&format!("{name}=\"")).nth(1)?.split('"').next();
            let of_kind = label("kind") == Some(kind);
            let metric =
                series.split('{').next().unwrap_or_default().trim_start_matches("colonyos_operator_");
            match metric {
                "reconciles_total" if of_kind => counts.passes += value,
                "stale_skips_total" if of_kind => counts.waits += value,
                "writes_total" => {
                    *counts.writes.entry(label("kind").unwrap_or_default().to_owned()).or_default() += value;
                }
                "colony_calls_total" => {
                    *counts.calls.entry(label("payload_type").unwrap_or_default().to_owned()).or_default() +=
                        value;
                }
                _ => {}
            }
        }
        Ok(counts)
    }

    /// Processor time that it has used so far, in seconds.
    fn processor_seconds(&self) -> Result<f64, Failure> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).ok_or("no times")?.parse::<f64>().map_err(Failure::from);
        Ok((ticks(11)? + ticks(12)?) / TICKS)
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
