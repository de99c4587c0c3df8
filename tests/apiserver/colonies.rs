//! Which colony an object is in, on the real servers: a Colony that is deleted, another that becomes the default, one that is
//! made anew.

use colonyos_operator::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        condition::Reason,
        executor_deployment::ExecutorDeployment,
        mirror::{MirrorState, Mirrored as _},
        names::{ACCEPT_RESET_ANNOTATION, DEFAULT_COLONY_ANNOTATION, RECONCILER_EXECUTOR_TYPE},
        work::WorkState,
    },
    colony::{ExecutorState, FunctionSpec, ProcessId, ProcessState},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::OwnColony,
    conditions::Conditions as _,
    object::{change, until, until_gone},
    process::until_ended,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

fn colonies(stage: &Stage) -> Api<Colony> {
    Api::all(stage.namespace.kubernetes.calls.clone())
}

fn has_reason(colony: &Colony, reason: Reason) -> bool {
    let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
    conditions.iter().any(|condition| condition.reason == reason.as_str())
}

/// A process of an executor type that no executor serves, of the Colony that is named, or else of the default one.
async fn waiting(stage: &Stage, name: &str, colony: Option<&str>) -> ColonyProcess {
    let spec = json!({ "colony": colony, "function": "encode", "conditions": { "executorType": "none" } });
    let mut object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name }, "spec": spec,
    });
    if colony.is_none() {
        object["spec"].as_object_mut().unwrap().remove("colony");
    }
    let object: ColonyProcess = serde_json::from_value(object).unwrap();
    stage.api().create(&PostParams::default(), &object).await.unwrap();
    stage.until_state::<ColonyProcess>(name, WorkState::Waiting).await;
    stage.until(name, "is there", |_: &ColonyProcess| true).await
}

fn process_id(object: &ColonyProcess) -> ProcessId {
    ProcessId::new(object.mirror().unwrap().process_id.clone().unwrap())
}

/// As `kubectl delete -f dir/` does it: the Colony first. The namespace is not admitted any more, either.
#[tokio::test]
async fn a_colony_that_is_deleted_stays_until_what_is_in_it_has_ended() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "colony-deleted", async |stage: &mut Stage| {
        let spec = json!({ "replicas": 1, "nodeSelector": { "colonies.io/node": "none" } });
        stage.apply("encoders", &spec).await;
        let status = stage
            .wait_for_status("encoders", "its process runs", |status| {
                status.mirror.as_ref().is_some_and(|mirror| mirror.state == MirrorState::Running)
            })
            .await;
        let (colonies, name) = (colonies(stage), stage.colony.name.clone());
        let used = status.status.unwrap().colony.unwrap();
        let uid = colonies.get(&name).await.unwrap().uid().unwrap();
        assert_eq!((used.name, used.uid, used.colony_name), (name.clone(), uid, name.clone()));
        let work = waiting(stage, "work", Some(&name)).await;

        colonies.delete(&name, &DeleteParams::background()).await.unwrap();
        let held = until(&colonies, &name, "says by what it is held", |colony: &Colony| {
            let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
            has_reason(colony, Reason::ColonyInUse)
                && conditions.iter().any(|condition| condition.message.contains("2 objects"))
        })
        .await;
        let status = held.status.unwrap();
        assert!(status.is_true("Ready"), "what is there is ended through it: {:?}", status.conditions);
        let (_, _, message) = status.told("Progressing");
        let namespace = &stage.namespace.name;
        for user in ["2 objects", &format!("ExecutorDeployment {namespace}/encoders"), "/work"] {
            assert!(message.contains(user), "{message}");
        }

        stage.admit(false).await;
        let fleets: Api<ExecutorDeployment> = stage.api();
        fleets.delete("encoders", &DeleteParams::background()).await.unwrap();
        stage.api::<ColonyProcess>().delete("work", &DeleteParams::background()).await.unwrap();
        stage.until_gone::<ColonyProcess>("work").await;
        stage.until_gone::<ExecutorDeployment>("encoders").await;
        let ended = stage.colony.member.process(&process_id(&work)).await.unwrap();
        assert_eq!(ended.state, ProcessState::Cancelled);
        until_gone(&colonies, &name).await;
    })
    .await;
}

