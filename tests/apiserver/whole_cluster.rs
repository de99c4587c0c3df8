//! What measures or breaks the whole cluster, which no other test may use meanwhile. Tests are started in the order of their
//! names: these are the last, so that no processor waits for their turn to come.

use std::time::Duration;

use colonyos_operator::{
    api::{colony::Colony, executor_deployment::ExecutorDeployment, resource_definition::ResourceDefinition},
    runtime::{clock::Clock, config::OperatorConfiguration},
};
use k8s_openapi::{
    api::core::v1::Namespace, apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use crate::{
    support::{
        cluster::{Connection, connect_alone, definitions, install_crds},
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        operator::{Operator, Signal, Turn, by_lease, configuration, elected},
        stage::{Stage, is_closed, with_configured_operator},
        wait::eventually,
    },
    writes::{self, Writes},
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
    let before = writes::read(connection).await;
    tokio::time::sleep(span).await;
    writes::between(&before, &writes::read(connection).await, is_housekeeping)
}

/// Waits until nothing has been written for a while: controllers other than ours come to rest too. What other tests have left is
/// deleted in the background, kind by kind.
async fn wait_until_quiet(connection: &Connection) {
    let namespaces: Api<Namespace> = Api::all(connection.calls.clone());
    eventually("namespaces of other tests are gone", Duration::from_mins(3), async || {
        let all = namespaces.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let ending = all.iter().filter(|namespace| namespace.metadata.deletion_timestamp.is_some()).count();
        (ending == 0).then_some(()).ok_or_else(|| format!("{ending} are being deleted"))
    })
    .await;
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
    with_configured_operator(&connection, "rest", by_lease, async |stage| {
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
                    status.is_true("Ready") && is_closed(status) && status.ready_replicas == 1
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

        let before = writes::read(&connection).await;
        restart(stage).await;
        eventually("the new process has looked at everything", Duration::from_secs(30), async || {
            let (_, text) = stage.operator.get("/metrics").await?;
            let looked = unchanged(&text);
            (looked >= f64::from(u32::try_from(OBJECTS).unwrap()))
                .then_some(())
                .ok_or_else(|| format!("at {looked} objects"))
        })
        .await;
        let written = writes::between(&before, &writes::read(&connection).await, is_housekeeping);
        assert!(written.is_empty(), "writes after a restart into a converged world: {written:?}");
    })
    .await;
}

async fn restart(stage: &mut Stage) {
    stage.operator.signal(Signal::Terminate);
    stage.operator.wait_for_end(Duration::from_secs(25)).await;
    let namespace = &stage.namespace.name;
    stage.operator = Operator::start(elected(namespace), namespace, &stage.turn).await;
}

/// Passes over an `ExecutorDeployment` that found nothing to do.
fn unchanged(metrics: &str) -> f64 {
    let series = "colonyos_operator_reconciles_total{kind=\"ExecutorDeployment\",result=\"unchanged\"} ";
    metrics.lines().find_map(|line| line.strip_prefix(series)?.parse().ok()).unwrap_or_default()
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
        // What a test that failed has left is held for an operator that has ended.
        let colonies: Api<Colony> = Api::all(connection.calls.clone());
        let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        for colony in colonies.list(&ListParams::default()).await.unwrap() {
            colonies.patch(&colony.name_any(), &PatchParams::default(), &release).await.unwrap();
        }
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
