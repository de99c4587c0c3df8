//! The operator's own reader, actor and publisher on servers in memory: what the simulation stands on does what real
//! servers do.

use colonyos_fake::{Fate, ServerCall, cluster::Place};
use colonyos_operator::{
    act::{
        Target,
        outcome::{Effect, FailureKind, Outcome},
    },
    api::{
        colony::Colony,
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        kind::HasFinalizer as _,
    },
    controllers::{Services, decide},
    diff::Step,
    snapshot::Policy,
    status::executor_deployment::compute,
    watch::{
        colonies::Colonies,
        executor_deployment::{Reader, Stores},
        stores::{self, GuardedExecutorDeployment, Scope},
    },
};
use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment},
    batch::v1::Job,
    core::v1::{Namespace, Pod},
};
use kube::{core::PartialObjectMeta, runtime::reflector::ObjectRef};
use serde_json::json;

use crate::memory::{COLONY, Cache, NAMESPACE, Servers, key};

/// An operator that looks after fleets.
struct Operator {
    services: Services,
    reader: Reader,
    fleets: Cache<GuardedExecutorDeployment>,
    deployments: Cache<Deployment>,
    daemon_sets: Cache<DaemonSet>,
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    colonies: Cache<Colony>,
    namespaces: Cache<PartialObjectMeta<Namespace>>,
}

impl Operator {
    async fn start(servers: &Servers) -> Self {
        let services = servers.services(serde_json::from_value(json!({})).unwrap());
        let (client, writes) = (&services.kubernetes.watches, &services.writes);
        let (server, scope) = (&servers.cluster, Scope::Cluster);
        let fleets = Cache::fill(server, stores::executor_deployments(client, &scope, writes)).await;
        let deployments = Cache::fill(server, stores::deployments(client, &scope, writes)).await;
        let daemon_sets = Cache::fill(server, stores::daemon_sets(client, &scope, writes)).await;
        let jobs = Cache::fill(server, stores::jobs(client, &scope, writes)).await;
        let pods = Cache::fill(server, stores::pods(client, &scope)).await;
        let colonies = Cache::fill(server, stores::colonies(client, &[].into())).await;
        let namespaces = Cache::fill(server, stores::namespaces(client)).await;
        let reader = Reader {
            stores: Stores {
                executor_deployments: fleets.index.clone(),
                deployments: deployments.store.clone(),
                daemon_sets: daemon_sets.store.clone(),
                jobs: jobs.store.clone(),
                pods: pods.index.clone(),
                filled: vec![fleets.filled.clone(), deployments.filled.clone()],
            },
            client: services.kubernetes.calls.clone(),
            colonies: Colonies {
                colonies: colonies.store.clone(),
                namespaces: namespaces.store.clone(),
                connections: services.connections.clone(),
            },
            processes: services.process_reader(),
            identities: services.identities.clone(),
            blueprints: services.blueprints.clone(),
            writes: services.writes.clone(),
            clock: services.clock.clone(),
            policy: Policy::default(),
            cluster: services.cluster.clone(),
        };
        Self { services, reader, fleets, deployments, daemon_sets, jobs, pods, colonies, namespaces }
    }

    fn catch_up(&mut self) {
        self.fleets.catch_up();
        self.deployments.catch_up();
        self.daemon_sets.catch_up();
        self.jobs.catch_up();
        self.pods.catch_up();
        self.colonies.catch_up();
        self.namespaces.catch_up();
    }

    fn fleet(&self, name: &str) -> Option<ExecutorDeployment> {
        let found = self.fleets.store.get(&ObjectRef::new(name).within(NAMESPACE))?;
        Some(found.0.clone().unwrap())
    }

    /// The five stages over what the caches show; `None` while they do not show the operator's last write.
    async fn pass(&self, name: &str) -> Option<(Outcome, bool)> {
        let object = self.fleet(name).expect("the object is there");
        let snapshot = self.reader.snapshot(&object).await.ok()?;
        let plan = decide(&snapshot).unwrap_or_else(|problem| panic!("{problem:?}"));
        let connection = self.services.connections.get(COLONY);
        let target = Target {
            object: &object,
            kind: &(),
            finalizer: Some(ExecutorDeployment::FINALIZER),
            connection,
            colony: Some(COLONY.to_owned()),
        };
        let outcome = self.services.actor.execute(plan, &target).await;
        let status: ExecutorDeploymentStatus = compute(&snapshot, Ok(&outcome));
        let version = outcome.resource_version.clone();
        let written = self.services.publisher.status(&(), &object, status, version).await.unwrap();
        Some((outcome, written))
    }
}