#[tokio::test]
async fn another_default_takes_nothing_over() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "colony-default", async |stage: &mut Stage| {
        let other = OwnColony::create(&stage.namespace).await;
        other.wait_until_ready().await;
        let colonies = colonies(stage);
        let mark = async |name: &str, is_default: bool| {
            let value = is_default.then_some("true");
            let marked = json!({ "metadata": { "annotations": { DEFAULT_COLONY_ANNOTATION: value } } });
            colonies.patch(name, &PatchParams::default(), &Patch::Merge(marked)).await.unwrap();
        };
        let first = stage.colony.name.clone();
        mark(&first, true).await;
        let object = waiting(stage, "first", None).await;
        assert_eq!(object.used_colony().unwrap().name, first);

        // Both, then the other alone: an object that is in one stays there, and a new one goes to the other.
        mark(&other.name, true).await;
        until(&colonies, &other.name, "says that it is not the default", |colony: &Colony| {
            has_reason(colony, Reason::DefaultTaken)
        })
        .await;
        mark(&first, false).await;
        let second = waiting(stage, "second", None).await;
        assert_eq!(second.used_colony().unwrap().name, other.name);
        let wake =
            Patch::Merge(json!({ "metadata": { "annotations": { "colonies.io/reconcile-at": "now" } } }));
        stage.api::<ColonyProcess>().patch("first", &PatchParams::default(), &wake).await.unwrap();

        mark(&other.name, false).await;
        for (name, member, object) in
            [("first", &stage.colony.member, &object), ("second", &other.member, &second)]
        {
            let still = stage.until(name, "is there", |_: &ColonyProcess| true).await;
            assert_eq!(still.mirror(), object.mirror());
            // Without any default, too, it is ended where it is.
            stage.api::<ColonyProcess>().delete(name, &DeleteParams::background()).await.unwrap();
            stage.until_gone::<ColonyProcess>(name).await;
            assert_eq!(member.process(&process_id(object)).await.unwrap().state, ProcessState::Cancelled);
        }
        other.remove().await;
    })
    .await;
}

/// A Colony that was taken away by force and made anew leads to another server, which has none of what is there.
#[tokio::test]
async fn a_colony_of_the_same_name_is_believed_when_a_user_says_so() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "colony-anew", async |stage: &mut Stage| {
        let name = stage.colony.name.clone();
        let object = waiting(stage, "work", Some(&name)).await;
        let colonies = colonies(stage);
        let colony = colonies.get(&name).await.unwrap();
        colonies.delete(&name, &DeleteParams::background()).await.unwrap();
        let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        colonies.patch(&name, &PatchParams::default(), &release).await.unwrap();
        stage
            .until("work", "says that its Colony is gone", |object: &ColonyProcess| {
                let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
                conditions.iter().any(|condition| condition.message.contains("is gone"))
            })
            .await;

        let anew: Value = json!({
            "apiVersion": "colonies.io/v1", "kind": "Colony",
            "metadata": { "name": name, "labels": colony.labels() },
            "spec": colony.spec,
        });
        let anew: Colony = serde_json::from_value(anew).unwrap();
        colonies.create(&PostParams::default(), &anew).await.unwrap();
        let doubted =
            until(&colonies, &name, "is doubted", |colony: &Colony| has_reason(colony, Reason::ColonyReset))
                .await;
        let still = stage.until("work", "is there", |_: &ColonyProcess| true).await;
        assert_eq!(still.mirror(), object.mirror(), "nothing is believed to be gone");

        let (_, _, message) = doubted.status.unwrap().told("Ready");
        let (_, word) = message.split_once(&format!("{ACCEPT_RESET_ANNOTATION}=")).unwrap();
        let accept = json!({ "metadata": { "annotations": { ACCEPT_RESET_ANNOTATION: word } } });
        colonies.patch(&name, &PatchParams::default(), &Patch::Merge(accept)).await.unwrap();
        stage.colony.wait_until_ready().await;
        let uid = colonies.get(&name).await.unwrap().uid().unwrap();
        let known = stage.until("work", "is in the new one", |object: &ColonyProcess| {
            object.used_colony().is_some_and(|used| used.uid == uid)
        });
        assert_eq!(known.await.mirror().unwrap().process_id, object.mirror().unwrap().process_id);
    })
    .await;
}

/// The server sends an executor no process for another location than that of its registration.
#[tokio::test]
async fn a_location_that_changes_moves_the_executor_that_serves_reconcilers() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "colony-moved", async |stage: &mut Stage| {
        let (colonies, name) = (colonies(stage), stage.colony.name.clone());
        let member = stage.colony.member.clone();
        let reconcilers = async || -> Result<Vec<(String, ExecutorState, String)>, String> {
            let executors = member.executors().await.map_err(|error| error.to_string())?;
            let of_type = executors.into_iter().filter(|one| one.executor_type == RECONCILER_EXECUTOR_TYPE);
            Ok(of_type.map(|one| (one.name, one.state, one.location)).collect())
        };
        let before = reconcilers().await.unwrap();
        assert_eq!(before.len(), 1);
        change(&colonies, &name, json!({ "location": "edge-2" })).await.unwrap();
        eventually("it is registered there", SOON, async || {
            let found = reconcilers().await?;
            let is_there = |(_, state, location): &(String, ExecutorState, String)| {
                *state == ExecutorState::Approved && location == "edge-2"
            };
            let is_moved = found.len() == 2
                && found.iter().filter(|one| is_there(one)).count() == 1
                && found.contains(&(before[0].0.clone(), ExecutorState::Unregistered, before[0].2.clone()));
            is_moved.then_some(()).ok_or_else(|| format!("{found:?}"))
        })
        .await;
        // It serves: a process that only it may take is taken, and answered.
        let spec = FunctionSpec::new(&name, RECONCILER_EXECUTOR_TYPE, "reconcile").unwrap();
        let process = member.submit(&spec.location("edge-2").unwrap()).await.unwrap();
        until_ended(&member, &process.id, SOON).await;
        stage.colony.wait_until_ready().await;
    })
    .await;
}
