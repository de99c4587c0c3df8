//! The kinds that the operator writes: what caches and metrics call them, and what holds the ones that users apply.

use std::fmt::Debug;

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::Secret,
    },
};
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    api::{
        colony_cron::ColonyCron,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        executor_deployment::ExecutorDeployment,
        names::{
            COLONY_PROCESS_FINALIZER, COLONY_WORKFLOW_FINALIZER, EXECUTOR_DEPLOYMENT_FINALIZER,
            REQUEST_FINALIZER,
        },
        request_flow::RequestFlow,
        request_state::RequestState,
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

/// Kinds that users apply and whose status the operator writes.
pub trait Told: Child + Clone + Debug + Serialize + DeserializeOwned {
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

impl Child for Secret {
    const KIND: WriteKind = WriteKind::Secret;
    const NAME: &'static str = "Secret";
}
