//! What objects cost from their creation until nothing is left to do, counted: times depend on the machine, counts do not.

use std::{collections::BTreeMap, time::Duration};

use colonyos_operator::{
    api::{
        colony_process::ColonyProcess,
        mirror::{MirrorState, Mirrored as _},
    },
    runtime::config::{LeaderElection, OperatorConfiguration},
};
use futures::future::join_all;
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::json;

use crate::support::{
    cluster::connect_with_crds,
    operator::Operator,
    stage::{Stage, with_configured_operator},
    wait::eventually,
};

/// How many objects share what is counted.
const OBJECTS: usize = 20;
/// For how long nothing happens before counting ends.
const REST: Duration = Duration::from_secs(3);
/// Calls of the colony and passes that fall to none of the objects: the colony is looked at, work is asked for, processes
/// are listed.
const SHARED: f64 = 40.0;

/// The intervals of an operator that is installed.
fn as_shipped(configuration: &mut OperatorConfiguration) {
    configuration.colony_poll_seconds = OperatorConfiguration::default().colony_poll_seconds;
    configuration.leader_election = LeaderElection::default();
}

/// What an operator has done.
#[derive(Clone, Debug, Default, PartialEq)]
struct Counts {
    /// Passes over objects of the kind, but for those that only found the cache behind.
    passes: f64,
    /// Those.
    skips: f64,
    /// Writes to objects of the kind and to what is made for them, by kind.
    writes: BTreeMap<String, f64>,
    /// Calls of the colony, by payload type.
    calls: BTreeMap<String, f64>,
}

impl Counts {
    async fn of(operator: &Operator, kind: &str) -> Self {
        let (_, text) = operator.get("/metrics").await.unwrap();
        let mut counts = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let value: f64 = value.parse().unwrap();
            let label = |name: &str| {
                let rest = series.split(&format!("{name}=\"")).nth(1);
                rest.and_then(|rest| rest.split('"').next()).unwrap_or_default().to_owned()
            };
            match series.split('{').next().unwrap() {
                "colonyos_operator_reconciles_total" if label("kind") == kind => counts.passes += value,
                "colonyos_operator_stale_skips_total" if label("kind") == kind => {
                    counts.passes -= value;
                    counts.skips += value;
                }
                "colonyos_operator_writes_total"
                    if label("kind").starts_with(kind) || is_made(&label("kind")) =>
                {
                    *counts.writes.entry(label("kind")).or_default() += value;
                }
                "colonyos_operator_colony_calls_total" => {
                    *counts.calls.entry(label("payload_type")).or_default() += value;
                }
                _ => {}
            }
        }
        counts
    }

    /// What was done once no pass begins any more. An Event of the Colony may follow its status by a moment.
    async fn at_rest(operator: &Operator, kind: &str) -> Self {
        eventually("all is at rest", Duration::from_mins(2), async || {
            let counts = Self::of(operator, kind).await;
            tokio::time::sleep(REST).await;
            let later = Self::of(operator, kind).await;
            let passes = later.passes - counts.passes;
            (passes == 0.0).then_some(later).ok_or_else(|| format!("{passes} passes"))
        })
        .await
    }

    /// Waits until no pass begins any more, and counts what was done since `before`.
    async fn until_rest(operator: &Operator, kind: &str, before: &Self) -> Self {
        let after = Self::at_rest(operator, kind).await;
        let less = |after: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>| {
            let less =
                |(name, value): (&String, &f64)| (name.clone(), value - before.get(name).unwrap_or(&0.0));
            after.iter().map(less).filter(|(_, value)| *value > 0.0).collect()
        };
        Self {
            passes: after.passes - before.passes,
            skips: after.skips - before.skips,
            writes: less(&after.writes, &before.writes),
            calls: less(&after.calls, &before.calls),
        }
    }

    /// Asserts what falls to each object at most.
    fn assert_at_most(&self, passes: u32, writes: u32, calls: u32) {
        println!("{OBJECTS} objects: {self:?}");
        let most = |each: u32| f64::from(each) * f64::from(u32::try_from(OBJECTS).unwrap());
        let sum = |counts: &BTreeMap<String, f64>| counts.values().sum::<f64>();
        assert!(self.passes <= most(passes), "more than {passes} passes each: {self:?}");
        // A change of others may come while the cache is behind; a timer would bring one a second.
        assert!(self.skips <= most(2), "more than 2 passes each in vain: {self:?}");
        assert!(sum(&self.writes) <= most(writes), "more than {writes} writes each: {self:?}");
        assert!(sum(&self.calls) <= most(calls) + SHARED, "more than {calls} calls each: {self:?}");
    }
}

fn is_made(kind: &str) -> bool {
    matches!(kind, "Deployment" | "Secret" | "Event")
}

fn name(index: usize) -> String {
    format!("cost-{index:02}x")
}

#[tokio::test]
async fn a_fleet_costs_a_handful_of_passes_writes_and_calls() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "cost-fleets", as_shipped, async |stage: &mut Stage| {
        let before = Counts::at_rest(&stage.operator, "ExecutorDeployment").await;
        let names: Vec<String> = (0..OBJECTS).map(name).collect();
        join_all(names.iter().map(|name| async {
            // Nothing but the operator then decides how many steps there are.
            stage.apply(name, &json!({ "replicas": 0 })).await;
            stage.wait_until_ready(name, 0).await;
        }))
        .await;
        let counts = Counts::until_rest(&stage.operator, "ExecutorDeployment", &before).await;
        // Five writes at best, Events included, which the simulation counts. A sixth when the workload or the assignment takes
        // more than two seconds.
        counts.assert_at_most(6, 6, 6);
    })
    .await;
}

#[tokio::test]
async fn a_process_that_waits_costs_less() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "cost-processes", as_shipped, async |stage: &mut Stage| {
        let before = Counts::at_rest(&stage.operator, "ColonyProcess").await;
        let objects: Api<ColonyProcess> = stage.api();
        join_all((0..OBJECTS).map(|index| {
            let object = json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name(index) },
                "spec": { "colony": stage.colony.name, "function": "f", "conditions": { "executorType": "unserved" } },
            });
            let objects = objects.clone();
            async move {
                objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap()
            }
        }))
        .await;
        eventually("all wait", Duration::from_mins(1), async || {
            let list = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let waits = |object: &&ColonyProcess| {
                object.mirror().is_some_and(|mirror| mirror.state == MirrorState::Waiting)
            };
            let count = list.iter().filter(waits).count();
            (count == OBJECTS).then_some(()).ok_or_else(|| format!("{count} of {OBJECTS}"))
        })
        .await;
        let counts = Counts::until_rest(&stage.operator, "ColonyProcess", &before).await;
        counts.assert_at_most(5, 3, 2);
    })
    .await;
}
