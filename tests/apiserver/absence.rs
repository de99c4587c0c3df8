//! A colony that has lost its memory, on the real servers: nothing is believed to be gone on its word.

use colonyos_operator::api::{
    colony::Colony,
    colony_process::ColonyProcess,
    condition::Reason,
    executor_deployment::ExecutorDeployment,
    mirror::{MirrorState, Mirrored as _},
    names::ACCEPT_RESET_ANNOTATION,
    work::WorkState,
};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::support::{
    cluster::connect_with_crds,
    commands::kubectl,
    conditions::Conditions as _,
    database::Database,
    object::until,
    stage::{Stage, with_operator},
};

/// The token that the message of the condition names.
fn token(message: &str) -> String {
    let (_, token) = message.split_once(&format!("{ACCEPT_RESET_ANNOTATION}=")).expect("the remedy is there");
    token.to_owned()
}

#[tokio::test]
async fn a_colony_that_has_forgotten_the_operator_takes_nothing_away() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "colony-reset", async |stage: &mut Stage| {
        let spec = json!({ "replicas": 1, "nodeSelector": { "colonies.io/node": "none" } });
        stage.apply("encoders", &spec).await;
        stage
            .wait_for_status("encoders", "its process runs", |status| {
                status.mirror.as_ref().is_some_and(|mirror| mirror.state == MirrorState::Running)
            })
            .await;
        let colonies: Api<Colony> = Api::all(stage.namespace.kubernetes.calls.clone());
        let name = stage.colony.name.clone();
        let connected = until(&colonies, &name, "is ready", |colony: &Colony| {
            colony.status.as_ref().is_some_and(|status| status.is_true("Ready") && status.member.is_some())
        })
        .await;
        let member = connected.status.unwrap().member.unwrap();

        // The user is gone, and with it whatever it has submitted: as in a colony that was emptied.
        let process = stage.until("encoders", "is bound", |object: &ExecutorDeployment| {
            object.mirror().is_some_and(|mirror| mirror.process_id.is_some())
        });
        let process = process.await.mirror().unwrap().process_id.clone().unwrap();
        stage.colony.owner.remove_user(&format!("colonyos-operator-{}", &member[..12])).await.unwrap();
        let reset = until(&colonies, &name, "tells that it was reset", |colony: &Colony| {
            let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
            conditions.iter().any(|condition| condition.reason == Reason::ColonyReset.as_str())
        })
        .await;
        let fleet = stage.until("encoders", "is there", |_: &ExecutorDeployment| true).await;
        let mirror = fleet.mirror().unwrap();
        assert_eq!((mirror.state, mirror.process_id.as_ref()), (MirrorState::Running, Some(&process)));
        assert!(fleet.metadata.deletion_timestamp.is_none());

        // The remedy is that of this reset.
        let status = reset.status.unwrap();
        let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
        let (colony, wrong) =
            (reset.metadata.name.as_deref().unwrap(), format!("{ACCEPT_RESET_ANNOTATION}=true"));
        kubectl(&["annotate", "colony", colony, &wrong]);
        let still = until(&colonies, &name, "says the same", |colony: &Colony| {
            colony.annotations().contains_key(ACCEPT_RESET_ANNOTATION)
        })
        .await;
        assert!(!still.status.unwrap().is_true("Ready"));
        let accepted = format!("{ACCEPT_RESET_ANNOTATION}={}", token(&ready.message));
        kubectl(&["annotate", "--overwrite", "colony", colony, &accepted]);
        stage.colony.wait_until_ready().await;
    })
    .await;
}

/// A row that is hidden for longer than is waited makes the process lost, but not for good.
#[tokio::test]
async fn a_process_that_the_server_has_again_is_no_longer_lost() {
    let Some(database) = Database::find() else {
        println!("SKIPPED: the server's database is not accessible");
        return;
    };
    let connection = connect_with_crds().await;
    with_operator(&connection, "found-again", async |stage: &mut Stage| {
        let spec = json!({
            "colony": stage.colony.name, "function": "wait", "conditions": { "executorType": "unserved-type" },
        });
        stage.create::<ColonyProcess>(json!({ "metadata": { "name": "hidden" }, "spec": spec })).await.unwrap();
        let status = stage.until_state::<ColonyProcess>("hidden", WorkState::Waiting).await;
        let mirror = status.mirror.unwrap();
        let (id, label) = (mirror.process_id.unwrap(), mirror.label);
        // Under another label it is not the object's either.
        let rename = async |from: &str, to: &str, label: &str| {
            let query = format!(
                "UPDATE prod_processes SET process_id = '{to}', label = '{label}' WHERE process_id = '{from}'"
            );
            database.query(&query).await;
        };
        rename(&id, &format!("hidden-{id}"), "hidden").await;
        let lost = stage.until_state::<ColonyProcess>("hidden", WorkState::Lost).await;
        assert!(lost.completion_time.is_some() && lost.is_true("Finished"));
        rename(&format!("hidden-{id}"), &id, &label).await;
        let found = stage.until_state::<ColonyProcess>("hidden", WorkState::Waiting).await;
        assert_eq!(found.mirror.as_ref().unwrap().process_id.as_ref(), Some(&id));
        assert!(found.completion_time.is_none() && !found.is_true("Finished"));
    })
    .await;
}
