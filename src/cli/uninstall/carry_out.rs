//! Deletes what an operator looks after, step by step, and waits for it to go.

use std::time::Duration;

use k8s_openapi::{
    api::{coordination::v1::Lease, core::v1::Secret},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Resource,
    api::DeleteParams,
    core::{ApiResource, DynamicObject},
};

use super::{
    inventory::{Group, Inventory, Left},
    read::Reader,
    shown,
};
use crate::{
    cli::{Failure, output::print},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
};

/// How often it is looked whether objects are gone.
const LOOK: Duration = Duration::from_secs(2);
/// How many objects that stay are named.
const NAMED: usize = 5;

/// What is carried out.
pub(super) struct Uninstall<'a> {
    pub reader: Reader<'a>,
    /// Seconds for the objects of one step.
    pub timeout: u64,
    /// Whether the kinds go too.
    pub crds: bool,
}

impl Uninstall<'_> {
    /// Carries the plan out; what is left to do.
    ///
    /// # Errors
    ///
    /// When no operator runs that could release what it holds, or something does not go.
    pub async fn run(&self, inventory: Inventory) -> Result<String, Failure> {
        let objects = inventory.groups.iter().flat_map(|group| &group.objects);
        let held = objects.filter(|(_, left)| !left.finalizers.is_empty()).count();
        // What nothing holds can go whenever its owner likes, and may be of another operator.
        if inventory.is_running == Some(false) && held > 0 {
            return Err(format!(
                "no operator holds the lease in namespace {}, and {held} objects have finalizers that only one removes: start it, or install it again, and run this command while it runs; if they are of another operator, give the configuration of this one by --config; nothing is deleted yet",
                inventory.namespace
            )
            .into());
        }
        if inventory.is_running != Some(false) {
            for group in &inventory.groups {
                self.delete(group).await?;
            }
        }
        // The operator that runs needs its own objects, and would make them anew.
        if self.reader.lease().await?.1 != Some(true) {
            self.delete_own(&inventory).await?;
            if self.crds {
                self.delete_crds().await?;
            }
        }
        Ok(shown::next(&self.reader.inventory().await?, self.crds))
    }

    /// Deletes the objects of a step and waits until there are none of their kind.
    async fn delete(&self, group: &Group) -> Result<(), Failure> {
        let name = group.kind.name();
        say(&format!("{name}: {} to go, {}", group.objects.len(), group.why))?;
        let gone = async {
            // What was created since is deleted as well.
            loop {
                let left = self.reader.group(group.kind).await?;
                if left.is_empty() {
                    return Ok::<_, Failure>(());
                }
                for (resource, object) in left {
                    self.delete_object(&resource, &object).await?;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        if let Ok(result) = tokio::time::timeout(Duration::from_secs(self.timeout), gone).await {
            return result;
        }
        let left = self.reader.group(group.kind).await?;
        let named: Vec<String> = left.iter().take(NAMED).map(|(_, left)| held(left)).collect();
        Err(format!(
            "after {} seconds {} objects of kind {name} are still there: {}; kubectl describe says more, and the annotation colonies.io/abandon-remote: \"true\" leaves behind what they have in a colony",
            self.timeout,
            left.len(),
            named.join("; ")
        )
        .into())
    }

    async fn delete_object(&self, resource: &ApiResource, object: &Left) -> Result<(), Failure> {
        let client = self.reader.kubernetes.calls.clone();
        let api: Api<DynamicObject> = match &object.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        let what = format!("delete {} {}", object.kind, object.place());
        gone(&what, call(CALL_TIME_LIMIT, api.delete(&object.name, &DeleteParams::default())).await)
    }

    /// The operator's own objects in its namespace.
    async fn delete_own(&self, inventory: &Inventory) -> Result<(), Failure> {
        if let Some(name) = &inventory.lease {
            self.delete_here::<Lease>(name).await?;
        }
        for name in &inventory.secrets {
            self.delete_here::<Secret>(name).await?;
        }
        Ok(())
    }

    async fn delete_here<K>(&self, name: &str) -> Result<(), Failure>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        let kubernetes = self.reader.kubernetes;
        let what = format!("delete {} {name}", K::kind(&()));
        let api = Api::<K>::namespaced(kubernetes.calls.clone(), &kubernetes.namespace);
        gone(&what, call(CALL_TIME_LIMIT, api.delete(name, &DeleteParams::default())).await)
    }

    /// The kinds, unless they have objects: those of another operator would go with them.
    async fn delete_crds(&self) -> Result<(), Failure> {
        let crds = self.reader.crds().await?;
        let used: Vec<String> = crds
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| format!("{count} of {name}"))
            .collect();
        if !used.is_empty() {
            return Err(format!(
                "no CustomResourceDefinition is deleted, for objects are left that this operator does not look after: {}; delete them, or leave the kinds to the operator that does",
                used.join(", ")
            )
            .into());
        }
        let api = Api::<CustomResourceDefinition>::all(self.reader.kubernetes.calls.clone());
        for (name, _) in crds {
            let what = format!("delete CustomResourceDefinition {name}");
            gone(&what, call(CALL_TIME_LIMIT, api.delete(&name, &DeleteParams::default())).await)?;
        }
        Ok(())
    }
}

/// What was to be deleted is gone, or on its way.
fn gone<T>(what: &str, deleted: Result<T, crate::runtime::kubernetes::CallError>) -> Result<(), Failure> {
    match deleted {
        Err(error) if !error.is_not_found() => Err(error.explain(what).into()),
        _ => Ok(()),
    }
}

fn held(left: &Left) -> String {
    let by = if left.finalizers.is_empty() { "nothing".to_owned() } else { left.finalizers.join(", ") };
    let remark = left.remark.as_ref().map(|remark| format!(", {remark}")).unwrap_or_default();
    format!("{} (held by {by}{remark})", left.place())
}

fn say(what: &str) -> Result<(), Failure> {
    print(&format!("{what}\n"))
}
