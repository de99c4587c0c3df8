//! `colonyos-operator colony`: definitions and instances of a file into a colony, without a cluster.

use std::{fs, io, io::Read as _, path::PathBuf};

use clap::Subcommand;
use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::{Failure, colony_server::ColonyServer, output};
use crate::colony::{Blueprint, BlueprintDefinition, Error, Session};

/// The group of definitions that name none.
const GROUP: &str = "compute.colonies.io";
/// The function of a handler that names none.
const FUNCTION: &str = "reconcile";

/// What `colony` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Add the definitions of a file to the colony, with the key of its owner (`COLONIES_COLONY_PRVKEY`)
    Register(Register),
    /// Add the instances of a file to the colony as blueprints, or change those that are there, with the key of a member
    /// (`COLONIES_PRVKEY`), or of its owner
    Submit(Submit),
}

#[derive(clap::Args)]
struct Register {
    /// File with one definition, a list of them or a stream, as JSON or YAML; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    server: ColonyServer,
}

#[derive(clap::Args)]
struct Submit {
    /// File with one instance, a list of them or a stream, as JSON or YAML; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Location at which they are carried out [default: the file's `metadata.locationname` or `spec.location`]
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    #[command(flatten)]
    server: ColonyServer,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match &arguments.command {
        Command::Register(arguments) => runtime.block_on(register(arguments)),
        Command::Submit(arguments) => runtime.block_on(submit(arguments)),
    }
}

async fn register(arguments: &Register) -> Result<(), Failure> {
    let owner = arguments.server.session(&[("COLONIES_COLONY_PRVKEY", "the key of the colony's owner")])?;
    for file in documents(&arguments.file)? {
        let definition = definition_of(&file, owner.colony())?;
        let name = &definition.metadata.name;
        let kind = &definition.spec.names.kind;
        let said = match owner.blueprint_definition(name).await {
            Ok(there) if is_same(&there, &definition) => "is registered already",
            Ok(_) => {
                return Err(format!(
                    "colony {} has another definition {name}, and definitions cannot be changed there: remove it (colonies blueprint definition remove --name {name}), or give this one another name",
                    owner.colony()
                )
                .into());
            }
            Err(error) if error.is_not_found() => {
                owner.add_blueprint_definition(&definition).await?;
                "is registered"
            }
            Err(error) => return Err(error.into()),
        };
        let handler = &definition.spec.handler;
        output::print(&format!(
            "Kind {kind} {said} in colony {}, as definition {name}; handler: {} of executors of type {}\n",
            owner.colony(),
            handler.function,
            handler.executor_type
        ))?;
    }
    Ok(())
}

async fn submit(arguments: &Submit) -> Result<(), Failure> {
    let keys = [
        ("COLONIES_PRVKEY", "the key of a member"),
        ("COLONIES_COLONY_PRVKEY", "that of the colony's owner"),
    ];
    let member = arguments.server.session(&keys)?;
    for file in documents(&arguments.file)? {
        let wanted = blueprint_of(&file, member.colony(), arguments.location.as_deref())?;
        let said = put(&member, &wanted).await?;
        let place = match wanted.metadata.location.as_str() {
            "" => "without a location".to_owned(),
            location => format!("at location {location}"),
        };
        output::print(&format!(
            "{} {} {said} in colony {}, {place}\n",
            wanted.kind,
            wanted.metadata.name,
            member.colony()
        ))?;
    }
    Ok(())
}

/// Adds a blueprint, or changes the spec of the one that is there.
async fn put(member: &Session, wanted: &Blueprint) -> Result<String, Failure> {
    let name = &wanted.metadata.name;
    let mut there = match member.blueprint(name).await {
        Ok(there) => there,
        Err(error) if error.is_not_found() => {
            let added = member.add_blueprint(wanted).await.map_err(|error| explained(&error, wanted))?;
            return Ok(format!("is submitted as generation {}", added.metadata.generation));
        }
        Err(error) => return Err(error.into()),
    };
    if there.kind != wanted.kind || there.metadata.location != wanted.metadata.location {
        return Err(format!(
            "colony {} has a blueprint {name} of kind {} at location {:?}: give another name, or remove it (colonies blueprint remove --name {name})",
            member.colony(),
            there.kind,
            there.metadata.location
        )
        .into());
    }
    if there.spec == wanted.spec {
        return Ok(format!("is as it was, generation {}", there.metadata.generation));
    }
    there.spec.clone_from(&wanted.spec);
    let changed = member.update_blueprint(&there, false).await?;
    Ok(format!("is changed, generation {}", changed.metadata.generation))
}

fn explained(error: &Error, wanted: &Blueprint) -> Failure {
    format!(
        "{error}; is kind {} registered? `colonyos-operator colony register FILE` registers it",
        wanted.kind
    )
    .into()
}

