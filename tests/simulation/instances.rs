//! Kinds that users make up, one for each handler mode.

use std::sync::Arc;

use colonyos_fake::cluster::Place;
use colonyos_operator::{
    api::{
        instance::{AcceptedHandler, InstanceKind},
        resource_definition::HandlerMode,
    },
    colony::model::BlueprintDefinition,
    controllers::{CompositionStages, InstanceStages},
    snapshot::HandlerState,
    watch::{
        children::ChildWatches,
        composition::CompositionReader,
        stores::{self, Scope},
    },
};
use serde_json::{Value, json};

use crate::{
    engines::{Caches, Controller},
    kind::{Engines, Kind, WORKER_TYPE, generation_is_carried, holds},
    memory::{COLONY, NAMESPACE, Servers, key},
    outside::Outside,
};

/// Where instances are.
const RESOURCE: &str = "models.ml.example.com";

/// The definition of the kind, as the API server is given it.
fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": RESOURCE},
        "spec": {
            "group": "ml.example.com", "scope": "Namespaced",
            "names": {"kind": "Model", "plural": "models", "singular": "model", "listKind": "ModelList"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

/// A kind of instances with this handler, and what is there before them.
#[expect(clippy::needless_pass_by_value, reason = "callers write them in place")]
fn instances(name: &str, handler: Value, spec: Value) -> Kind {
    let accepted: AcceptedHandler = serde_json::from_value(json!({ "handler": handler })).unwrap();
    let instance_kind =
        InstanceKind::of(&serde_json::from_value(definition()).unwrap(), accepted, false).unwrap();
    Kind {
        name: format!("instances, {name}"),
        resource: RESOURCE,
        object: json!({
            "apiVersion": "ml.example.com/v1", "kind": "Model",
            "metadata": {"name": "NAME", "namespace": NAMESPACE},
            "spec": spec,
        }),
        edit: |number| json!({"spec": {"count": (number + 1) % 4, "image": format!("example.com/image:{number}")}}),
        settled: |_, object| generation_is_carried(object),
        ..Kind::of(Engines::Instances(instance_kind))
    }
}

/// Instances that processes carry.
pub fn process(update: &str, cleanup: Option<&str>) -> Kind {
    let mut handler = json!({
        "mode": "process", "executorType": WORKER_TYPE, "functionName": "reconcile", "updatePolicy": update,
    });
    if let Some(cleanup) = cleanup {
        handler["cleanupFunction"] = cleanup.into();
    }
    instances(&format!("process, {update}, {cleanup:?}"), handler, json!({"count": 1, "image": "i"}))
}

/// Instances that are kept as blueprints.
pub fn blueprint() -> Kind {
    let handler = json!({"mode": "blueprint", "executorType": WORKER_TYPE, "functionName": "reconcile"});
    let kind = instances("blueprint", handler, json!({"count": 1, "image": "i"}));
    Kind { settled: blueprint_is_alike, ..kind }
}

/// Instances that are kept as blueprints, of which the colony owns the spec.
pub fn blueprint_of_the_colony() -> Kind {
    let handler = json!({
        "mode": "blueprint", "executorType": WORKER_TYPE, "functionName": "reconcile",
        "blueprint": {"syncPolicy": "ColonyWins"},
    });
    instances("blueprint, ColonyWins", handler, json!({"count": 1, "image": "i"}))
}

/// Instances that are made of other objects: as many as they say, and one that waits for these.
pub fn composition() -> Kind {
    let handler = json!({
        "mode": "compose",
        "resources": [
            {
                "id": "part", "forEach": {"index": "${range(self.spec.count)}"},
                "template": {
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "${self.metadata.name}-${index}"},
                    "data": {"image": "${self.spec.image}"},
                },
            },
            {
                "id": "server",
                "template": {
                    "apiVersion": "apps/v1", "kind": "Deployment",
                    "metadata": {"name": "${self.metadata.name}"},
                    "spec": {
                        "replicas": 1, "selector": {"matchLabels": {"app": "model"}},
                        "template": {
                            "metadata": {"labels": {"app": "model", "parts": "p${part.size()}"}},
                            "spec": {"containers": [{"name": "server", "image": "${self.spec.image}"}]},
                        },
                    },
                },
            },
        ],
    });
    let kind = instances("compose", handler, json!({"count": 1, "image": "i"}));
    Kind { settled: parts_are_there, ..kind }
}

/// Prepares the servers, before there is any instance.
pub fn prepare(servers: &Servers, kind: &InstanceKind) {
    servers.cluster.install([definition()]).unwrap();
    if kind.handler().mode == HandlerMode::Blueprint {
        let kept = BlueprintDefinition::new(COLONY, RESOURCE, "Model", WORKER_TYPE, "reconcile").unwrap();
        let inner = json!({ "blueprintdefinition": kept });
        servers.colony.call(key(2).id(), "addblueprintdefinitionmsg", inner).unwrap();
    }
}

/// The controller of a kind of instances.
pub async fn start(mut caches: Caches<'_>, kind: &InstanceKind) -> Box<dyn Controller> {
    let services = caches.services;
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    let objects = caches.objects(stores::instances(client, &Scope::Cluster, kind, writes)).await;
    if kind.handler().mode != HandlerMode::Compose {
        let _ = services.blueprints.record_handler_state(&kind.name(), &HandlerState::Handled);
        let reader = caches.work_reader(&objects.filled).await;
        return caches.controller(objects, InstanceStages { kind: kind.clone(), reader });
    }
    let (changed, _) = futures::channel::mpsc::unbounded();
    let children = ChildWatches::new(
        (client.clone(), services.kubernetes.calls.clone()),
        vec![Scope::Cluster],
        writes.clone(),
        services.served.clone(),
        services.clock.clone(),
        changed,
    );
    let reader = CompositionReader { children, writes: writes.clone(), clock: services.clock.clone() };
    // Nothing that is made here says by itself when it is ready.
    let kinds_with_readiness = Arc::new(std::collections::BTreeSet::new);
    let stages = CompositionStages::new(kind.clone(), objects.filled.clone(), reader, kinds_with_readiness);
    caches.controller(objects, stages)
}

/// The colony has what the object says.
fn blueprint_is_alike(outside: &Outside, object: &Value) -> Result<(), String> {
    let inner = json!({"namespace": COLONY, "name": object["metadata"]["name"]});
    let found = outside.servers.colony.call(key(3).id(), "getblueprintmsg", inner);
    match found {
        Ok(found) if found["spec"] == object["spec"] => Ok(()),
        found => Err(format!("the colony has {found:?}")),
    }
}

/// As many parts as the object says, and no more.
fn parts_are_there(outside: &Outside, object: &Value) -> Result<(), String> {
    let uid = &object["metadata"]["uid"];
    let parts = outside.servers.cluster.all("configmaps");
    let own: Vec<_> =
        parts.iter().filter(|part| part["metadata"]["ownerReferences"][0]["uid"] == *uid).collect();
    if own.len() as u64 != object["spec"]["count"].as_u64().unwrap_or_default() {
        return Err(format!("it has {} parts", own.len()));
    }
    if let Some(old) = own.iter().find(|part| part["data"]["image"] != object["spec"]["image"]) {
        return Err(format!("a part is not as it should be: {old}"));
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let server = Place { resource: "deployments.apps", namespace: NAMESPACE, name };
    outside.servers.cluster.get(server).ok_or("it has no server")?;
    holds(object, "Ready", "True")
}
