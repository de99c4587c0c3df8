//! `ResourceDefinitions`, with instances that users create and delete, and no controller that writes to them.

use std::{collections::BTreeMap, sync::Arc};

use colonyos_fake::{ApiServer, cluster::Place};
use colonyos_operator::{
    api::{
        instance::InstanceKind,
        resource_definition::{HandlerMode, InstanceCounts},
    },
    controllers::{DefinitionStages, InstanceControllers},
    memory::rights::Rights,
    snapshot::{ConversionAddress, ConversionEndpoint},
    watch::{
        resource_definition::{DefinitionReader, WatchedInstances},
        stores,
    },
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::{
    engines::{Caches, Controller},
    events::Event,
    kind::{Engines, Kind, WORKER_TYPE, holds},
    memory::{COLONY, NAMESPACE, OPERATOR_NAMESPACE, Servers, key},
    outside::Outside,
};

/// The definition, its CRD, and where instances are.
const NAME: &str = "models.ml.example.com";
const INSTANCE: Place<'static> = Place { resource: NAME, namespace: NAMESPACE, name: "thing" };

/// What is beside definitions; clones share it.
#[derive(Clone)]
pub struct Beside {
    mode: HandlerMode,
    /// The kinds whose controllers run.
    served: Arc<Mutex<BTreeMap<String, InstanceKind>>>,
    /// Whether a user has created an instance and not deleted it.
    has_instance: Arc<Mutex<bool>>,
}

/// Definitions of a kind with a handler of this mode.
pub fn definition(mode: HandlerMode) -> Kind {
    let beside = Beside { mode, served: Arc::default(), has_instance: Arc::default() };
    let mode = if mode == HandlerMode::Blueprint { "blueprint" } else { "process" };
    Kind {
        name: format!("ResourceDefinition, {mode}"),
        resource: "resourcedefinitions.colonies.io",
        names: &[NAME],
        namespace: "",
        object: json!({
            "apiVersion": "colonies.io/v1", "kind": "ResourceDefinition", "metadata": {"name": "NAME"},
            "spec": {
                "group": "ml.example.com", "names": {"kind": "Model", "plural": "models"},
                "versions": [version("v1", true, &["size"])],
                "handler": {"mode": mode, "executorType": WORKER_TYPE, "functionName": "reconcile"},
            },
        }),
        edit: |number| match number {
            1 => json!({"spec": {"versions": [version("v1", true, &["size", "count"])]}}),
            // From now on objects are stored in another version.
            2 => {
                let mut old = version("v1", false, &["size", "count"]);
                old["conversion"] = json!({});
                json!({"spec": {"versions": [version("v2", true, &["size", "count"]), old]}})
            }
            number => json!({"spec": {"handler": {"functionName": format!("reconcile-{number}")}}}),
        },
        sequences: 16,
        settled: crd_is_as_it_should_be,
        registered: Some(nothing_is_lost),
        ..Kind::of(Engines::Definitions(beside))
    }
}

fn version(name: &str, storage: bool, fields: &[&str]) -> Value {
    let properties: serde_json::Map<String, Value> =
        fields.iter().map(|field| ((*field).to_owned(), json!({"type": "integer"}))).collect();
    json!({
        "name": name, "storage": storage,
        "schema": {"openAPIV3Schema": {
            "type": "object", "properties": {"spec": {"type": "object", "properties": properties}},
        }},
    })
}

/// The controller of definitions.
pub async fn start(mut caches: Caches<'_>, servers: &Servers, beside: &Beside) -> Box<dyn Controller> {
    let services = caches.services;
    beside.served.lock().clear();
    services.endpoint.serves(ConversionEndpoint {
        address: ConversionAddress::Url("https://operator.example.com".to_owned()),
        authorities: b"authority".to_vec(),
    });
    let (client, writes) = (&services.kubernetes.watches, &services.writes);
    let objects = caches.objects(stores::resource_definitions(client, &[].into(), writes)).await;
    let colonies = caches.colonies().await;
    let mut filled = caches.filled();
    filled.push(objects.filled.clone());
    let reader = DefinitionReader {
        client: services.kubernetes.calls.clone(),
        definitions: objects.store.clone(),
        colonies,
        processes: services.process_reader(),
        rights: Rights::default(),
        writes: writes.clone(),
        clock: services.clock.clone(),
        cluster: services.cluster.clone(),
        namespace: OPERATOR_NAMESPACE.to_owned(),
        watched: Vec::new(),
        policies: Vec::new(),
        endpoint: services.endpoint.clone(),
        filled,
    };
    let controllers = Controllers { server: servers.cluster.clone(), served: beside.served.clone() };
    let stages = DefinitionStages::new(services.clone(), reader, controllers);
    caches.controller(objects, stages)
}

/// Knows of which kinds the instances are looked after.
struct Controllers {
    server: ApiServer,
    served: Arc<Mutex<BTreeMap<String, InstanceKind>>>,
}

impl InstanceControllers for Controllers {
    fn watched(&self, definition: &str) -> Option<WatchedInstances> {
        let _ = self.served.lock().get(definition)?;
        let live: Vec<_> = self
            .server
            .all(definition)
            .into_iter()
            .map(|object| Arc::new(serde_json::from_value(object).unwrap()))
            .collect();
        let total = i32::try_from(live.len()).unwrap();
        Some(WatchedInstances { counts: InstanceCounts { total, ..InstanceCounts::default() }, live })
    }

    async fn serve(&self, definition: &str, kind: InstanceKind) {
        self.served.lock().insert(definition.to_owned(), kind);
    }

    async fn stop(&self, definition: &str) {
        self.served.lock().remove(definition);
    }

    fn wake_all(&self, _: &str) {}

    fn watch_definitions(&self) {}
}

impl Beside {
    /// There is no instance.
    pub fn begin(&self) {
        *self.has_instance.lock() = false;
    }

    /// What users do with instances.
    pub fn happen(&self, outside: &Outside, event: &Event) {
        match event {
            Event::Ready => self.create(outside),
            Event::Remove { .. } => self.delete(outside),
            _ => {}
        }
    }

    /// No user creates instances of a kind that is being deleted.
    fn create(&self, outside: &Outside) {
        let Some(definition) = outside.servers.cluster.get(outside.place(NAME)) else { return };
        if *self.has_instance.lock() || !definition["metadata"]["deletionTimestamp"].is_null() {
            return;
        }
        let object = json!({
            "apiVersion": "ml.example.com/v1", "kind": "Model",
            "metadata": {"name": INSTANCE.name, "namespace": NAMESPACE}, "spec": {"size": 1},
        });
        *self.has_instance.lock() = outside.servers.cluster.create(&object).is_ok();
    }

    fn delete(&self, outside: &Outside) {
        if std::mem::take(&mut *self.has_instance.lock()) {
            // What was lost is seen at the end.
            *self.has_instance.lock() = outside.servers.cluster.delete(INSTANCE).is_err();
        }
    }

    /// Users delete the instances of a kind that is to go.
    pub fn obey(&self, outside: &Outside) {
        let definition = outside.servers.cluster.get(outside.place(NAME));
        let is_going =
            definition.is_none_or(|definition| !definition["metadata"]["deletionTimestamp"].is_null());
        if is_going && outside.servers.cluster.get(INSTANCE).is_some() {
            self.delete(outside);
            outside.servers.cluster.run_controllers();
        }
    }
}

fn crd_of(outside: &Outside) -> Option<Value> {
    let resource = "customresourcedefinitions.apiextensions.k8s.io";
    outside.servers.cluster.get(Place { resource, namespace: "", name: NAME })
}

fn crd_is_as_it_should_be(outside: &Outside, object: &Value) -> Result<(), String> {
    holds(object, "Ready", "True")?;
    let crd = crd_of(outside).ok_or("there is no CRD")?;
    let (wanted, found) = (&object["spec"]["versions"], &crd["spec"]["versions"]);
    for (wanted, found) in wanted.as_array().into_iter().flatten().zip(found.as_array().into_iter().flatten())
    {
        let schema = "/schema/openAPIV3Schema/properties/spec/properties";
        if wanted["name"] != found["name"] || wanted.pointer(schema) != found.pointer(schema) {
            return Err(format!("the CRD is not as it should be: {found}"));
        }
    }
    let stored = wanted.as_array().and_then(|versions| versions.iter().find(|one| one["storage"] == true));
    if crd["status"]["storedVersions"] != json!([stored.map(|stored| &stored["name"])]) {
        return Err(format!("stored in {}", crd["status"]["storedVersions"]));
    }
    let said = crd["metadata"]["annotations"].to_string();
    let function = object["spec"]["handler"]["functionName"].as_str().unwrap_or_default();
    if said.contains(function) { Ok(()) } else { Err(format!("another function: {said}")) }
}

/// Instances are there as long as users want them, they are looked after while their kind is served, and the colony
/// knows the kind once.
fn nothing_is_lost(outside: &Outside) -> Result<(), String> {
    let Engines::Definitions(beside) = &outside.kind.engines else { return Ok(()) };
    let is_there = outside.servers.cluster.get(INSTANCE).is_some();
    if *beside.has_instance.lock() != is_there {
        return Err(format!("an instance is there: {is_there}, and was not deleted by its user"));
    }
    let definition = outside.servers.cluster.get(outside.place(NAME));
    let crd = crd_of(outside);
    if definition.is_some() != crd.is_some() {
        return Err(format!("the definition {definition:?} has the CRD {crd:?}"));
    }
    if beside.served.lock().contains_key(NAME) != crd.is_some() {
        return Err(format!("looked after: {:?}, CRD {crd:?}", beside.served.lock()));
    }
    let inner = json!({"colonyname": COLONY});
    let listed = outside.servers.colony.call(key(3).id(), "getblueprintdefinitionsmsg", inner).unwrap();
    let functions: Vec<&Value> =
        listed.as_array().into_iter().flatten().map(|one| &one["spec"]["handler"]["functionName"]).collect();
    let wanted: Vec<&Value> = definition
        .iter()
        .filter(|_| beside.mode == HandlerMode::Blueprint)
        .map(|definition| &definition["spec"]["handler"]["functionName"])
        .collect();
    if functions == wanted { Ok(()) } else { Err(format!("the colony has {listed}, not {wanted:?}")) }
}
