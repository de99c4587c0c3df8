//! What originates in a colony, on the real servers: what gets no object is told, and what has one outlives a colony that loses its
//! memory.

use std::time::Duration;

use colonyos_operator::{
    api::{colony::Colony, condition::Reason, executor_deployment::ExecutorDeployment, names::ORIGIN_LABEL},
    colony::{Blueprint, model::BlueprintDefinition},
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    database::Database,
    object::until,
    operator::Operator,
    stage::{SOON, Stage, with_operator},
    wait::{eventually, throughout},
};

/// For how long nothing may happen: many rounds of everything that the operator asks a colony for.
const QUIET: Duration = Duration::from_secs(12);

fn colonies(stage: &Stage) -> Api<Colony> {
    Api::all(stage.namespace.kubernetes.calls.clone())
}

/// Has the cluster take what originates in the colony at its location.
async fn accept(stage: &Stage) {
    let inbound = json!({ "policy": "Accept", "namespaces": [stage.namespace.name], "definition": "Keep" });
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

/// The condition `Warnings` of the Colony, once its reason is, or is not, that.
async fn until_warned(stage: &Stage, reason: Reason, is_told: bool) -> String {
    let reached = |colony: &Colony| {
        colony.status.as_ref().is_some_and(|status| (status.reason("Warnings") == reason.as_str()) == is_told)
    };
    let colony = until(&colonies(stage), &stage.colony.name, "warns, or does not", reached).await;
    colony.status.unwrap().told("Warnings").2
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
        accept(stage).await;
        add(stage, "mistaken", &json!({ "image": "i:1", "executorType": "encoder", "hue": "red" })).await;
        let said = until_warned(stage, Reason::BlueprintRefused, true).await;
        for part in ["1 blueprints", "at location edge", "mistaken", "hue"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        stage.colony.member.remove_blueprint("mistaken").await.unwrap();
        until_warned(stage, Reason::BlueprintRefused, false).await;
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
    with_operator(&connection, "born-emptied", async |stage: &mut Stage| {
        accept(stage).await;
        let spec = json!({ "image": "i:1", "executorType": "encoder", "replicas": 0 });
        add(stage, "encoders", &spec).await;
        let fleets: Api<ExecutorDeployment> = stage.api();
        until(&fleets, "encoders", "is made and in step", |fleet: &ExecutorDeployment| {
            let status = fleet.status.as_ref();
            let is_recorded = |blueprint: &colonyos_operator::api::executor_deployment::BlueprintStatus| {
                !blueprint.agreed.is_empty()
            };
            fleet.labels().get(ORIGIN_LABEL).is_some_and(|origin| origin == "blueprint")
                && status.and_then(|status| status.blueprint.as_ref()).is_some_and(is_recorded)
        })
        .await;
        let name = stage.colony.name.clone();
        for is_restarted in [false, true] {
            if is_restarted {
                // One that remembers nothing.
                stage.restart().await;
            } else {
                let tables = ["users", "executors", "functions", "blueprints", "blueprintdefinitions"];
                let emptied =
                    tables.map(|table| format!("DELETE FROM prod_{table} WHERE colony_name = '{name}';"));
                database.query(&format!("BEGIN; {} COMMIT;", emptied.join(" "))).await;
            }
            let reached = |colony: &Colony| {
                let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
                conditions.iter().any(|condition| condition.reason == Reason::ColonyReset.as_str())
            };
            until(&colonies(stage), &stage.colony.name, "tells that it was reset", reached).await;
            throughout("the fleet stays", QUIET, async || {
                let there = fleets.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
                let stay = there.iter().filter(|one| one.metadata.deletion_timestamp.is_none()).count();
                (stay == 1).then_some(()).ok_or_else(|| format!("{stay} of 1 fleets stay"))
            })
            .await;
        }
    })
    .await;
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
        accept(stage).await;
        let said = until_warned(stage, Reason::BlueprintNameTaken, true).await;
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
