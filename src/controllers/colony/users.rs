//! The objects of this cluster that are in a colony: by their records, and definitions whose blueprints are kept there.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use kube::{
    Api, Client, ResourceExt as _, api::ListParams, core::DeserializeGuard, runtime::reflector::Store,
};

use super::processes::{Kind, MirroredKinds};
use crate::{
    api::{
        colony::Colony,
        condition::ConditionType,
        resource_definition::{HandlerMode, ResourceDefinition},
    },
    memory::absences::{Absences, Absent},
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
    },
    snapshot::{ColonyUser, Observed},
    watch::stores::label_selector,
};

/// How long a pass waits for the caches of objects.
const FILLED: Duration = Duration::from_secs(5);

/// Where those are looked for that are in a colony.
pub(super) struct Users<'a> {
    pub mirrored_kinds: &'a MirroredKinds,
    /// For definitions.
    pub kubernetes: &'a Client,
    pub colonies: &'a Store<DeserializeGuard<Colony>>,
    /// Labels of the objects in no namespace that this operator looks after.
    pub selector: &'a BTreeMap<String, String>,
    /// Kinds that are gone.
    pub absences: &'a Absences,
    pub clock: &'a Clock,
}

impl Users<'_> {
    /// The objects that are in the colony of a `Colony`.
    pub async fn of(&self, object: &Colony) -> Observed<Vec<ColonyUser>> {
        let kinds = self.mirrored_kinds.all();
        let filled = async {
            for kind in &kinds {
                kind.filled().reached().await;
            }
        };
        if tokio::time::timeout(FILLED, filled).await.is_err()
            && let Some(why) = self.unread(&kinds).await
        {
            return Observed::Unknown(why);
        }
        let name = object.name_any();
        let mut users: Vec<ColonyUser> = kinds.iter().flat_map(|kind| kind.users(&name)).collect();
        if object.metadata.deletion_timestamp.is_some() {
            match self.definitions(&name).await {
                Ok(more) => users.extend(more),
                Err(why) => return Observed::Unknown(why),
            }
        }
        users.sort_by(|one, other| one.object.cmp(&other.object));
        Observed::Known(users)
    }

    /// Why not all objects are known, with the kinds that are not; none if the cluster has no such kinds any more, and so no objects
    /// of them.
    async fn unread(&self, kinds: &[Arc<dyn Kind>]) -> Option<String> {
        let unfilled = kinds.iter().filter(|kind| !kind.filled().is_reached());
        let unfilled: BTreeSet<(String, String)> = unfilled.map(|kind| kind.group_and_kind()).collect();
        let mut unread = Vec::new();
        for (group, kind) in unfilled {
            unread.extend(self.unknown(&group, &kind).await);
        }
        (!unread.is_empty()).then(|| unread.join("; "))
    }

    /// Why the objects of a kind are not known. Of a kind that the cluster does not serve there are none; a CRD may be gone for a
    /// moment only, hence that is seen twice.
    async fn unknown(&self, group: &str, kind: &str) -> Option<String> {
        let absent = Absent::Kind(group.to_owned(), kind.to_owned());
        let asked_at = self.clock.instant();
        match serves(self.kubernetes, group, kind).await {
            Ok(false) if self.absences.seen(absent.clone(), asked_at) => None,
            Ok(false) => Some(format!("the cluster seems not to serve {kind}.{group} any more")),
            Ok(true) => {
                self.absences.present(&absent);
                Some(format!(
                    "objects of {kind}.{group} are not read yet: check that the operator may list and watch them"
                ))
            }
            Err(why) => Some(format!("objects of {kind}.{group} are not read yet: {why}")),
        }
    }

    /// The definitions that are kept in the colony. Their kinds come and go: what is there of one that is not looked after is not
    /// known.
    async fn definitions(&self, colony: &str) -> Result<Vec<ColonyUser>, String> {
        let api = Api::<ResourceDefinition>::all(self.kubernetes.clone());
        let labelled = ListParams::default().labels(&label_selector(self.selector));
        let listed = call(CALL_TIME_LIMIT, api.list(&labelled)).await;
        let listed = listed.map_err(|error| error.explain("list ResourceDefinitions"))?;
        let default = default_of(self.colonies);
        let kinds = self.mirrored_kinds.all();
        let mut users = Vec::new();
        for definition in listed.items {
            let handler = &definition.spec.handler;
            if handler.mode == HandlerMode::Compose {
                continue;
            }
            let (group, kind) = (&definition.spec.group, &definition.spec.names.kind);
            let is_known = kinds.iter().any(|known| known.is_named(group, kind));
            if !is_known && is_established(&definition) {
                self.unknown(group, kind).await.map_or(Ok(()), Err)?;
            }
            let used = definition.status.as_ref().and_then(|status| status.colony.as_ref());
            let named = used.map(|used| &used.name).or(handler.colony.as_ref()).or(default.as_ref());
            if handler.mode == HandlerMode::Blueprint && named.map(String::as_str) == Some(colony) {
                let object = format!("ResourceDefinition {}", definition.name_any());
                users.push(ColonyUser { object, colony_uid: String::new() });
            }
        }
        Ok(users)
    }
}

