//! What the simulation is told of a kind: how an object of it is made and changed, whose stages carry it out, and what holds
//! of it at rest.

use std::sync::Arc;

use colonyos_operator::{
    api::instance::InstanceKind,
    api::names::CONTROLLER_EXECUTOR_TYPE,
    controllers::{FleetStages, ProcessStages, RequestStages, Services, WorkflowStages},
    snapshot::Policy,
    watch::{
        executor_deployment::{Reader, Stores},
        stores::{self, Scope},
    },
};
use serde_json::{Value, json};

use crate::{
    colonies, crons,
    definitions::{self, Beside},
    engines::{Caches, Controller},
    instances,
    memory::{NAMESPACE, Servers},
    outside::Outside,
};

/// The executor type of everything that users' executors do.
pub const WORKER_TYPE: &str = "encoder";

/// A kind, and the policies of its objects.
#[derive(Clone)]
pub struct Kind {
    /// For people.
    pub name: String,
    /// Where its objects are, such as `colonyprocesses.colonies.io`.
    pub resource: &'static str,
    /// Names of its objects.
    pub names: &'static [&'static str],
    /// Where they are; empty for a kind of the cluster.
    pub namespace: &'static str,
    /// An object, with `NAME` where its name belongs.
    pub object: Value,
    /// What a user changes: the merge patch of the edit of that number, beginning with 1.
    pub edit: fn(u64) -> Value,
    /// Who carries its objects out.
    pub engines: Engines,
    /// Whether what runs may outlive its object.
    pub may_outlive: bool,
    /// Whether a label is never run twice, even if its submit is repeated on its way.
    pub is_strict: bool,
    /// Sequences that are played unless `PROPTEST_CASES` says how many; fewer of those that take long.
    pub sequences: u32,
    /// How many times as long as said time passes.
    pub pace: u32,
    /// What holds of an object that is at rest; else what does not.
    pub settled: fn(&Outside, &Value) -> Result<(), String>,
    /// What holds of what is left outside, whether the objects are there still or not.
    pub registered: Option<Registered>,
}

/// Whether what is left outside is as it should be; else what is not.
pub type Registered = fn(&Outside) -> Result<(), String>;

/// Sequences for each kind and its policies; the tests run side by side.
const SEQUENCES: u32 = 80;

/// Names of objects.
const NAMES: [&str; 2] = ["one", "two"];

impl Kind {
    /// A kind of which there is one object, and nothing else is said.
    pub fn of(engines: Engines) -> Self {
        Self {
            name: String::new(),
            resource: "",
            names: &NAMES[..1],
            namespace: NAMESPACE,
            object: Value::Null,
            edit: |_| Value::Null,
            engines,
            may_outlive: false,
            is_strict: false,
            sequences: SEQUENCES,
            pace: 1,
            settled: |_, _| Ok(()),
            registered: None,
        }
    }
}

/// The stages of a kind, and of those that it needs.
#[derive(Clone)]
pub enum Engines {
    Fleets,
    Processes,
    Workflows,
    Requests,
    Instances(InstanceKind),
    Crons,
    Colonies,
    Definitions(Beside),
}

impl Engines {
    /// Prepares the servers, before there is any object.
    pub fn prepare(&self, servers: &Servers) {
        match self {
            Self::Instances(kind) => instances::prepare(servers, kind),
            Self::Colonies => colonies::prepare(servers),
            Self::Definitions(beside) => beside.begin(),
            _ => {}
        }
    }

