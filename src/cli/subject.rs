//! The processes that a command is about: those of an object, or one by its id.
//!
//! Reads only, with the permissions of its user: the object, its Colony, and the Secrets of that in the operator's
//! namespace.

use std::fmt::Debug;

use clap::Args;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::{Failure, connection::Connection, defined};
use crate::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        colony_workflow::ColonyWorkflow,
        condition::ConditionType,
        executor_deployment::ExecutorDeployment,
        kind::{HasKind, Kind},
        mirror::Mirrored,
        names::{COLONY_ANNOTATION, DEFAULT_COLONY_ANNOTATION, FLOW_ANNOTATION, PROCESS_ANNOTATION},
        request_flow::RequestFlow,
        request_state::RequestState,
    },
    colony::{ProcessId, Session},
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

/// The processes of an object, and the Colony that it names.
type OfObject = (Vec<Found>, Option<String>);

impl Subject {
    /// A member of the colony, and the processes: at least one.
    ///
    /// # Errors
    ///
    /// When the object, its process or its colony cannot be read; what to do about it.
    pub(super) async fn find(&self) -> Result<(Session, Vec<Found>), Failure> {
        let kubernetes = self.connection.connect().await?;
        let (found, colony) = match self.object_or_id.split_once('/') {
            None => (alone(self.object_or_id.clone()), None),
            Some((kind, name)) => self.of_object(&kubernetes, kind, name).await?,
        };
        let colony = find_colony(&kubernetes, self.colony.as_deref().or(colony.as_deref())).await?;
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
        Ok((sessions.member, found))
    }

    /// The processes of an object, and the Colony that it names.
    async fn of_object(&self, kubernetes: &Kubernetes, kind: &str, name: &str) -> Result<OfObject, Failure> {
        let namespace = kubernetes.namespace.as_str();
        match Kind::called(kind) {
            Some(Kind::ExecutorDeployment) => {
                let object = get::<ExecutorDeployment>(kubernetes, namespace, name).await?;
                Ok((alone(of_fleet(&object)?), in_colony(&object).or(object.spec.colony)))
            }
            Some(Kind::ColonyProcess) => {
                let object = get::<ColonyProcess>(kubernetes, namespace, name).await?;
                Ok((
                    alone(of_mirror(&object, Kind::ColonyProcess.name())?),
                    in_colony(&object).or(object.spec.colony),
                ))
            }
            Some(Kind::ColonyWorkflow) => {
                let object = get::<ColonyWorkflow>(kubernetes, namespace, name).await?;
                Ok((of_workflow(&object, self.node.as_deref())?, in_colony(&object).or(object.spec.colony)))
            }
            Some(Kind::RequestState) => {
                let object = get::<RequestState>(kubernetes, namespace, name).await?;
                let named = match object.annotations().get(FLOW_ANNOTATION).filter(|flow| !lists_jobs(flow)) {
                    Some(flow) => get::<RequestFlow>(kubernetes, namespace, flow).await?.spec.colony,
                    None => object.annotations().get(COLONY_ANNOTATION).cloned(),
                };
                let colony = in_colony(&object).or(named);
                Ok((alone(of_mirror(&object, Kind::RequestState.name())?), colony))
            }
            _ => {
                let definition = defined::find(kubernetes, kind).await?;
                let object = defined::get(kubernetes, &definition, namespace, name).await?;
                let id = of_mirror(&object, &definition.spec.names.kind)?;
                Ok((alone(id), in_colony(&object).or(definition.spec.handler.colony)))
            }
        }
    }
}

async fn get<K>(kubernetes: &Kubernetes, namespace: &str, name: &str) -> Result<K, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api = Api::<K>::namespaced(kubernetes.calls.clone(), namespace);
    let what = format!("get {} {namespace}/{name}", K::kind(&()));
    call(CALL_TIME_LIMIT, api.get(name)).await.map_err(|error| error.explain(&what).into())
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