/// Name of the `Colony` that is used where an object names none.
pub(super) fn default_of(colonies: &Store<DeserializeGuard<Colony>>) -> Option<String> {
    let all = colonies.state();
    let readable = all.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let first = readable.filter(|colony| colony.is_default()).min_by_key(|colony| colony.rank())?;
    Some(first.name_any())
}

/// Whether the cluster serves a kind in any version.
async fn serves(client: &Client, group: &str, kind: &str) -> Result<bool, String> {
    let explained = |error: CallError| error.explain(&format!("look for {kind}.{group}"));
    let groups = call(CALL_TIME_LIMIT, client.list_api_groups()).await.map_err(explained)?;
    let versions = groups.groups.into_iter().filter(|one| one.name == group).flat_map(|one| one.versions);
    for version in versions {
        match call(CALL_TIME_LIMIT, client.list_api_group_resources(&version.group_version)).await {
            Ok(list) if list.resources.iter().any(|resource| resource.kind == kind) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(explained(error)),
        }
    }
    Ok(false)
}

/// Whether the API server serves the kind, as far as its definition says.
fn is_established(definition: &ResourceDefinition) -> bool {
    let conditions = definition.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut established =
        conditions.iter().filter(|condition| condition.type_ == ConditionType::Established.as_str());
    established.any(|condition| condition.status == "True")
}

#[cfg(test)]
mod tests {
    use colonyos_fake::{ApiServer, cluster::Place};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        api::instance::{AcceptedHandler, InstanceKind},
        controllers::{colony::processes::Objects, engine::context::Requeuer},
        memory::writes::Writes,
        watch::stores::{self, Scope},
    };

    const RESOURCE: &str = "models.ml.example.com";

    fn definition() -> Value {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": RESOURCE},
            "spec": {
                "group": "ml.example.com", "scope": "Namespaced",
                "names": {"kind": "Model", "plural": "models", "singular": "model", "listKind": "ModelList"},
                "versions": [{ "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}} }],
            },
        })
    }

    /// The cache of a kind whose CRD is gone is never filled: a `Colony` that is deleted would be held for ever.
    #[tokio::test]
    async fn a_kind_that_is_not_read_is_named_and_one_that_is_gone_holds_nothing() {
        let cluster = ApiServer::new(|| Timestamp::UNIX_EPOCH);
        cluster.install([definition()]).unwrap();
        let client = cluster.client();
        let handler: AcceptedHandler =
            serde_json::from_value(json!({ "handler": { "mode": "process" } })).unwrap();
        let kind = InstanceKind::of(&serde_json::from_value(definition()).unwrap(), handler, false).unwrap();
        let watched = stores::instances(&client, &Scope::Cluster, &kind, &Writes::default());
        let requeuer = Requeuer::new(Vec::new());
        let objects: Arc<dyn Kind> =
            Arc::new(Objects { kind, index: watched.index, filled: watched.filled, requeuer });
        let kinds = [objects];
        let (colonies, _) = kube::runtime::reflector::store();
        let (clock, absences, selector) =
            (Clock::manual(Timestamp::UNIX_EPOCH), Absences::default(), BTreeMap::new());
        let users = Users {
            mirrored_kinds: &MirroredKinds::default(),
            kubernetes: &client,
            colonies: &colonies,
            selector: &selector,
            absences: &absences,
            clock: &clock,
        };
        let why = users.unread(&kinds).await.unwrap();
        assert!(why.contains("Model.ml.example.com") && why.contains("list and watch"), "{why}");

        cluster
            .delete(Place {
                resource: "customresourcedefinitions.apiextensions.k8s.io",
                namespace: "",
                name: RESOURCE,
            })
            .unwrap();
        cluster.run_controllers();
        let why = users.unread(&kinds).await.unwrap();
        assert!(why.contains("seems not to serve Model.ml.example.com"), "{why}");
        clock.advance(Duration::from_secs(6));
        assert_eq!(users.unread(&kinds).await, None);

        cluster.install([definition()]).unwrap();
        assert!(users.unread(&kinds).await.is_some());
        clock.advance(Duration::from_secs(6));
        assert!(users.unread(&kinds).await.is_some(), "it is served again");
    }
}
