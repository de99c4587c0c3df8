//! What a tenant writes into status, Secrets and annotations is a claim: it gets nothing of others, on the real servers.

use colonyos_operator::{
    api::{
        colony::Colony,
        colony_process::{ColonyProcess, ColonyProcessStatus},
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        names::{SUBMITTED_AS_ANNOTATION, identity_secret, process_label, submitted_as},
        work::WorkState,
    },
    colony::{ExecutorState, FunctionSpec, PrivateKey, ProcessId, ProcessState},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use crate::{
    requester::{grant, impersonate, install_for},
    support::{
        cluster::connect_with_crds,
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        object,
        own_kind::OwnKind,
        stage::{SOON, Stage, executor_deployment, with_operator, with_operator_beside},
        wait::eventually,
    },
};

fn process(name: &str, colony: &str) -> Value {
    json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name },
        "spec": { "colony": colony, "function": "encode", "conditions": { "executorType": "encoder" } },
    })
}

async fn waiting(stage: &Stage, name: &str) -> ColonyProcessStatus {
    stage.create::<ColonyProcess>(process(name, &stage.colony.name)).await.unwrap();
    stage.until_state::<ColonyProcess>(name, WorkState::Waiting).await
}

async fn state(stage: &Stage, id: &str) -> ProcessState {
    stage.colony.member.process(&ProcessId::new(id)).await.unwrap().state
}

#[tokio::test]
async fn a_status_that_names_the_process_of_another_is_not_believed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "claimed", async |stage| {
        let victims = waiting(stage, "victim").await.mirror.unwrap();
        let theirs = victims.process_id.as_deref().unwrap();
        let own = waiting(stage, "taker").await.process_id;
        let objects: Api<ColonyProcess> = stage.api();
        let claim = async |status: Value| {
            let patch = Patch::Merge(json!({ "status": status }));
            objects.patch_status("taker", &PatchParams::default(), &patch).await.unwrap();
        };
        claim(json!({ "processId": theirs, "mirror": { "processId": theirs } })).await;
        let is_own = |status: &ColonyProcessStatus| {
            let bound = status.mirror.as_ref().and_then(|mirror| mirror.process_id.clone());
            bound == own && status.process_id == own
        };
        stage.until_status::<ColonyProcess>("taker", "is bound to its own process again", is_own).await;
        // The label decides, and is a claim as well.
        for mirror in [
            json!({ "label": victims.label, "processId": theirs }),
            json!({ "label": victims.label, "processId": null, "state": "Intended" }),
        ] {
            claim(json!({ "mirror": mirror })).await;
            let is_bound = |status: &ColonyProcessStatus| {
                let mirror = status.mirror.as_ref().filter(|mirror| mirror.label != victims.label);
                mirror.is_some_and(|mirror| mirror.process_id.as_deref().is_some_and(|id| id != theirs))
            };
            stage.until_status::<ColonyProcess>("taker", "has a process of its own", is_bound).await;
        }
        claim(json!({ "mirror": { "processId": theirs } })).await;
        objects.delete("taker", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyProcess>("taker").await;
        assert_eq!(state(stage, theirs).await, ProcessState::Waiting, "it is the victim's");
        assert_eq!(state(stage, own.as_deref().unwrap()).await, ProcessState::Cancelled);
    })
    .await;
}

/// Every member of a colony can write any label, such as that of the next attempt of another's object.
#[tokio::test]
async fn a_process_that_a_member_labels_as_anothers_is_not_bound() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "forged", async |stage| {
        let cluster = stage.cluster().await;
        waiting(stage, "victim").await;
        let objects: Api<ColonyProcess> = stage.api();
        let uid = objects.get("victim").await.unwrap().metadata.uid.unwrap();
        let label = process_label(&cluster, &uid, 2);
        let forged =
            FunctionSpec::new(&stage.colony.name, "encoder", "encode").unwrap().label(&label).unwrap();
        // An executor of another tenant, which has a key of its own.
        let mallory = stage.colony.executor("mallory", "encoder").await;
        let forged = mallory.submit(&forged).await.unwrap().id;
        // As after a crash between an intent and the answer to its submit.
        let intent = json!({ "label": label, "generation": 2, "state": "Intended", "processId": null });
        let patch = Patch::Merge(json!({ "status": { "processId": null, "mirror": intent } }));
        objects.patch_status("victim", &PatchParams::default(), &patch).await.unwrap();
        let told = stage
            .until_status::<ColonyProcess>("victim", "says who claims its label", |status| {
                status.conditions.iter().any(|condition| condition.message.contains("mallory submitted it"))
            })
            .await;
        assert_eq!(told.mirror.unwrap().process_id, None);
        assert!(
            stage.colony.member.processes_labelled(&label).await.unwrap().len() == 1,
            "nothing is beside it"
        );
        objects.delete("victim", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ColonyProcess>("victim").await;
        assert_eq!(
            state(stage, forged.as_str()).await,
            ProcessState::Waiting,
            "it is no process of the operator's"
        );
    })
    .await;
}

