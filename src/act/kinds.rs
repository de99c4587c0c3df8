//! The kinds that the operator writes: what caches and metrics call them, and what holds the ones that users apply.

use std::{borrow::Cow, fmt::Debug, hash::Hash};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::Secret,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{Api, Client, Resource};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    api::{
        colony::Colony,
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
        instance::{Instance, InstanceKind},
        names::{
            COLONY_PROCESS_FINALIZER, COLONY_WORKFLOW_FINALIZER, EXECUTOR_DEPLOYMENT_FINALIZER,
            INSTANCE_FINALIZER, REQUEST_FINALIZER, RESOURCE_DEFINITION_FINALIZER,
        },
        request_flow::RequestFlow,
        request_state::RequestState,
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
pub trait Written:
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

impl<K> Written for K
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
pub trait Told: Written {
    /// Its status, in metrics.
    const STATUS: WriteKind;
}

/// Kinds that users apply and that plans are carried out for.
pub trait Held: Told {
    /// What holds an object until its remote side is gone.
    const FINALIZER: &'static str;
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

impl Child for ExecutorDeployment {
    const KIND: WriteKind = WriteKind::ExecutorDeployment;
    const NAME: &'static str = "ExecutorDeployment";
}

impl Told for ExecutorDeployment {
    const STATUS: WriteKind = WriteKind::ExecutorDeploymentStatus;
}

impl Held for ExecutorDeployment {
    const FINALIZER: &'static str = EXECUTOR_DEPLOYMENT_FINALIZER;
}

impl Child for ColonyProcess {
    const KIND: WriteKind = WriteKind::ColonyProcess;
    const NAME: &'static str = "ColonyProcess";
}

impl Told for ColonyProcess {
    const STATUS: WriteKind = WriteKind::ColonyProcessStatus;
}

impl Held for ColonyProcess {
    const FINALIZER: &'static str = COLONY_PROCESS_FINALIZER;
}

impl Child for ColonyCron {
    const KIND: WriteKind = WriteKind::ColonyCron;
    const NAME: &'static str = "ColonyCron";
}

impl Told for ColonyCron {
    const STATUS: WriteKind = WriteKind::ColonyCronStatus;
}

impl Child for RequestState {
    const KIND: WriteKind = WriteKind::RequestState;
    const NAME: &'static str = "RequestState";
}

impl Told for RequestState {
    const STATUS: WriteKind = WriteKind::RequestStateStatus;
}

impl Held for RequestState {
    const FINALIZER: &'static str = REQUEST_FINALIZER;
}

impl Child for RequestFlow {
    const KIND: WriteKind = WriteKind::RequestFlow;
    const NAME: &'static str = "RequestFlow";
}

impl Told for RequestFlow {
    const STATUS: WriteKind = WriteKind::RequestFlowStatus;
}

impl Child for ColonyWorkflow {
    const KIND: WriteKind = WriteKind::ColonyWorkflow;
    const NAME: &'static str = "ColonyWorkflow";
}

impl Told for ColonyWorkflow {
    const STATUS: WriteKind = WriteKind::ColonyWorkflowStatus;
}

impl Held for ColonyWorkflow {
    const FINALIZER: &'static str = COLONY_WORKFLOW_FINALIZER;
}

impl Written for Instance {
    const METRIC: WriteKind = WriteKind::Instance;

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

impl Told for Instance {
    const STATUS: WriteKind = WriteKind::InstanceStatus;
}

impl Held for Instance {
    const FINALIZER: &'static str = INSTANCE_FINALIZER;
}

impl Written for ResourceDefinition {
    const METRIC: WriteKind = WriteKind::ResourceDefinition;

    fn name_of((): &()) -> Cow<'static, str> {
        Cow::Borrowed("ResourceDefinition")
    }

    fn api(client: Client, _: &str, (): &()) -> Api<Self> {
        Api::all(client)
    }
}

impl Told for ResourceDefinition {
    const STATUS: WriteKind = WriteKind::ResourceDefinitionStatus;
}

impl Held for ResourceDefinition {
    const FINALIZER: &'static str = RESOURCE_DEFINITION_FINALIZER;
}

impl Written for CustomResourceDefinition {
    const METRIC: WriteKind = WriteKind::CustomResourceDefinition;

    fn name_of((): &()) -> Cow<'static, str> {
        Cow::Borrowed("CustomResourceDefinition")
    }

    fn api(client: Client, _: &str, (): &()) -> Api<Self> {
        Api::all(client)
    }
}

impl Child for Secret {
    const KIND: WriteKind = WriteKind::Secret;
    const NAME: &'static str = "Secret";
}

impl Written for Colony {
    const METRIC: WriteKind = WriteKind::ColonyStatus;

    fn name_of((): &()) -> Cow<'static, str> {
        Cow::Borrowed("Colony")
    }

    fn api(client: Client, _: &str, (): &()) -> Api<Self> {
        Api::all(client)
    }
}

impl Told for Colony {
    const STATUS: WriteKind = WriteKind::ColonyStatus;
}