/// The documents of a file, each of which may be a list.
fn documents(file: &PathBuf) -> Result<Vec<Value>, Failure> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?
    };
    let mut found = Vec::new();
    for document in serde_norway::Deserializer::from_str(&text) {
        match Value::deserialize(document)
            .map_err(|error| format!("failed to read {}: {error}", file.display()))?
        {
            Value::Null => {}
            Value::Array(list) => found.extend(list),
            one => found.push(one),
        }
    }
    if found.is_empty() {
        return Err(format!("{}: there is nothing in it", file.display()).into());
    }
    Ok(found)
}

/// A definition, as the server takes it. Older ones call themselves `CustomResourceDefinition`, or nothing at all.
fn definition_of(file: &Value, colony: &str) -> Result<BlueprintDefinition, Failure> {
    let text = |path: &str| file.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("/spec/names/kind").ok_or("spec.names.kind: it is missing: name the kind")?;
    let handler = text("/spec/handler/executorType").ok_or(
        "spec.handler.executorType: it is missing: name the type of the executors that carry the kind out",
    )?;
    let name = text("/metadata/name").map_or_else(|| hyphenated(kind), str::to_owned);
    let function = text("/spec/handler/functionName").unwrap_or(FUNCTION);
    let mut definition = BlueprintDefinition::new(colony, &name, kind, handler, function)?;
    let spec = &mut definition.spec;
    text("/spec/group").unwrap_or(GROUP).clone_into(&mut spec.group);
    text("/spec/version").unwrap_or("v1").clone_into(&mut spec.version);
    text("/spec/scope").unwrap_or("Namespaced").clone_into(&mut spec.scope);
    spec.names.plural =
        text("/spec/names/plural").map_or_else(|| format!("{}s", kind.to_lowercase()), str::to_owned);
    spec.names.singular = text("/spec/names/singular").map_or_else(|| kind.to_lowercase(), str::to_owned);
    spec.schema = file.pointer("/spec/schema").filter(|schema| !schema.is_null()).cloned();
    Ok(definition)
}

fn is_same(there: &BlueprintDefinition, wanted: &BlueprintDefinition) -> bool {
    let shape = |definition: &BlueprintDefinition| {
        let spec = &definition.spec;
        (
            spec.names.kind.clone(),
            spec.handler.executor_type.clone(),
            spec.handler.function.clone(),
            spec.schema.clone(),
        )
    };
    shape(there) == shape(wanted)
}

/// `ExecutorDeployment` as `executor-deployment`.
fn hyphenated(kind: &str) -> String {
    let mut name = String::new();
    for letter in kind.chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// An instance as a blueprint. It may be written for a cluster: what only that one has is left out.
fn blueprint_of(file: &Value, colony: &str, location: Option<&str>) -> Result<Blueprint, Failure> {
    let text = |path: &str| file.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    let kind = text("/kind").ok_or("kind: it is missing: name a kind that the colony has a definition of")?;
    let name = text("/metadata/name").ok_or("metadata.name: it is missing: give the instance a name")?;
    let mut spec = match file.get("spec") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(spec)) => spec.clone(),
        Some(_) => return Err("spec: give an object".into()),
    };
    let of_spec = spec.remove("location");
    spec.remove("colony");
    let mut blueprint = Blueprint::new(colony, kind, name)?;
    let location = location.or_else(|| text("/metadata/locationname")).or_else(|| of_spec.as_ref()?.as_str());
    location.unwrap_or_default().clone_into(&mut blueprint.metadata.location);
    blueprint.spec = spec;
    Ok(blueprint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_old_definition_gets_what_the_server_wants() {
        let old = json!({"kind": "CustomResourceDefinition", "spec": {
            "names": {"kind": "ExecutorDeployment"},
            "handler": {"executorType": "executor-deployment-controller", "functionName": "reconcile_executor_deployment"}}});
        let definition = definition_of(&old, "dev").unwrap();
        assert_eq!(
            (definition.metadata.name.as_str(), definition.metadata.colony.as_str()),
            ("executor-deployment", "dev")
        );
        assert_eq!(definition.spec.handler.function, "reconcile_executor_deployment");
        assert_eq!(
            (definition.spec.group.as_str(), definition.spec.names.plural.as_str()),
            (GROUP, "executordeployments")
        );
        for (field, file) in [
            ("spec.names.kind", json!({"spec": {"handler": {"executorType": "a"}}})),
            ("spec.handler.executorType", json!({"spec": {"names": {"kind": "A"}}})),
        ] {
            let error = definition_of(&file, "dev").unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }

    #[test]
    fn an_object_of_a_cluster_is_a_blueprint_without_what_only_clusters_have() {
        let object = json!({"apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "ml", "namespace": "dev"}, "spec": {"colony": "c", "location": "edge", "runtime": "docker"}});
        let blueprint = blueprint_of(&object, "dev", None).unwrap();
        assert_eq!(
            (blueprint.metadata.location.as_str(), blueprint.metadata.colony.as_str()),
            ("edge", "dev")
        );
        assert_eq!(Value::Object(blueprint.spec), json!({"runtime": "docker"}));
        assert_eq!(blueprint_of(&object, "dev", Some("here")).unwrap().metadata.location, "here");
        assert!(blueprint_of(&json!({"kind": "A"}), "dev", None).is_err());
    }
}
