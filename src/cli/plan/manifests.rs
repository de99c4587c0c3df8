//! The objects in the manifests: objects as they would be applied, and what there is already.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::{Pod, Secret},
        policy::v1::PodDisruptionBudget,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{ResourceExt as _, core::cel::validate_cel};
use serde::Deserialize as _;
use serde_json::Value;

use super::{
    object::{self, namespace_of},
    unreadable::{Unreadable, documents, parse},
};
use crate::{
    api::{
        colony::{AllowedNamespaces, Colony, ColonyServer, ColonySpec, Inbound},
        executor_deployment::ExecutorDeployment,
        function::Variable,
        kind::Kind,
        mirror::MirrorStatus,
        names::{
            self, COLONIES_GROUP, COMPUTE_GROUP, DEFAULT_COLONY_ANNOTATION, EXECUTOR_DEPLOYMENT_KIND,
            EXECUTOR_DEPLOYMENT_LABEL,
        },
        resource_definition::ObjectKind,
    },
    colony::{Blueprint, Executor, Process, ProcessId, ProcessState},
    memory::identities::read_identity,
    runtime::config::OperatorConfiguration,
    snapshot::{
        AddsInFlight, ColonyAccess, ColonyReference, ExecutorDeploymentSnapshot, Fleet, Identity, Observed,
        Policy, Registration, ResolvedColony, TypeUse, ValueSource, Values, Workloads,
    },
};

/// What stands for the UID of the cluster in labels.
pub(super) const CLUSTER: &str = "offline";
/// Groups whose kinds are known here by their names.
const KNOWN_GROUPS: [&str; 6] =
    [COLONIES_GROUP, COMPUTE_GROUP, "apps", "batch", "policy", "apiextensions.k8s.io"];

/// The objects in the manifests.
#[derive(Default)]
pub struct Manifests {
    /// The `ExecutorDeployments` to plan for.
    pub objects: Vec<ExecutorDeployment>,
    /// Definitions of kinds as they are written, right or wrong.
    pub(super) definitions: Vec<Value>,
    /// CRDs as API servers have them.
    pub(super) crds: Vec<CustomResourceDefinition>,
    /// All other objects with a kind, as they would be stored.
    pub(super) others: Vec<Value>,
    colonies: Vec<Colony>,
    deployments: Vec<Deployment>,
    daemon_sets: Vec<DaemonSet>,
    jobs: Vec<Job>,
    pub(super) pods: Vec<Pod>,
    pub(super) secrets: Vec<Secret>,
    budgets: Vec<PodDisruptionBudget>,
    processes: Vec<Process>,
    pub(super) executors: Vec<Executor>,
    blueprints: Vec<Blueprint>,
    /// What cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
    /// `Colonies` among that, by name, and whether each is the default one.
    refused_colonies: Vec<(String, bool)>,
}

