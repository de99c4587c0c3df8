//! How what happens to a mirrored process in a colony reaches the status of its object, and what following many costs.

use std::{collections::BTreeMap, time::Duration};

use colonyos_operator::{
    api::{
        colony_process::ColonyProcess,
        executor_deployment::ExecutorDeployment,
        mirror::{MirrorState, MirrorStatus, Mirrored as _},
        work::WorkState,
    },
    colony::ProcessId,
    runtime::{
        clock::Clock,
        config::{LeaderElection, OperatorConfiguration},
    },
};
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::{join, join_all},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use rand::Rng as _;
use serde_json::json;
use tokio::{sync::watch, task::JoinHandle};

use crate::support::{
    cluster::connect_with_crds,
    operator::{Operator, configuration},
    stage::{Stage, with_configured_operator},
    wait::eventually,
};

/// Objects whose processes are cancelled at the same time.
const OBJECTS: usize = 10;
/// How often each of them is.
const ROUNDS: usize = 5;
/// Objects that are followed at rest: more than a list of the server holds.
const AT_REST: usize = 110;
/// Waiting processes that are followed at rest.
const MANY: usize = 300;
/// For how long their cost is counted.
const REST: Duration = Duration::from_secs(20);
/// What it may be.
const REQUESTS_A_SECOND: f64 = 2.0;

/// A fleet that never gets ready, so that its process stays with the operator.
async fn apply(stage: &Stage, name: &str) {
    let nowhere = json!({ "colonies.io/node": "none" });
    let kind = format!("{name}-x");
    stage.apply(name, &json!({ "executorType": kind, "nodeSelector": nowhere, "replicas": 1 })).await;
}

fn name(index: usize) -> String {
    format!("fleet-{index:03}")
}

fn runs(mirror: &MirrorStatus) -> bool {
    mirror.state == MirrorState::Running && mirror.process_id.is_some()
}

/// Records of processes as they come into status, told by one watch that is open before anything happens.
struct Records {
    latest: watch::Receiver<BTreeMap<String, MirrorStatus>>,
    task: JoinHandle<()>,
}

impl Records {
    fn watch(objects: Api<ExecutorDeployment>) -> Self {
        let (sender, latest) = watch::channel(BTreeMap::new());
        let task = tokio::spawn(async move {
            let mut changes = watcher(objects, watcher::Config::default()).applied_objects().boxed();
            while let Some(object) = changes.try_next().await.unwrap_or_default() {
                if let Some(mirror) = object.status.as_ref().and_then(|status| status.mirror.clone()) {
                    sender.send_modify(|latest| drop(latest.insert(object.name_any(), mirror)));
                }
            }
        });
        Self { latest, task }
    }

