//! The operator's binary as a process: at rest, replaced, restarted, without its CRDs, told to stop.

use std::time::Duration;

use colonyos_operator::{
    api::{executor_deployment::ExecutorDeployment, resource_definition::ResourceDefinition},
    runtime::{clock::Clock, config::OperatorConfiguration},
};
use k8s_openapi::{
    api::{apps::v1::Deployment, coordination::v1::Lease},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::support::{
    cluster::{Connection, connect_alone, connect_with_crds, definitions, install_crds},
    namespace::{TestNamespace, in_namespace},
    operator::{Operator, Signal, Turn, configuration},
    requests::{self, Writes},
    stage::{Stage, is_closed, is_true, with_operator},
    wait::eventually,
};

/// How many objects are at rest.
const OBJECTS: usize = 100;
/// For how long nothing may be written.
const REST: Duration = Duration::from_mins(1);

/// Writes that go on by themselves: leases of the operator, of nodes and of the control plane, and what the API server
/// and its companions keep about themselves.
fn is_housekeeping(key: &str) -> bool {
    let questions = ["reviews.authorization.k8s.io", "reviews.authentication.k8s.io"];
    key.contains(" leases.coordination.k8s.io")
        || key.contains("nodes/status")
        || key.contains(" masterleases")
        || questions.iter().any(|question| key.contains(question))
}

async fn writes_at_rest(connection: &Connection, span: Duration) -> Writes {
    let before = requests::writes(connection).await;
    tokio::time::sleep(span).await;
    requests::between(&before, &requests::writes(connection).await, is_housekeeping)
}

/// Waits until nothing has been written for a while: controllers other than ours come to rest too.
async fn wait_until_quiet(connection: &Connection) {
    eventually("nothing is written for three seconds", Duration::from_mins(2), async || {
        let written = writes_at_rest(connection, Duration::from_secs(3)).await;
        if written.is_empty() { Ok(()) } else { Err(format!("{written:?}")) }
    })
    .await;
}

/// A converged world costs nothing but the lease; and a new process, which knows nothing, finds nothing to do either.
#[tokio::test]
async fn a_hundred_objects_at_rest_cost_no_write() {
    let connection = connect_alone().await;
    with_operator(&connection, "rest", async |stage| {
        let clock = Clock::system();
        let start = clock.instant();
        for index in 0..OBJECTS {
            // Types that differ only by digits at their end are warned of, so these end in letters.
            let kind = format!("type-{index}-x");
            stage.apply(&format!("fleet-{index:03}"), &json!({ "executorType": kind })).await;
        }
        let objects: Api<ExecutorDeployment> = stage.api();
        eventually("all are ready and mirrored", Duration::from_mins(3), async || {
            let list = objects.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let settled = list.iter().filter(|object| {
                object.status.as_ref().is_some_and(|status| {
                    is_true(status, "Ready") && is_closed(status) && status.ready_replicas == 1
                })
            });
            let count = settled.count();
            (count == OBJECTS).then_some(()).ok_or_else(|| format!("{count} of {OBJECTS}"))
        })
        .await;
        println!("{OBJECTS} objects were ready and mirrored after {:?}", clock.instant() - start);
        wait_until_quiet(&connection).await;

        let written = writes_at_rest(&connection, REST).await;
        assert!(written.is_empty(), "writes within {REST:?} at rest: {written:?}");

        let before = requests::writes(&connection).await;
        restart(stage).await;
        eventually("the new process has looked at everything", Duration::from_secs(30), async || {
            let (_, text) = stage.operator.get("/metrics").await?;
            let looked = unchanged(&text);
            (looked >= f64::from(u32::try_from(OBJECTS).unwrap()))
                .then_some(())
                .ok_or_else(|| format!("at {looked} objects"))
        })
        .await;
        let written = requests::between(&before, &requests::writes(&connection).await, is_housekeeping);
        assert!(written.is_empty(), "writes after a restart into a converged world: {written:?}");
    })
    .await;
}

async fn restart(stage: &mut Stage) {
    stage.operator.signal(Signal::Terminate);
    stage.operator.wait_for_end(Duration::from_secs(25)).await;
    let namespace = &stage.namespace.name;
    stage.operator = Operator::start(configuration(namespace), namespace, &stage.turn).await;
}

/// Passes over an `ExecutorDeployment` that found nothing to do.
fn unchanged(metrics: &str) -> f64 {
    let series = "colonyos_operator_reconciles_total{kind=\"ExecutorDeployment\",result=\"unchanged\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).unwrap_or_default()
}

/// The second replica takes over what the first one leaves.
#[tokio::test]
async fn a_second_replica_takes_over() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "replicas", async |stage| {
        let namespace = stage.namespace.name.clone();
        let second = Operator::start(configuration(&namespace), &namespace, &stage.turn).await;
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
    with_operator(&connection, "hung", async |stage| {
        let namespace = stage.namespace.name.clone();
        stage.apply("encoders", &json!({ "replicas": 1 })).await;
        stage.wait_until_ready("encoders", 1).await;
        let second = Operator::start(configuration(&namespace), &namespace, &stage.turn).await;
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
        crate::support::wait::throughout("the Deployment stays", Duration::from_secs(2), async || {
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
        let mut operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        operator.wait_until_ready().await;
        let holder = async || {
            let lease: Lease =
                namespace.api().get("colonyos-operator").await.map_err(|error| error.to_string())?;
            Ok::<_, String>(lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
        };
        eventually("it holds the lease", Duration::from_secs(10), async || {
            let holder = holder().await?;
            (!holder.is_empty()).then_some(()).ok_or_else(|| "nobody does".to_owned())
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
            let mut operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
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
    with_operator(&connection, "log", async |stage| {
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

/// Without its kinds the operator is not ready and says why; it does not end, and goes on by itself once they are there.
#[tokio::test]
async fn missing_definitions_are_named_and_waited_for() {
    let connection = connect_alone().await;
    let definitions_api: Api<CustomResourceDefinition> = Api::all(connection.calls.clone());
    in_namespace(&connection, "definitions", async |namespace| {
        let turn = Turn::take().await;
        // With one of them, its definition could not go, and no test after this one would find its kinds.
        let kinds: Api<ResourceDefinition> = Api::all(connection.calls.clone());
        let left = kinds.list(&ListParams::default()).await.unwrap();
        let left: Vec<String> = left.iter().map(kube::ResourceExt::name_any).collect();
        assert!(left.is_empty(), "other tests have left {left:?}");
        for (_, definition) in definitions() {
            let name = definition.name_any();
            definitions_api.delete(&name, &DeleteParams::default()).await.unwrap();
            eventually(&format!("CRD {name} is gone"), Duration::from_secs(30), async || {
                let seen = definitions_api.get_opt(&name).await.map_err(|error| error.to_string())?;
                seen.is_none().then_some(()).ok_or_else(|| "it is there".to_owned())
            })
            .await;
        }
        let operator = operator_without_definitions(&namespace, &turn).await;
        install_crds(&connection).await;
        let mut operator = operator;
        operator.wait_until_ready().await;
    })
    .await;
}

async fn operator_without_definitions(namespace: &TestNamespace, turn: &Turn) -> Operator {
    let configuration: OperatorConfiguration = configuration(&namespace.name);
    let operator = Operator::start(configuration, &namespace.name, turn).await;
    eventually("/readyz names what is missing", Duration::from_secs(20), async || {
        let (status, text) = operator.get("/readyz").await?;
        let is_named = definitions().iter().all(|(_, definition)| text.contains(&definition.name_any()));
        (status == 503 && is_named).then_some(()).ok_or_else(|| format!("{status} {text}"))
    })
    .await;
    assert_eq!(
        operator.get("/healthz").await.unwrap().0,
        200,
        "missing definitions are no reason to be restarted"
    );
    operator
}

/// Metrics are what alerts are made of: the series must be there, and their labels bounded.
#[tokio::test]
async fn metrics_count_what_was_done() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "metrics", async |stage| {
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
        ] {
            assert!(text.contains(series), "{series} is missing in\n{text}");
        }
        assert!(!text.contains("encoders"), "no name of an object is a label");
    })
    .await;
}