impl Manifests {
    /// Reads a stream of YAML documents. What cannot be read is kept, to be reported.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut world = Self::default();
        for (number, document) in documents(text).iter().enumerate() {
            for read in serde_norway::Deserializer::from_str(document) {
                match Value::deserialize(read) {
                    Ok(Value::Null) => {}
                    Ok(value) => world.add(value),
                    Err(error) => {
                        world.unreadable.push(Unreadable::document(number + 1, &error));
                        break;
                    }
                }
            }
        }
        world
    }

    fn add(&mut self, mut value: Value) {
        let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (true, Some(Value::Array(items))) = (kind.ends_with("List"), value.get_mut("items")) {
            for item in std::mem::take(items) {
                self.add(item);
            }
            return;
        }
        match self.sort(&kind, &value) {
            Ok(()) => self.keep(&value),
            Err(why) => self.unreadable.push(Unreadable::object(value, why)),
        }
    }

    /// Puts an object among those of its kind.
    fn sort(&mut self, kind: &str, value: &Value) -> Result<(), String> {
        let group =
            value.get("apiVersion").and_then(Value::as_str).and_then(|version| version.split_once('/'));
        // A user's kind may have the name of one of these.
        if group.is_some_and(|(group, _)| !KNOWN_GROUPS.contains(&group)) {
            return Ok(());
        }
        match kind {
            "ExecutorDeployment" => {
                let mut object: ExecutorDeployment = parse(value)?;
                complete(&mut object);
                validate_cel(&object).map_err(|error| error.to_string())?;
                self.objects.push(object);
            }
            "Colony" => {
                let object: Colony = parse(value).inspect_err(|_| self.refuse_colony(value))?;
                validate_cel(&object).map_err(|error| {
                    self.refuse_colony(value);
                    error.to_string()
                })?;
                self.colonies.push(object);
            }
            "ResourceDefinition" => self.definitions.push(value.clone()),
            "CustomResourceDefinition" => self.crds.push(parse(value)?),
            "Deployment" => self.deployments.push(parse(value)?),
            "DaemonSet" => self.daemon_sets.push(parse(value)?),
            "Job" => self.jobs.push(parse(value)?),
            "Pod" => self.pods.push(parse(value)?),
            "PodDisruptionBudget" => self.budgets.push(parse(value)?),
            "Secret" => self.secrets.push(parse(value)?),
            "Process" => self.processes.push(parse(value)?),
            "Executor" => self.executors.push(parse(value)?),
            "Blueprint" => self.blueprints.push(blueprint(value)?),
            // Whatever else stands in a user's manifest has no bearing on the plan.
            _ => {}
        }
        Ok(())
    }

    /// Objects that name a `Colony` which cannot be read are planned as if it could.
    fn refuse_colony(&mut self, value: &Value) {
        let default =
            value.pointer("/metadata/annotations").and_then(|all| all.get(DEFAULT_COLONY_ANNOTATION));
        let is_default = default.and_then(Value::as_str) == Some("true");
        self.refused_colonies.push((object::key(value).to_owned(), is_default));
    }

    /// Keeps an object for those that are made of others.
    fn keep(&mut self, value: &Value) {
        let Some(kind) = ObjectKind::of(value) else { return };
        let has_metadata = value.get("metadata").is_some_and(Value::is_object);
        if has_metadata || Kind::find(kind.group(), &kind.kind).is_some() {
            self.others.push(value.clone());
        }
    }

    /// What a pass over an object would know.
    #[must_use]
    pub fn snapshot(
        &self,
        object: &ExecutorDeployment,
        configuration: &OperatorConfiguration,
        now: jiff::Timestamp,
    ) -> ExecutorDeploymentSnapshot {
        let name = object.name_any();
        let named = |found: &str| found == name;
        let secret_name = names::identity_secret(&name);
        let identity = self.secrets.iter().find(|secret| secret.name_any() == secret_name).map(identity_of);
        let namespace = object.namespace().unwrap_or_default();
        let fleet = Fleet { cluster: CLUSTER, namespace: &namespace, name: &name };
        let recorded = object.status.as_ref().and_then(|status| status.executor.as_ref());
        let recorded = recorded.map(|executor| executor.name.as_str());
        let executor_name = identity.as_ref().map(|identity| identity.executor_name.as_str()).or(recorded);
        let id = identity.as_ref().map(|identity| identity.executor_id.as_str());
        let registration = |name: Option<&str>, id: Option<&str>| {
            let found = self.executors.iter().find(|executor| Some(executor.name.as_str()) == name);
            Registration::of(found, fleet, id)
        };
        let mirror = object.status.as_ref().and_then(|status| status.mirror.as_ref());
        ExecutorDeploymentSnapshot {
            cluster: CLUSTER.to_owned(),
            colony: self.colony_of_fleet(object),
            workloads: Workloads {
                deployment: Observed::Known(
                    self.deployments.iter().find(|found| named(&found.name_any())).cloned(),
                ),
                daemon_set: Observed::Known(
                    self.daemon_sets.iter().find(|found| named(&found.name_any())).cloned(),
                ),
                job: Observed::Known(self.jobs.iter().find(|found| named(&found.name_any())).cloned()),
            },
            pods: self
                .pods
                .iter()
                .filter(|pod| pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL) == Some(&name))
                .cloned()
                .collect(),
            pod_identities: self.pod_identities(object, recorded),
            refused_pods: None,
            unmounted: None,
            registration: Observed::Known(registration(executor_name, id)),
            recorded_registration: Observed::Known(registration(recorded, None)),
            identity: Observed::Known(identity),
            processes: Observed::Known(self.processes(mirror)),
            blueprint: Observed::Known(self.blueprint(object)),
            carrier: crate::snapshot::Carrier::default(),
            submit_not_before: None,
            in_flight: AddsInFlight::default(),
            similar_executor_types: Vec::new(),
            earlier: Observed::Known(Vec::new()),
            type_use: TypeUse::default(),
            policy: Policy {
                host_paths: configuration.host_paths.clone(),
                service_accounts: configuration.service_accounts.clone(),
                executor_resources: configuration.executor_resources.clone(),
                gate_image: configuration.gate.image.clone(),
            },
            object: object.clone(),
            now,
        }
    }

    /// The process on record, or whatever has the label of the one that is to be submitted.
    pub(super) fn processes(&self, mirror: Option<&MirrorStatus>) -> Vec<Process> {
        let process_id = mirror.and_then(|mirror| mirror.process_id.as_deref());
        let concerned = |process: &&Process| match process_id {
            Some(id) => process.id.as_str() == id || process.graph_id == id,
            None => mirror.is_some_and(|mirror| process.spec.label == mirror.label),
        };
        let mut processes: Vec<Process> = self.processes.iter().filter(concerned).cloned().collect();
        processes.sort_by(|one, other| (one.submitted_at, &one.id).cmp(&(other.submitted_at, &other.id)));
        processes
    }

    /// The process, or the processes of the workflow, with an id.
    pub(super) fn with_id(&self, id: &str) -> Vec<Process> {
        let is_meant = |process: &&Process| process.id.as_str() == id || process.graph_id == id;
        self.processes.iter().filter(is_meant).cloned().collect()
    }

    /// What variables refer to. An object that the manifests lack counts as one with the key: it may exist.
    pub(super) fn values<'a>(
        &self,
        namespace: &str,
        variables: impl IntoIterator<Item = &'a Variable>,
    ) -> Values {
        let mut values = Values::default();
        let sources =
            variables.into_iter().filter_map(|variable| ValueSource::of(variable.value_from.as_ref()?));
        for (source, _) in sources {
            let (kind, name, key) = match &source {
                ValueSource::Secret { name, key } => ("Secret", name, key),
                ValueSource::ConfigMap { name, key } => ("ConfigMap", name, key),
            };
            let object = self.others.iter().find(|object| {
                object["kind"] == kind && object::key(object) == name && namespace_of(object) == namespace
            });
            let has_key =
                |object: &Value| ["data", "stringData"].iter().any(|field| object[field].get(key).is_some());
            let value = object.is_none_or(has_key).then(|| format!("<{key}>"));
            values.insert(source, Observed::Known(value));
        }
        values
    }

    /// The budget with a name.
    pub(super) fn budget_named(&self, name: &str) -> Option<PodDisruptionBudget> {
        self.budgets.iter().find(|budget| budget.name_any() == name).cloned()
    }

    /// What the executor with an id runs.
    pub(super) fn running_on(&self, executor: &str) -> Option<ProcessId> {
        let runs = |process: &&Process| {
            process.state == ProcessState::Running
                && process.assigned_executor.as_ref().is_some_and(|assigned| assigned.as_str() == executor)
        };
        self.processes.iter().find(runs).map(|process| process.id.clone())
    }

    /// The Secret with a name, whatever the operator's own namespace is.
    pub(super) fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets.iter().find(|secret| secret.name_any() == name)
    }

    /// The executors of a colony.
    pub(super) fn executors_of(&self, colony: &str) -> Vec<Executor> {
        self.executors.iter().filter(|executor| executor.colony == colony).cloned().collect()
    }

    /// The blueprint with a name.
    pub(super) fn blueprint_named(&self, name: &str) -> Option<Blueprint> {
        self.blueprints.iter().find(|blueprint| blueprint.metadata.name == name).cloned()
    }

    /// The blueprint of an object, where there is to be one.
    fn blueprint(&self, object: &ExecutorDeployment) -> Option<Blueprint> {
        self.blueprint_named(&object.blueprint_name()?)
    }

    /// The colony of a fleet. Manifests have neither labels of namespaces nor the operator's own namespace.
    fn colony_of_fleet(&self, object: &ExecutorDeployment) -> ColonyReference {
        let mut found = self.colony(object.spec.colony.as_deref());
        if let ColonyReference::Resolved(colony) = &mut found {
            let namespace = object.namespace().unwrap_or_default();
            colony.access =
                ColonyAccess::of((&colony.name, &colony.spec.inbound), &namespace, &BTreeMap::new(), "");
        }
        found
    }

    /// The colony that an object names, or the default one; when the manifests have none, a placeholder.
    pub(super) fn colony(&self, wanted: Option<&str>) -> ColonyReference {
        let found = self.colonies.iter().find(|colony| match wanted {
            Some(name) => colony.name_any() == name,
            None => colony.is_default(),
        });
        let refused = self.refused_colonies.iter().find(|(name, is_default)| match wanted {
            Some(wanted) => name == wanted,
            None => *is_default,
        });
        let uid = found.and_then(kube::ResourceExt::uid).unwrap_or_default();
        let (name, spec) = match (found, refused) {
            (Some(colony), _) => (colony.name_any(), colony.spec.clone()),
            (None, Some((name, _))) => (name.clone(), stand_in(name)),
            (None, None) if self.colonies.is_empty() => {
                (wanted.unwrap_or("default").to_owned(), stand_in(wanted.unwrap_or("default")))
            }
            (None, None) => return ColonyReference::NotFound { name: wanted.map(str::to_owned) },
        };
        let operator_executor_id = Observed::Known("0".repeat(64));
        let access = ColonyAccess::Refused("only the spec of a fleet is taken from a colony".to_owned());
        ColonyReference::Resolved(Box::new(ResolvedColony {
            name,
            uid,
            was_connected: true,
            spec,
            is_admitted: true,
            access,
            operator_executor_id,
        }))
    }
}