/// A Secret for the fleet `takers`, with a new key and the name of an executor.
async fn secret_naming(stage: &Stage, executor: &str) {
    let key = PrivateKey::generate().unwrap();
    let data = json!({
        "COLONIES_EXECUTOR_NAME": executor, "COLONIES_PRVKEY": key.to_hex().as_str(),
        "COLONIES_EXECUTOR_ID": key.id().as_str(),
    });
    let secret = json!({ "metadata": { "name": identity_secret("takers") }, "stringData": data });
    stage.create::<Secret>(secret).await.unwrap();
}

/// The names of executors can be read by every member of a colony.
#[tokio::test]
async fn a_secret_that_names_the_executor_of_another_takes_nothing_over() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "impostor", async |stage| {
        let namesake = format!("{}-takers-abc123", stage.namespace.name);
        for (name, why) in [
            ("victim", "COLONIES_EXECUTOR_NAME is \"victim\""),
            (namesake.as_str(), "was registered with another key"),
        ] {
            let _executor = stage.colony.executor(name, "encoder").await;
            // The operator lists executors from time to time.
            eventually("the operator knows the executor", SOON, async || {
                let colonies: Api<Colony> = Api::all(stage.namespace.kubernetes.calls.clone());
                let colony = colonies.get(&stage.colony.name).await.map_err(|error| error.to_string())?;
                let counts = colony.status.and_then(|status| status.executors);
                let wanted = if name == "victim" { 3 } else { 4 };
                counts.filter(|counts| counts.registered >= wanted).map(drop).ok_or("it does not".to_owned())
            })
            .await;
            secret_naming(stage, name).await;
            let spec = json!({ "executorType": "encoder-of-takers", "adoptionPolicy": "adopt-or-create" });
            stage.apply("takers", &spec).await;
            let is_refused = |status: &ExecutorDeploymentStatus| {
                status.reason("Ready") == "ForeignObject" && status.is_true("Degraded")
            };
            let told = stage.wait_for_status("takers", "is refused", is_refused).await.status.unwrap();
            assert!(told.message("Ready").contains(why), "{told:?}");
            let fleets: Api<ExecutorDeployment> = stage.api();
            fleets.delete("takers", &DeleteParams::default()).await.unwrap();
            stage.until_gone::<ExecutorDeployment>("takers").await;
            let left = stage.colony.member.executor(name).await.unwrap();
            assert_eq!(left.state, ExecutorState::Approved, "{name}");
            let secrets: Api<Secret> = stage.api();
            secrets.delete(&identity_secret("takers"), &DeleteParams::default()).await.unwrap();
        }
    })
    .await;
}

async fn until_refused(namespace: &TestNamespace, name: &str) -> ExecutorDeployment {
    object::until(&namespace.api(), name, "is refused", |object: &ExecutorDeployment| {
        object.status.as_ref().is_some_and(|status| {
            status.reason("Ready") == "ExecutorTypeNotAllowed"
                && status.is_false("Ready")
                && status.is_true("Degraded")
        })
    })
    .await
}

async fn until_ready(namespace: &TestNamespace, name: &str) {
    object::until(&namespace.api(), name, "is ready", |object: &ExecutorDeployment| {
        object.status.as_ref().is_some_and(|status| status.is_true("Ready"))
    })
    .await;
}

