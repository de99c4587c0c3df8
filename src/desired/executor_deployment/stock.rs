//! A fleet's spec in the words of `ColonyOS`'s docker-reconciler, which reads `env`, `volumes`, `entrypoint`, `cpu` and `memory` at the top
//! of a blueprint, and what of a spec such a runtime does not carry out. Pure.

use serde_json::{Map, Value, json};

use super::super::{SharedSpec, shared_spec::short};
use crate::{
    api::executor_deployment::{ExecutorDeploymentSpec, Runtime, Workload},
    kinds::SpecError,
};

/// Limits of a container that the runtime carries out.
const LIMITS: [&str; 2] = ["cpu", "memory"];

impl SharedSpec {
    /// The spec of the blueprint of a fleet, in the words of whoever carries it out.
    #[must_use]
    pub fn fleet_blueprint_spec(&self) -> Map<String, Value> {
        let mut fields = self.blueprint_spec();
        if is_elsewhere(&fields) {
            spell(&mut fields);
        }
        fields
    }

    /// Whether a blueprint with this spec is written in other words than those of whoever carries it out.
    #[must_use]
    pub fn is_spelled_otherwise(&self, written: &Map<String, Value>) -> bool {
        let wanted = self.fleet_blueprint_spec();
        let is_there =
            |spec: &Map<String, Value>, name: &str| spec.get(name).is_some_and(|value| !value.is_null());
        ["env", "volumes", "entrypoint", "cpu", "memory"]
            .into_iter()
            .any(|name| is_there(&wanted, name) && !is_there(written, name))
    }
}

/// Fields of a spec that reconcilers of other runtimes do not carry out.
#[must_use]
pub fn not_carried_out(spec: &ExecutorDeploymentSpec) -> Vec<String> {
    if spec.runtime == Runtime::Kubernetes {
        return Vec::new();
    }
    let mut fields = Vec::new();
    let mut unless = |is_carried_out: bool, field: String| {
        if !is_carried_out {
            fields.push(field);
        }
    };
    unless(spec.workload == Workload::Deployment, "spec.workload".to_owned());
    if let Some(config) = &spec.config {
        unless(config.env_from.as_ref().is_none_or(Vec::is_empty), "spec.config.envFrom".to_owned());
        for volume in config.volumes.iter().flatten() {
            let is_folder = volume.source.as_deref().is_some_and(|source| source.starts_with('/'));
            unless(is_folder, format!("spec.config.volumes (target {})", volume.target));
        }
    }
    if let Some(resources) = &spec.resources {
        unless(
            resources.requests.as_ref().is_none_or(std::collections::BTreeMap::is_empty),
            "spec.resources.requests".to_owned(),
        );
        for limit in resources.limits.iter().flatten().map(|(name, _)| name) {
            let is_carried_out = LIMITS.contains(&limit.as_str()) && spec.runtime == Runtime::Docker;
            unless(is_carried_out, format!("spec.resources.limits.{limit}"));
        }
    }
    unless(spec.node_selector.is_none(), "spec.nodeSelector".to_owned());
    unless(spec.tolerations.is_none(), "spec.tolerations".to_owned());
    unless(spec.service_account_name.is_none(), "spec.serviceAccountName".to_owned());
    unless(spec.template.is_none(), "spec.template".to_owned());
    fields
}

fn is_elsewhere(fields: &Map<String, Value>) -> bool {
    fields
        .get("runtime")
        .and_then(Value::as_str)
        .is_some_and(|runtime| runtime != Runtime::Kubernetes.as_str())
}

