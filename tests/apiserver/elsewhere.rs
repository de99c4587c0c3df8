//! Fleets of runtime `docker`, carried out by a program that plays the part of `ColonyOS`'s docker-reconciler: it is asked by a process,
//! reads the blueprint as that one does, registers an executor for each replica, and reports.

use std::collections::BTreeMap;

use colonyos_operator::{
    api::executor_deployment::ExecutorDeployment,
    colony::{Blueprint, BlueprintDefinition, NewExecutor, PrivateKey, Process, Session},
};
use kube::api::DeleteParams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::{self, assigned},
    conditions::Conditions as _,
    server::letters,
    stage::{SOON, Stage, with_operator},
};

const LOCATION: &str = "edge-1";

/// What the docker-reconciler reads of a spec, and as what.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    image: String,
    replicas: u32,
    executor_type: String,
    #[serde(default)]
    cpu: String,
    #[serde(default)]
    memory: String,
    #[serde(default)]
    env: BTreeMap<String, Value>,
    #[serde(default)]
    volumes: Vec<Folder>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    entrypoint: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Folder {
    host: String,
    container: String,
    #[serde(default)]
    read_only: bool,
}

/// The reconciler of the location.
struct Player<'a> {
    stage: &'a Stage,
    session: Session,
}

impl<'a> Player<'a> {
    async fn join(stage: &'a Stage, executor_type: &str) -> Self {
        let owner = &stage.colony.owner;
        let session = owner.client().session(&stage.colony.name, PrivateKey::generate().unwrap());
        let name = format!("player-{}", letters());
        let executor =
            NewExecutor::new(&stage.colony.name, &name, executor_type, session.id().clone()).unwrap();
        owner.add_executor(&executor.location(LOCATION).unwrap()).await.unwrap();
        owner.approve_executor(&name).await.unwrap();
        Self { stage, session }
    }

    /// The next process that asks for one blueprint; the server's own cron asks for the kind as a whole meanwhile.
    async fn asked(&self) -> Process {
        loop {
            let process = assigned(&self.session).await;
            if process.spec.kwargs.contains_key("blueprintName") {
                return process;
            }
            self.session.close_successful(&process.id, &[]).await.unwrap();
        }
    }

    /// An executor for each replica, as it registers them, and the report.
    async fn carry_out(&self, blueprint: &Blueprint) -> Vec<String> {
        let read = read(blueprint);
        let owner = &self.stage.colony.owner;
        let mut instances = Vec::new();
        for _ in 0..read.replicas {
            let name = format!("{}-{}-{}", blueprint.metadata.name, letters(), blueprint.metadata.generation);
            let id = PrivateKey::generate().unwrap().id().clone();
            let executor = NewExecutor::new(owner.colony(), &name, &read.executor_type, id).unwrap();
            let executor = executor.blueprint(&blueprint.id, blueprint.metadata.generation);
            owner.add_executor(&executor).await.unwrap();
            owner.approve_executor(&name).await.unwrap();
            instances.push(json!({
                "id": "3f9c2b71a0de", "name": name, "type": "container", "state": "running",
                "created": "2026-11-21T10:00:00Z", "image": read.image, "lastCheck": "2026-11-21T10:00:00Z",
            }));
        }
        let names = instances.iter().map(|instance| instance["name"].as_str().unwrap().to_owned()).collect();
        let count = instances.len();
        self.report(blueprint, &json!({
            "instances": instances, "runningInstances": count, "stoppedInstances": 0, "totalInstances": count,
        }))
        .await;
        names
    }

    async fn report(&self, blueprint: &Blueprint, status: &Value) {
        let status = status.as_object().unwrap();
        self.session.update_blueprint_status(&blueprint.metadata.name, status).await.unwrap();
    }
}

fn read(blueprint: &Blueprint) -> Read {
    serde_json::from_value(Value::Object(blueprint.spec.clone())).unwrap()
}

async fn until_blueprint(stage: &Stage, what: &str, is_so: impl Fn(&Blueprint) -> bool) -> Blueprint {
    colony::until_blueprint(&stage.colony.member, "ml", what, SOON, is_so).await
}

