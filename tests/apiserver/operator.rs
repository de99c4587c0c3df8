//! The operator's binary as a process: replaced, told to stop, what it logs and counts.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use colonyos_operator::api::colony_process::ColonyProcess;
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::support::{
    cluster::connect_with_crds,
    namespace::in_namespace,
    operator::{Operator, Signal, Turn, by_lease, configuration, elected},
    stage::{SOON, with_configured_operator, with_operator},
    wait::{eventually, throughout},
};

/// The second replica takes over what the first one leaves.
#[tokio::test]
async fn a_second_replica_takes_over() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "replicas", by_lease, async |stage| {
        let namespace = stage.namespace.name.clone();
        let second = Operator::start(elected(&namespace), &namespace, &stage.turn).await;
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        let leader = async |operator: &Operator| {
            let (_, text) = operator.get("/metrics").await?;
            Ok::<_, String>(text.lines().any(|line| line == "colonyos_operator_leader 1"))
        };
        assert_eq!((leader(&stage.operator).await, leader(&second).await), (Ok(true), Ok(false)));

        stage.operator.signal(Signal::Kill);
        stage.change("encoders", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("encoders", 2).await;
        assert_eq!(leader(&second).await, Ok(true));
    })
    .await;
}

/// A replica that hangs for longer than its lease must not undo, when it goes on, what the next one did meanwhile.
#[tokio::test]
async fn a_replica_that_hung_disturbs_nothing_when_it_goes_on() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "hung", by_lease, async |stage| {
        let namespace = stage.namespace.name.clone();
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        let second = Operator::start(elected(&namespace), &namespace, &stage.turn).await;
        stage.operator.signal(Signal::Stop);
        stage.change("encoders", &json!({ "replicas": 3 })).await;
        stage.wait_until_ready("encoders", 3).await;
        let deployments: Api<Deployment> = stage.api();
        let before = deployments.get("encoders").await.unwrap().metadata.generation;

        stage.operator.signal(Signal::Continue);
        eventually("it knows that it leads no more", Duration::from_secs(10), async || {
            let (_, text) = stage.operator.get("/metrics").await?;
            text.contains("colonyos_operator_leader 0").then_some(()).ok_or_else(|| "it leads".to_owned())
        })
        .await;
        throughout("the Deployment stays", Duration::from_secs(2), async || {
            let now =
                deployments.get("encoders").await.map_err(|error| error.to_string())?.metadata.generation;
            (now == before).then_some(()).ok_or_else(|| format!("generation {before:?} became {now:?}"))
        })
        .await;
        assert_eq!(stage.operator.get("/healthz").await.unwrap().0, 200, "it lives on and waits its turn");
        drop(second);
        stage.change("encoders", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("encoders", 2).await;
    })
    .await;
}

/// Told to stop, it ends well and soon, and hands the lease over at once.
#[tokio::test]
async fn a_terminated_operator_releases_its_lease() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "terminated", async |namespace| {
        let turn = Turn::take().await;
        let mut operator = Operator::start(elected(&namespace.name), &namespace.name, &turn).await;
        operator.wait_until_ready().await;
        let holder = async || {
            let lease: Lease =
                namespace.api().get("colonyos-operator").await.map_err(|error| error.to_string())?;
            Ok::<_, String>(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
        };
        eventually("it holds the lease", Duration::from_secs(10), async || {
            let holder = holder().await?;
            (!holder.is_empty()).then_some(()).ok_or_else(|| "no replica does".to_owned())
        })
        .await;
        operator.signal(Signal::Terminate);
        let status = operator.wait_for_end(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
        assert_eq!(holder().await, Ok(String::new()));
    })
    .await;
}

/// Told to stop at any moment of its start, it does so too, and is not killed after its grace period.
#[tokio::test]
async fn an_operator_can_be_told_to_stop_while_it_starts() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "starting", async |namespace| {
        let turn = Turn::take().await;
        for awaited in ["serving probes", "\"check\":\"crds\"", "leading"] {
            let mut operator = Operator::start(elected(&namespace.name), &namespace.name, &turn).await;
            eventually(&format!("it says {awaited:?}"), Duration::from_secs(20), async || {
                let log = operator.log();
                log.contains(awaited).then_some(()).ok_or(log)
            })
            .await;
            operator.signal(Signal::Terminate);
            let status = operator.wait_for_end(Duration::from_secs(12)).await;
            assert!(status.success(), "{status}");
        }
    })
    .await;
}

