//! Owner references, labels and names of everything that is made for an object. Pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::Resource as _;
use sha3::{Digest as _, Sha3_256};

use crate::api::{
    executor_deployment::ExecutorDeployment,
    names::{
        APP_COMPONENT_LABEL, APP_INSTANCE_LABEL, APP_MANAGED_BY_LABEL, APP_NAME_LABEL, APP_PART_OF_LABEL,
        EXECUTOR_DEPLOYMENT_LABEL, EXECUTOR_TYPE_LABEL, OPERATOR,
    },
};

/// The field that an object lacks although an API server always sets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete(pub &'static str);

/// Who an `ExecutorDeployment` is: parsed once, so that later stages can rely on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
    /// Generation of its spec.
    pub generation: i64,
}

impl Owner {
    /// Reads who an object is.
    ///
    /// # Errors
    ///
    /// When it lacks name, namespace, UID or generation, which an API server always sets.
    pub fn of(object: &ExecutorDeployment) -> Result<Self, Incomplete> {
        let metadata = &object.metadata;
        Ok(Self {
            name: metadata.name.clone().ok_or(Incomplete("metadata.name"))?,
            namespace: metadata.namespace.clone().ok_or(Incomplete("metadata.namespace"))?,
            uid: metadata.uid.clone().ok_or(Incomplete("metadata.uid"))?,
            generation: metadata.generation.ok_or(Incomplete("metadata.generation"))?,
        })
    }

    /// The controller reference of every child.
    #[must_use]
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: ExecutorDeployment::api_version(&()).into_owned(),
            kind: ExecutorDeployment::kind(&()).into_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }

    /// The label by which children and pods are selected. It never changes: selectors of workloads cannot.
    #[must_use]
    pub fn selector(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(EXECUTOR_DEPLOYMENT_LABEL.to_owned(), self.name.clone())])
    }

    /// [`Owner::selector`] as a workload has it.
    #[must_use]
    pub fn label_selector(&self) -> LabelSelector {
        LabelSelector { match_labels: Some(self.selector()), match_expressions: None }
    }

    /// All labels of children and pods.
    #[must_use]
    pub fn labels(&self, executor_type: &str) -> BTreeMap<String, String> {
        let mut labels = self.selector();
        for (label, value) in [
            (APP_NAME_LABEL, "executor"),
            (APP_INSTANCE_LABEL, self.name.as_str()),
            (APP_COMPONENT_LABEL, "executor"),
            (APP_PART_OF_LABEL, "colonyos"),
            (APP_MANAGED_BY_LABEL, OPERATOR),
            (EXECUTOR_TYPE_LABEL, executor_type),
        ] {
            labels.insert(label.to_owned(), value.to_owned());
        }
        labels
    }

    /// Metadata of a child.
    #[must_use]
    pub fn child(&self, name: &str, executor_type: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels(executor_type)),
            owner_references: Some(vec![self.reference()]),
            ..ObjectMeta::default()
        }
    }
}

/// Hash of what the operator wants a child to be. Kept on the child: a difference means that the desired state has
/// changed. Comparing fields alone cannot show this: a field that is no longer desired is only absent.
#[must_use]
pub fn content_hash(content: &serde_json::Value) -> String {
    let digest = Sha3_256::digest(content.to_string().as_bytes());
    hex::encode(digest.get(..8).unwrap_or_default())
}
