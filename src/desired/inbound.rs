//! The request of a process that originates in a colony: an object as it stands, or the upkeep of blueprints. Pure.

use serde_json::{Map, Value, json};

use super::{
    SharedSpec,
    executor_deployment::OURS_ALONE,
    hidden::{HIDDEN, hidden_variable},
};
use crate::{
    api::{
        blueprint::namespace_of,
        colony::ColonySpec,
        names::{CLEANUP_FUNCTION, COMPUTE_GROUP, EXECUTOR_DEPLOYMENT_KIND, VERSION},
        namespace::NamespaceName,
    },
    colony::model::{Blueprint, Process},
    kinds::SpecError,
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Create or update an object with this content.
    Apply(DesiredObject),
    /// Reconcile the object of a blueprint with the blueprint.
    Reconcile {
        /// Name of the blueprint.
        blueprint: String,
        /// Whether to restart its executors.
        force: bool,
    },
    /// Reconcile the objects of all blueprints of the kind.
    ReconcileAll,
    /// That the object of a blueprint that is gone be gone too.
    CleanUp {
        /// Name of the blueprint.
        blueprint: String,
    },
}

/// An object as the colony wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredObject {
    pub namespace: NamespaceName,
    pub name: String,
    /// What it says.
    pub spec: SharedSpec,
}

/// Reads what a process asks for.
///
/// # Errors
///
/// When it is nothing that this operator does; names the argument, its value and what to write instead.
pub fn read(process: &Process, colony: &ColonySpec) -> Result<Request, SpecError> {
    let arguments = &process.spec.kwargs;
    if arguments.is_empty() {
        return Err(SpecError::invalid(
            "kwargs",
            "none",
            "give apiVersion, kind, metadata and spec of an ExecutorDeployment, or kind and blueprintName",
        ));
    }
    let kind = text(arguments, "kind").unwrap_or_default();
    if kind != EXECUTOR_DEPLOYMENT_KIND {
        let remedy = format!("this operator accepts {EXECUTOR_DEPLOYMENT_KIND}");
        return Err(SpecError::invalid("kwargs.kind", format!("{kind:?}"), remedy));
    }
    if arguments.contains_key("spec") {
        return apply(arguments, colony).map(Request::Apply);
    }
    let blueprint = text(arguments, "blueprintName").map(str::to_owned);
    let force = arguments.get("force") == Some(&Value::Bool(true));
    match (process.spec.function == CLEANUP_FUNCTION, blueprint) {
        (true, Some(blueprint)) => Ok(Request::CleanUp { blueprint }),
        (true, None) => {
            Err(SpecError::invalid("kwargs.blueprintName", "absent", "name the blueprint that is gone"))
        }
        (false, Some(blueprint)) => Ok(Request::Reconcile { blueprint, force }),
        (false, None) => Ok(Request::ReconcileAll),
    }
}

/// The object that a blueprint stands for.
///
/// # Errors
///
/// When the blueprint is not a valid fleet.
pub fn object_of(blueprint: &Blueprint, colony: &ColonySpec) -> Result<DesiredObject, SpecError> {
    let metadata = &blueprint.metadata;
    let namespace = namespace_of(metadata).or(colony.inbound.default_namespace()).unwrap_or_default();
    Ok(DesiredObject {
        namespace: namespace_name("metadata.labels[colonies.io/namespace]", namespace)?,
        name: object_name("metadata.name", &metadata.name)?,
        spec: SharedSpec::of_blueprint(&blueprint.spec)?,
    })
}

fn apply(arguments: &Map<String, Value>, colony: &ColonySpec) -> Result<DesiredObject, SpecError> {
    let version = format!("{COMPUTE_GROUP}/{VERSION}");
    let given = text(arguments, "apiVersion").unwrap_or_default();
    if given != version {
        return Err(SpecError::invalid("kwargs.apiVersion", format!("{given:?}"), format!("give {version}")));
    }
    let nothing = json!({});
    let metadata = arguments.get("metadata").unwrap_or(&nothing);
    let said = |field: &str| metadata.get(field).and_then(Value::as_str);
    let Some(Value::Object(spec)) = arguments.get("spec") else {
        return Err(SpecError::invalid("kwargs.spec", "no object", "give the spec of an ExecutorDeployment"));
    };
    // An object that was read from a cluster names its colony; here it is the one that asks.
    let mut spec = spec.clone();
    spec.retain(|name, _| !OURS_ALONE.contains(&name.as_str()));
    // Nor does the process that mirrors an object have the values of its variables.
    if let Some(name) = hidden_variable(&Value::Object(spec.clone())) {
        let field = format!("kwargs.spec.config.env.{name}");
        return Err(SpecError::invalid(field, HIDDEN, "give the value, or leave the variable out"));
    }
    Ok(DesiredObject {
        namespace: namespace_name(
            "kwargs.metadata.namespace",
            said("namespace").or(colony.inbound.default_namespace()).unwrap_or_default(),
        )?,
        name: object_name("kwargs.metadata.name", said("name").unwrap_or_default())?,
        spec: SharedSpec::of_blueprint(&spec)?,
    })
}

