//! An API server for a few objects: versions, generations, finalizers, and children that are as they were written.

use colonyos_operator::{
    api::{
        executor_deployment::{ExecutorDeployment, ExecutorDeploymentStatus},
        names::CONTENT_HASH_ANNOTATION,
        policy::DeletionPolicy,
    },
    colony::ExecutorState,
    desired::{DesiredIdentity, DesiredWorkload},
    snapshot::{Identity, Registration},
};
use jiff::Timestamp;
use k8s_openapi::{api::apps::v1::Deployment, apimachinery::pkg::apis::meta::v1::Time};
use serde_json::json;

/// The object has changed since it was read.
#[derive(Debug)]
pub struct Conflict;

/// An object and what was made for it.
#[derive(Debug)]
pub struct Held {
    /// The object; `None` once it is gone.
    pub object: Option<ExecutorDeployment>,
    /// Its UID.
    pub uid: String,
    /// What is to become of its process when it goes.
    pub deletion_policy: DeletionPolicy,
    /// The last generation that it had.
    pub generation: i64,
    pub deployment: Option<Deployment>,
    pub identity: Option<Identity>,
    pub registration: Registration,
    identities: u32,
}

/// All objects.
#[derive(Debug)]
pub struct Cluster {
    pub held: Vec<Held>,
    version: u64,
}

impl Cluster {
    /// Some objects with policies `update, deletion, guarantee`.
    pub fn new(policies: &str, objects: usize) -> Self {
        let policies: Vec<_> = policies.split(", ").collect();
        let [update, deletion, guarantee] = policies.as_slice() else { panic!("three policies") };
        let held = ["one", "two"].into_iter().take(objects).map(|name| {
            let object: ExecutorDeployment = serde_json::from_value(json!({
                "apiVersion": "compute.colonies.io/v1",
                "kind": "ExecutorDeployment",
                "metadata": {
                    "name": name, "namespace": "media", "uid": format!("uid-{name}"), "generation": 1,
                    "resourceVersion": "1",
                },
                "spec": {
                    "executorType": format!("type-of-{name}"), "image": "example.com/image:1", "replicas": 1,
                    "updatePolicy": update, "deletionPolicy": deletion, "executionGuarantee": guarantee,
                },
            }))
            .unwrap();
            Held {
                deletion_policy: object.spec.deletion_policy,
                object: Some(object),
                uid: format!("uid-{name}"),
                generation: 1,
                deployment: None,
                identity: None,
                registration: Registration::Absent,
                identities: 0,
            }
        });
        Self { held: held.collect(), version: 1 }
    }

    fn next_version(&mut self) -> String {
        self.version += 1;
        self.version.to_string()
    }

    pub fn get(&self, index: usize) -> Option<&ExecutorDeployment> {
        self.held[index].object.as_ref()
    }

    /// A user changes the spec: as many replicas as there were, but another image.
    pub fn edit(&mut self, index: usize) {
        let version = self.next_version();
        let held = &mut self.held[index];
        let Some(object) = &mut held.object else { return };
        if object.metadata.deletion_timestamp.is_some() {
            return;
        }
        held.generation += 1;
        object.spec.image = format!("example.com/image:{}", held.generation);
        object.metadata.generation = Some(held.generation);
        object.metadata.resource_version = Some(version);
    }

    /// A user deletes it: at once, unless somebody holds it.
    pub fn delete(&mut self, index: usize, now: Timestamp) {
        let version = self.next_version();
        let slot = &mut self.held[index].object;
        let Some(object) = slot else { return };
        if object.metadata.deletion_timestamp.is_some() {
            return;
        }
        if object.metadata.finalizers.iter().flatten().next().is_none() {
            *slot = None;
            return;
        }
        object.metadata.deletion_timestamp = Some(Time(now));
        object.metadata.resource_version = Some(version);
    }

    fn checked(&mut self, index: usize, version: Option<&str>) -> Result<&mut ExecutorDeployment, Conflict> {
        let object = self.held[index].object.as_mut().ok_or(Conflict)?;
        if object.metadata.resource_version.as_deref() == version { Ok(object) } else { Err(Conflict) }
    }

    /// Writes status, when the object is still at that version.
    pub fn write_status(
        &mut self,
        index: usize,
        version: Option<&str>,
        status: ExecutorDeploymentStatus,
    ) -> Result<(), Conflict> {
        let next = self.next_version();
        let object = self.checked(index, version)?;
        object.status = Some(status);
        object.metadata.resource_version = Some(next);
        Ok(())
    }

    /// Writes the finalizers, when the object is still at that version; gives the version after that.
    pub fn write_finalizers(
        &mut self,
        index: usize,
        version: Option<&str>,
        finalizers: Vec<String>,
    ) -> Result<Option<String>, Conflict> {
        let next = self.next_version();
        let object = self.checked(index, version)?;
        let is_last = finalizers.is_empty() && object.metadata.deletion_timestamp.is_some();
        object.metadata.finalizers = Some(finalizers);
        object.metadata.resource_version = Some(next.clone());
        if is_last {
            self.held[index].object = None;
        }
        Ok(Some(next))
    }

    pub fn write_identity(&mut self, index: usize, desired: &DesiredIdentity, is_new: bool) {
        let held = &mut self.held[index];
        if is_new {
            held.identities += 1;
            held.registration = Registration::Absent;
        }
        let hash =
            desired.metadata.annotations.as_ref().and_then(|all| all.get(CONTENT_HASH_ANNOTATION).cloned());
        held.identity = Some(Identity {
            owner_uid: Some(held.uid.clone()),
            resource_version: None,
            executor_name: format!("{}-{}", desired.name_prefix, held.identities),
            executor_id: format!("id-{}", held.identities),
            executor_type: Some(desired.executor_type.clone()),
            location: Some(desired.location.clone().unwrap_or_default()),
            content_hash: hash,
        });
    }

    pub fn register(&mut self, index: usize, state: ExecutorState) {
        self.held[index].registration = Registration::Present(state);
    }

    pub fn write_workload(&mut self, index: usize, workload: &DesiredWorkload) {
        let DesiredWorkload::Deployment(desired) = workload else { panic!("only Deployments are asked for") };
        let held = &mut self.held[index];
        let mut written = desired.as_ref().clone();
        let (generation, status) = held
            .deployment
            .take()
            .map_or((0, None), |before| (before.metadata.generation.unwrap_or_default(), before.status));
        written.metadata.uid = Some(format!("deployment-{}", held.uid));
        written.metadata.generation = Some(generation + 1);
        written.status = status;
        held.deployment = Some(written);
    }

    /// The pods are as the Deployment wants them.
    pub fn become_ready(&mut self, index: usize) {
        let Some(deployment) = &mut self.held[index].deployment else { return };
        let replicas = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let status = deployment.status.get_or_insert_default();
        status.observed_generation = deployment.metadata.generation;
        status.replicas = replicas;
        status.updated_replicas = replicas;
        status.available_replicas = replicas;
        status.ready_replicas = replicas;
    }
}
