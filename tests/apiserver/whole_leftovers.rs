//! What a colony has that no object wants is found by joining both sides, and taken away; everything else is left alone. The
//! operator watches the whole cluster, which no other test may use meanwhile.

use std::time::Duration;

use colonyos_operator::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        condition::Reason,
        names::{
            LEFT_KEY_PREFIX, RECONCILER_KEY, executor_origin, identity_secret, operator_secret, process_label,
        },
        work::WorkState,
    },
    colony::{
        ExecutorState, FunctionSpec, Id, NewExecutor, PrivateKey, Process, ProcessId, ProcessState, Session,
    },
    runtime::config::OperatorConfiguration,
};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _, api::DeleteParams};
use serde_json::json;

use crate::support::{
    cluster::connect_alone,
    object::until,
    operator::{Operator, Signal, configuration},
    stage::{SOON, Stage, with_configured_operator},
    wait::{eventually, throughout},
};

/// Lists, a second look, and a silence in which another installation would be heard.
const LIMIT: Duration = Duration::from_mins(2);

/// Calls as one of the operator's own keys.
async fn own(stage: &Stage, key: &str) -> Session {
    let secret: Secret = stage.api().get(&operator_secret(&stage.colony.name)).await.unwrap();
    let text = String::from_utf8(secret.data.unwrap()[key].0.clone()).unwrap();
    stage.colony.owner.client().session(&stage.colony.name, PrivateKey::from_hex(&text).unwrap())
}

fn function(colony: &str, label: &str) -> FunctionSpec {
    FunctionSpec::new(colony, "unserved-type", "wait").unwrap().label(label).unwrap()
}

async fn state(member: &Session, id: &ProcessId) -> ProcessState {
    member.process(id).await.unwrap().state
}

async fn until_cancelled(member: &Session, process: &Process) {
    eventually("it is cancelled", LIMIT, async || {
        let state = member.process(&process.id).await.map_err(|error| error.to_string())?.state;
        (state == ProcessState::Cancelled).then_some(()).ok_or_else(|| format!("{state:?}"))
    })
    .await;
}

/// Registers an executor with an origin.
async fn register(stage: &Stage, name: &str, origin: &str) -> PrivateKey {
    let key = PrivateKey::generate().unwrap();
    let id: Id = stage.colony.owner.client().session(&stage.colony.name, key.clone()).id().clone();
    let new = NewExecutor::new(&stage.colony.name, name, "some-type", id).unwrap().blueprint(origin, 0);
    stage.colony.owner.add_executor(&new).await.unwrap();
    stage.colony.owner.approve_executor(name).await.unwrap();
    key
}

async fn asks_for_work(session: Session) {
    loop {
        let _ = session.assign(Duration::from_secs(2)).await;
    }
}

