//! What unit tests of every stage begin with: a colony, a kind of users, and what a pass knows of them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    ColonyAccess, ColonyInstanceState, ColonyReference, ComposedKinds, DefinitionSnapshot, Handlers,
    InstanceSnapshot, Observed, RemainingInstances, ResolvedColony, StoredObjects, WorkHeader,
};
use crate::{
    api::namespace::ColonyTrust,
    api::{
        instance::{InstanceKind, KindTerms},
        resource_definition::{DefinitionScope, ResourceDefinition},
    },
    colony::model::Process,
};

/// A colony that answers.
pub(crate) fn resolved() -> ResolvedColony {
    let spec = json!({ "server": { "host": "h" }, "colonyName": "dev", "credentialsSecretName": "s" });
    ResolvedColony {
        uid: "colony-uid".to_owned(),
        name: "dev".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        was_connected: true,
        is_admitted: true,
        access: ColonyAccess::Granted(ColonyTrust::Restricted),
        operator_executor_id: Observed::Known("id".to_owned()),
    }
}

/// The same, as objects refer to it.
pub(crate) fn colony() -> ColonyReference {
    ColonyReference::Resolved(Box::new(resolved()))
}

/// What the snapshots of work share. at a moment.
pub(crate) fn header(colony: ColonyReference, processes: Observed<Vec<Process>>) -> WorkHeader {
    WorkHeader {
        cluster: "c".to_owned(),
        colony,
        processes,
        submit_not_before: None,
        is_owner_gone: Observed::Known(false),
        restored: Observed::Known(None),
        earlier: Observed::Known(Vec::new()),
        workforce: None,
        now: "2026-11-26T10:00:05Z".parse().unwrap(),
    }
}

/// A moment, by its text.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A moment, by the seconds since 1970.
pub(crate) fn at_second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// The kind `Thing` with a handler, what happens on deletion, and the rest that is accepted.
pub(crate) fn kind(accepted: Value, schema: Option<Value>) -> InstanceKind {
    let resource = kube::core::ApiResource {
        group: "g.example.com".to_owned(),
        version: "v1".to_owned(),
        api_version: "g.example.com/v1".to_owned(),
        kind: "Thing".to_owned(),
        plural: "things".to_owned(),
    };
    InstanceKind::new(KindTerms {
        resource,
        scope: DefinitionScope::Namespaced,
        accepted: serde_json::from_value(accepted).unwrap(),
        is_released: false,
        schema,
    })
}

/// An instance, of which nothing is known but what it says itself.
pub(crate) fn instance(kind: InstanceKind, object: Value) -> InstanceSnapshot {
    InstanceSnapshot {
        object: serde_json::from_value(object).unwrap(),
        kind,
        header: header(ColonyReference::NotFound { name: None }, Observed::Known(Vec::new())),
        in_colony: ColonyInstanceState::default(),
        last_line: None,
    }
}

/// The definition of `Thing`, with a handler.
pub(crate) fn definition(handler: &Value) -> ResourceDefinition {
    serde_json::from_value(json!({
        "metadata": { "name": "things.g.example.com", "generation": 2 },
        "spec": {
            "group": "g.example.com", "names": { "kind": "Thing", "plural": "things" },
            "versions": [{ "name": "v1", "storage": true, "schema": { "openAPIV3Schema": { "type": "object" } } }],
            "handler": handler,
        },
    }))
    .unwrap()
}

/// A definition, of which there is nothing in the cluster yet.
pub(crate) fn defined(object: ResourceDefinition) -> DefinitionSnapshot {
    DefinitionSnapshot {
        object,
        crd: Observed::Known(None),
        missing_rights: Observed::Known(Vec::new()),
        missing_policies: Observed::Known(Vec::new()),
        granted_groups: Vec::new(),
        namespace: "operators".to_owned(),
        instances: None,
        live: Observed::Known(Vec::new()),
        stored: StoredObjects::NotAsked,
        create_in_flight_until: None,
        may_retry_stored: true,
        left: Observed::Known(RemainingInstances::default()),
        composes: ComposedKinds::default(),
        handlers: Handlers::None,
        in_colony: None,
        endpoint: Observed::Unknown("it is being started".to_owned()),
        now: "2026-11-26T10:00:00Z".parse().unwrap(),
    }
}
