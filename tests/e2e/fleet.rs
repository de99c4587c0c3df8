//! One `ExecutorDeployment` in a test, and what is waited for about it.

use std::time::Duration;

use colonyos_operator::{
    api::names::{EXECUTOR_DEPLOYMENT_LABEL, identity_secret, process_label},
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        mirror::MirrorState,
    },
    colony::{ExecutorState, Process, ProcessState},
};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Pod, Secret},
    },
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    installation::executor_image,
    stage::Stage,
    support::{cluster, conditions::Conditions as _, namespace::wait_until_gone, wait::eventually},
};

/// How long pods may take to start on a busy machine.
pub const START_LIMIT: Duration = Duration::from_secs(90);
/// How long a process may take to be assigned and run. The server may miss a wake-up, and then answers after a poll.
pub const RUN_LIMIT: Duration = Duration::from_mins(1);
/// How long something may take that takes well below a second on a machine with nothing else to do.
pub const SOON: Duration = Duration::from_secs(10);

/// An `ExecutorDeployment`.
pub struct Fleet<'a> {
    /// Where it is.
    pub stage: &'a Stage,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl<'a> Fleet<'a> {
    /// Creates one of the stage's type, with fields of the spec set or replaced by `spec`.
    pub async fn create(stage: &'a Stage, name: &str, spec: Value) -> Self {
        let object = json!({
            "apiVersion": "compute.colonies.io/v1",
            "kind": "ExecutorDeployment",
            "metadata": {"name": name},
            "spec": full_spec(stage, &spec),
        });
        let object: ExecutorDeployment = serde_json::from_value(object).unwrap();
        let api = stage.namespace.api::<ExecutorDeployment>();
        let created = api.create(&PostParams::default(), &object).await.unwrap();
        Self { stage, name: name.to_owned(), uid: created.uid().unwrap() }
    }

    /// One that was made by other means.
    pub async fn existing(stage: &'a Stage, name: &str) -> Self {
        let found = stage.namespace.api::<ExecutorDeployment>().get(name).await.unwrap();
        Self { stage, name: name.to_owned(), uid: found.uid().unwrap() }
    }

    /// All of its kind.
    pub fn api(&self) -> Api<ExecutorDeployment> {
        self.stage.namespace.api()
    }

    /// What it is called on a command line.
    pub fn reference(&self) -> String {
        format!("executordeployment/{}", self.name)
    }

    /// Changes the spec; the generation that comes of it.
    pub async fn change(&self, spec: Value) -> i64 {
        let patch = Patch::Merge(json!({"spec": spec}));
        let changed = self.api().patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
        changed.metadata.generation.unwrap()
    }

    /// Waits until `probe` finds something about it.
    pub async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut probe: impl FnMut(&ExecutorDeployment, &ExecutorDeploymentStatus) -> Result<T, String>,
    ) -> T {
        eventually(&format!("{} {what}", self.name), limit, async || {
            let object = self.api().get(&self.name).await.map_err(|error| error.to_string())?;
            let status = object.status.clone().unwrap_or_default();
            if status.observed_generation != object.metadata.generation {
                return Err(format!("status speaks of generation {:?}", status.observed_generation));
            }
            probe(&object, &status)
        })
        .await
    }

    /// Waits until a condition of the current generation has a status and a reason.
    pub async fn until_condition(&self, kind: &str, status: &str, reason: &str) -> Condition {
        self.until(&format!("has condition {kind}={status}/{reason}"), START_LIMIT, |_, seen| {
            match seen.conditions.condition(kind) {
                Some(found) if found.status == status && found.reason == reason => Ok(found.clone()),
                other => Err(format!("it is {other:?}")),
            }
        })
        .await
    }

    /// Waits until it has so many executors, all of them ready.
    pub async fn until_ready(&self, replicas: i32) -> ExecutorDeployment {
        self.until(&format!("has {replicas} executors ready"), START_LIMIT, |object, status| {
            let is_ready = status.conditions.is_true("Ready");
            let counts = (status.desired_replicas, status.ready_replicas, status.replicas);
            (is_ready && counts == (Some(replicas), replicas, replicas))
                .then(|| object.clone())
                .ok_or_else(|| format!("it is {:?} with (desired, ready, all) {counts:?}", status.state))
        })
        .await
    }

    /// Waits until the process of the current generation is over; there is exactly one, closed as successful.
    pub async fn until_mirrored(&self) -> Process {
        let label = self
            .until("is mirrored", RUN_LIMIT, |object, status| match &status.mirror {
                Some(mirror)
                    if mirror.state == MirrorState::Successful
                        && Some(mirror.generation) == object.metadata.generation =>
                {
                    Ok(mirror.label.clone())
                }
                other => Err(format!("it is {other:?}")),
            })
            .await;
        let mut processes = self.stage.user.processes_labelled(&label).await.unwrap();
        assert_eq!(processes.len(), 1, "{label}: {processes:#?}");
        let process = processes.remove(0);
        assert_eq!(process.state, ProcessState::Successful);
        process
    }

    /// The processes of one generation.
    pub async fn processes(&self, generation: i64) -> Result<Vec<Process>, String> {
        let cluster = cluster::uid(&self.stage.namespace.kubernetes).await;
        let label = process_label(&cluster, &self.uid, generation);
        self.stage.user.processes_labelled(&label).await.map_err(|error| error.to_string())
    }

    /// The executor's name in the colony.
    pub async fn executor_name(&self) -> String {
        self.until("has a registered executor", START_LIMIT, |_, status| match &status.executor {
            Some(executor) if executor.registered => Ok(executor.name.clone()),
            other => Err(format!("it has {other:?}")),
        })
        .await
    }

    /// Its pods, those that are ending too.
    pub async fn pods(&self) -> Result<Vec<Pod>, String> {
        let parameters = ListParams::default().labels(&format!("{EXECUTOR_DEPLOYMENT_LABEL}={}", self.name));
        let listed = self.stage.namespace.api::<Pod>().list(&parameters).await;
        Ok(listed.map_err(|error| error.to_string())?.items)
    }

    /// Waits until it has so many pods, those that are ending included.
    pub async fn until_pods(&self, count: usize) {
        eventually(&format!("{} has {count} pods", self.name), START_LIMIT, async || {
            let pods = self.pods().await?;
            (pods.len() == count).then_some(()).ok_or_else(|| format!("it has {}", pods.len()))
        })
        .await;
    }

    /// Asks for its deletion.
    pub async fn delete(&self) {
        self.api().delete(&self.name, &DeleteParams::background()).await.unwrap();
    }

    /// Waits until nothing is left of it: object, workload, pods, Secret, registration.
    pub async fn until_gone(&self, executor: &str) {
        let namespace = &self.stage.namespace;
        wait_until_gone::<ExecutorDeployment>(namespace, &self.name).await;
        // Before it lets go, not after.
        assert_eq!(self.pods().await.unwrap().len(), 0, "pods of {}", self.name);
        let removed = self.stage.user.executor(executor).await.unwrap();
        assert_eq!(removed.state, ExecutorState::Unregistered, "executor {executor}");
        assert_eq!(self.workloads().await, [] as [&str; 0], "workloads of {}", self.name);
        wait_until_gone::<Secret>(namespace, &identity_secret(&self.name)).await;
    }

    /// Kinds of the workloads of its name.
    pub async fn workloads(&self) -> Vec<&'static str> {
        let namespace = &self.stage.namespace;
        let mut found = Vec::new();
        if namespace.api::<Deployment>().get_opt(&self.name).await.unwrap().is_some() {
            found.push("Deployment");
        }
        if namespace.api::<DaemonSet>().get_opt(&self.name).await.unwrap().is_some() {
            found.push("DaemonSet");
        }
        if namespace.api::<Job>().get_opt(&self.name).await.unwrap().is_some() {
            found.push("Job");
        }
        found
    }
}

fn full_spec(stage: &Stage, spec: &Value) -> Value {
    let mut full = json!({
        "colony": stage.colony,
        "executorType": stage.executor_type,
        "image": executor_image(),
        // An executor that is asked to stop ends its long-poll first.
        "config": {"env": {"EXECUTOR_POLL_SECONDS": "1"}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "128Mi"}},
    });
    full.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    full
}
