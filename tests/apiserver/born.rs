//! What originates in a colony, on the real servers: what gets no object is told, and what has one outlives a colony that loses its
//! memory.

use std::time::Duration;

use colonyos_operator::{
    api::{
        colony::Colony,
        condition::Reason,
        executor_deployment::ExecutorDeployment,
        names::{CONTROLLER_EXECUTOR_TYPE, OPERATOR_EXECUTOR_KEY, ORIGIN_LABEL, operator_secret},
    },
    colony::{Blueprint, FunctionSpec, PrivateKey, ProcessState, model::BlueprintDefinition},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    database::Database,
    namespace::TestNamespace,
    object::until,
    operator::{Operator, Signal, configuration},
    stage::{SOON, Stage, with_operator, with_operator_beside},
    wait::{eventually, throughout},
};

/// For how long nothing may happen: many rounds of everything that the operator asks a colony for.
const QUIET: Duration = Duration::from_secs(12);

/// More than the server lists.
const BEYOND: usize = 105;

fn colonies(stage: &Stage) -> Api<Colony> {
    Api::all(stage.namespace.kubernetes.calls.clone())
}

/// Has the cluster take what originates in the colony at its location into a namespace.
async fn accept(stage: &Stage, namespace: &str) {
    let inbound = json!({ "policy": "Accept", "namespaces": [namespace], "definition": "Keep" });
    let spec = json!({ "spec": { "location": "edge", "inbound": inbound } });
    let patch = Patch::Merge(spec);
    colonies(stage).patch(&stage.colony.name, &PatchParams::default(), &patch).await.unwrap();
}

/// Adds a blueprint at the location of the cluster, once the colony has the definition for it.
async fn add(stage: &Stage, name: &str, spec: &Value) {
    let mut blueprint = Blueprint::new(&stage.colony.name, "ExecutorDeployment", name).unwrap();
    "edge".clone_into(&mut blueprint.metadata.location);
    blueprint.spec = spec.as_object().unwrap().clone();
    eventually("the blueprint is taken", SOON, async || {
        stage.colony.member.add_blueprint(&blueprint).await.map_err(|error| error.to_string())
    })
    .await;
}

fn warning(colony: &Colony) -> Option<(&str, &str)> {
    let mut conditions = colony.status.iter().flat_map(|status| &status.conditions);
    let found = conditions.find(|condition| condition.type_ == "Warnings" && condition.status == "True")?;
    Some((&found.reason, &found.message))
}

/// What the Colony warns of, once it is that.
async fn until_warned(stage: &Stage, reason: Reason) -> String {
    let reached = |colony: &Colony| warning(colony).is_some_and(|(warned, _)| warned == reason.as_str());
    let colony = until(&colonies(stage), &stage.colony.name, "warns", reached).await;
    warning(&colony).unwrap().1.to_owned()
}

/// Passes over objects of a kind so far.
async fn passes(operator: &Operator, kind: &str) -> f64 {
    let (_, text) = operator.get("/metrics").await.unwrap();
    let of_kind = |line: &&str| {
        line.starts_with("colonyos_operator_reconciles_total{") && line.contains(&format!("kind=\"{kind}\""))
    };
    text.lines().filter(of_kind).map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn blueprints_that_get_no_object_are_told_in_the_colony() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "born-refused", async |stage: &mut Stage| {
        accept(stage, &stage.namespace.name).await;
        add(stage, "mistaken", &json!({ "image": "i:1", "executorType": "encoder", "hue": "red" })).await;
        let said = until_warned(stage, Reason::BlueprintRefused).await;
        for part in ["1 blueprints", "at location edge", "mistaken", "hue"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        stage.colony.member.remove_blueprint("mistaken").await.unwrap();
        let is_quiet = |colony: &Colony| warning(colony).is_none();
        until(&colonies(stage), &stage.colony.name, "warns no more", is_quiet).await;
    })
    .await;
}

/// Everything that is made for a fleet is gone from such a colony, its blueprint among it.
#[tokio::test]
async fn fleets_that_were_born_in_a_colony_outlive_its_emptying() {
    let Some(database) = Database::find() else {
        println!("SKIPPED: no colony is emptied, for the servers' database is not accessible");
        return;
    };
    let connection = connect_with_crds().await;
    // Nothing of a colony comes into the namespace of the operator.
    with_operator_beside(&connection, "born-emptied", "born-in", async |stage, inside| {
        outlives(stage, inside, &database).await;
    })
    .await;
}

async fn outlives(stage: &mut Stage, inside: &TestNamespace, database: &Database) {
    accept(stage, &inside.name).await;
    add(stage, "encoders", &json!({ "image": "i:1", "executorType": "encoder", "replicas": 0 })).await;
    let fleets: Api<ExecutorDeployment> = inside.api();
    until(&fleets, "encoders", "is made and in step", |fleet: &ExecutorDeployment| {
        let blueprint = fleet.status.as_ref().and_then(|status| status.blueprint.as_ref());
        fleet.labels().get(ORIGIN_LABEL).is_some_and(|origin| origin == "blueprint")
            && blueprint.is_some_and(|recorded| !recorded.agreed.is_empty())
    })
    .await;
    let name = stage.colony.name.clone();
    let tables = ["users", "executors", "functions", "blueprints", "blueprintdefinitions"];
    let emptied = tables.map(|table| format!("DELETE FROM prod_{table} WHERE colony_name = '{name}';"));
    database.query(&format!("BEGIN; {} COMMIT;", emptied.join(" "))).await;
    for is_restarted in [false, true] {
        if is_restarted {
            // One that remembers nothing.
            stage.operator.signal(Signal::Kill);
            stage.operator.wait_for_end(SOON).await;
            let own = &stage.namespace.name;
            let mut configuration = configuration(own);
            configuration.watch_namespaces.push(inside.name.clone());
            stage.operator = Operator::start(configuration, own, &stage.turn).await;
        }
        let is_reset = |colony: &Colony| {
            let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
            conditions.iter().any(|condition| condition.reason == Reason::ColonyReset.as_str())
        };
        until(&colonies(stage), &name, "tells that it was reset", is_reset).await;
        throughout("the fleet stays", QUIET, async || {
            let there = fleets.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let stay = there.iter().filter(|one| one.metadata.deletion_timestamp.is_none()).count();
            (stay == 1).then_some(()).ok_or_else(|| format!("{stay} of 1 fleets stay"))
        })
        .await;
    }
}

