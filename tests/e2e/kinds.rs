//! The example kinds that are made of pods, from their manifests as they are in the repository to containers that run.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use colonyos_operator::colony::ExecutorState;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{DeleteParams, ObjectMeta, PostParams},
};
use serde_json::{Value, json};

use crate::{
    commands::{kubectl, output},
    fleet::START_LIMIT,
    installation::TEST_LABEL,
    stage::Stage,
    support::wait::eventually,
};

/// Folders of the kinds, those that others are made of first.
const KINDS: &[&str] = &["goop", "foo", "database", "web-service", "worker-pool", "application"];
/// How long kubectl waits.
const LIMIT: &str = "--timeout=5m";

/// A namespace that lets ordinary pods in, and the disks that it needs.
struct Ground {
    namespace: String,
    namespaces: Api<Namespace>,
    disks: PathBuf,
}

/// Applies the kinds and an instance of each, and takes all of it away again. The stage's colony is the default one.
pub async fn the_example_kinds_run(stage: &Stage) {
    let ground = Ground::new(stage).await;
    for kind in KINDS {
        kubectl(&["apply", "-f", &file(kind, "definition.yaml")]).await;
    }
    let names: Vec<String> = KINDS.iter().map(|kind| format!("rd/{}", definition_name(kind))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    kubectl(&[&["wait", "--for=condition=Ready", LIMIT][..], &names].concat()).await;

    ground.provide_disk("orders-data").await;
    ground.provide_disk("my-app-database-data").await;
    for (kind, instance) in [
        ("goop", "instance.yaml"),
        ("foo", "instance.yaml"),
        ("database", "instance.yaml"),
        ("application", "instance.json"),
    ] {
        ground.apply(kind, instance).await;
    }
    tokio::join!(
        commands_run_once_each(&ground),
        commands_run_on_every_node(&ground),
        a_deployment_is_scaled(&ground),
        a_database_answers(&ground),
        an_application_works(&ground, stage),
    );
    ground.leave(&names).await;
}

impl Ground {
    async fn new(stage: &Stage) -> Self {
        let namespace = format!("{}-kinds", stage.namespace.name);
        let namespaces = Api::<Namespace>::all(stage.namespace.kubernetes.calls.clone());
        // The pods of these kinds are what their manifests say, which is less than `restricted` asks for.
        let labels = [("pod-security.kubernetes.io/enforce", "baseline"), (TEST_LABEL, "e2e")];
        let metadata = ObjectMeta {
            name: Some(namespace.clone()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        };
        let object = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &object).await.unwrap();
        let disks = std::env::temp_dir().join(&namespace);
        fs::create_dir(&disks).unwrap();
        Self { namespace, namespaces, disks }
    }

    /// A disk for one claim. The node is this machine.
    async fn provide_disk(&self, claim: &str) {
        let folder = self.disks.join(claim);
        fs::create_dir(&folder).unwrap();
        // A folder of the host stays its owner's, whatever group the pod asks for.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        let disk = json!({
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": format!("{}-{claim}", self.namespace), "labels": {TEST_LABEL: "e2e"}},
            "spec": {
                "capacity": {"storage": "10Gi"},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "hostPath": {"path": folder},
                "claimRef": {"namespace": self.namespace, "name": claim},
            },
        });
        self.apply_value(&disk).await;
    }

    /// Applies an instance as it is in the repository, but in the namespace of the test.
    async fn apply(&self, kind: &str, instance: &str) {
        let text = fs::read_to_string(file(kind, instance)).unwrap();
        let mut object: Value = serde_norway::from_str(&text).unwrap();
        object["metadata"]["namespace"] = json!(self.namespace);
        self.apply_value(&object).await;
    }

    async fn apply_value(&self, object: &Value) {
        let path = self.disks.join(format!("{}.json", object["metadata"]["name"].as_str().unwrap()));
        fs::write(&path, object.to_string()).unwrap();
        kubectl(&["apply", "-f", &path.to_string_lossy()]).await;
    }

    async fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(&[&["--namespace", &self.namespace][..], arguments].concat()).await
    }

    /// Takes everything away; no instance and no kind may stay.
    async fn leave(self, definitions: &[&str]) {
        for kinds in ["applications.app.colonies.io", "db,web,workerpools", "foos,goops"] {
            self.kubectl(&["delete", kinds, "--all", LIMIT]).await;
        }
        let left = self.kubectl(&["get", "deployments,statefulsets,jobs,pvc,secrets", "-o", "name"]).await;
        assert_eq!(left.trim(), "", "nothing of what instances were made of stays");
        let definitions: Vec<&str> = definitions.iter().rev().copied().collect();
        kubectl(&[&["delete", LIMIT][..], &definitions].concat()).await;
        let served = kubectl(&["api-resources", "--api-group=app.colonies.io", "-o", "name"]).await;
        assert_eq!(served.trim(), "");
        kubectl(&["delete", "pv", "-l", TEST_LABEL, "--wait=false"]).await;
        self.namespaces.delete(&self.namespace, &DeleteParams::background()).await.unwrap();
        fs::remove_dir_all(&self.disks).unwrap();
    }
}

