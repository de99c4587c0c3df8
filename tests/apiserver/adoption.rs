//! Work that is in a colony already: taken over by an object, or only shown by one (`adoptionPolicy`, `managementPolicies`), on
//! the real servers.

use std::time::Duration;

use colonyos_operator::{
    api::{
        colony_process::{ColonyProcess, ColonyProcessStatus},
        colony_workflow::ColonyWorkflow,
        work::WorkState,
    },
    colony::{FunctionSpec, Process, ProcessId, ProcessState, WorkflowSpec},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony,
    conditions::Conditions as _,
    namespace::wait_until_gone,
    stage::{Stage, with_operator},
    wait::{eventually, throughout},
};

/// How long is watched that nothing is done: a pass takes well below a second.
const QUIET: Duration = Duration::from_secs(3);
/// How long objects may take to settle among themselves.
const LIMIT: Duration = Duration::from_secs(30);

async fn try_apply(stage: &Stage, name: &str, spec: Value) -> Result<ColonyProcess, kube::Error> {
    let mut whole = json!({
        "colony": stage.colony.name, "function": "encode", "conditions": { "executorType": "encoder" },
    });
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    let object = json!({
        "apiVersion": "colonies.io/v1", "kind": "ColonyProcess", "metadata": { "name": name }, "spec": whole,
    });
    stage.create(object).await
}

async fn apply(stage: &Stage, name: &str, spec: Value) -> ColonyProcess {
    try_apply(stage, name, spec).await.unwrap()
}

async fn delete(stage: &Stage, name: &str) {
    let objects: Api<ColonyProcess> = stage.api();
    objects.delete(name, &DeleteParams::default()).await.unwrap();
    wait_until_gone::<ColonyProcess>(&stage.namespace, name).await;
}

async fn until_told(stage: &Stage, name: &str, kind: &str, reason: &str) -> String {
    let is_told = |status: &ColonyProcessStatus| status.reason(kind) == reason;
    stage.until_status::<ColonyProcess>(name, reason, is_told).await.message(kind)
}

/// A process of another client.
async fn theirs(stage: &Stage, function: &str) -> Process {
    let spec = FunctionSpec::new(&stage.colony.name, "encoder", function).unwrap();
    stage.colony.member.submit(&spec).await.unwrap()
}

async fn state(stage: &Stage, id: &ProcessId) -> ProcessState {
    stage.colony.member.process(id).await.unwrap().state
}

/// `Observe` alone: status follows it, and nothing that the object says reaches it.
#[tokio::test]
async fn a_process_of_others_is_shown_and_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "mirrored", async |stage| {
        let process = theirs(stage, "encode").await;
        let adopting = json!({ "processId": process.id.as_str(), "adoptionPolicy": "adopt", "managementPolicies": ["Observe"] });
        apply(stage, "watched", adopting).await;
        let waiting = stage.until_state::<ColonyProcess>("watched", WorkState::Waiting).await;
        assert_eq!(waiting.process_id.as_deref(), Some(process.id.as_str()));
        let executor = stage.colony.executor("worker", "encoder").await;
        assert_eq!(colony::assigned(&executor).await.id, process.id);
        let running = stage.until_state::<ColonyProcess>("watched", WorkState::Running).await;
        assert_eq!(running.executor.as_deref(), Some("worker"));

        stage.patch::<ColonyProcess>("watched", json!({ "cancel": true })).await.unwrap();
        let said = until_told(stage, "watched", "Warnings", "LeftAlone").await;
        assert!(said.starts_with("spec.cancel is true") && said.contains("add Update"), "{said}");
        throughout("it is not cancelled", QUIET, async || {
            let state = state(stage, &process.id).await;
            (state == ProcessState::Running).then_some(()).ok_or_else(|| state.to_string())
        })
        .await;
        let objects: Api<ColonyProcess> = stage.api();
        assert_eq!(objects.get("watched").await.unwrap().finalizers(), [""; 0]);
        executor.close_successful(&process.id, &[json!(4711)]).await.unwrap();
        let ended = stage.until_state::<ColonyProcess>("watched", WorkState::Succeeded).await;
        assert_eq!(ended.output, [json!(4711)]);

        let another = theirs(stage, "encode").await;
        let spec = json!({ "processId": another.id.as_str(), "adoptionPolicy": "adopt", "managementPolicies": ["Observe"] });
        apply(stage, "passing", spec).await;
        stage.until_state::<ColonyProcess>("passing", WorkState::Waiting).await;
        delete(stage, "passing").await;
        assert_eq!(state(stage, &another.id).await, ProcessState::Waiting);
    })
    .await;
}

