//! What a blueprint wishes for, parsed and bounded. Pure.
//!
//! A blueprint comes from any member of the colony, so each field is read strictly: what cannot be read is refused by
//! name, and what this runtime does not do is noted by name.

mod field;
mod kind;
mod limits;
mod volume;

use std::collections::BTreeMap;

use colonyos_client::{Blueprint, Environment};
use serde_json::{Map, Value, json};
use sha3::{Digest as _, Sha3_256};

pub use kind::Kind;
pub use limits::{Limits, Port};
pub use volume::Volume;

use crate::name::{FleetName, quoted};
use field::{quoted_value, text, texts, whole};
use kind::ENTRIES_MAX;

/// The kind of blueprint that is carried out.
pub const KIND: &str = "ExecutorDeployment";
/// Most replicas of a fleet.
pub const REPLICAS_MAX: u32 = 500;
/// Most bytes of a spec.
const SPEC_MAX: usize = 256 * 1024;
/// Variables that make an executor the one that it is.
pub const IDENTITY: [&str; 7] = [
    "COLONIES_PRVKEY",
    "COLONIES_COLONY_PRVKEY",
    "COLONIES_SERVER_PRVKEY",
    "COLONIES_EXECUTOR_NAME",
    "COLONIES_EXECUTOR_ID",
    "COLONIES_DEPLOYMENT",
    "COLONIES_CONTAINER_NAME",
];
/// Fields that are carried out. `replicas` of a suspended fleet are none.
const FIELDS: [&str; 16] = [
    "args",
    "command",
    "config",
    "cpu",
    "entrypoint",
    "env",
    "executorType",
    "image",
    "memory",
    "ports",
    "privileged",
    "replicas",
    "resources",
    "runtime",
    "suspend",
    "volumes",
];

/// What the person who runs the reconciler allows blueprints to ask for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Folders of the machine that may be mounted, with all below them.
    pub folders: Vec<String>,
    /// Whether containers may be privileged.
    pub privileged: bool,
}

/// A fleet of executors, as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Fleet {
    /// Its name: the blueprint's.
    pub name: FleetName,
    /// The blueprint's id, which tells it from one of the same name that was removed.
    pub id: String,
    /// The generation of its spec.
    pub generation: i64,
    /// How many there are to be.
    pub replicas: u32,
    /// What each of them is.
    pub template: Template,
    /// Fields of the spec that are not carried out, by name.
    pub notes: Vec<String>,
    /// The status that the blueprint has now.
    pub status: Map<String, Value>,
}

/// What each replica of a fleet is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Template {
    /// The type as which it registers.
    pub executor_type: String,
    /// The image; empty for a plain process.
    pub image: String,
    /// In place of the image's entry point.
    pub entrypoint: Vec<String>,
    /// In place of the image's command.
    pub command: Vec<String>,
    /// After the command.
    pub args: Vec<String>,
    /// The user's variables.
    pub environment: Environment,
    /// Folders of the machine.
    pub volumes: Vec<Volume>,
    /// Ports of the container that the machine has.
    pub ports: Vec<Port>,
    /// What it may take.
    pub limits: Limits,
    /// Whether it may do all that the machine may.
    pub privileged: bool,
}

impl Template {
    /// The words of the command line, as far as the spec gives them.
    #[must_use]
    pub fn words(&self) -> Vec<&str> {
        [&self.entrypoint, &self.command, &self.args].into_iter().flatten().map(String::as_str).collect()
    }

    /// What tells it from any other template: replicas are replaced when it changes, and stay when only their number does.
    #[must_use]
    pub fn digest(&self) -> String {
        let volumes: Vec<_> =
            self.volumes.iter().map(|one| json!([one.host, one.container, one.read_only])).collect();
        let ports: Vec<_> = self.ports.iter().map(|one| json!([one.host, one.container, one.udp])).collect();
        let whole = json!([
            self.executor_type,
            self.image,
            self.entrypoint,
            self.command,
            self.args,
            self.environment,
            volumes,
            ports,
            self.limits.millicores,
            self.limits.bytes,
            self.privileged,
        ]);
        hex::encode(&Sha3_256::digest(whole.to_string())[..8])
    }
}