#[tokio::test]
async fn what_no_object_wants_is_taken_away_and_nothing_else() {
    let connection = connect_alone().await;
    let adjust = |configuration: &mut OperatorConfiguration| configuration.watch_namespaces = Vec::new();
    with_configured_operator(&connection, "leftovers", adjust, async |stage| {
        let (cluster, colony) = (stage.cluster().await, stage.colony.name.clone());
        let (member, tester) = (own(stage, "prvKey").await, &stage.colony.member);

        // Healthy: an object's, another member's, another cluster's, one whose object is of a kind that is not looked after, and
        // one that is to outlive its object.
        let spec = json!({ "colony": colony, "function": "wait", "conditions": { "executorType": "unserved-type" } });
        let object = |name: &str, policy: &str| {
            let mut spec = spec.clone();
            spec["deletionPolicy"] = json!(policy);
            json!({ "metadata": { "name": name }, "spec": spec })
        };
        stage.create::<ColonyProcess>(object("stays", "Delete")).await.unwrap();
        stage.create::<ColonyProcess>(object("orphaned", "Orphan")).await.unwrap();
        let bound = async |name: &str| {
            let status = stage.until_state::<ColonyProcess>(name, WorkState::Waiting).await;
            let mirror = status.mirror.unwrap();
            (ProcessId::new(mirror.process_id.unwrap()), mirror.label)
        };
        let ((stays, _), (orphaned, _)) = (bound("stays").await, bound("orphaned").await);
        let uid = stage.until::<ColonyProcess>("orphaned", "is there", |_| true).await.uid().unwrap();
        stage.api::<ColonyProcess>().delete("orphaned", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyProcess>("orphaned").await;
        let other_map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "kept" } });
        let kept: ConfigMap = stage.create(other_map).await.unwrap();
        let mut named = function(&colony, &process_label(&cluster, &kept.uid().unwrap(), 1));
        let metadata = json!({ "name": "kept", "namespace": stage.namespace.name, "uid": kept.uid() });
        named = named.kwarg("apiVersion", "v1").kwarg("kind", "ConfigMap").kwarg("metadata", metadata);
        let gone = "0a8e8a43-3d5c-4f0e-9a2f-000000000001";
        let healthy = [
            stays,
            orphaned.clone(),
            member.submit(&named).await.unwrap().id,
            tester.submit(&function(&colony, &process_label(&cluster, gone, 1))).await.unwrap().id,
            member.submit(&function(&colony, &process_label("another", gone, 1))).await.unwrap().id,
            member.submit(&function(&colony, "a label of their own")).await.unwrap().id,
        ];
        let serving = register(stage, "serving", &executor_origin(&cluster, gone, &stage.namespace.name, "serving")).await;
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": identity_secret("serving") },
            "stringData": { "COLONIES_EXECUTOR_NAME": "serving", "COLONIES_PRVKEY": serving.to_hex().to_string() },
        });
        stage.create::<Secret>(secret).await.unwrap();
        register(stage, "of-another-cluster", &executor_origin("another", gone, "ns", "fleet")).await;

        // Left over: a late submit of an object that is gone, and a registration of one.
        let late = member.submit(&function(&colony, &process_label(&cluster, gone, 1))).await.unwrap();
        register(stage, "left", &executor_origin(&cluster, gone, &stage.namespace.name, "left")).await;
        until_cancelled(tester, &late).await;
        eventually("the executor is removed", LIMIT, async || {
            let executor = tester.executor("left").await.map_err(|error| error.to_string())?;
            let is_gone = executor.state == ExecutorState::Unregistered;
            is_gone.then_some(()).ok_or_else(|| format!("{executor:?}"))
        })
        .await;
        throughout("what is healthy stays", Duration::from_secs(5), async || {
            for id in &healthy {
                let state = state(tester, id).await;
                if state != ProcessState::Waiting {
                    return Err(format!("{id} is {state:?}"));
                }
            }
            Ok(())
        })
        .await;
        for name in ["serving", "of-another-cluster"] {
            assert_eq!(tester.executor(name).await.unwrap().state, ExecutorState::Approved, "{name}");
        }
        let (_, metrics) = stage.operator.get("/metrics").await.unwrap();
        for what in ["orphaned_process", "orphaned_executor"] {
            let series = format!("colonyos_operator_collected_total{{what=\"{what}\"}} 1");
            assert!(metrics.contains(&series), "{series} is missing in\n{metrics}");
        }
        assert!(stage.operator.log().contains(Reason::OrphanedProcess.as_str()), "it is told");

        // The note goes when there is nothing left to be noted.
        let secrets: Api<Secret> = stage.api();
        let note = format!("{LEFT_KEY_PREFIX}{uid}");
        let own_secret = operator_secret(&colony);
        let has_note = |secret: &Secret| secret.data.as_ref().is_some_and(|data| data.contains_key(&note));
        assert!(has_note(&secrets.get(&own_secret).await.unwrap()), "it is on record that it was to stay");
        tester.cancel(&orphaned).await.unwrap();
        until(&secrets, &own_secret, "has no note any more", |secret: &Secret| !has_note(secret)).await;

        // Another installation with the same keys asks for work: it has objects of its own.
        let clone = own(stage, RECONCILER_KEY).await;
        let asking = tokio::spawn(asks_for_work(clone));
        stage.operator.signal(Signal::Kill);
        stage.operator.wait_for_end(SOON).await;
        let mut again = configuration(&stage.namespace.name);
        adjust(&mut again);
        stage.operator = Operator::start(again, &stage.namespace.name, &stage.turn).await;
        let theirs = member.submit(&function(&colony, &process_label(&cluster, gone, 2))).await.unwrap();
        let colonies: Api<Colony> = Api::all(stage.namespace.kubernetes.calls.clone());
        eventually("the Colony tells of the other installation", LIMIT, async || {
            let found = colonies.get(&colony).await.map_err(|error| error.to_string())?;
            let conditions = found.status.map(|status| status.conditions).unwrap_or_default();
            let reason = Reason::AnotherInstallation.as_str();
            let is_told = conditions.iter().any(|condition| condition.reason == reason);
            is_told.then_some(()).ok_or_else(|| format!("{conditions:?}"))
        })
        .await;
        assert_eq!(state(tester, &theirs.id).await, ProcessState::Waiting);
        asking.abort();
    })
    .await;
}