/// The name of the definition is taken by another kind: it was added seven times a second, and status said that all is well.
#[tokio::test]
async fn a_definition_whose_name_is_taken_is_told_and_costs_no_passes() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "born-taken", async |stage: &mut Stage| {
        let colony = &stage.colony;
        let other =
            BlueprintDefinition::new(&colony.name, "executor-deployment", "Other", "others", "act").unwrap();
        colony.owner.add_blueprint_definition(&other).await.unwrap();
        accept(stage, &stage.namespace.name).await;
        let said = until_warned(stage, Reason::BlueprintNameTaken).await;
        assert!(said.contains("kind Other"), "{said}");
        let seconds = u32::try_from(QUIET.as_secs()).unwrap();
        let before = passes(&stage.operator, "Colony").await;
        tokio::time::sleep(QUIET).await;
        let more = passes(&stage.operator, "Colony").await - before;
        // It is looked at once a second here, and for each of the processes that lists tell of.
        assert!(more > 0.0 && more <= f64::from(2 * seconds), "{more} passes in {seconds} seconds");
        let definitions = stage.colony.member.blueprint_definitions().await.unwrap();
        assert_eq!(definitions.len(), 1, "the other one is left alone");
    })
    .await;
}

/// The server lists a hundred processes of a state, and those that were assigned first may run for days.
#[tokio::test]
async fn what_runs_beyond_a_hundred_is_answered_by_the_next_operator() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "born-many", async |stage: &mut Stage| {
        let secret: Secret = stage.api().get(&operator_secret(&stage.colony.name)).await.unwrap();
        let key = String::from_utf8(secret.data.unwrap()[OPERATOR_EXECUTOR_KEY].0.clone()).unwrap();
        let client = stage.colony.owner.client();
        let operator = client.session(&stage.colony.name, PrivateKey::from_hex(&key).unwrap());
        stage.operator.signal(Signal::Kill);
        stage.operator.wait_for_end(SOON).await;
        let request = FunctionSpec::new(&stage.colony.name, CONTROLLER_EXECUTOR_TYPE, "made up").unwrap();
        let mut running = Vec::new();
        for _ in 0..BEYOND {
            stage.colony.member.submit(&request).await.unwrap();
            running.push(assigned(&operator).await.id);
        }
        let configuration = configuration(&stage.namespace.name);
        stage.operator = Operator::start(configuration, &stage.namespace.name, &stage.turn).await;
        eventually("all are answered", SOON, async || {
            let mut left = 0;
            for id in &running {
                let process = stage.colony.member.process(id).await.map_err(|error| error.to_string())?;
                left += usize::from(process.state != ProcessState::Failed);
            }
            (left == 0).then_some(()).ok_or_else(|| format!("{left} still run"))
        })
        .await;
    })
    .await;
}

/// What runs can be too large for one list: the oldest that fit are not all that is to be answered.
#[tokio::test]
async fn what_runs_and_is_too_large_for_one_list_is_answered_by_the_next_operator() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "born-large", async |stage: &mut Stage| {
        let secret: Secret = stage.api().get(&operator_secret(&stage.colony.name)).await.unwrap();
        let key = String::from_utf8(secret.data.unwrap()[OPERATOR_EXECUTOR_KEY].0.clone()).unwrap();
        let client = stage.colony.owner.client();
        let operator = client.session(&stage.colony.name, PrivateKey::from_hex(&key).unwrap());
        stage.operator.signal(Signal::Kill);
        stage.operator.wait_for_end(SOON).await;
        let request = FunctionSpec::new(&stage.colony.name, CONTROLLER_EXECUTOR_TYPE, "made up").unwrap();
        let request = request.kwarg("padding", "x".repeat(5 << 20));
        let mut running = Vec::new();
        for _ in 0..8 {
            stage.colony.member.submit(&request).await.unwrap();
            running.push(assigned(&operator).await.id);
        }
        assert!(operator.running(CONTROLLER_EXECUTOR_TYPE).await.unwrap_err().is_too_large());
        let configuration = configuration(&stage.namespace.name);
        stage.operator = Operator::start(configuration, &stage.namespace.name, &stage.turn).await;
        eventually("all are answered", Duration::from_mins(2), async || {
            let mut left = 0;
            for id in &running {
                let process = stage.colony.member.process(id).await.map_err(|error| error.to_string())?;
                left += usize::from(process.state != ProcessState::Failed);
            }
            (left == 0).then_some(()).ok_or_else(|| format!("{left} still run"))
        })
        .await;
    })
    .await;
}