    async fn until(&self, name: &str, is_reached: impl Fn(&MirrorStatus) -> bool) -> MirrorStatus {
        let mut latest = self.latest.clone();
        let reached = latest.wait_for(|latest| latest.get(name).is_some_and(&is_reached));
        let limit = Duration::from_mins(1);
        let Ok(Ok(found)) = tokio::time::timeout(limit, reached).await else {
            panic!("within {limit:?}, {name} has {:?}", self.latest.borrow().get(name));
        };
        found[name].clone()
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Cancels processes as a user of the colony would; how long after the colony's answer each was in status.
async fn cancel_often(stage: &Stage) -> Vec<Duration> {
    let records = Records::watch(stage.api());
    let (clock, names) = (Clock::system(), (0..OBJECTS).map(name).collect::<Vec<_>>());
    let period = Duration::from_secs(configuration(&stage.namespace.name).process_poll_seconds.into());
    join_all(names.iter().map(|name| apply(stage, name))).await;
    let mut took = Vec::new();
    for round in 1..=ROUNDS {
        let generation = i64::try_from(round).unwrap();
        let runs_anew = |mirror: &MirrorStatus| runs(mirror) && mirror.generation == generation;
        let running = join_all(names.iter().map(|name| records.until(name, runs_anew))).await;
        // Nothing else goes on meanwhile: what is measured is the way of one change.
        let cancelled = names.iter().zip(running).map(async |(name, mirror)| {
            // At any moment between two looks.
            let phase = rand::rng().random_range(Duration::ZERO..period);
            tokio::time::sleep(phase).await;
            let id = ProcessId::new(mirror.process_id.as_ref().unwrap());
            let is_cancelled = |mirror: &MirrorStatus| mirror.state == MirrorState::Cancelled;
            let (answered_at, recorded_at) = join(
                async {
                    stage.colony.member.cancel(&id).await.unwrap();
                    clock.instant()
                },
                async {
                    records.until(name, is_cancelled).await;
                    clock.instant()
                },
            )
            .await;
            recorded_at.saturating_duration_since(answered_at)
        });
        took.extend(join_all(cancelled).await);
        if round < ROUNDS {
            let change = json!({ "replicas": round + 1 });
            join_all(names.iter().map(|name| stage.change(name, &change))).await;
        }
    }
    took.sort();
    took
}

async fn check(test: &str, adjust: impl FnOnce(&mut OperatorConfiguration)) {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, test, adjust, async |stage| {
        let took = cancel_often(stage).await;
        let at = |hundredths: usize| took[(took.len() * hundredths / 100).min(took.len() - 1)];
        println!("{test}: {} cancelled, in status after p50 {:?}, p99 {:?}", took.len(), at(50), at(99));
    })
    .await;
}

/// The list is the truth: without any websocket everything is found all the same.
#[tokio::test]
async fn a_cancelled_process_is_found_by_the_lists_alone() {
    check("by-lists", |configuration| configuration.process_subscriptions = 0).await;
}

/// The websocket by itself is sufficient, although no client may rely on it.
#[tokio::test]
async fn the_websocket_alone_reports_a_cancelled_process() {
    check("by-websocket", |configuration| configuration.process_poll_seconds = 0).await;
}

#[tokio::test]
async fn a_cancelled_process_reaches_status() {
    check("by-both", |_| {}).await;
}

/// Calls to colonies so far, by payload type.
async fn calls(operator: &Operator) -> BTreeMap<String, f64> {
    let (_, text) = operator.get("/metrics").await.unwrap();
    let mut calls = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("colonyos_operator_colony_calls_total{")) {
        let payload_type = line.split("payload_type=\"").nth(1).and_then(|rest| rest.split('"').next());
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *calls.entry(payload_type.unwrap().to_owned()).or_default() += count;
    }
    calls
}

/// Calls made during `span`, but for questions for work, which wait for some.
async fn calls_within(operator: &Operator, span: Duration) -> BTreeMap<String, f64> {
    let before = calls(operator).await;
    tokio::time::sleep(span).await;
    let mut made = calls(operator).await;
    for (payload_type, count) in &mut made {
        *count -= before.get(payload_type).copied().unwrap_or_default();
    }
    made.retain(|payload_type, count| *count > 0.0 && payload_type != "assignprocessmsg");
    made
}

/// The intervals of an operator that is installed: tests have shorter ones, which cost more.
fn as_shipped(configuration: &mut OperatorConfiguration) {
    let shipped = OperatorConfiguration::default();
    configuration.colony_poll_seconds = shipped.colony_poll_seconds;
    configuration.process_poll_seconds = shipped.process_poll_seconds;
    configuration.leader_election = LeaderElection::default();
}