/// A blueprint that cannot be carried out, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// The blueprint's name, as it stands.
    pub name: String,
    /// Field, value and remedy, for each mistake.
    pub reasons: Vec<String>,
    /// Its generation.
    pub generation: i64,
    /// The status that the blueprint has now.
    pub status: Map<String, Value>,
}

/// Reads a blueprint of kind [`KIND`].
///
/// # Errors
/// With every mistake in it.
pub fn parse(blueprint: &Blueprint, kind: Kind, allowed: &Allowed) -> Result<Fleet, Refused> {
    let mut reasons = Vec::new();
    let name = FleetName::parse(&blueprint.metadata.name).map_err(|reason| reasons.push(reason)).ok();
    let size = serde_json::to_string(&blueprint.spec).map_or(usize::MAX, |text| text.len());
    let read = if size > SPEC_MAX {
        reasons.push(format!("spec: it has {size} bytes: use at most {SPEC_MAX}"));
        None
    } else {
        Some(read(&blueprint.spec, kind, allowed, &mut reasons))
    };
    match (name, read) {
        (Some(name), Some((replicas, template))) if reasons.is_empty() => Ok(Fleet {
            name,
            id: blueprint.id.clone(),
            generation: blueprint.metadata.generation,
            replicas,
            template,
            notes: notes(&blueprint.spec, kind),
            status: blueprint.status.clone(),
        }),
        _ => Err(Refused {
            name: blueprint.metadata.name.clone(),
            reasons,
            generation: blueprint.metadata.generation,
            status: blueprint.status.clone(),
        }),
    }
}

fn read(
    spec: &Map<String, Value>,
    kind: Kind,
    allowed: &Allowed,
    reasons: &mut Vec<String>,
) -> (u32, Template) {
    let empty = Map::new();
    let config = match spec.get("config") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(config)) => config,
        Some(other) => {
            reasons.push(format!("spec.config: {}: give an object", quoted_value(other)));
            &empty
        }
    };
    let suspended = spec.get("suspend") == Some(&Value::Bool(true));
    let replicas = whole(spec, "replicas", 1, REPLICAS_MAX, reasons);
    let template = Template {
        executor_type: executor_type(spec, reasons),
        image: image(spec, kind, reasons),
        entrypoint: texts(spec, "entrypoint", reasons),
        command: texts(spec, "command", reasons),
        args: texts(spec, "args", reasons),
        environment: environment(spec, config, reasons),
        volumes: volume::read(spec, config, kind, &allowed.folders, reasons),
        ports: limits::ports(spec, kind, if suspended { 0 } else { replicas }, reasons),
        limits: limits::read(spec, kind, reasons),
        privileged: privileged(spec, kind, allowed, reasons),
    };
    if kind == Kind::Local && template.entrypoint.is_empty() && template.command.is_empty() {
        reasons.push(
            "spec.command: it is missing: give the program and its arguments as a list, a local process has no image"
                .to_owned(),
        );
    }
    (if suspended { 0 } else { replicas }, template)
}

fn executor_type(spec: &Map<String, Value>, reasons: &mut Vec<String>) -> String {
    let name = text(spec, "executorType", reasons);
    let is_name = name.len() <= 253
        && !name.contains(|letter: char| letter == ':' || letter.is_whitespace() || letter.is_control());
    if name.is_empty() {
        reasons.push(
            "spec.executorType: it is missing: give the type as which the executors register".to_owned(),
        );
    } else if !is_name {
        reasons.push(format!("spec.executorType: {}: use a name without `:` and white space", quoted(&name)));
    }
    name
}

