//! The two spellings of a fleet's spec: that of an object in the cluster and that of a blueprint in the colony. Pure.
//!
//! They are the same but for what only one side can know: which colony, who owns the spec, and what may be done about
//! objects of the cluster. A blueprint may also use
//! the words of the colony's docker-reconciler (`ColonyOS` 1.9.12).

use serde_json::{Map, Value, json};

use super::{
    super::{SharedSpec, hidden::restore, shared_spec::short},
    stock::understand,
};
use crate::{api::executor_deployment::ExecutorDeploymentSpec, kinds::SpecError};

/// Fields of an object's spec that a blueprint does not have.
pub const OURS_ALONE: [&str; 8] =
    ["adoptionPolicy", "colony", "drain", "drift", "identity", "location", "restorePolicy", "syncPolicy"];

impl SharedSpec {
    /// The spec of an object.
    #[must_use]
    pub fn of_object(spec: &ExecutorDeploymentSpec) -> Self {
        // A spec that came from an API server is JSON.
        let mut fields = match serde_json::to_value(spec) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        fields.retain(|name, value| !OURS_ALONE.contains(&name.as_str()) && !value.is_null());
        Self::with_defaults(fields, defaults())
    }

    /// The spec of a blueprint.
    ///
    /// # Errors
    ///
    /// When it has a field that a fleet does not, lacks one, or one has a value of another type.
    pub fn of_blueprint(spec: &Map<String, Value>) -> Result<Self, SpecError> {
        let mut fields = spec.clone();
        fields.retain(|_, value| !value.is_null());
        if let Some(name) = OURS_ALONE.into_iter().find(|name| fields.contains_key(*name)) {
            let remedy = "remove it: it is for objects in a cluster";
            return Err(SpecError::invalid(format!("spec.{name}"), short(fields.get(name)), remedy));
        }
        understand(&mut fields)?;
        let parsed: ExecutorDeploymentSpec =
            serde_json::from_value(Value::Object(fields.clone())).map_err(|error| {
                SpecError::invalid("spec", error.to_string(), "see kubectl explain executordeployment.spec")
            })?;
        let shared = Self::of_object(&parsed);
        match unknown(&Value::Object(fields), &Value::Object(shared.fields().clone()), "spec") {
            Some((field, value)) => {
                let remedy = "a fleet has no such field; see kubectl explain executordeployment.spec";
                Err(SpecError::invalid(field, short(Some(&value)), remedy))
            }
            None => Ok(shared),
        }
    }

    /// The spec of the object in `colony`; fields that only objects have are as in `before`.
    #[must_use]
    pub fn object_spec(&self, colony: &str, before: Option<&ExecutorDeploymentSpec>) -> Map<String, Value> {
        let mut spec = Value::Object(self.blueprint_spec());
        // A spec that came from an API server is JSON.
        let before = before.and_then(|before| serde_json::to_value(before).ok()).unwrap_or_default();
        restore(&mut spec, &before);
        let Value::Object(mut fields) = spec else { return Map::new() };
        fields.insert("colony".to_owned(), json!(colony));
        for name in OURS_ALONE {
            if let Some(value) = before.get(name).filter(|value| !value.is_null()) {
                fields.entry(name.to_owned()).or_insert_with(|| value.clone());
            }
        }
        fields
    }
}

/// The defaults of a spec with only its required fields.
fn defaults() -> Map<String, Value> {
    let least = json!({ "executorType": "", "image": "" });
    match serde_json::from_value::<ExecutorDeploymentSpec>(least).map(serde_json::to_value) {
        Ok(Ok(Value::Object(fields))) => fields,
        _ => Map::new(),
    }
}