async fn commands_run_once_each(ground: &Ground) {
    ground.kubectl(&["wait", "--for=condition=Finished", "goop/greeter", LIMIT]).await;
    let row = ground.kubectl(&["get", "goop", "greeter", "--no-headers"]).await;
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["greeter", "3", "Completed"], "{row}");
    let jobs = ["job/greeter-0", "job/greeter-1", "job/greeter-2"];
    let logs = join_all(jobs.map(async |job| ground.kubectl(&["logs", job]).await)).await;
    assert_eq!(logs, ["hello\n"; 3], "each has run the command");
}

async fn commands_run_on_every_node(ground: &Ground) {
    let everywhere = json!({
        "apiVersion": "goop.example.com/v1alpha1",
        "kind": "Goop",
        "metadata": {"name": "everywhere", "namespace": ground.namespace},
        "spec": {"jobCount": 1, "cmd": "echo here", "spread": true},
    });
    ground.apply_value(&everywhere).await;
    ground.kubectl(&["wait", "--for=condition=Finished", "goop/everywhere", LIMIT]).await;
    let log = ground.kubectl(&["logs", "daemonset/everywhere", "-c", "worker"]).await;
    assert_eq!(log, "here\n");
}

async fn a_deployment_is_scaled(ground: &Ground) {
    ground.kubectl(&["wait", "--for=condition=Ready", "foo/example-foo", LIMIT]).await;
    ground.kubectl(&["scale", "foo/example-foo", "--replicas=2"]).await;
    ground.kubectl(&["wait", "--for=jsonpath={.status.availableReplicas}=2", "foo/example-foo", LIMIT]).await;
    let phases = ["get", "pods", "-l", "controller=example-foo", "-o", "jsonpath={.items[*].status.phase}"];
    assert_eq!(ground.kubectl(&phases).await, "Running Running");
}

/// A server of its own, that lets in who knows the password, and keeps what it is told.
async fn a_database_answers(ground: &Ground) {
    ground.kubectl(&["wait", "--for=condition=Ready", "db/orders", LIMIT]).await;
    let ask = async |sql: &str, password: &str| {
        let line = format!("PGPASSWORD={password} psql -h 127.0.0.1 -U postgres -d orders -tAc '{sql}'");
        let arguments = ["--namespace", &ground.namespace, "exec", "orders-0", "--", "sh", "-c", &line];
        output("kubectl", &arguments).await
    };
    let known = "$POSTGRES_PASSWORD";
    ask("CREATE TABLE sold (what text); INSERT INTO sold VALUES (1)", known).await.unwrap();
    let refusal = ask("SELECT 1", "guessed").await.unwrap_err();
    assert!(refusal.contains("password authentication failed"), "{refusal}");
    ground.kubectl(&["delete", "pod", "orders-0", LIMIT]).await;
    ground.kubectl(&["wait", "--for=condition=Ready", "db/orders", LIMIT]).await;
    eventually("the server is back with what it had", START_LIMIT, async || {
        let count = ask("SELECT count(*) FROM sold", known).await?;
        (count.trim() == "1").then_some(()).ok_or(count)
    })
    .await;
}

/// Database, web servers and executors of one application, the latter in the colony.
async fn an_application_works(ground: &Ground, stage: &Stage) {
    ground.kubectl(&["wait", "--for=condition=Ready", "applications.app.colonies.io/my-app", LIMIT]).await;
    let row = ground.kubectl(&["get", "applications.app.colonies.io", "my-app", "--no-headers"]).await;
    assert_eq!(row.split_whitespace().take(3).collect::<Vec<_>>(), ["my-app", "3", "3"], "{row}");
    let executors = stage.user.executors().await.unwrap();
    let ours = executors.iter().filter(|executor| executor.executor_type == "app-worker");
    let states: Vec<ExecutorState> = ours.map(|executor| executor.state).collect();
    assert_eq!(states, [ExecutorState::Approved], "the pool is one executor of the colony");
    let pods = ["get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name} {.status.phase},{end}"];
    let pods = ground.kubectl(&pods).await;
    let running = |prefix: &str| {
        pods.split(',').filter(|pod| pod.starts_with(prefix) && pod.ends_with("Running")).count()
    };
    let counts = ["my-app-database", "my-app-webservice", "my-app-workerpool"].map(running);
    assert_eq!(counts, [1, 2, 3], "{pods}");
}

fn definition_name(kind: &str) -> String {
    let text = fs::read_to_string(file(kind, "definition.yaml")).unwrap();
    let definition: Value = serde_norway::from_str(&text).unwrap();
    definition["metadata"]["name"].as_str().unwrap().to_owned()
}

fn file(kind: &str, name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kinds").join(kind);
    folder.join(name).to_string_lossy().into_owned()
}
