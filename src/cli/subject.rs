//! The processes that a command is about: those of an object, or one by its id.
//!
//! Reads only, with the permissions of its user: the object, its Colony, and the Secrets of that in the operator's
//! namespace. For users who may not read those, the operator reads what is theirs.

use clap::Args;
use kube::{Api, Resource, ResourceExt as _, core::ApiResource};

use super::{
    Failure,
    connection::Connection,
    defined,
    served::ServedKind,
    through_operator::{OperatorService, ThroughOperator},
};
use crate::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        condition::ConditionType,
        executor_deployment::ExecutorDeployment,
        instance::Instance,
        kind::{HasKind, Kind},
        mirror::Mirrored,
        names::{COLONY_ANNOTATION, DEFAULT_COLONY_ANNOTATION, FLOW_ANNOTATION, PROCESS_ANNOTATION},
        request_flow::RequestFlow,
        request_state::RequestState,
    },
    colony::{Log, LogQuery, Process, ProcessId, Session},
    diff::request::lists_jobs,
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
    },
    snapshot::{ColonySnapshot, Credentials, Observed},
    watch::colony::{ColonyReader, read},
};

/// What a command is about.
#[derive(Debug, Args)]
pub(super) struct Subject {
    #[arg(value_name = "OBJECT|ID", help = help())]
    object_or_id: String,
    /// Of a workflow only this node [default: all]
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    connection: Connection,
    /// The Colony [default: the object's, else the default one]
    #[arg(long, value_name = "NAME")]
    colony: Option<String>,
    /// Namespace of the operator, where the Secrets of Colonies are
    #[arg(long, value_name = "NAME", default_value = "colonyos-system", env = "POD_NAMESPACE")]
    operator_namespace: String,
    /// Service of the operator, through which users read who may not read the key of the colony
    #[arg(long, value_name = "NAME", default_value = "colonyos-operator-conversion")]
    operator_service: String,
}

fn help() -> String {
    format!(
        "The object, such as {} or one of a kind that a `ResourceDefinition` defines, such as `mlmodel/NAME`; or the id of a process",
        defined::carried_by_processes().map(|object| format!("`{object}`")).collect::<Vec<_>>().join(", ")
    )
}

/// A process that a command is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The node of the workflow that it is.
    pub node: Option<String>,
    /// Its id.
    pub id: ProcessId,
}

/// The processes of an object, and where they are.
struct OfObject {
    found: Vec<Found>,
    /// The Colony that it names.
    colony: Option<String>,
    /// Its kind, its namespace if it has one, and its name.
    place: (ApiResource, Option<String>, String),
}

/// Where processes are read.
pub(super) enum Source {
    /// In the colony, as its member.
    Colony(Session),
    /// Of the operator, as a user of the cluster.
    Operator(ThroughOperator),
}

impl Source {
    /// A process, with its output.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub(super) async fn process(&self, found: &Found) -> Result<Process, Failure> {
        match self {
            Self::Colony(member) => Ok(member.process(&found.id).await?),
            Self::Operator(operator) => operator.process(found.node.as_deref()).await,
        }
    }

    /// At most 500 lines of its log, written after a time in nanoseconds since 1970.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub(super) async fn logs(&self, found: &Found, since: i64) -> Result<Vec<Log>, Failure> {
        match self {
            Self::Colony(member) => Ok(member.logs(&LogQuery::new(found.id.clone()).since(since)).await?),
            Self::Operator(operator) => operator.logs(found.node.as_deref(), since).await,
        }
    }
}

impl Subject {
    /// Where the processes are read, and the processes: at least one.
    ///
    /// # Errors
    ///
    /// When the object, its process or its colony cannot be read; what to do about it.
    pub(super) async fn find(&self) -> Result<(Source, Vec<Found>), Failure> {
        let kubernetes = self.connection.connect().await?;
        let Some((kind, name)) = self.object_or_id.split_once('/') else {
            let member = self.member(&kubernetes, self.colony.as_deref()).await?;
            return Ok((Source::Colony(member), alone(self.object_or_id.clone())));
        };
        let OfObject { found, colony, place } = self.of_object(&kubernetes, kind, name).await?;
        let named = self.colony.as_deref().or(colony.as_deref());
        let without_key = match self.member(&kubernetes, named).await {
            Ok(member) => return Ok((Source::Colony(member), found)),
            Err(error) => error,
        };
        let Some(token) = self.connection.token().await? else {
            return Err(format!(
                "{without_key}; or read it through the operator, which takes a bearer token: this kubeconfig has none of the user (kubectl create token makes one for a service account)"
            )
            .into());
        };
        let service = OperatorService { namespace: &self.operator_namespace, name: &self.operator_service };
        let (resource, namespace, name) = &place;
        let object = (resource, namespace.as_deref(), name.as_str());
        Ok((Source::Operator(ThroughOperator::new(kubernetes, token, &service, object)), found))
    }