/// Executors of one type are given each other's work, and with it its secrets.
#[tokio::test]
async fn an_executor_type_belongs_to_the_namespace_that_has_it_first_or_that_the_colony_lists() {
    let connection = connect_with_crds().await;
    with_operator_beside(&connection, "types", "types-second", async |stage, other| {
        let of_encoders = json!({ "executorType": "encoder" });
        stage.apply("encoders", &of_encoders).await;
        stage.wait_until_ready("encoders", 1).await;
        let second = executor_deployment("others", &stage.colony.name, &of_encoders);
        let fleets = other.api::<ExecutorDeployment>();
        // Times of creation are in whole seconds, and of two in the same one neither is the first.
        let first =
            stage.api::<ExecutorDeployment>().get("encoders").await.unwrap().metadata.creation_timestamp;
        eventually("a later one is created later", SOON, async || {
            let tried = fleets.create(&PostParams { dry_run: true, ..PostParams::default() }, &second).await;
            let later = tried.map_err(|error| error.to_string())?.metadata.creation_timestamp;
            (later > first).then_some(()).ok_or_else(|| format!("{later:?}"))
        })
        .await;
        fleets.create(&PostParams::default(), &second).await.unwrap();
        let told = until_refused(other, "others").await.status.unwrap().message("Ready");
        let remedy = format!("listed for it in spec.executorTypes of Colony {}", stage.colony.name);
        assert!(told.contains("belongs to another namespace") && told.contains(&remedy), "{told}");
        assert!(!told.contains(&stage.namespace.name), "whose it is is not told: {told}");
        let secrets: Api<Secret> = other.api();
        assert!(secrets.get_opt(&identity_secret("others")).await.unwrap().is_none());

        let colonies: Api<Colony> = Api::all(connection.calls.clone());
        let rule = async |namespaces: Value| {
            let rules = json!({ "executorTypes": [{ "type": "encoder", "namespaces": namespaces }] });
            object::change(&colonies, &stage.colony.name, rules).await.unwrap();
        };
        rule(json!([stage.namespace.name, other.name])).await;
        until_ready(other, "others").await;
        // What runs is not ended for a change of the Colony.
        rule(json!([other.name])).await;
        let first = until_refused(&stage.namespace, "encoders").await.status.unwrap();
        let deployments: Api<Deployment> = stage.api();
        assert_eq!(deployments.get("encoders").await.unwrap().metadata.deletion_timestamp, None);
        let executor = stage.colony.member.executor(&first.executor.unwrap().name).await.unwrap();
        assert_eq!(executor.state, ExecutorState::Approved);

        // Once the first one is gone, the type is free.
        object::change(&colonies, &stage.colony.name, json!({ "executorTypes": null })).await.unwrap();
        until_refused(other, "others").await;
        stage.api::<ExecutorDeployment>().delete("encoders", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>("encoders").await;
        until_ready(other, "others").await;
        other.api::<ExecutorDeployment>().delete("others", &DeleteParams::default()).await.unwrap();
        object::until_gone(&other.api::<ExecutorDeployment>(), "others").await;
    })
    .await;
}

/// A role for all kinds of a group includes their status.
#[tokio::test]
async fn status_of_users_kinds_is_written_by_the_operator_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "claimed-status", async |stage| {
        let models = OwnKind::of(stage);
        models.define_until_ready().await;
        models.create("m", json!({ "image": "i", "framework": "pytorch" })).await;
        let (group, user) = (models.resource.group.as_str(), format!("ann-of-{}", stage.namespace.name));
        let rule =
            json!([{ "apiGroups": [group], "resources": ["*"], "verbs": ["create", "update", "patch"] }]);
        grant(&stage.namespace, &user, "kinds", rule).await;
        install_for(&stage.namespace.kubernetes, &stage.namespace, &[group]).await;
        let as_user: Api<DynamicObject> =
            Api::namespaced_with(impersonate(&user).await, &stage.namespace.name, &models.resource);
        let dry = PatchParams { dry_run: true, ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "status": { "mirror": { "processId": "p" } } }));
        eventually("a status of a user is refused", SOON, async || {
            match as_user.patch_status("m", &dry, &patch).await {
                Err(error) if error.to_string().contains("is written by the operator alone") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let metadata = Patch::Merge(json!({ "metadata": { "labels": { "a": "b" } } }));
        as_user.patch("m", &dry, &metadata).await.unwrap();
    })
    .await;
}

/// By this note a restored object is shown what became of its work.
#[tokio::test]
async fn as_what_an_object_was_submitted_is_noted_by_the_operator_alone() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "claimed-note", async |namespace| {
        let user = format!("ann-of-{}", namespace.name);
        let rule = json!([{ "apiGroups": ["colonies.io"], "resources": ["colonyprocesses"], "verbs": ["create"] }]);
        grant(&namespace, &user, "processes", rule).await;
        install_for(&connection, &namespace, &[]).await;
        let processes: Api<ColonyProcess> = Api::namespaced(impersonate(&user).await, &namespace.name);
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let noted = |name: &str| {
            let mut object: ColonyProcess = serde_json::from_value(process("p", "dev")).unwrap();
            let note = submitted_as("c", "victim", &namespace.name, name);
            object.annotations_mut().insert(SUBMITTED_AS_ANNOTATION.to_owned(), note);
            object
        };
        eventually("the note is refused", SOON, async || match processes.create(&dry, &noted("p")).await {
            Err(error) if error.to_string().contains("[colonies.io/submitted-as] is written by the operator") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        processes.create(&dry, &noted("another")).await.unwrap();
        let rule = json!([{ "apiGroups": ["colonies.io"], "resources": ["colonyprocesses/status"], "verbs": ["update"] }]);
        grant(&namespace, &user, "status", rule).await;
        eventually("a restore may write it", SOON, async || {
            processes.create(&dry, &noted("p")).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    })
    .await;
}
