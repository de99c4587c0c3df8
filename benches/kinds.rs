//! Many kinds that users made up, with many instances of each: how soon a kind is served after its definition is applied,
//! beside a bare CRD in the same run; what an instance costs in writes and in memory; and that at rest nothing is written.
//!
//! `cargo xtask bench` starts the servers and runs it; `BENCH_KINDS` is how many kinds (50), `BENCH_INSTANCES` how many
//! instances each has (1000), `BENCH_REST` for how many seconds rest is watched (60).

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures, and takes its servers from the environment"
)]

use std::{
    collections::BTreeMap,
    env,
    time::{Duration, Instant},
};

use colonyos_operator::{
    api::{colony::Colony, resource_definition::ResourceDefinition},
    runtime::kubernetes::{Kubernetes, connect},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

mod stage;

use stage::{Failure, LIMIT, Operator, show};

/// How many objects a page of a list holds.
const PAGE: u32 = 500;
/// How many requests of the benchmark are under way at the same time.
const AT_ONCE: usize = 32;
/// Longest wait for all instances to be ready.
const ALL_READY: Duration = Duration::from_mins(40);
/// How often it is looked how many are ready.
const LOOK: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = |name: &str, usual| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let kubernetes = connect().await?;
    let bench = Bench {
        namespace: format!("bench-{}", std::process::id()),
        kinds: number("BENCH_KINDS", 50),
        instances: number("BENCH_INSTANCES", 1000),
        rest: Duration::from_secs(u64::try_from(number("BENCH_REST", 60))?),
        kubernetes: kubernetes.clone(),
    };
    let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
    let metadata = ObjectMeta { name: Some(bench.namespace.clone()), ..ObjectMeta::default() };
    namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    let operator = Operator::start(&kubernetes, &bench.namespace).await?;
    let result = bench.measure(&operator).await;
    drop(operator);
    Api::<Colony>::all(kubernetes.calls.clone()).delete(&bench.namespace, &DeleteParams::default()).await?;
    result
}

struct Bench {
    namespace: String,
    kinds: usize,
    instances: usize,
    rest: Duration,
    kubernetes: Kubernetes,
}

impl Bench {
    async fn measure(&self, operator: &Operator) -> Result<(), Failure> {
        let served = self.serve_all("k", Self::define).await?;
        let floor = self.serve_all("bare", Self::register).await?;
        let [apply, apply_most] = show("definition to list", served);
        let [bare, bare_most] = show("CRD to list", floor);
        println!("ratio               p50 {:.1}   p99 {:.1}", apply / bare, apply_most / bare_most);

        let total = self.kinds * self.instances;
        let (written_before, memory_before) = (operator.writes().await?, operator.memory()?);
        let started = Instant::now();
        for kind in 0..self.kinds {
            let api = self.instances_of("k", kind);
            let creations = (0..self.instances).map(async |index| {
                let object = DynamicObject::new(&format!("i{index}"), &self.resource("k", kind))
                    .data(json!({"spec": {"text": format!("text {index}")}}));
                api.create(&PostParams::default(), &object).await.map(drop)
            });
            stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        }
        println!(
            "{total} instances of {} kinds created in {:.0} s",
            self.kinds,
            started.elapsed().as_secs_f64()
        );
        self.until_all_ready(started).await?;
        let took = started.elapsed().as_secs_f64();
        let written = operator.writes().await? - written_before;
        let memory = operator.memory()?.saturating_sub(memory_before);
        let each = |sum: f64| sum / f64::from(u32::try_from(total).unwrap_or(u32::MAX));
        println!(
            "all ready after {took:.0} s, {:.2} writes and {:.1} KiB an instance",
            each(written),
            each(kib(memory))
        );

        let before = self.versions().await?;
        let written_before = operator.writes().await?;
        tokio::time::sleep(self.rest).await;
        let written = operator.writes().await? - written_before;
        let changed =
            self.versions().await?.into_iter().filter(|(name, version)| before.get(name) != Some(version));
        let changed: Vec<String> = changed.map(|(name, _)| name).collect();
        println!(
            "at rest for {} s: {written} writes, {} of {} objects changed; the operator has {:.0} MiB",
            self.rest.as_secs(),
            changed.len(),
            before.len(),
            kib(operator.memory()?) / 1024.0
        );
        if written > 0.0 || !changed.is_empty() {
            return Err(format!("rest is not kept: {:?}", changed.first()).into());
        }
        Ok(())
    }