fn image(spec: &Map<String, Value>, kind: Kind, reasons: &mut Vec<String>) -> String {
    let image = text(spec, "image", reasons);
    let is_reference = image.len() <= 512
        && image.chars().all(|letter| letter.is_ascii_alphanumeric() || "._-/:@+".contains(letter));
    if kind == Kind::Docker && image.is_empty() {
        reasons.push("spec.image: it is missing: give the image of the containers".to_owned());
    } else if !is_reference {
        reasons.push(format!(
            "spec.image: {}: give a reference such as registry.example.com/name:tag",
            quoted(&image)
        ));
    }
    image
}

fn privileged(spec: &Map<String, Value>, kind: Kind, allowed: &Allowed, reasons: &mut Vec<String>) -> bool {
    match spec.get("privileged") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) if kind == Kind::Local => {
            reasons.push(
                "spec.privileged: a local process has the rights of the reconciler: remove it".to_owned(),
            );
            false
        }
        Some(Value::Bool(true)) if allowed.privileged => true,
        Some(Value::Bool(true)) => {
            reasons.push(
                "spec.privileged: not allowed here: remove it, or start the reconciler with --allow-privileged".to_owned(),
            );
            false
        }
        Some(other) => {
            reasons.push(format!("spec.privileged: {}: give true or false", quoted_value(other)));
            false
        }
    }
}

/// `spec.env`, or `spec.config.env`, as objects of a cluster spell it.
fn environment(
    spec: &Map<String, Value>,
    config: &Map<String, Value>,
    reasons: &mut Vec<String>,
) -> Environment {
    let mut variables = BTreeMap::new();
    for (path, value) in [("spec.env", spec.get("env")), ("spec.config.env", config.get("env"))] {
        let map = match value {
            None | Some(Value::Null) => continue,
            Some(Value::Object(map)) if map.len() <= ENTRIES_MAX => map,
            Some(Value::Object(map)) => {
                reasons.push(format!("{path}: it has {} variables: use at most {ENTRIES_MAX}", map.len()));
                continue;
            }
            Some(_) => {
                reasons.push(format!("{path}: give an object of names and texts"));
                continue;
            }
        };
        for (name, value) in map {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    reasons.push(format!("{path}.{}: give a text", shown(name)));
                    continue;
                }
            };
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                reasons.push(format!(
                    "{path}: {}: use a name without `=` and NUL, and a value without NUL",
                    quoted(name)
                ));
            } else if IDENTITY.contains(&name.as_str()) {
                reasons
                    .push(format!("{path}.{name}: each executor has an identity of its own here: remove it"));
            } else {
                variables.insert(name.clone(), value);
            }
        }
    }
    Environment(variables)
}

/// Fields that are not carried out.
fn notes(spec: &Map<String, Value>, kind: Kind) -> Vec<String> {
    let is_nothing = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    // What decides in a cluster, and has no meaning outside of one.
    let of_clusters =
        ["deletionPolicy", "updatePolicy", "executionGuarantee", "workload", "managementPolicies"];
    let unknown = spec.iter().filter(|(name, value)| {
        !FIELDS.contains(&name.as_str()) && !of_clusters.contains(&name.as_str()) && !is_nothing(value)
    });
    let mut notes: Vec<String> = unknown
        .take(16)
        .map(|(name, _)| format!("spec.{}: runtime {kind} does not carry it out", shown(name)))
        .collect();
    if let Some(Value::Object(config)) = spec.get("config") {
        let others = config
            .iter()
            .filter(|(name, value)| !["env", "volumes"].contains(&name.as_str()) && !is_nothing(value));
        notes.extend(
            others.take(16).map(|(name, _)| {
                format!("spec.config.{}: runtime {kind} does not carry it out", shown(name))
            }),
        );
    }
    if kind == Kind::Local
        && ["cpu", "memory", "ports"]
            .iter()
            .any(|name| spec.get(*name).is_some_and(|value| !is_nothing(value)))
    {
        notes.push(
            "spec.cpu, spec.memory, spec.ports: a local process is not limited and has the machine's ports"
                .to_owned(),
        );
    }
    notes
}

/// The name of a field, as short as it has to be in a sentence.
fn shown(name: &str) -> String {
    name.chars().filter(|letter| !letter.is_control()).take(80).collect()
}

#[cfg(test)]
mod tests;