    /// Controllers on caches that are filled.
    pub async fn start(&self, servers: &Servers, services: &Arc<Services>) -> Vec<Box<dyn Controller>> {
        let caches = Caches::new(&servers.cluster, services);
        let one = match self {
            Self::Fleets => fleets(caches).await,
            Self::Processes => processes(caches).await,
            Self::Workflows => {
                let mut caches = caches;
                let (client, writes) = (&services.kubernetes.watches, &services.writes);
                let objects = caches.objects(stores::colony_workflows(client, &Scope::Cluster, writes)).await;
                let reader = caches.work_reader(&objects.filled).await;
                caches.controller(objects, WorkflowStages { reader })
            }
            Self::Requests => {
                let mut caches = caches;
                let (client, writes) = (&services.kubernetes.watches, &services.writes);
                let objects = caches.objects(stores::requests(client, &Scope::Cluster, writes)).await;
                let reader = caches.work_reader(&objects.filled).await;
                caches.controller(objects, RequestStages { reader })
            }
            Self::Instances(kind) => instances::start(caches, kind).await,
            Self::Colonies => colonies::start(caches, servers).await,
            Self::Definitions(beside) => definitions::start(caches, servers, beside).await,
            Self::Crons => {
                let runs = processes(Caches::new(&servers.cluster, services)).await;
                return vec![crons::start(caches).await, runs];
            }
        };
        vec![one]
    }
}

async fn processes(mut caches: Caches<'_>) -> Box<dyn Controller> {
    let (client, writes) = (&caches.services.kubernetes.watches, &caches.services.writes);
    let objects = caches.objects(stores::colony_processes(client, &Scope::Cluster, writes)).await;
    let reader = caches.work_reader(&objects.filled).await;
    caches.controller(objects, ProcessStages { reader })
}

async fn fleets(mut caches: Caches<'_>) -> Box<dyn Controller> {
    let services = caches.services;
    let (client, writes, scope) = (&services.kubernetes.watches, &services.writes, &Scope::Cluster);
    let objects = caches.objects(stores::executor_deployments(client, scope, writes)).await;
    let (deployments, _) = caches.store(stores::deployments(client, scope, writes)).await;
    let (daemon_sets, _) = caches.store(stores::daemon_sets(client, scope, writes)).await;
    let (jobs, _) = caches.store(stores::jobs(client, scope, writes)).await;
    let (_, pods) = caches.store(stores::pods(client, scope, writes)).await;
    let colonies = caches.colonies().await;
    let mut filled = caches.filled();
    filled.push(objects.filled.clone());
    let reader = Reader {
        stores: Stores {
            executor_deployments: objects.index.clone(),
            fleets: vec![objects.index.clone()],
            deployments,
            daemon_sets,
            jobs,
            budgets: None,
            pods,
            filled,
        },
        client: services.kubernetes.calls.clone(),
        colonies,
        processes: services.process_reader(),
        identities: services.identities.clone(),
        absences: services.absences.clone(),
        webhook: services.identity_webhook.clone(),
        blueprints: services.blueprints.clone(),
        writes: services.writes.clone(),
        clock: services.clock.clone(),
        policy: Policy::default(),
        cluster: services.cluster.clone(),
    };
    caches.controller(objects, FleetStages { reader })
}

/// Fleets with policies `update, deletion, guarantee`.
pub fn fleet(policies: &str, objects: usize) -> Kind {
    let parts: Vec<&str> = policies.split(", ").collect();
    let [update, deletion, guarantee] = parts.as_slice() else { panic!("three policies") };
    Kind {
        name: format!("ExecutorDeployment, {policies}"),
        resource: "executordeployments.compute.colonies.io",
        names: &NAMES[..objects],
        object: json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "NAME", "namespace": NAMESPACE},
            "spec": {
                "executorType": "type-of-NAME", "image": "example.com/image:1", "replicas": 1,
                "updatePolicy": update, "deletionPolicy": deletion, "executionGuarantee": guarantee,
            },
        }),
        edit: |number| json!({"spec": {"image": format!("example.com/image:{}", number + 1)}}),
        may_outlive: *deletion == "Orphan",
        is_strict: *guarantee == "Strict",
        settled: |_, object| generation_is_carried(object),
        ..Kind::of(Engines::Fleets)
    }
}