/// What is no object's any more goes on under another; what belongs to one belongs to no other.
#[tokio::test]
async fn a_process_is_taken_over_from_an_object_that_is_gone_and_from_no_other() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "takenover", async |stage| {
        apply(stage, "first", json!({ "deletionPolicy": "Orphan" })).await;
        let id = stage.until_state::<ColonyProcess>("first", WorkState::Waiting).await.process_id.unwrap();
        let adopting = |policy: &str| json!({ "processId": id, "adoptionPolicy": policy });
        for (name, policy) in [("second", "adopt-or-create"), ("watching", "adopt")] {
            let mut spec = adopting(policy);
            if name == "watching" {
                spec["managementPolicies"] = json!(["Observe"]);
            }
            apply(stage, name, spec).await;
            let said = until_told(stage, name, "Submitted", "ForeignObject").await;
            let holder = format!("it belongs to ColonyProcess {}/first", stage.namespace.name);
            assert!(said.contains(&holder), "{said}");
        }
        delete(stage, "watching").await;
        delete(stage, "first").await;
        let second = stage.until_state::<ColonyProcess>("second", WorkState::Waiting).await;
        assert_eq!(second.process_id.as_ref(), Some(&id));

        // Bound by adoption it is as much its own: the label still names the first.
        apply(stage, "third", adopting("adopt")).await;
        let said = until_told(stage, "third", "Submitted", "ForeignObject").await;
        assert!(said.contains(&format!("ColonyProcess {}/second", stage.namespace.name)), "{said}");

        delete(stage, "second").await;
        assert_eq!(
            state(stage, &ProcessId::new(id.as_str())).await,
            ProcessState::Cancelled,
            "it was its own"
        );
        stage.until_state::<ColonyProcess>("third", WorkState::Cancelled).await;
    })
    .await;
}

/// Of several that are applied together one keeps the process, and the deletion of the others does not reach it.
#[tokio::test]
async fn one_of_several_that_adopt_a_process_at_once_keeps_it() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "rivals", async |stage| {
        let process = theirs(stage, "encode").await;
        let spec = || json!({ "processId": process.id.as_str(), "adoptionPolicy": "adopt" });
        let names: Vec<String> = (0..6).map(|number| format!("rival-{number}")).collect();
        futures::future::join_all(names.iter().map(|name| apply(stage, name, spec()))).await;
        let (keeper, others) = eventually("one is bound, and the others say to which", LIMIT, async || {
            let all = stage.api::<ColonyProcess>().list(&ListParams::default()).await;
            let all = all.map_err(|error| error.to_string())?.items;
            let is_bound = |object: &&ColonyProcess| {
                object.status.as_ref().is_some_and(|status| status.state == Some(WorkState::Waiting))
            };
            let (bound, others): (Vec<_>, Vec<_>) = all.iter().partition(is_bound);
            let [keeper] = bound.as_slice() else { return Err(format!("{} are bound", bound.len())) };
            let keeper = keeper.name_any();
            let kept = format!("it belongs to ColonyProcess {}/{keeper}", stage.namespace.name);
            for other in &others {
                let status = other.status.clone().unwrap_or_default();
                let said = status.message("Submitted");
                if status.mirror.is_some()
                    || status.reason("Submitted") != "ForeignObject"
                    || !said.contains(&kept)
                {
                    return Err(format!("{}: {said}, not {kept}", other.name_any()));
                }
            }
            Ok((keeper, others.iter().map(|other| other.name_any()).collect::<Vec<_>>()))
        })
        .await;
        assert_eq!(others.len(), names.len() - 1);
        for other in others {
            delete(stage, &other).await;
        }
        assert_eq!(state(stage, &process.id).await, ProcessState::Waiting);
        delete(stage, &keeper).await;
        assert_eq!(state(stage, &process.id).await, ProcessState::Cancelled);
    })
    .await;
}