fn namespace_name(field: &str, name: &str) -> Result<NamespaceName, SpecError> {
    let shown: String = name.chars().take(80).collect();
    NamespaceName::parse(name).ok_or_else(|| {
        let remedy = "name a namespace: at most 63 lower-case letters, digits and \"-\"";
        SpecError::invalid(field, format!("{shown:?}"), remedy)
    })
}

/// A name that an object can have. The schema allows 52 characters.
fn object_name(field: &str, name: &str) -> Result<String, SpecError> {
    let edge = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    let inner = |character: char| edge(character) || matches!(character, '-' | '.');
    let is_name =
        name.len() <= 52 && name.chars().all(inner) && name.starts_with(edge) && name.ends_with(edge);
    if is_name {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    Err(SpecError::invalid(
        field,
        format!("{shown:?}"),
        "use at most 52 lower-case letters, digits, \"-\" and \".\", beginning and ending with a letter or digit",
    ))
}

fn text<'a>(arguments: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    arguments.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn colony() -> ColonySpec {
        serde_json::from_value(json!({
            "server": {"host": "h"}, "colonyName": "dev", "credentialsSecretName": "s",
            "inbound": {"policy": "Accept", "namespaces": ["default", "team"], "defaultNamespace": "team"},
        }))
        .unwrap()
    }

    /// Almost what is asked for, with anything in any place.
    fn almost() -> impl Strategy<Value = Value> {
        const NAMES: [&str; 24] = [
            "kind",
            "apiVersion",
            "metadata",
            "spec",
            "namespace",
            "name",
            "labels",
            "annotations",
            "blueprintName",
            "force",
            "image",
            "executorType",
            "replicas",
            "config",
            "env",
            "envFrom",
            "volumes",
            "source",
            "target",
            "template",
            "workload",
            "resources",
            "tolerations",
            "colonies.io/namespace",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
            "[a-z./%]{0,12}".prop_map(Value::from),
            prop::sample::select(vec!["ExecutorDeployment", "compute.colonies.io/v1", "team"])
                .prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 48, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(
                    prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
                    inner,
                    0..8
                )
                .prop_map(Value::from_iter),
            ]
        })
    }

    /// What is taken from a colony goes into paths of the API server.
    fn is_harmless(object: &DesiredObject) -> bool {
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        };
        is_plain(object.namespace.as_str())
            && !object.namespace.as_str().contains('.')
            && is_plain(&object.name)
    }

    proptest! {
        // PROPTEST_CASES asks for more.
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_request_of_a_colony_makes_it_panic(arguments in almost(), metadata in almost(), spec in almost(), name in "[a-z./%]{0,12}|\\PC{0,12}") {
            let whole = json!({
                "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
                "metadata": {"name": "w", "namespace": name}, "spec": spec,
            });
            let mut named = whole.clone();
            named["metadata"] = json!({"name": name});
            let mut any = whole.clone();
            any["metadata"] = metadata;
            for arguments in [arguments, whole, named, any] {
                let process = serde_json::from_value::<Process>(json!({
                    "processid": "p", "state": 1, "submissiontime": "2026-11-21T10:00:00Z",
                    "starttime": "2026-11-21T10:00:00Z", "endtime": "0001-01-01T00:00:00Z",
                    "spec": {"funcname": name, "kwargs": arguments},
                }));
                if let Ok(Ok(Request::Apply(object))) = process.map(|process| read(&process, &colony())) {
                    prop_assert!(is_harmless(&object), "{object:?}");
                }
            }
        }

        #[test]
        fn no_blueprint_makes_it_panic(metadata in almost(), spec in almost(), name in "[a-z./%]{0,12}|\\PC{0,12}") {
            let named = json!({"name": "w", "colonyname": "dev", "labels": {"colonies.io/namespace": name}});
            for metadata in [metadata, named, json!({"name": name, "colonyname": "dev"})] {
                let blueprint = json!({"blueprintid": "b", "kind": "ExecutorDeployment", "metadata": metadata, "spec": spec});
                let Ok(blueprint) = serde_json::from_value::<Blueprint>(blueprint) else { continue };
                if let Ok(object) = object_of(&blueprint, &colony()) {
                    prop_assert!(is_harmless(&object), "{object:?}");
                }
            }
        }
    }

    fn process(function: &str, arguments: &Value) -> Process {
        serde_json::from_value(json!({
            "processid": "p", "state": 1, "submissiontime": "2026-11-21T10:00:00Z",
            "starttime": "2026-11-21T10:00:00Z", "endtime": "0001-01-01T00:00:00Z",
            "spec": {"funcname": function, "kwargs": arguments},
        }))
        .unwrap()
    }

    fn ask(function: &str, arguments: &Value) -> Result<Request, String> {
        read(&process(function, arguments), &colony()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_plain_form_is_an_object_as_it_stands() {
        let spec = json!({"image": "i:1", "executorType": "cli", "colony": "elsewhere"});
        let arguments = json!({
            "apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
            "metadata": {"name": "workers", "namespace": "media"}, "spec": spec,
        });
        let Request::Apply(object) = ask("reconcile_executor_deployment", &arguments).unwrap() else {
            panic!()
        };
        assert_eq!((object.namespace.as_str(), object.name.as_str()), ("media", "workers"));
        assert_eq!(object.spec.object_spec("dev", None)["colony"], "dev");
    }

    /// A reader copies them as they are.
    #[test]
    fn the_examples_are_understood() {
        let process: Value = serde_json::from_str(include_str!("../../examples/process.json")).unwrap();
        let Request::Apply(object) = ask("f", &process["kwargs"]).unwrap() else { panic!() };
        assert_eq!(object.name, "sorters");
        let blueprint: Value = serde_json::from_str(include_str!("../../examples/blueprint.json")).unwrap();
        let mut blueprint = blueprint;
        blueprint["metadata"]["colonyname"] = json!("dev");
        let blueprint: Blueprint = serde_json::from_value(blueprint).unwrap();
        assert_eq!(object_of(&blueprint, &colony()).unwrap().namespace.as_str(), "default");
    }

    #[test]
    fn the_blueprint_forms_are_told_apart() {
        let kind = json!({"kind": "ExecutorDeployment"});
        assert_eq!(ask("reconcile", &kind).unwrap(), Request::ReconcileAll);
        let named = json!({"kind": "ExecutorDeployment", "blueprintName": "b", "force": true});
        let reconcile = Request::Reconcile { blueprint: "b".into(), force: true };
        assert_eq!(ask("reconcile", &named).unwrap(), reconcile);
        assert_eq!(ask("cleanup", &named).unwrap(), Request::CleanUp { blueprint: "b".into() });
    }

    /// The requester sees only this, as the error of the process.
    #[test]
    fn what_cannot_be_done_names_argument_value_and_remedy() {
        let object = |name: &str, spec: Value| json!({"apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment", "metadata": {"name": name}, "spec": spec});
        for (arguments, expected) in [
            (json!({}), "kwargs: none: "),
            (json!({"kind": "Database"}), "kwargs.kind: \"Database\": "),
            (json!({"kind": "ExecutorDeployment", "spec": {}}), "kwargs.apiVersion: \"\": "),
            (
                object("Bad_Name", json!({"image": "i", "executorType": "t"})),
                "kwargs.metadata.name: \"Bad_Name\": ",
            ),
            (
                object(
                    "ok",
                    json!({"image": "i", "executorType": "t", "config": {"env": {"A": "(not shown)"}}}),
                ),
                "kwargs.spec.config.env.A: (not shown): ",
            ),
            (
                json!({"apiVersion": "compute.colonies.io/v1", "kind": "ExecutorDeployment",
                    "metadata": {"name": "a", "namespace": "colonyos-system/secrets/colony-dev"},
                    "spec": {"image": "i", "executorType": "t"}}),
                "kwargs.metadata.namespace: \"colonyos-system/secrets/colony-dev\": ",
            ),
            (
                object("ok", json!({"image": "i", "executorType": "t", "privileged": true})),
                "spec.privileged: true: ",
            ),
        ] {
            let error = ask("reconcile", &arguments).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn a_blueprint_may_name_its_namespace() {
        let mut blueprint = Blueprint::new("dev", "ExecutorDeployment", "workers").unwrap();
        blueprint.spec = json!({"image": "i:1", "executorType": "cli"}).as_object().unwrap().clone();
        assert_eq!(object_of(&blueprint, &colony()).unwrap().namespace.as_str(), "team");
        blueprint.metadata.labels.insert("colonies.io/namespace".to_owned(), "media".to_owned());
        assert_eq!(object_of(&blueprint, &colony()).unwrap().namespace.as_str(), "media");
    }
}
