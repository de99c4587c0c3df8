//! What an object costs from its creation until nothing is left to do: passes, writes to the API server, reads of Secrets,
//! calls of the colony and processor time, for few and for many, which shows whether the cost of one grows with the number
//! of the others; and what a restart costs with all of them there.
//!
//! `cargo xtask bench` starts the servers and runs it; `BENCH_FEW` is how many there are first (200), `BENCH_MANY` how many
//! then (1000).

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures, and takes its servers from the environment"
)]

use std::{
    env,
    time::{Duration, Instant},
};

use colonyos_operator::{
    api::colony::Colony,
    runtime::kubernetes::{Kubernetes, connect},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, ObjectMeta, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

#[expect(dead_code, reason = "this program counts, and shows no times of single objects")]
mod stage;

use stage::{Counts, Failure, Operator};

/// How many requests of the benchmark are under way at the same time.
const AT_ONCE: usize = 16;
/// Longest wait for all objects.
const ALL: Duration = Duration::from_mins(20);
/// How often it is looked how far they are.
const LOOK: Duration = Duration::from_millis(500);
/// For how long nothing must be done until all is said to be at rest.
const REST: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let number = |name: &str, usual| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let kubernetes = connect().await?;
    let (few, many) = (number("BENCH_FEW", 200), number("BENCH_MANY", 1000));
    for subject in [&FLEETS, &PROCESSES] {
        let mut took = Vec::new();
        for count in [few, many] {
            let namespace = format!("cost-{}-{}-{count}", subject.plural, std::process::id());
            let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
            let metadata = ObjectMeta { name: Some(namespace.clone()), ..ObjectMeta::default() };
            namespaces
                .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
                .await?;
            let bench = Bench { kubernetes: kubernetes.clone(), namespace, subject, count };
            let operator = Operator::start(&kubernetes, &bench.namespace).await?;
            let result = bench.measure(operator).await;
            Api::<Colony>::all(kubernetes.calls.clone())
                .delete(&bench.namespace, &DeleteParams::default())
                .await?;
            took.push(result?);
        }
        if let [first, last] = took.as_slice() {
            println!(
                "{} {} take {:.1} times as long as {few}",
                many,
                subject.plural,
                last.as_secs_f64() / first.as_secs_f64()
            );
        }
    }
    Ok(())
}

/// A kind of objects.
struct Subject {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    spec: fn(&str, usize) -> Value,
    is_settled: fn(&Value) -> bool,
}

/// Fleets without pods: nothing but the operator decides how soon they are ready.
const FLEETS: Subject = Subject {
    group: "compute.colonies.io",
    kind: "ExecutorDeployment",
    plural: "executordeployments",
    // Types that differ only by digits are the ones that have most to do with each other.
    spec: |colony, index| json!({"colony": colony, "executorType": format!("{colony}-{index}"), "image": "i", "replicas": 0}),
    is_settled: |status| {
        let conditions = status["conditions"].as_array();
        let holds = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        status["mirror"]["state"] == "Successful"
            && conditions.is_some_and(|conditions| conditions.iter().any(holds))
    },
};

/// Work that no executor carries out.
const PROCESSES: Subject = Subject {
    group: "colonies.io",
    kind: "ColonyProcess",
    plural: "colonyprocesses",
    spec: |colony, _| json!({"colony": colony, "function": "f", "conditions": {"executorType": "unserved"}}),
    is_settled: |status| status["mirror"]["state"] == "Waiting",
};

struct Bench {
    kubernetes: Kubernetes,
    namespace: String,
    subject: &'static Subject,
    count: usize,
}

impl Bench {
    async fn measure(&self, operator: Operator) -> Result<Duration, Failure> {
        self.until_connected().await?;
        let before = self.at_rest(&operator).await?;
        let api = self.api();
        let started = Instant::now();
        let creations = (0..self.count).map(async |index| {
            let object = DynamicObject::new(&format!("o{index}"), &self.resource())
                .data(json!({"spec": (self.subject.spec)(&self.namespace, index)}));
            api.create(&PostParams::default(), &object).await.map(drop)
        });
        stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        self.until_settled(started).await?;
        let took = started.elapsed();
        let after = self.at_rest(&operator).await?;
        println!("{} {} in {:.1} s", self.count, self.subject.plural, took.as_secs_f64());
        after.since(&before).show("each", self.count);

        drop(operator);
        let reads = stage::reads_of_secrets(&self.kubernetes).await?;
        let restarted = Operator::restart(&self.namespace)?;
        let done = self.at_rest(&restarted).await?;
        let beginning = Counts { reads, ..Counts::default() };
        done.since(&beginning).show("restart, each", self.count);
        Ok(took)
    }

    fn resource(&self) -> ApiResource {
        let Subject { group, kind, plural, .. } = self.subject;
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind), plural)
    }

    fn api(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.kubernetes.calls.clone(), &self.namespace, &self.resource())
    }

    async fn until_connected(&self) -> Result<(), Failure> {
        let colonies = Api::<Colony>::all(self.kubernetes.calls.clone());
        let started = Instant::now();
        loop {
            let colony = colonies.get(&self.namespace).await?;
            let conditions = colony.status.map(|status| status.conditions).unwrap_or_default();
            if conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True") {
                return Ok(());
            }
            if started.elapsed() > stage::LIMIT {
                return Err("the colony is not connected".into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until no pass begins any more; what has been done until then.
    async fn at_rest(&self, operator: &Operator) -> Result<Counts, Failure> {
        let started = Instant::now();
        let mut last = None;
        loop {
            // An operator that has just begun does not serve its metrics yet.
            let counts = operator.counts(&self.kubernetes, self.subject.kind).await.ok();
            if let (Some(counts), Some(last)) = (&counts, &last)
                && counts.is_as_many_passes_as(last)
            {
                return Ok(counts.clone());
            }
            if started.elapsed() > ALL {
                return Err("it does not come to rest".into());
            }
            last = counts;
            tokio::time::sleep(REST).await;
        }
    }

    async fn until_settled(&self, started: Instant) -> Result<(), Failure> {
        loop {
            let objects = self.api().list(&ListParams::default()).await?;
            let settled =
                objects.iter().filter(|object| (self.subject.is_settled)(&object.data["status"])).count();
            if settled == self.count {
                return Ok(());
            }
            if started.elapsed() > ALL {
                return Err(format!("{settled} of {} are settled after {ALL:?}", self.count).into());
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