/// Each line names the object it is about, or finding out what happened to one object is a search in the dark.
#[tokio::test]
async fn log_lines_name_object_and_generation() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "log", by_lease, async |stage| {
        stage.apply("encoders", &json!({ "serviceAccountName": "default" })).await;
        stage.wait_for_status("encoders", "it is refused", |status| !status.conditions.is_empty()).await;
        let about = eventually("a line is about the object", Duration::from_secs(10), async || {
            let log = stage.operator.log();
            let line = log.lines().find(|line| line.contains("encoders\"")).map(str::to_owned);
            line.ok_or(log)
        })
        .await;
        assert!(about.contains("\"generation\":1"), "{about}");
        for line in stage.operator.log().lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        }
    })
    .await;
}

/// The metrics that alerts and panels of the chart ask for.
fn monitored() -> BTreeSet<String> {
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/colonyos-operator/files");
    let texts = ["alerts.yaml", "dashboard.json"].map(|name| fs::read_to_string(files.join(name)).unwrap());
    let words = texts
        .iter()
        .flat_map(|text| text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_'));
    let of_metrics =
        words.filter(|word| word.starts_with("colonyos_operator_") || word.starts_with("process_"));
    of_metrics.map(str::to_owned).collect()
}

/// Metrics are what alerts are made of: the series must be there, and their labels bounded.
#[tokio::test]
async fn metrics_count_what_was_done() {
    let connection = connect_with_crds().await;
    with_configured_operator(&connection, "metrics", by_lease, async |stage| {
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        // A change made by hand is one write more.
        let patch = Patch::Merge(json!({ "spec": { "replicas": 5 } }));
        stage.api::<Deployment>().patch("encoders", &PatchParams::default(), &patch).await.unwrap();
        stage.wait_until_ready("encoders", 1).await;
        let (status, text) = stage.operator.get("/metrics").await.unwrap();
        assert_eq!(status, 200);
        for series in [
            "colonyos_operator_leader 1",
            "colonyos_operator_writes_total{kind=\"Deployment\",outcome=\"ok\",verb=\"create\"} 1",
            "colonyos_operator_reconciles_in_flight{kind=\"ExecutorDeployment\"} ",
            "colonyos_operator_reconcile_duration_seconds_count{kind=\"ExecutorDeployment\"} ",
            "colonyos_operator_colony_calls_total{payload_type=",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
        assert!(!text.contains("encoders"), "no name of an object is a label");

        // Alerts and panels ask for what there is.
        let unserved = json!({
            "colony": stage.colony.name, "function": "f", "conditions": { "executorType": "unserved" },
        });
        let waits: ColonyProcess = serde_json::from_value(json!({
            "metadata": { "name": "waits" }, "spec": unserved,
        }))
        .unwrap();
        stage.api::<ColonyProcess>().create(&PostParams::default(), &waits).await.unwrap();
        eventually("all metrics of alerts and panels are there", SOON, async || {
            let (_, text) = stage.operator.get("/metrics").await?;
            let shown: BTreeSet<&str> =
                text.lines().filter_map(|line| line.split(['{', ' ']).next()).collect();
            let missing: Vec<String> =
                monitored().into_iter().filter(|name| !shown.contains(name.as_str())).collect();
            let counted = [
                "objects{kind=\"ExecutorDeployment\",state=\"ready\"} 1",
                "objects{kind=\"Colony\",state=\"ready\"} 1",
                "objects{kind=\"ColonyProcess\",state=\"waiting\"} 1",
            ];
            let missing: Vec<String> = counted
                .into_iter()
                .filter(|series| !text.contains(&format!("colonyos_operator_{series}\n")))
                .map(str::to_owned)
                .chain(missing)
                .collect();
            missing.is_empty().then_some(()).ok_or_else(|| format!("{missing:?} are missing in {text}"))
        })
        .await;
    })
    .await;
}

/// A second release, or one that was started by hand beside the one that is installed.
#[tokio::test]
async fn an_operator_tells_when_it_starts_of_another_that_writes_the_same_statuses() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "second", async |stage| {
        let namespace = &stage.namespace.name;
        let another = |lease: &str| {
            let mut second = configuration(namespace);
            lease.clone_into(&mut second.leader_election.lease_name);
            second
        };
        let told = format!(
            "colonyos-operator:{namespace}/{} wrote the status of Colony",
            configuration(namespace).leader_election.lease_name
        );
        let first = Operator::start(another("another"), namespace, &stage.turn).await;
        eventually("the second one tells of the first", SOON, async || {
            let log = first.log();
            log.contains(&told).then_some(()).ok_or(log)
        })
        .await;
        assert!(!stage.operator.log().contains("wrote the status of Colony"), "it was alone");
    })
    .await;
}