    /// Makes one kind after the other, and waits until it can be listed; how long each took.
    async fn serve_all(
        &self,
        prefix: &'static str,
        make: impl AsyncFn(&Self, &str, usize) -> Result<(), Failure>,
    ) -> Result<Vec<Duration>, Failure> {
        let mut took = Vec::new();
        for kind in 0..self.kinds {
            let started = Instant::now();
            make(self, prefix, kind).await?;
            let api = self.instances_of(prefix, kind);
            while let Err(error) = api.list(&ListParams::default().limit(1)).await {
                let is_missing = matches!(&error, kube::Error::Api(status) if status.code == 404);
                if !is_missing || started.elapsed() > LIMIT {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            took.push(started.elapsed());
        }
        Ok(took)
    }

    /// A kind whose instances are made of one `ConfigMap` each.
    async fn define(&self, prefix: &str, kind: usize) -> Result<(), Failure> {
        let (singular, plural) = names(prefix, kind);
        let definition: ResourceDefinition = serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition",
            "metadata": {"name": format!("{plural}.{}", self.group())},
            "spec": {
                "group": self.group(), "names": {"kind": singular, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema()}}],
                "handler": {
                    "mode": "compose",
                    "resources": [{"id": "map", "template": {
                        "apiVersion": "v1", "kind": "ConfigMap",
                        "metadata": {"name": format!("{prefix}{kind}-${{self.metadata.name}}")},
                        "data": {"text": "${self.spec.text}"},
                    }}],
                    "status": {"map": "${map.metadata.name}"},
                },
            },
        }))?;
        Api::all(self.kubernetes.calls.clone()).create(&PostParams::default(), &definition).await?;
        Ok(())
    }

    /// A kind without a controller.
    async fn register(&self, prefix: &str, kind: usize) -> Result<(), Failure> {
        let (singular, plural) = names(prefix, kind);
        let crd: CustomResourceDefinition = serde_json::from_value(json!({
            "metadata": {"name": format!("{plural}.{}", self.group())},
            "spec": {
                "group": self.group(), "scope": "Namespaced",
                "names": {"kind": singular, "plural": plural},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema()}}],
            },
        }))?;
        Api::all(self.kubernetes.calls.clone()).create(&PostParams::default(), &crd).await?;
        Ok(())
    }

    fn group(&self) -> String {
        format!("{}.example.com", self.namespace)
    }

    fn resource(&self, prefix: &str, kind: usize) -> ApiResource {
        let (singular, plural) = names(prefix, kind);
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(&self.group(), "v1", &singular), &plural)
    }

    fn instances_of(&self, prefix: &str, kind: usize) -> Api<DynamicObject> {
        let client = self.kubernetes.calls.clone();
        Api::namespaced_with(client, &self.namespace, &self.resource(prefix, kind))
    }

    /// Looks at one kind after the other, and never again at one that is ready: each look costs the API server what the
    /// operator could use.
    async fn until_all_ready(&self, started: Instant) -> Result<(), Failure> {
        let mut done = 0;
        while done < self.kinds {
            let instances = pages(&self.instances_of("k", done)).await?;
            let ready = instances.iter().filter(|instance| is_ready(&instance.data)).count();
            if ready == self.instances {
                done += 1;
                continue;
            }
            if started.elapsed() > ALL_READY {
                return Err(format!(
                    "{ready} of {} instances of kind {done} are ready after {ALL_READY:?}",
                    self.instances
                )
                .into());
            }
            println!(
                "  {done} kinds ready, and {ready} of the next, after {:.0} s",
                started.elapsed().as_secs_f64()
            );
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// The resource versions of all instances and of what they are made of.
    async fn versions(&self) -> Result<BTreeMap<String, String>, Failure> {
        let mut versions = BTreeMap::new();
        for kind in 0..self.kinds {
            for instance in pages(&self.instances_of("k", kind)).await? {
                let version = instance.resource_version().unwrap_or_default();
                versions.insert(format!("k{kind}/{}", instance.name_any()), version);
            }
        }
        for map in
            pages(&Api::<ConfigMap>::namespaced(self.kubernetes.calls.clone(), &self.namespace)).await?
        {
            versions.insert(map.name_any(), map.resource_version().unwrap_or_default());
        }
        Ok(versions)
    }
}

fn names(prefix: &str, kind: usize) -> (String, String) {
    (format!("{}{kind}", prefix.to_uppercase()), format!("{prefix}{kind}s"))
}

fn schema() -> Value {
    json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"text": {"type": "string"}}},
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }})
}

fn is_ready(instance: &Value) -> bool {
    let conditions = instance["status"]["conditions"].as_array();
    let is_met = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    conditions.is_some_and(|conditions| conditions.iter().any(is_met))
}

/// All objects, page by page.
async fn pages<K>(api: &Api<K>) -> Result<Vec<K>, Failure>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let mut all = Vec::new();
    let mut parameters = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&parameters).await?;
        all.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => parameters.continue_token = Some(token),
            None => return Ok(all),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "memory of a process in KiB fits the 52 bits of a double")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
