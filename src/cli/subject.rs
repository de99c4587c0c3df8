//! The process that a command is about: that of an object, or one by its id.
//!
//! Reads only, with the rights of whoever calls it: the object, its Colony, and the Secrets of that in the operator's
//! namespace.

use std::fmt::Debug;

use clap::Args;
use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use super::Failure;
use crate::{
    api::{
        colony::Colony,
        colony_process::ColonyProcess,
        executor_deployment::ExecutorDeployment,
        mirror::Mirrored,
        names::{COLONY_ANNOTATION, DEFAULT_COLONY_ANNOTATION, FLOW_ANNOTATION, PROCESS_ANNOTATION},
        request_flow::RequestFlow,
        request_state::RequestState,
    },
    colony::{ProcessId, Session},
    diff::request::lists_jobs,
    runtime::{
        clock::Clock,
        kubernetes::{self, CALL_TIME_LIMIT, Kubernetes, call},
    },
    watch::colony::{Surroundings, read},
};

/// What a command is about.
#[derive(Debug, Args)]
pub(super) struct Subject {
    /// The object, such as `colonyprocess/NAME`, `requeststate/NAME` or `executordeployment/NAME`, or the id of a process
    #[arg(value_name = "OBJECT|ID")]
    object_or_id: String,
    /// Namespace of the object [default: the context's]
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
    /// The Colony [default: the object's, else the default one]
    #[arg(long, value_name = "NAME")]
    colony: Option<String>,
    /// Namespace of the operator, where the Secrets of Colonies are
    #[arg(long, value_name = "NAME", default_value = "colonyos-system", env = "POD_NAMESPACE")]
    operator_namespace: String,
}

impl Subject {
    /// A member of the colony, and the process.
    ///
    /// # Errors
    ///
    /// When the object, its process or its colony cannot be read; what to do about it.
    pub(super) async fn find(&self) -> Result<(Session, ProcessId), Failure> {
        let kubernetes = kubernetes::connect().await?;
        let (id, colony) = match self.object_or_id.split_once('/') {
            None => (self.object_or_id.clone(), None),
            Some((kind, name)) => self.of_object(&kubernetes, kind, name).await?,
        };
        let colony = find_colony(&kubernetes, self.colony.as_deref().or(colony.as_deref())).await?;
        let clock = Clock::system();
        let surroundings = Surroundings {
            kubernetes: &kubernetes.calls,
            namespace: &self.operator_namespace,
            clock: &clock,
            metrics: None,
        };
        let reading = read(&colony, &surroundings, &mut None).await;
        let sessions = reading.sessions.ok_or_else(|| {
            format!(
                "failed to get the keys of Colony {}: may you read Secrets in namespace {}? See colonyos-operator doctor",
                colony.name_any(),
                self.operator_namespace
            )
        })?;
        Ok((sessions.member, ProcessId::new(id)))
    }

    /// The process of an object, and the Colony that it names.
    async fn of_object(
        &self,
        kubernetes: &Kubernetes,
        kind: &str,
        name: &str,
    ) -> Result<(String, Option<String>), Failure> {
        let namespace = self.namespace.as_deref().unwrap_or(&kubernetes.namespace);
        match kind.to_lowercase().as_str() {
            "executordeployment" | "executordeployments" | "ed" | "edeploy" => {
                let object = get::<ExecutorDeployment>(kubernetes, namespace, name).await?;
                Ok((of_fleet(&object)?, object.spec.colony))
            }
            "colonyprocess" | "colonyprocesses" | "cproc" => {
                let object = get::<ColonyProcess>(kubernetes, namespace, name).await?;
                Ok((of_mirror(&object, "ColonyProcess", "Submitted")?, object.spec.colony))
            }
            "requeststate" | "requeststates" | "reqs" => {
                let object = get::<RequestState>(kubernetes, namespace, name).await?;
                let colony = match object.annotations().get(FLOW_ANNOTATION).filter(|flow| !lists_jobs(flow)) {
                    Some(flow) => get::<RequestFlow>(kubernetes, namespace, flow).await?.spec.colony,
                    None => object.annotations().get(COLONY_ANNOTATION).cloned(),
                };
                Ok((of_mirror(&object, "RequestState", "Degraded")?, colony))
            }
            _ => Err(format!(
                "{kind:?} is no kind that is carried by a process: give colonyprocess/NAME, requeststate/NAME or executordeployment/NAME"
            )
            .into()),
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

/// The process that carries an object now.
fn of_mirror<K: Mirrored + Resource>(object: &K, kind: &str, condition: &str) -> Result<String, Failure> {
    let id = object.mirror().and_then(|mirror| mirror.process_id.clone());
    let name = object.meta().name.clone().unwrap_or_default();
    id.ok_or_else(|| format!("{kind} {name} has no process yet: see its condition {condition}").into())
}

/// The process that carries a fleet now, or that it was born of.
fn of_fleet(object: &ExecutorDeployment) -> Result<String, Failure> {
    let id = object.annotations().get(PROCESS_ANNOTATION);
    if let (None, Some(id)) = (object.mirror().and_then(|mirror| mirror.process_id.as_ref()), id) {
        return Ok(id.clone());
    }
    of_mirror(object, "ExecutorDeployment", "Mirrored").map_err(|error| match object.blueprint_name() {
        Some(blueprint) => format!(
            "ExecutorDeployment {} is carried by blueprint {blueprint}: see colonies blueprint get --name {blueprint}",
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
        .map_err(|error| error.explain("list Colonies"))?;
    let wanted = |colony: &Colony| match name {
        Some(name) => colony.name_any() == name,
        None => colony.annotations().get(DEFAULT_COLONY_ANNOTATION).is_some_and(|value| value == "true"),
    };
    list.items.into_iter().find(wanted).ok_or_else(|| {
        let which = name.map_or("annotated as the default".to_owned(), |name| format!("named {name:?}"));
        format!("there is no Colony {which}: name one with --colony (kubectl get colonies)").into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

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
