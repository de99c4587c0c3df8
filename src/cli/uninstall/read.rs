//! Reads what an operator looks after.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};

use super::inventory::{Group, Inventory, Left};
use crate::{
    api::{
        self,
        colony::Colony,
        kind::{Kind, UNINSTALL_ORDER},
        names::{APP_MANAGED_BY_LABEL, OPERATOR},
        resource_definition::ResourceDefinition,
    },
    cli::{Failure, served::ServedKind},
    runtime::{
        clock::Clock,
        config::OperatorConfiguration,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
        lease::is_held,
    },
    watch::stores::label_selector,
};

/// Reads what an operator with this configuration looks after.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub kubernetes: &'a Kubernetes,
    pub configuration: &'a OperatorConfiguration,
}

impl Reader<'_> {
    /// All of it.
    ///
    /// # Errors
    ///
    /// When something cannot be read: what is not known may be there.
    pub async fn inventory(&self) -> Result<Inventory, Failure> {
        let mut groups = Vec::new();
        for (kind, why) in UNINSTALL_ORDER {
            let objects = self.group(kind).await?;
            if !objects.is_empty() {
                groups.push(Group { kind, why, objects });
            }
        }
        let (lease, is_running) = self.lease().await?;
        Ok(Inventory {
            namespace: self.kubernetes.namespace.clone(),
            is_running,
            groups,
            lease,
            secrets: self.own_secrets().await?,
            users_secrets: self.users_secrets().await?,
            crds: self.crds().await?,
        })
    }

    /// The objects of a kind, with the resources by which they are deleted.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn group(&self, kind: Kind) -> Result<Vec<(ApiResource, Left)>, Failure> {
        let Some(own) = &kind.info().own else { return self.instances().await };
        self.of_kind(&ServedKind::own(own)).await
    }

    async fn instances(&self) -> Result<Vec<(ApiResource, Left)>, Failure> {
        let mut found = Vec::new();
        for definition in self.definitions().await? {
            // One without a version that is stored has no objects.
            if let Ok(served) = ServedKind::defined(definition) {
                found.extend(self.of_kind(&served).await?);
            }
        }
        Ok(found)
    }

    async fn of_kind(&self, served: &ServedKind) -> Result<Vec<(ApiResource, Left)>, Failure> {
        let found = self.objects(&served.resource, served.is_namespaced).await?;
        Ok(found.into_iter().map(|left| (served.resource.clone(), left)).collect())
    }

    async fn definitions(&self) -> Result<Vec<ResourceDefinition>, Failure> {
        let api = Api::<ResourceDefinition>::all(self.kubernetes.calls.clone());
        match call(CALL_TIME_LIMIT, api.list(&self.labelled())).await {
            Ok(list) => Ok(list.items),
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error.explain("list ResourceDefinitions").into()),
        }
    }

    /// Objects of a kind that are looked after; none of one that the cluster does not serve.
    async fn objects(&self, resource: &ApiResource, is_namespaced: bool) -> Result<Vec<Left>, Failure> {
        let client = self.kubernetes.calls.clone();
        let watched = &self.configuration.watch_namespaces;
        let (apis, parameters): (Vec<Api<DynamicObject>>, _) = if !is_namespaced {
            (vec![Api::all_with(client, resource)], self.labelled())
        } else if watched.is_empty() {
            (vec![Api::all_with(client, resource)], ListParams::default())
        } else {
            let in_one = |name: &String| Api::namespaced_with(client.clone(), name, resource);
            (watched.iter().map(in_one).collect(), ListParams::default())
        };
        let mut found = Vec::new();
        for api in apis {
            let listed = match call(CALL_TIME_LIMIT, api.list(&parameters)).await {
                Err(error) if error.is_not_found() => return Ok(Vec::new()),
                listed => listed.map_err(|error| error.explain(&format!("list {}", resource.plural)))?,
            };
            for object in listed {
                found.push(Left::of(&resource.kind, &serde_json::to_value(object)?));
            }
        }
        Ok(found)
    }

    /// For objects in no namespace.
    fn labelled(&self) -> ListParams {
        ListParams::default().labels(&label_selector(&self.configuration.cluster_selector))
    }

    /// The name of the lease, if there is one, and whether an operator holds it.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub async fn lease(&self) -> Result<(Option<String>, Option<bool>), Failure> {
        let election = &self.configuration.leader_election;
        let api = Api::<Lease>::namespaced(self.kubernetes.calls.clone(), &self.kubernetes.namespace);
        let read = call(CALL_TIME_LIMIT, api.get_opt(&election.lease_name)).await;
        let read = read.map_err(|error| error.explain(&format!("get Lease {}", election.lease_name)))?;
        let is_held = read.as_ref().is_some_and(|lease| is_held(lease, Clock::system().now()));
        let name = read.map(|lease| lease.name_any());
        Ok((name, election.enabled.then_some(is_held)))
    }

    async fn own_secrets(&self) -> Result<Vec<String>, Failure> {
        let api = Api::<Secret>::namespaced(self.kubernetes.calls.clone(), &self.kubernetes.namespace);
        let parameters = ListParams::default().labels(&format!("{APP_MANAGED_BY_LABEL}={OPERATOR}"));
        let listed = call(CALL_TIME_LIMIT, api.list_metadata(&parameters)).await;
        let listed = listed.map_err(|error| error.explain("list Secrets"))?;
        // Those of fleets in the namespace go with them.
        Ok(listed.iter().filter(|one| is_of_operator(*one)).map(ResourceExt::name_any).collect())
    }

    async fn users_secrets(&self) -> Result<Vec<String>, Failure> {
        let api = Api::<Colony>::all(self.kubernetes.calls.clone());
        let listed = match call(CALL_TIME_LIMIT, api.list(&self.labelled())).await {
            Err(error) if error.is_not_found() => return Ok(Vec::new()),
            listed => listed.map_err(|error| error.explain("list Colonies"))?,
        };
        let names = listed.into_iter().flat_map(|colony| {
            [Some(colony.spec.credentials_secret_name), colony.spec.server.ca_secret_name]
        });
        Ok(names.flatten().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The operator's definitions that the cluster has, and how many objects of each are in the whole cluster.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub async fn crds(&self) -> Result<Vec<(String, usize)>, Failure> {
        let api = Api::<CustomResourceDefinition>::all(self.kubernetes.calls.clone());
        let mut found = Vec::new();
        for (definition, (_, own)) in api::custom_resource_definitions().iter().zip(Kind::own()) {
            let name = definition.name_any();
            let read = call(CALL_TIME_LIMIT, api.get_metadata_opt(&name)).await;
            if read.map_err(|error| error.explain(&format!("get CRD {name}")))?.is_none() {
                continue;
            }
            let resource = (own.resource)();
            let objects = Api::<DynamicObject>::all_with(self.kubernetes.calls.clone(), &resource);
            let listed = call(CALL_TIME_LIMIT, objects.list_metadata(&ListParams::default())).await;
            let count = match listed {
                Ok(listed) => listed.items.len(),
                Err(error) if error.is_not_found() => 0,
                Err(error) => return Err(error.explain(&format!("list {}", resource.plural)).into()),
            };
            found.push((name, count));
        }
        Ok(found)
    }
}

/// Whether a Secret of the operator's is one that no fleet owns.
fn is_of_operator(secret: &impl ResourceExt) -> bool {
    secret.owner_references().iter().all(|owner| owner.kind != Kind::ExecutorDeployment.name())
}
