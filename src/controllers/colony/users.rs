//! The objects of this cluster that are in a colony: by their records, and definitions whose blueprints are kept there.

use std::{collections::BTreeMap, time::Duration};

use kube::{
    Api, Client, ResourceExt as _, api::ListParams, core::DeserializeGuard, runtime::reflector::Store,
};

use super::processes::MirroredKinds;
use crate::{
    api::{
        colony::Colony,
        condition::ConditionType,
        resource_definition::{HandlerMode, ResourceDefinition},
    },
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
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
        if tokio::time::timeout(FILLED, filled).await.is_err() {
            return Observed::Unknown("not all objects are known yet".to_owned());
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
                return Err(format!("instances of {kind} are not known yet"));
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

/// Whether the API server serves the kind, as far as its definition says.
fn is_established(definition: &ResourceDefinition) -> bool {
    let conditions = definition.status.as_ref().map_or(&[][..], |status| &status.conditions);
    let mut established =
        conditions.iter().filter(|condition| condition.type_ == ConditionType::Established.as_str());
    established.any(|condition| condition.status == "True")
}