#[tokio::test]
async fn a_fleet_of_docker_is_carried_out_whole_by_the_protocol_of_its_reconciler() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "elsewhere", async |stage| {
        let handler = format!("reconciler-{}", letters());
        let definition =
            BlueprintDefinition::new(&stage.colony.name, "executor-deployment", "ExecutorDeployment", &handler, "reconcile");
        stage.colony.owner.add_blueprint_definition(&definition.unwrap()).await.unwrap();
        let spec = json!({
            "runtime": "docker", "location": LOCATION, "replicas": 2, "executorType": "ml-worker", "image": "ml:1",
            "command": ["/serve"], "args": ["--fast"], "resources": { "limits": { "cpu": "500m", "memory": "1Gi" } },
            "config": {
                "env": { "MODEL_CACHE_DIR": "/models", "BATCH_SIZE": "32" },
                "volumes": [{ "source": "/data/models", "target": "/models", "readOnly": true }],
                "envFrom": [{ "configMapRef": { "name": "more" } }],
            },
        });
        stage.apply("ml", &spec).await;

        // There is no reconciler at the location, and there are words that it would not read.
        let lonely = stage
            .wait_for_status("ml", "tells that no reconciler serves it", |status| {
                status.reason("Ready") == "RuntimeNotServed" && status.is_true("Mirrored")
            })
            .await;
        let lonely = lonely.status.unwrap();
        let said = lonely.message("Ready");
        let command =
            format!("colonyos-operator reconciler --runtime docker --location {LOCATION} --executor-type {handler}");
        for part in [LOCATION, handler.as_str(), command.as_str()] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!lonely.is_true("Ready") && !lonely.is_false("Ready"));
        assert_eq!(lonely.reason("Warnings"), "FieldsNotCarriedOut");
        assert!(lonely.message("Warnings").contains("spec.config.envFrom"), "{}", lonely.message("Warnings"));

        let player = Player::join(stage, &handler).await;
        stage
            .wait_for_status("ml", "waits for a report", |status| status.reason("Ready") == "RuntimeElsewhere")
            .await;
        let process = player.asked().await;
        let kwargs = &process.spec.kwargs;
        assert_eq!((&kwargs["kind"], &kwargs["blueprintName"]), (&json!("ExecutorDeployment"), &json!("ml")));
        let blueprint = until_blueprint(stage, "is there", |_| true).await;
        assert_eq!(blueprint.metadata.location, LOCATION);
        let found = read(&blueprint);
        assert_eq!(
            found.env,
            [("MODEL_CACHE_DIR", "/models"), ("BATCH_SIZE", "32")].map(|(name, value)| (name.to_owned(), json!(value))).into()
        );
        let [folder] = found.volumes.as_slice() else { panic!("{:?}", found.volumes) };
        assert_eq!((folder.host.as_str(), folder.container.as_str(), folder.read_only), ("/data/models", "/models", true));
        assert_eq!((found.entrypoint, found.args), (vec!["/serve".to_owned()], vec!["--fast".to_owned()]));
        assert_eq!((found.cpu.as_str(), found.memory.as_str()), ("500m", "1Gi"));
        let names = player.carry_out(&blueprint).await;
        player.session.close_successful(&process.id, &[]).await.unwrap();
        let ready = stage.wait_for_status("ml", "is ready", |status| status.is_true("Ready")).await;
        let status = ready.status.unwrap();
        let shown: Vec<&str> = status.instances.iter().map(|instance| instance.name.as_str()).collect();
        assert_eq!(shown, names);
        assert_eq!((status.ready_replicas, status.instances[0].state.as_deref()), (2, Some("running")));

        // What the reconciler says against it is told.
        stage.change("ml", &json!({ "replicas": 3, "image": "ml:2" })).await;
        let changed = until_blueprint(stage, "has the new image", |found| found.spec["image"] == "ml:2").await;
        assert_eq!((changed.metadata.generation, read(&changed).replicas), (blueprint.metadata.generation + 1, 3));
        player
            .report(&changed, &json!({ "runningInstances": 2, "totalInstances": 2, "message": "image ml:2: no such image" }))
            .await;
        stage
            .wait_for_status("ml", "tells what its reconciler says", |status| {
                status.is_false("Ready") && status.message("Ready").contains("image ml:2: no such image")
            })
            .await;
        player.carry_out(&changed).await;
        stage.wait_for_status("ml", "is ready again", |status| status.is_true("Ready") && status.ready_replicas == 3).await;

        let moved = stage.patch::<ExecutorDeployment>("ml", json!({ "location": "edge-2" })).await;
        let refusal = moved.unwrap_err().to_string();
        assert!(refusal.contains("location cannot change"), "{refusal}");

        stage.api::<ExecutorDeployment>().delete("ml", &DeleteParams::default()).await.unwrap();
        stage.until_gone::<ExecutorDeployment>("ml").await;
        assert!(stage.colony.member.blueprint("ml").await.unwrap_err().is_not_found());
    })
    .await;
}