#[tokio::test]
async fn what_is_not_there_is_waited_for_or_submitted_once() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "notthere", async |stage| {
        let id = "0123456789abcdef".repeat(4);
        let adopting = |policy: &str| json!({ "processId": id, "adoptionPolicy": policy });
        apply(stage, "waiting", adopting("adopt")).await;
        let said = until_told(stage, "waiting", "Submitted", "AwaitingAdoption").await;
        assert!(said.contains(&format!("process {id} to be there")), "{said}");
        apply(stage, "submitting", adopting("adopt-or-create")).await;
        let submitted = stage.until_state::<ColonyProcess>("submitting", WorkState::Waiting).await;
        let label = submitted.mirror.unwrap().label;
        let found = stage.colony.member.processes_labelled(&label).await.unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        let objects: Api<ColonyProcess> = stage.api();
        throughout("nothing is submitted for what is only adopted", QUIET, async || {
            let status = objects.get("waiting").await.map_err(|error| error.to_string())?.status;
            let mirror = status.and_then(|status| status.mirror);
            mirror.map_or(Ok(()), |mirror| Err(format!("{mirror:?}")))
        })
        .await;

        // Another function, a node of a workflow: it is told what is there instead.
        let other = theirs(stage, "decode").await;
        let spec = json!({ "processId": other.id.as_str(), "adoptionPolicy": "adopt" });
        apply(stage, "mistaken", spec).await;
        let said = until_told(stage, "mistaken", "Submitted", "InvalidSpec").await;
        assert!(said.contains("spec.function") && said.contains("\"decode\""), "{said}");
        stage.patch::<ColonyProcess>("mistaken", json!({ "function": "decode" })).await.unwrap();
        stage.until_state::<ColonyProcess>("mistaken", WorkState::Waiting).await;

        let shipped: ColonyProcess =
            serde_norway::from_str(include_str!("../../examples/observed-process.yaml")).unwrap();
        let rehearsed = PostParams { dry_run: true, ..PostParams::default() };
        objects.create(&rehearsed, &shipped).await.unwrap();
        for (spec, refusal) in [
            (json!({ "processId": id }), "processId and adoptionPolicy need each other"),
            (json!({ "adoptionPolicy": "adopt" }), "processId and adoptionPolicy need each other"),
            (json!({ "processId": "4711", "adoptionPolicy": "adopt" }), "is not the id of a process"),
        ] {
            let said = try_apply(stage, "refused", spec).await.unwrap_err().to_string();
            assert!(said.contains(refusal), "{said}");
        }
        let said = stage
            .patch::<ColonyProcess>("mistaken", json!({ "processId": id }))
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("processId cannot change"), "{said}");
        let said =
            stage.patch::<ColonyProcess>("mistaken", json!({ "adoptionPolicy": "adopt-or-create" })).await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains("adoptionPolicy cannot change"), "{said}");
        stage.patch::<ColonyProcess>("mistaken", json!({ "managementPolicies": ["Observe"] })).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_process_is_submitted_ended_and_left_only_as_far_as_that_is_listed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "listed", async |stage| {
        apply(stage, "later", json!({ "managementPolicies": ["Observe", "Update"] })).await;
        let said = until_told(stage, "later", "Submitted", "LeftAlone").await;
        assert!(said.contains("managementPolicies do not list Create"), "{said}");
        let objects: Api<ColonyProcess> = stage.api();
        assert_eq!(objects.get("later").await.unwrap().status.unwrap().mirror, None);
        stage
            .patch::<ColonyProcess>("later", json!({ "managementPolicies": ["Observe", "Create"] }))
            .await
            .unwrap();
        let id = ProcessId::new(
            stage.until_state::<ColonyProcess>("later", WorkState::Waiting).await.process_id.unwrap(),
        );

        stage.patch::<ColonyProcess>("later", json!({ "suspend": true })).await.unwrap();
        until_told(stage, "later", "Warnings", "LeftAlone").await;
        assert_eq!(state(stage, &id).await, ProcessState::Waiting);
        stage
            .patch::<ColonyProcess>("later", json!({ "managementPolicies": ["Observe", "Update"] }))
            .await
            .unwrap();
        stage.until_state::<ColonyProcess>("later", WorkState::Suspended).await;
        assert_eq!(state(stage, &id).await, ProcessState::Cancelled);
        stage.patch::<ColonyProcess>("later", json!({ "suspend": false })).await.unwrap();
        until_told(stage, "later", "Running", "LeftAlone").await;
        stage
            .patch::<ColonyProcess>("later", json!({ "managementPolicies": ["Observe", "Create"] }))
            .await
            .unwrap();
        let anew = stage.until_state::<ColonyProcess>("later", WorkState::Waiting).await;
        assert_eq!(anew.attempts, 2);

        delete(stage, "later").await;
        let id = ProcessId::new(anew.process_id.unwrap());
        assert_eq!(state(stage, &id).await, ProcessState::Waiting, "it outlives its object");
    })
    .await;
}