    /// A member of a colony, by the key that the operator has.
    async fn member(&self, kubernetes: &Kubernetes, colony: Option<&str>) -> Result<Session, Failure> {
        let colony = find_colony(kubernetes, colony).await?;
        let clock = Clock::system();
        let reader = ColonyReader {
            kubernetes: &kubernetes.calls,
            namespace: &self.operator_namespace,
            cluster: "",
            clock: &clock,
            metrics: None,
        };
        let reading = read(&colony, &reader, &mut None).await;
        let sessions =
            reading.sessions.ok_or_else(|| without_keys(&reading.snapshot, &self.operator_namespace))?;
        Ok(sessions.member)
    }

    async fn of_object(&self, kubernetes: &Kubernetes, kind: &str, name: &str) -> Result<OfObject, Failure> {
        let namespace = kubernetes.namespace.as_str();
        let own = Kind::called(kind).map(Kind::info).filter(|info| info.process_condition.is_some());
        let served = match own.and_then(|info| info.own.as_ref()) {
            Some(own) => ServedKind::own(own),
            None => ServedKind::of_users(kubernetes, kind).await?,
        };
        if let Some(definition) = &served.definition {
            defined::carried(definition, namespace, name)?;
        }
        let object = served.get(kubernetes, name).await?;
        let (found, colony) = match served.kind() {
            Kind::ExecutorDeployment => {
                let object: ExecutorDeployment = serde_json::from_value(object)?;
                (alone(of_fleet(&object)?), in_colony(&object).or(object.spec.colony))
            }
            Kind::ColonyWorkflow => {
                let object: ColonyWorkflow = serde_json::from_value(object)?;
                (of_workflow(&object, self.node.as_deref())?, in_colony(&object).or(object.spec.colony))
            }
            Kind::RequestState => {
                let object: RequestState = serde_json::from_value(object)?;
                let id = of_mirror(&object, Kind::RequestState.name())?;
                (alone(id), in_colony(&object).or(colony_of_flow(kubernetes, &object).await?))
            }
            Kind::ColonyProcess => {
                let object: ColonyProcess = serde_json::from_value(object)?;
                let id = of_mirror(&object, Kind::ColonyProcess.name())?;
                (alone(id), in_colony(&object).or(object.spec.colony))
            }
            _ => {
                let object: Instance = serde_json::from_value(object)?;
                let made = object.status.as_ref().map_or(&[][..], |status| &status.composed_of);
                if !made.is_empty() {
                    return Err(defined::composed(&served.resource.kind, namespace, name, made).into());
                }
                let id = of_mirror(&object, &served.resource.kind)?;
                let of_kind = served.definition.and_then(|definition| definition.spec.handler.colony);
                (alone(id), in_colony(&object).or(of_kind))
            }
        };
        let namespace = served.is_namespaced.then(|| namespace.to_owned());
        Ok(OfObject { found, colony, place: (served.resource, namespace, name.to_owned()) })
    }
}

/// The Colony that a request's flow, or its annotation, names.
async fn colony_of_flow(kubernetes: &Kubernetes, object: &RequestState) -> Result<Option<String>, Failure> {
    let named = object.annotations().get(FLOW_ANNOTATION).filter(|flow| !lists_jobs(flow));
    let (Some(flow), Some(own)) = (named, &Kind::RequestFlow.info().own) else {
        return Ok(object.annotations().get(COLONY_ANNOTATION).cloned());
    };
    let flow: RequestFlow = serde_json::from_value(ServedKind::own(own).get(kubernetes, flow).await?)?;
    Ok(flow.spec.colony)
}

/// The Colony that status names.
fn in_colony(object: &impl Mirrored) -> Option<String> {
    object.used_colony().map(|used| used.name.clone())
}

fn alone(id: String) -> Vec<Found> {
    vec![Found { node: None, id: ProcessId::new(id) }]
}

/// The processes of a workflow's nodes, or of one of them.
fn of_workflow(object: &ColonyWorkflow, only: Option<&str>) -> Result<Vec<Found>, Failure> {
    let name = object.name_any();
    let nodes = object.status.as_ref().map_or(&[][..], |status| &status.nodes);
    if let Some(wanted) = only.filter(|wanted| object.spec.nodes.iter().all(|node| node.name != *wanted)) {
        let known: Vec<&str> = object.spec.nodes.iter().map(|node| node.name.as_str()).collect();
        return Err(format!("ColonyWorkflow {name} has no node {wanted}: it has {}", known.join(", ")).into());
    }
    let found: Vec<Found> = nodes
        .iter()
        .filter(|node| only.is_none_or(|only| node.name == only))
        .filter_map(|node| {
            let id = ProcessId::new(node.process_id.clone()?);
            Some(Found { node: Some(node.name.clone()), id })
        })
        .collect();
    if found.is_empty() {
        return Err(format!("ColonyWorkflow {name} has no process yet: see its condition Submitted").into());
    }
    Ok(found)
}

/// The current process of an object.
fn of_mirror<K: Mirrored + Resource + HasKind>(object: &K, kind: &str) -> Result<String, Failure> {
    let condition = K::KIND.info().process_condition.map_or("Ready", ConditionType::as_str);
    let id = object.mirror().and_then(|mirror| mirror.process_id.clone());
    let name = object.meta().name.clone().unwrap_or_default();
    id.ok_or_else(|| format!("{kind} {name} has no process yet: see its condition {condition}").into())
}