/// Waits until nothing happens any more, and counts what that costs.
async fn assert_rest_is_cheap(stage: &Stage, count: usize) {
    eventually("no process is read for itself", Duration::from_mins(2), async || {
        let made = calls_within(&stage.operator, Duration::from_secs(3)).await;
        let is_quiet = ["getprocessmsg", "subscribeprocessmsg", "submitfuncspecmsg"]
            .into_iter()
            .all(|payload_type| !made.contains_key(payload_type));
        is_quiet.then_some(()).ok_or_else(|| format!("{made:?}"))
    })
    .await;
    // What a list leaves open is read once more before all is at rest.
    let what = format!("{count} processes cost at most {REQUESTS_A_SECOND} requests a second");
    let (rate, made) = eventually(&what, Duration::from_mins(2), async || {
        let made = calls_within(&stage.operator, REST).await;
        let rate = made.values().sum::<f64>() / REST.as_secs_f64();
        if rate <= REQUESTS_A_SECOND { Ok((rate, made)) } else { Err(format!("{rate}: {made:?}")) }
    })
    .await;
    println!("{count} processes at rest cost {rate:.2} requests a second: {made:?}");
}

/// Work that waits for an executor, three times as much as a list of the server holds.
#[tokio::test]
async fn hundreds_of_processes_that_wait_cost_few_requests() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "hundreds", as_shipped, async |stage| {
        let objects: Api<ColonyProcess> = stage.api();
        let create = async |index: usize| {
            let object = json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name(index) },
                "spec": { "colony": stage.colony.name, "function": "f", "conditions": { "executorType": "unserved" } },
            });
            objects.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        };
        for batch in (0..MANY).collect::<Vec<_>>().chunks(50) {
            join_all(batch.iter().map(|index| create(*index))).await;
        }
        let waiting = async || {
            let list = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let waits = |object: &&ColonyProcess| {
                let mirror = object.mirror().filter(|mirror| mirror.process_id.is_some());
                mirror.is_some_and(|mirror| mirror.state == MirrorState::Waiting)
            };
            let count = list.iter().filter(waits).count();
            (count == MANY).then_some(()).ok_or_else(|| format!("{count} of {MANY}"))
        };
        eventually("all are submitted", Duration::from_mins(5), waiting).await;
        assert_rest_is_cheap(stage, MANY).await;

        // The newest has no websocket once others are newer, and is in none of the first lists: it is found all the same.
        let chosen = [0, MANY / 2, MANY - 1];
        for index in chosen {
            let object = objects.get(&name(index)).await.unwrap();
            let id = ProcessId::new(object.mirror().unwrap().process_id.as_ref().unwrap());
            stage.colony.member.cancel(&id).await.unwrap();
        }
        for index in chosen {
            eventually(&format!("{} is cancelled", name(index)), Duration::from_mins(2), async || {
                let object = objects.get(&name(index)).await.map_err(|error| error.to_string())?;
                let state = object.status.and_then(|status| status.state);
                (state == Some(WorkState::Cancelled)).then_some(()).ok_or_else(|| format!("{state:?}"))
            })
            .await;
        }
    })
    .await;
}

/// Processes at which nothing happens cost next to nothing, however many there are.
#[tokio::test]
async fn processes_at_rest_cost_few_requests() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "requests", as_shipped, async |stage| {
        for index in 0..AT_REST {
            apply(stage, &name(index)).await;
        }
        let objects: Api<ExecutorDeployment> = stage.api();
        eventually("all processes run", Duration::from_mins(10), async || {
            let list = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let running = list
                .iter()
                .filter(|object| {
                    object.status.as_ref().and_then(|status| status.mirror.as_ref()).is_some_and(runs)
                })
                .count();
            (running == AT_REST).then_some(()).ok_or_else(|| format!("{running} of {AT_REST}"))
        })
        .await;
        assert_rest_is_cheap(stage, AT_REST).await;

        // What lies beyond a list's hundred is found all the same.
        let last = name(AT_REST - 1);
        let records = Records::watch(objects);
        let mirror = records.until(&last, runs).await;
        let id = ProcessId::new(mirror.process_id.as_ref().unwrap());
        stage.colony.member.cancel(&id).await.unwrap();
        records.until(&last, |mirror| mirror.state == MirrorState::Cancelled).await;
    })
    .await;
}