#[tokio::test]
async fn a_workflow_of_others_is_shown_and_taken_over() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "graph", async |stage| {
        let node = |name: &str| FunctionSpec::new(&stage.colony.name, "encoder", name).unwrap().node_name(name).unwrap();
        let nodes = vec![node("cut"), node("join").depends_on("cut").unwrap()];
        let graph = stage.colony.member.submit_workflow(&WorkflowSpec::new(&stage.colony.name, nodes).unwrap()).await;
        let graph = graph.unwrap().id;
        let workflows: Api<ColonyWorkflow> = stage.api();
        let adopt = async |name: &str, nodes: &[&str], policies: &[&str]| {
            let node = |name: &&str| json!({ "name": name, "function": name, "conditions": { "executorType": "encoder" } });
            let object = json!({
                "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "metadata": { "name": name },
                "spec": {
                    "colony": stage.colony.name, "nodes": nodes.iter().map(node).collect::<Vec<_>>(),
                    "graphId": graph, "adoptionPolicy": "adopt", "managementPolicies": policies,
                },
            });
            workflows.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        };
        adopt("shown", &["cut", "join"], &["Observe"]).await;
        let shown = stage.until_status::<ColonyWorkflow>("shown", "waits", |status| status.state == Some(WorkState::Waiting)).await;
        assert_eq!((shown.graph_id.as_ref(), shown.progress.as_deref()), (Some(&graph), Some("0/2")));
        let executor = stage.colony.executor("worker", "encoder").await;
        let process = colony::assigned(&executor).await;
        executor.close_successful(&process.id, &[]).await.unwrap();
        stage.until_status::<ColonyWorkflow>("shown", "follows", |status| status.progress.as_deref() == Some("1/2")).await;

        adopt("lacking", &["cut"], &["*"]).await;
        let refused = stage.until_status::<ColonyWorkflow>("lacking", "is refused", |status| {
            status.conditions.iter().any(|condition| condition.reason == "InvalidSpec")
        })
        .await;
        let said = &refused.conditions.iter().find(|one| one.type_ == "Submitted").unwrap().message;
        assert!(said.contains("has a node \"join\""), "{said}");

        let last = process_of(stage, &graph, "join").await;
        workflows.delete("shown", &DeleteParams::default()).await.unwrap();
        wait_until_gone::<ColonyWorkflow>(&stage.namespace, "shown").await;
        assert_eq!(state(stage, &last).await, ProcessState::Waiting, "it was only looked at");
        adopt("owned", &["cut", "join"], &["*"]).await;
        stage.until_status::<ColonyWorkflow>("owned", "is bound", |status| status.state == Some(WorkState::Running)).await;
        workflows.delete("owned", &DeleteParams::default()).await.unwrap();
        wait_until_gone::<ColonyWorkflow>(&stage.namespace, "owned").await;
        assert_eq!(state(stage, &last).await, ProcessState::Cancelled);
    })
    .await;
}

/// The process of a node.
async fn process_of(stage: &Stage, graph: &str, node: &str) -> ProcessId {
    for id in stage.colony.member.process_graph(graph).await.unwrap().processes {
        if stage.colony.member.process(&id).await.unwrap().spec.node_name == node {
            return id;
        }
    }
    panic!("workflow {graph} has no node {node}")
}