/// The current process of a fleet, or the one that it originates from.
fn of_fleet(object: &ExecutorDeployment) -> Result<String, Failure> {
    let id = object.annotations().get(PROCESS_ANNOTATION);
    if let (None, Some(id)) = (object.mirror().and_then(|mirror| mirror.process_id.as_ref()), id) {
        return Ok(id.clone());
    }
    of_mirror(object, Kind::ExecutorDeployment.name()).map_err(|error| match object.blueprint_name() {
        Some(blueprint) => format!(
            "ExecutorDeployment {} is mirrored as blueprint {blueprint}: see colonies blueprint get --name {blueprint}",
            object.name_any()
        )
        .into(),
        None => error,
    })
}

async fn find_colony(kubernetes: &Kubernetes, name: Option<&str>) -> Result<Colony, Failure> {
    let api = Api::<Colony>::all(kubernetes.calls.clone());
    let list = call(CALL_TIME_LIMIT, api.list(&kube::api::ListParams::default()))
        .await
        .map_err(|error| {
            let why = error.explain("list Colonies");
            if error.is_forbidden() {
                format!("{why}: ask for the right to read them in the whole cluster, such as ClusterRole colonyos-operator-view")
            } else {
                why
            }
        })?;
    let wanted = |colony: &Colony| match name {
        Some(name) => colony.name_any() == name,
        None => colony.annotations().get(DEFAULT_COLONY_ANNOTATION).is_some_and(|value| value == "true"),
    };
    list.items.into_iter().find(wanted).ok_or_else(|| {
        let which = name.map_or("annotated as the default".to_owned(), |name| format!("named {name:?}"));
        format!("there is no Colony {which}: name one with --colony (kubectl get colonies)").into()
    })
}

/// Why there is no session in a colony, and what to do about it, in one sentence.
fn without_keys(snapshot: &ColonySnapshot, namespace: &str) -> String {
    let (colony, secret) = (snapshot.object.name_any(), &snapshot.object.spec.credentials_secret_name);
    match (&snapshot.credentials, &snapshot.server) {
        (Credentials::Unknown(why), _) => format!(
            "a colony gives this to holders of its key alone, and you may not read that of Colony {colony}: {why}: ask for the right to get Secrets in namespace {namespace}, or have it run by a user who has it"
        ),
        (Credentials::SecretNotFound, _) => format!(
            "there is no Secret {secret} with the key of Colony {colony} in namespace {namespace}: give the operator's namespace with --operator-namespace"
        ),
        (Credentials::Invalid { problem }, _) => problem.clone(),
        (Credentials::OperatorKeysMissing | Credentials::ReconcilerKeyMissing, _) => {
            format!("the operator has no key in Colony {colony} yet: see colonyos-operator doctor")
        }
        (Credentials::Complete, Observed::Unknown(why)) => {
            format!("failed to prepare the connection to Colony {colony}: {why}")
        }
        (Credentials::Complete, Observed::Known(_)) => {
            format!("failed to use the keys of Colony {colony}: see colonyos-operator doctor")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_workflow_is_about_all_of_its_nodes_or_the_one_that_is_named() {
        let node = |name| json!({"name": name, "function": "f", "conditions": {"executorType": "t"}});
        let object: ColonyWorkflow = serde_json::from_value(json!({
            "apiVersion": "colonies.io/v1", "kind": "ColonyWorkflow", "metadata": {"name": "w"},
            "spec": {"nodes": [node("a"), node("b")]},
            "status": {"nodes": [
                {"name": "a", "state": "Running", "processId": "p1"}, {"name": "b", "state": "Pending"},
            ]},
        }))
        .unwrap();
        let found = [Found { node: Some("a".to_owned()), id: ProcessId::new("p1") }];
        assert_eq!(of_workflow(&object, None).unwrap(), found);
        assert_eq!(of_workflow(&object, Some("a")).unwrap(), found);
        assert!(of_workflow(&object, Some("b")).unwrap_err().to_string().contains("no process yet"));
        assert!(of_workflow(&object, Some("c")).unwrap_err().to_string().contains("it has a, b"));
    }

    #[test]
    fn an_object_without_a_process_says_what_carries_it() {
        let object = |annotations: Value| -> ExecutorDeployment {
            serde_json::from_value(json!({
                "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
                "metadata": {"name": "workers", "annotations": annotations},
                "spec": {"executorType": "cli", "image": "i"},
            }))
            .unwrap()
        };
        assert_eq!(of_fleet(&object(json!({"colonies.io/process": "p9"}))).unwrap(), "p9");
        let error = of_fleet(&object(json!({"colonies.io/blueprint": "b"}))).unwrap_err().to_string();
        assert!(error.contains("blueprint b"), "{error}");
        assert!(of_fleet(&object(json!({}))).unwrap_err().to_string().contains("Mirrored"));
    }
}
