//! The kinds that the operator writes: what caches and metrics call them, and what holds the ones that users apply.

use std::{borrow::Cow, fmt::Debug, hash::Hash};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Pod, Secret},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, Resource};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    api::{
        colony::Colony,
        executor_deployment,
        instance::{Instance, InstanceKind},
        kind::HasKind,
        resource_definition::{DefinitionScope, ResourceDefinition},
    },
    runtime::metrics::WriteKind,
};

/// Kinds of children, as caches and metrics know them.
pub trait Child: Resource<DynamicType = (), Scope = NamespaceResourceScope> {
    /// Its name in metrics.
    const KIND: WriteKind;
    /// Its name for people and caches.
    const NAME: &'static str;
}

/// Kinds whose objects the operator writes, whether their kind is known here or at run time only.
pub trait WritableKind:
    Resource<DynamicType: Clone + Debug + Eq + Hash + Send + Sync + Unpin + 'static>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// Its name in metrics.
    const METRIC: WriteKind;

    /// The name of the kind for people and caches.
    fn name_of(kind: &Self::DynamicType) -> Cow<'static, str>;

    /// Calls about the objects of a namespace; about those of the cluster, of a kind that has none.
    fn api(client: Client, namespace: &str, kind: &Self::DynamicType) -> Api<Self>;
}

impl<K> WritableKind for K
where
    K: Child + Clone + Debug + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    const METRIC: WriteKind = K::KIND;

    fn name_of((): &()) -> Cow<'static, str> {
        Cow::Borrowed(K::NAME)
    }

    fn api(client: Client, namespace: &str, (): &()) -> Api<Self> {
        Api::namespaced(client, namespace)
    }
}

/// Kinds that users apply and whose status the operator writes.
pub trait StatusKind: WritableKind {
    /// Its status, in metrics.
    const STATUS: WriteKind;
}

impl<K: WritableKind + HasKind> StatusKind for K {
    const STATUS: WriteKind = WriteKind::Status(K::KIND);
}

impl<K> Child for K
where
    K: HasKind + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    const KIND: WriteKind = WriteKind::Object(K::KIND);
    const NAME: &'static str = K::KIND.name();
}

/// Kinds of workloads.
pub trait Workload: Child + WritableKind<DynamicType = ()> {
    const WORKLOAD: executor_deployment::Workload;
}

impl Workload for Deployment {
    const WORKLOAD: executor_deployment::Workload = executor_deployment::Workload::Deployment;
}

impl Workload for DaemonSet {
    const WORKLOAD: executor_deployment::Workload = executor_deployment::Workload::DaemonSet;
}

impl Workload for Job {
    const WORKLOAD: executor_deployment::Workload = executor_deployment::Workload::Job;
}

impl Child for Deployment {
    const KIND: WriteKind = WriteKind::Deployment;
    const NAME: &'static str = "Deployment";
}

impl Child for DaemonSet {
    const KIND: WriteKind = WriteKind::DaemonSet;
    const NAME: &'static str = "DaemonSet";
}

impl Child for Job {
    const KIND: WriteKind = WriteKind::Job;
    const NAME: &'static str = "Job";
}

impl Child for Secret {
    const KIND: WriteKind = WriteKind::Secret;
    const NAME: &'static str = "Secret";
}

impl Child for Pod {
    const KIND: WriteKind = WriteKind::Pod;
    const NAME: &'static str = "Pod";
}

impl Child for PodDisruptionBudget {
    const KIND: WriteKind = WriteKind::PodDisruptionBudget;
    const NAME: &'static str = "PodDisruptionBudget";
}

impl WritableKind for Instance {
    const METRIC: WriteKind = WriteKind::Object(Self::KIND);

    fn name_of(kind: &InstanceKind) -> Cow<'static, str> {
        Cow::Owned(kind.name())
    }

    fn api(client: Client, namespace: &str, kind: &InstanceKind) -> Api<Self> {
        match kind.terms().scope {
            DefinitionScope::Namespaced => Api::namespaced_with(client, namespace, kind),
            DefinitionScope::Cluster => Api::all_with(client, kind),
        }
    }
}

macro_rules! of_the_cluster {
    ($($kind:ty),+) => {$(
        impl WritableKind for $kind {
            const METRIC: WriteKind = WriteKind::Object(Self::KIND);

            fn name_of((): &()) -> Cow<'static, str> {
                Cow::Borrowed(Self::KIND.name())
            }

            fn api(client: Client, _: &str, (): &()) -> Api<Self> {
                Api::all(client)
            }
        }
    )+};
}

of_the_cluster!(Colony, ResourceDefinition);

impl WritableKind for CustomResourceDefinition {
    const METRIC: WriteKind = WriteKind::CustomResourceDefinition;

    fn name_of((): &()) -> Cow<'static, str> {
        Cow::Borrowed("CustomResourceDefinition")
    }

    fn api(client: Client, _: &str, (): &()) -> Api<Self> {
        Api::all(client)
    }
}