/// Processes of users, with policies `deletion, guarantee`.
pub fn process(policies: &str, objects: usize) -> Kind {
    let (deletion, guarantee) = policies.split_once(", ").expect("two policies");
    Kind {
        name: format!("ColonyProcess, {policies}"),
        resource: "colonyprocesses.colonies.io",
        names: &NAMES[..objects],
        object: json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyProcess",
            "metadata": {"name": "NAME", "namespace": NAMESPACE},
            "spec": {
                "function": "encode", "conditions": {"executorType": WORKER_TYPE}, "backoffLimit": 1,
                "deletionPolicy": deletion, "executionGuarantee": guarantee,
            },
        }),
        edit: |number| json!({"spec": {"suspend": number % 2 == 1}}),
        may_outlive: deletion == "Orphan",
        is_strict: guarantee == "Strict",
        settled: |_, object| work_is_over(object),
        ..Kind::of(Engines::Processes)
    }
}

/// Workflows of users, of two nodes.
pub fn workflow(deletion: &str) -> Kind {
    let node = |name: &str, dependencies: &[&str]| {
        json!({
            "name": name, "function": "encode", "conditions": {"executorType": WORKER_TYPE},
            "dependencies": dependencies,
        })
    };
    Kind {
        name: format!("ColonyWorkflow, {deletion}"),
        resource: "colonyworkflows.colonies.io",
        object: json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow",
            "metadata": {"name": "NAME", "namespace": NAMESPACE},
            "spec": {
                "nodes": [node("split", &[]), node("join", &["split"])], "deletionPolicy": deletion,
            },
        }),
        edit: |number| json!({"spec": {"suspend": number % 2 == 1}}),
        may_outlive: deletion == "Orphan",
        settled: |_, object| work_is_over(object),
        ..Kind::of(Engines::Workflows)
    }
}

/// Requests of two jobs, of which the operator is director and worker; the second edit cancels them.
pub fn request() -> Kind {
    Kind {
        name: "RequestState".to_owned(),
        resource: "requeststates.com.redhat.ecosystem.sample",
        object: json!({
            "apiVersion": "com.redhat.ecosystem.sample/v1", "kind": "RequestState",
            "metadata": {
                "name": "NAME", "namespace": NAMESPACE,
                "annotations": {"colonies.io/flow": "JOB1,JOB2", "colonies.io/executor-type": WORKER_TYPE},
            },
            "spec": {"request-uid": "aaa-NAME", "job": "JOB1", "state": "REQUESTED"},
        }),
        edit: |number| match number {
            2 => json!({"spec": {"state": "CANCELLED"}}),
            _ => json!({"metadata": {"labels": {"edit": number.to_string()}}}),
        },
        settled: |_, object| {
            let state = object["spec"]["state"].as_str().unwrap_or_default();
            holds(object, "Finished", "True")?;
            match state {
                "COMPLETED" | "FAILED" | "CANCELLED" => Ok(()),
                _ => Err(format!("it is {state}")),
            }
        },
        ..Kind::of(Engines::Requests)
    }
}

/// The current generation has a process, and that is over.
pub fn generation_is_carried(object: &Value) -> Result<(), String> {
    let (mirror, generation) = (&object["status"]["mirror"], &object["metadata"]["generation"]);
    let state = mirror["state"].as_str().unwrap_or_default();
    if mirror["generation"] != *generation {
        return Err(format!("generation {generation} has no process on record: {mirror}"));
    }
    match state {
        "Successful" | "Cancelled" | "Failed" | "Lost" => Ok(()),
        _ => Err(format!("its process is {state:?}")),
    }
}

/// The work is done, or is not to be done.
fn work_is_over(object: &Value) -> Result<(), String> {
    let state = object["status"]["state"].as_str().unwrap_or_default();
    let is_suspended = object["spec"]["suspend"] == true;
    match state {
        "Suspended" if is_suspended => Ok(()),
        "Succeeded" | "Failed" | "Cancelled" | "Lost" => Ok(()),
        _ => Err(format!("its state is {state:?}")),
    }
}

pub fn holds(object: &Value, condition: &str, status: &str) -> Result<(), String> {
    let conditions = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let found = conditions.iter().find(|one| one["type"] == condition);
    match found {
        Some(found) if found["status"] == status => Ok(()),
        found => Err(format!("{condition} is not {status}: {found:?}")),
    }
}

/// The executor types that are the operator's own.
pub const OPERATOR_TYPE: &str = CONTROLLER_EXECUTOR_TYPE;
