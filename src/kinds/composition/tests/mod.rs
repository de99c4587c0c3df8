//! What compositions promise to those who write definitions, and to those who apply instances.

mod compiling;
mod examples;
mod fuzz;
mod rendering;
mod typing;

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::{Value, json};

use super::*;
use crate::{api::resource_definition::ComposedResource, snapshot::Observed};

static KINDS: LazyLock<Kinds> = LazyLock::new(Kinds::ours);

/// A definition's handler with what else is needed to compile it.
#[derive(Debug)]
pub(super) struct Definition {
    kind: ObjectKind,
    schema: Value,
    resources: Vec<ComposedResource>,
    status: BTreeMap<String, String>,
    finished_when: Option<String>,
}

impl Definition {
    /// A handler in YAML, for instances whose spec has such properties.
    pub(super) fn new(spec: &Value, handler: &str) -> Self {
        let handler: Value = serde_norway::from_str(handler).unwrap();
        let resources = handler.get("resources").cloned().unwrap_or_else(|| json!([]));
        Self {
            kind: ObjectKind::new("test.example.com/v1", "Thing"),
            schema: json!({"type": "object", "properties": {"spec": {"type": "object", "properties": spec}}}),
            resources: serde_json::from_value(resources).unwrap(),
            status: handler
                .get("status")
                .cloned()
                .map(|status| serde_json::from_value(status).unwrap())
                .unwrap_or_default(),
            finished_when: handler.get("finishedWhen").and_then(Value::as_str).map(str::to_owned),
        }
    }

    pub(super) fn compile(&self) -> Result<Composition, CompositionErrors> {
        let source = Source {
            kind: &self.kind,
            schema: &self.schema,
            resources: &self.resources,
            status: &self.status,
            finished_when: self.finished_when.as_deref(),
        };
        Composition::compile(&source, &KINDS)
    }

    fn compiled(&self) -> Composition {
        self.compile().unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn errors(&self) -> Vec<String> {
        match self.compile() {
            Ok(_) => Vec::new(),
            Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
        }
    }
}

fn instance(spec: &Value) -> Instance {
    let object = json!({
        "apiVersion": "test.example.com/v1", "kind": "Thing",
        "metadata": {"name": "one", "namespace": "team", "uid": "u-1", "generation": 1, "resourceVersion": "7"},
        "spec": spec,
    });
    Instance::of(&object).unwrap()
}

/// What a cluster would have of an instance.
#[derive(Default)]
struct TestCluster(Children);

impl TestCluster {
    /// Has every object that should be there, unless it is held back, each with a status.
    fn obey(&mut self, desired: &Desired, status: impl Fn(&DesiredChild) -> Value) {
        self.0.clear();
        for resource in &desired.resources {
            let Wanted::Objects(objects) = &resource.wanted else { continue };
            for object in objects.iter().filter(|_| resource.held_back.is_none()) {
                let mut made = object.object.clone();
                made["metadata"]["uid"] = json!(format!("uid-of-{}", object.name));
                made["metadata"]["generation"] = json!(1);
                made["status"] = status(object);
                self.put(made);
            }
        }
    }

    fn put(&mut self, object: Value) {
        let kind = ObjectKind::of(&object).unwrap();
        let found = self.0.entry(kind).or_insert_with(|| Observed::Known(Vec::new()));
        match found {
            Observed::Known(objects) => objects.push(object),
            Observed::Unknown(_) => {}
        }
    }
}

/// Ids with their objects' names, `?` where it is not known and `!` where they are held back.
fn outline(desired: &Desired) -> Vec<String> {
    let of = |resource: &DesiredResource| {
        let names = match &resource.wanted {
            Wanted::Objects(objects) => {
                objects.iter().map(|object| object.name.clone()).collect::<Vec<_>>().join(" ")
            }
            Wanted::Unknown(_) => "?".to_owned(),
        };
        let held_back = if resource.held_back.is_some() { "!" } else { "" };
        format!("{}{held_back}: {names}", resource.id)
    };
    desired.resources.iter().map(of).collect()
}