fn fleet(name: &str) -> serde_json::Value {
    json!({
        "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"executorType": name, "image": "example.com/image:1", "replicas": 2},
    })
}

#[tokio::test]
async fn the_operators_own_parts_make_a_fleet_on_servers_in_memory() {
    let servers = Servers::new("2026-03-01T12:00:00Z".parse().unwrap());
    servers.cluster.create(&fleet("encoder")).unwrap();
    let mut operator = Operator::start(&servers).await;
    let deployment = Place { resource: "deployments.apps", namespace: NAMESPACE, name: "encoder" };
    let mut quiet = 0;
    for _ in 0..40 {
        operator.catch_up();
        let (outcome, written) = operator.pass("encoder").await.expect("the caches show everything");
        assert!(outcome.colony_failure().is_none() && outcome.kubernetes_failure().is_none(), "{outcome:?}");
        quiet = if outcome.wrote() || written { 0 } else { quiet + 1 };
        if quiet == 2 {
            break;
        }
        servers.cluster.make_ready(deployment);
        let _ = servers.colony.call(
            key(4).id(),
            "assignprocessmsg",
            json!({"colonyname": COLONY, "timeout": -1}),
        );
        servers.pass(11);
    }
    assert_eq!(quiet, 2, "it comes to rest");
    let status = operator.fleet("encoder").unwrap().status.unwrap();
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").unwrap();
    assert_eq!(ready.status, "True", "{status:?}");
    assert_eq!(status.mirror.unwrap().state.as_str(), "Successful");
    let owner = servers.cluster.get(deployment).unwrap()["metadata"]["ownerReferences"][0]["name"].clone();
    assert_eq!(owner, "encoder");
    assert_eq!(servers.cluster.all("secrets").len(), 1, "its identity");
}

/// What the network does to a call is what the operator is told of it.
#[tokio::test]
async fn a_submit_whose_answer_is_lost_may_have_happened() {
    let servers = Servers::new("2026-03-01T12:00:00Z".parse().unwrap());
    servers.cluster.create(&fleet("encoder")).unwrap();
    let mut operator = Operator::start(&servers).await;
    servers.network.decide_by(|call| match call {
        ServerCall::Colony(call) if call.payload_type == "submitfuncspecmsg" => Fate::Lost,
        _ => Fate::Done,
    });
    let mut submitted = None;
    for _ in 0..10 {
        operator.catch_up();
        let (outcome, _) = operator.pass("encoder").await.expect("the caches show everything");
        if let Some(failure) = outcome.colony_failure() {
            submitted = Some(failure.kind);
            break;
        }
        assert!(!outcome.done_colony().any(|(_, effect)| matches!(effect, Effect::Submitted { .. })));
        servers.pass(11);
    }
    assert_eq!(submitted, Some(FailureKind::Ambiguous));
    let inner = json!({"colonyname": COLONY, "count": 100, "state": 0});
    let waiting = servers.colony.call(key(3).id(), "getprocessesmsg", inner).unwrap();
    assert_eq!(waiting.as_array().map(Vec::len), Some(1), "it was done all the same");
}

/// A pass over a cache that does not show the operator's own write would write again.
#[tokio::test]
async fn a_cache_that_lags_behind_holds_up_the_pass() {
    let servers = Servers::new("2026-03-01T12:00:00Z".parse().unwrap());
    servers.cluster.create(&fleet("encoder")).unwrap();
    let mut operator = Operator::start(&servers).await;
    let (outcome, _) = operator.pass("encoder").await.expect("nothing was written yet");
    assert!(outcome.plan.steps.iter().any(|step| matches!(step, Step::Kubernetes(_))));
    assert!(operator.pass("encoder").await.is_none(), "the cache does not show what was written");
    operator.catch_up();
    assert!(operator.pass("encoder").await.is_some());
}