/// A field that was given and did not survive being read.
fn unknown(given: &Value, read: &Value, path: &str) -> Option<(String, Value)> {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => given.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match read.get(name) {
                Some(read) => unknown(value, read, &path),
                None if value.is_null() => None,
                None => Some((path, value.clone())),
            }
        }),
        (Value::Array(given), Value::Array(read)) => {
            let pairs = given.iter().zip(read).enumerate();
            pairs.into_iter().find_map(|(at, (given, read))| unknown(given, read, &format!("{path}[{at}]")))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written to a blueprint and read again, hidden values are no difference, and the object keeps its own.
    #[test]
    fn hidden_variables_converge() {
        let spec: ExecutorDeploymentSpec = serde_json::from_value(json!({
            "executorType": "t", "image": "i", "config": {"env": {"PASSWORD": "hunter2"}},
        }))
        .unwrap();
        let told = SharedSpec::of_object(&spec).without_variables();
        assert!(!format!("{:?}", told.blueprint_spec()).contains("hunter2"));
        let read = SharedSpec::of_blueprint(&told.blueprint_spec()).unwrap();
        assert_eq!(read, told);
        assert_eq!(SharedSpec::of_object(&spec).hidden_like(&read), read);
        let kept = read.object_spec("dev", Some(&spec));
        assert_eq!(kept["config"]["env"]["PASSWORD"], "hunter2");
    }

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn object(value: Value) -> SharedSpec {
        SharedSpec::of_object(&serde_json::from_value(value).unwrap())
    }

    /// The API server fills defaults in; a blueprint is kept as it was written. Both sides are equal.
    #[test]
    fn defaults_and_what_one_side_alone_knows_are_no_difference() {
        let blueprint =
            SharedSpec::of_blueprint(&map(&json!({"image": "i:1", "executorType": "cli", "replicas": 2})))
                .unwrap();
        let object = object(json!({
            "image": "i:1", "executorType": "cli", "replicas": 2, "runtime": "kubernetes", "workload": "Deployment",
            "suspend": false, "deletionPolicy": "Delete", "colony": "dev", "syncPolicy": "ColonyWins",
        }));
        assert_eq!(blueprint.differences(&object), []);
        assert_eq!(blueprint.hash(), object.hash());
    }

    /// A hash that changed with an upgrade would make every object look edited, and have a process submitted for it.
    #[test]
    fn a_field_that_has_its_default_does_not_change_the_hash() {
        let spec = object(json!({"image": "i:1", "executorType": "cli", "replicas": 2}));
        let mut fields = spec.fields().clone();
        assert!(fields.remove("executionGuarantee").is_some() && fields.remove("suspend").is_some());
        let older = SharedSpec::with_defaults(fields, defaults());
        assert_eq!(spec.hash(), older.hash());
        assert_ne!(spec.hash(), object(json!({"image": "i:1", "executorType": "cli"})).hash());
        // As kept by objects of today.
        assert_eq!(spec.hash(), "894ed279370e9fef");
    }

    #[test]
    fn a_blueprint_in_the_words_of_the_docker_reconciler_is_understood() {
        let blueprint = SharedSpec::of_blueprint(&map(&json!({
            "image": "i:1", "executorType": "cli", "env": {"A": "1"},
            "volumes": [{"host": "/data", "container": "/models", "readonly": true}],
        })))
        .unwrap();
        let object = object(json!({
            "image": "i:1", "executorType": "cli",
            "config": {"env": {"A": "1"}, "volumes": [{"source": "/data", "target": "/models", "readOnly": true}]},
        }));
        assert_eq!(blueprint, object);
    }

    /// A field that is dropped silently may be one that users need.
    #[test]
    fn a_field_that_a_fleet_does_not_have_is_named() {
        for (field, value) in [
            ("privileged", json!({"privileged": true})),
            ("config.envs", json!({"config": {"envs": {}}})),
            ("colony", json!({"colony": "dev"})),
        ] {
            let mut spec = map(&json!({"image": "i:1", "executorType": "cli"}));
            spec.extend(map(&value));
            let error = SharedSpec::of_blueprint(&spec).unwrap_err().to_string();
            assert!(error.starts_with(&format!("spec.{field}: ")), "{error}");
        }
        let error = SharedSpec::of_blueprint(&map(&json!({"image": "i:1"}))).unwrap_err().to_string();
        assert!(error.contains("executorType"), "{error}");
        let wrong = map(&json!({"image": "i:1", "executorType": "cli", "replicas": "many"}));
        assert!(SharedSpec::of_blueprint(&wrong).is_err());
    }

    #[test]
    fn differences_name_both_values_but_none_of_a_variable() {
        let one = object(
            json!({"image": "i:1", "executorType": "cli", "replicas": 5, "config": {"env": {"T": "x"}}}),
        );
        let other = object(
            json!({"image": "i:1", "executorType": "cli", "replicas": 3, "config": {"env": {"T": "y"}}}),
        );
        let found = one.differences(&other);
        let replicas = found.iter().find(|difference| difference.field == "spec.replicas").unwrap();
        assert_eq!((replicas.one.as_str(), replicas.other.as_str()), ("5", "3"));
        let variable = found.iter().find(|difference| difference.field == "spec.config.env.T").unwrap();
        assert_eq!((variable.one.as_str(), variable.other.as_str()), ("(not shown)", "(not shown)"));
    }
}