/// What an API server adds to an object that is applied.
fn complete(object: &mut ExecutorDeployment) {
    let metadata = &mut object.metadata;
    metadata.namespace.get_or_insert_with(|| "default".to_owned());
    metadata.uid.get_or_insert_with(|| "00000000-0000-0000-0000-000000000000".to_owned());
    metadata.generation.get_or_insert(1);
}

/// A colony of which only the name is known.
fn stand_in(name: &str) -> ColonySpec {
    ColonySpec {
        server: ColonyServer {
            host: "colonies.example.com".to_owned(),
            port: 443,
            insecure: false,
            ca_secret_name: None,
        },
        colony_name: name.to_owned(),
        location: None,
        credentials_secret_name: format!("colony-{name}"),
        allowed_namespaces: AllowedNamespaces::default(),
        executor_types: Vec::new(),
        inbound: Inbound::default(),
    }
}

/// A blueprint as the colony describes it, whose own tools write it with the kind that it is of, which is ours.
fn blueprint(value: &Value) -> Result<Blueprint, String> {
    let mut value = value.clone();
    value["kind"] = Value::from(EXECUTOR_DEPLOYMENT_KIND);
    parse(&value)
}

/// The identity in a Secret; its id as it says where the key was left out, as it should be in a manifest.
pub(super) fn identity_of(secret: &Secret) -> Identity {
    let mut identity = read_identity(secret);
    if identity.executor_id.is_empty() {
        let said = secret.string_data.as_ref().and_then(|data| data.get("COLONIES_EXECUTOR_ID")).cloned();
        let bytes = secret.data.as_ref().and_then(|data| data.get("COLONIES_EXECUTOR_ID"));
        let said = said.or_else(|| String::from_utf8(bytes?.0.clone()).ok());
        identity.executor_id = said.unwrap_or_default();
    }
    identity
}