fn spell(fields: &mut Map<String, Value>) {
    // In a cluster, `command` is the entry point.
    if let Some(command) = fields.remove("command") {
        fields.insert("entrypoint".to_owned(), command);
    }
    for limit in LIMITS {
        let value =
            fields.get("resources").and_then(|resources| resources.get("limits")?.get(limit)).map(text);
        fields.extend(value.map(|value| (limit.to_owned(), value)));
    }
    let Some(Value::Object(mut config)) = fields.remove("config") else { return };
    if let Some(env) = config.remove("env") {
        fields.insert("env".to_owned(), env);
    }
    let volumes = config.get("volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let folders: Vec<Value> = volumes.iter().filter_map(folder).collect();
    if !folders.is_empty() {
        if folders.len() == volumes.len() {
            config.remove("volumes");
        }
        fields.insert("volumes".to_owned(), Value::Array(folders));
    }
    if !config.is_empty() {
        fields.insert("config".to_owned(), Value::Object(config));
    }
}

/// A folder of the machine as the docker-reconciler has it; none for any other volume.
fn folder(volume: &Value) -> Option<Value> {
    let source = volume.get("source")?.as_str().filter(|source| source.starts_with('/'))?;
    let mut spelled = json!({ "host": source, "container": volume.get("target")? });
    if let (Some(read_only), Some(fields)) = (volume.get("readOnly"), spelled.as_object_mut()) {
        fields.insert("readOnly".to_owned(), read_only.clone());
    }
    Some(spelled)
}

fn text(value: &Value) -> Value {
    value.as_str().map_or_else(|| Value::from(value.to_string()), Value::from)
}

/// Takes the docker-reconciler's words into those of an object.
pub(super) fn understand(fields: &mut Map<String, Value>) -> Result<(), SpecError> {
    entry_point(fields)?;
    for limit in LIMITS {
        take_limit(fields, limit)?;
    }
    for word in ["env", "volumes"] {
        let Some(value) = fields.remove(word) else { continue };
        let value = if word == "volumes" { volumes(value)? } else { value };
        let config = fields.entry("config").or_insert_with(|| json!({}));
        let Some(config) = config.as_object_mut() else {
            return Err(SpecError::invalid("spec.config", short(Some(config)), "give an object"));
        };
        match config.get(word) {
            None => drop(config.insert(word.to_owned(), value)),
            // Beside volumes that the docker-reconciler does not know.
            Some(Value::Array(all))
                if value.as_array().is_some_and(|some| some.iter().all(|one| all.contains(one))) => {}
            Some(_) => {
                let remedy = format!("it is in spec.config.{word} too: keep one of them");
                return Err(SpecError::invalid(format!("spec.{word}"), short(Some(&value)), remedy));
            }
        }
    }
    Ok(())
}

fn entry_point(fields: &mut Map<String, Value>) -> Result<(), SpecError> {
    let Some(entry_point) = fields.remove("entrypoint") else { return Ok(()) };
    let after = fields.insert("command".to_owned(), entry_point);
    let Some(Value::Array(mut after)) = after else { return Ok(()) };
    match fields.remove("args") {
        None => {}
        Some(Value::Array(args)) => after.extend(args),
        Some(args) => return Err(SpecError::invalid("spec.args", short(Some(&args)), "give a list")),
    }
    fields.insert("args".to_owned(), Value::Array(after));
    Ok(())
}

fn take_limit(fields: &mut Map<String, Value>, limit: &str) -> Result<(), SpecError> {
    let Some(value) = fields.remove(limit) else { return Ok(()) };
    let object = |value: &mut Value| value.is_object();
    let resources = fields.entry("resources").or_insert_with(|| json!({}));
    if !object(resources) {
        return Err(SpecError::invalid("spec.resources", short(Some(resources)), "give an object"));
    }
    let limits =
        resources.as_object_mut().map(|resources| resources.entry("limits").or_insert_with(|| json!({})));
    let Some(limits) = limits.and_then(Value::as_object_mut) else {
        return Err(SpecError::invalid("spec.resources.limits", "no object", "give an object"));
    };
    match limits.get(limit) {
        None => drop(limits.insert(limit.to_owned(), value)),
        Some(same) if text(same) == text(&value) => {}
        Some(_) => {
            let remedy = format!("spec.resources.limits.{limit} is another: keep one of them");
            return Err(SpecError::invalid(format!("spec.{limit}"), short(Some(&value)), remedy));
        }
    }
    Ok(())
}

/// `{host, container, readonly}` as `{source, target, readOnly}`.
fn volumes(value: Value) -> Result<Value, SpecError> {
    let Value::Array(volumes) = value else {
        return Err(SpecError::invalid("spec.volumes", short(Some(&value)), "give a list"));
    };
    let renamed = volumes.into_iter().map(|volume| {
        let Value::Object(volume) = volume else { return volume };
        let name = |name: String| match name.as_str() {
            "host" => "source".to_owned(),
            "container" => "target".to_owned(),
            "readonly" => "readOnly".to_owned(),
            _ => name,
        };
        volume.into_iter().map(|(field, value)| (name(field), value)).collect()
    });
    Ok(Value::Array(renamed.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(value: Value) -> ExecutorDeploymentSpec {
        serde_json::from_value(value).unwrap()
    }

    fn example() -> Value {
        json!({
            "runtime": "docker", "replicas": 3, "executorType": "ml", "image": "ml:1",
            "command": ["/run"], "args": ["--fast"], "resources": {"limits": {"cpu": 2, "memory": "1Gi"}},
            "config": {
                "env": {"MODEL_CACHE_DIR": "/models"},
                "volumes": [{"source": "/data/models", "target": "/models"},
                            {"source": "/etc/ml", "target": "/etc/ml", "readOnly": true}],
            },
        })
    }

    #[test]
    fn a_fleet_of_another_runtime_is_told_in_the_words_of_its_reconciler_and_read_back_the_same() {
        let shared = SharedSpec::of_object(&spec(example()));
        let told = shared.fleet_blueprint_spec();
        assert_eq!(told["env"], json!({"MODEL_CACHE_DIR": "/models"}));
        assert_eq!(
            told["volumes"],
            json!([{"host": "/data/models", "container": "/models"},
                   {"host": "/etc/ml", "container": "/etc/ml", "readOnly": true}])
        );
        assert_eq!((&told["entrypoint"], &told["args"]), (&json!(["/run"]), &json!(["--fast"])));
        assert_eq!((&told["cpu"], &told["memory"]), (&json!("2"), &json!("1Gi")));
        assert!(!told.contains_key("config") && !told.contains_key("command"), "{told:?}");
        assert_eq!(SharedSpec::of_blueprint(&told).unwrap(), shared);
        assert!(!shared.is_spelled_otherwise(&told) && shared.is_spelled_otherwise(&shared.blueprint_spec()));
        assert_eq!(not_carried_out(&spec(example())), [] as [&str; 0]);
    }

    #[test]
    fn a_fleet_of_this_cluster_is_told_in_its_own_words() {
        let mut fleet = example();
        fleet["runtime"] = json!("kubernetes");
        let shared = SharedSpec::of_object(&spec(fleet.clone()));
        assert_eq!(shared.fleet_blueprint_spec(), shared.blueprint_spec());
        assert!(!shared.is_spelled_otherwise(&shared.blueprint_spec()));
    }

    #[test]
    fn what_a_reconciler_does_not_know_is_kept_and_named() {
        let mut fleet = example();
        fleet["config"]["volumes"][1] = json!({"emptyDir": {}, "target": "/scratch"});
        fleet["config"]["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
        fleet["nodeSelector"] = json!({"a": "b"});
        fleet["resources"]["limits"]["nvidia.com/gpu"] = json!(1);
        let fleet = spec(fleet);
        let shared = SharedSpec::of_object(&fleet);
        let told = shared.fleet_blueprint_spec();
        assert_eq!(told["volumes"], json!([{"host": "/data/models", "container": "/models"}]));
        assert_eq!(SharedSpec::of_blueprint(&told).unwrap(), shared);
        assert_eq!(
            not_carried_out(&fleet),
            [
                "spec.config.envFrom",
                "spec.config.volumes (target /scratch)",
                "spec.resources.limits.nvidia.com/gpu",
                "spec.nodeSelector",
            ]
        );
    }

    #[test]
    fn the_same_said_twice_and_otherwise_is_refused_by_name() {
        for (field, value) in [
            ("env", json!({"env": {"A": "1"}, "config": {"env": {"A": "2"}}})),
            ("volumes", json!({"volumes": [{"host": "/a", "container": "/b"}], "config": {"volumes": []}})),
            ("cpu", json!({"cpu": "1", "resources": {"limits": {"cpu": "2"}}})),
            ("resources", json!({"memory": "1Gi", "resources": 1})),
        ] {
            let mut fields = value.as_object().unwrap().clone();
            let error = understand(&mut fields).unwrap_err().to_string();
            assert!(error.starts_with(&format!("spec.{field}: ")), "{error}");
        }
        let mut both =
            json!({"entrypoint": ["/a"], "command": ["b"], "args": ["c"]}).as_object().unwrap().clone();
        understand(&mut both).unwrap();
        assert_eq!(Value::Object(both), json!({"command": ["/a"], "args": ["b", "c"]}));
    }
}
