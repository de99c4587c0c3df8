//! The pod template of an executor: hardened to the *restricted* pod security standard, with the user's own template
//! merged over it. Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, Container, PodSchedulingGate, PodSecurityContext, PodSpec, PodTemplateSpec,
        ResourceRequirements, SeccompProfile, SecurityContext,
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use serde_json::Value;

use super::{drain, environment, restricted, volumes};
use crate::{
    api::{
        executor_deployment::{ExecutorDeploymentSpec, Resources},
        metadata::Owner,
        names::{
            ENVIRONMENT_ANNOTATION, EXECUTOR_CONTAINER, EXECUTOR_NAME_ANNOTATION, IDENTITY_LABEL,
            IDENTITY_PER_POD, REGISTRATION_GATE, RESTART_ANNOTATION,
        },
    },
    kinds::SpecError,
    runtime::config::model::ExecutorResources,
    snapshot::{Policy, ResolvedColony},
};

/// User and group of executors whose image and template name none; the `nonroot` user of common base images.
const NON_ROOT: i64 = 65532;

/// As whom pods serve.
#[derive(Clone, Copy, Debug)]
pub enum Serves<'a> {
    /// All as one executor, by its name.
    As(&'a str),
    /// Each as one of its own, in an environment that has a hash.
    AsItself { name_prefix: &'a str, environment: &'a str },
}

/// Makes the template of an executor's pods. Another `restarted_for` restarts them.
///
/// # Errors
///
/// When the spec asks for a volume, a service account or a privilege that is not allowed, or its template is none.
pub fn build(
    owner: &Owner,
    spec: &ExecutorDeploymentSpec,
    policy: &Policy,
    colony: &ResolvedColony,
    serves: Serves<'_>,
    restarted_for: Option<&String>,
) -> Result<PodTemplateSpec, SpecError> {
    let config = spec.config.as_ref();
    let wanted = config.and_then(|config| config.volumes.as_deref()).unwrap_or_default();
    let (volumes, mounts) = volumes::build(wanted, policy)?;
    let container = Container {
        name: EXECUTOR_CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        command: spec.command.as_deref().map(environment::literals),
        args: spec.args.as_deref().map(environment::literals),
        env: Some(environment::variables(owner, config)),
        env_from: Some(environment::sources(owner, config)),
        resources: Some(resources(spec.resources.as_ref(), &policy.executor_resources)),
        volume_mounts: (!mounts.is_empty()).then_some(mounts),
        security_context: Some(container_security()),
        ..Container::default()
    };
    let pod = PodSpec {
        containers: vec![container],
        volumes: (!volumes.is_empty()).then_some(volumes),
        node_selector: spec.node_selector.clone(),
        tolerations: spec.tolerations.clone(),
        service_account_name: spec.service_account_name.clone(),
        // A token is for those who named an account to use it.
        automount_service_account_token: Some(spec.service_account_name.is_some()),
        // Variables for every Service of the namespace are no part of an executor's environment.
        enable_service_links: Some(false),
        security_context: Some(pod_security()),
        ..PodSpec::default()
    };
    let mut template = PodTemplateSpec { metadata: None, spec: Some(pod) };
    if let Some(users) = &spec.template {
        template = merge(template, users)?;
    }
    if let Some(drain) = &spec.drain {
        drain::build(owner, drain, policy, colony, &mut template)?;
    }
    let metadata = template.metadata.get_or_insert_with(ObjectMeta::default);
    let labels = metadata.labels.get_or_insert_default();
    labels.extend(owner.labels(&spec.executor_type));
    let annotations = metadata.annotations.get_or_insert_default();
    match serves {
        Serves::As(name) => drop(annotations.insert(EXECUTOR_NAME_ANNOTATION.to_owned(), name.to_owned())),
        // The webhook adds an end to the names of the executor and of its Secret when a pod is created.
        Serves::AsItself { name_prefix, environment } => {
            annotations.insert(EXECUTOR_NAME_ANNOTATION.to_owned(), name_prefix.to_owned());
            annotations.insert(ENVIRONMENT_ANNOTATION.to_owned(), environment.to_owned());
            labels.insert(IDENTITY_LABEL.to_owned(), IDENTITY_PER_POD.to_owned());
            let gates = template.spec.get_or_insert_default().scheduling_gates.get_or_insert_default();
            gates.retain(|gate| gate.name != REGISTRATION_GATE);
            gates.push(PodSchedulingGate { name: REGISTRATION_GATE.to_owned() });
        }
    }
    annotations.extend(restarted_for.map(|process| (RESTART_ANNOTATION.to_owned(), process.clone())));
    restricted::check(&template, policy, owner)?;
    Ok(template)
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(NON_ROOT),
        run_as_group: Some(NON_ROOT),
        fs_group: Some(NON_ROOT),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
        ..SecurityContext::default()
    }
}

/// The user's values, and the operator's defaults for resources that the user omits.
fn resources(wanted: Option<&Resources>, defaults: &ExecutorResources) -> ResourceRequirements {
    let quantities = |wanted: Option<&BTreeMap<String, IntOrString>>| {
        wanted
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), quantity(value)))
            .collect::<BTreeMap<_, _>>()
    };
    let mut limits = quantities(wanted.and_then(|wanted| wanted.limits.as_ref()));
    let mut requests = quantities(wanted.and_then(|wanted| wanted.requests.as_ref()));
    for (name, default) in &defaults.limits {
        // A default limit below what is requested would only make the pod invalid.
        if !requests.contains_key(name) {
            limits.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    for (name, default) in &defaults.requests {
        if wanted.and_then(|wanted| wanted.limits.as_ref()).is_none_or(|limits| !limits.contains_key(name)) {
            requests.entry(name.clone()).or_insert_with(|| default.clone());
        }
    }
    ResourceRequirements {
        limits: (!limits.is_empty()).then_some(limits),
        requests: (!requests.is_empty()).then_some(requests),
        claims: None,
    }
}

fn quantity(value: &IntOrString) -> Quantity {
    match value {
        IntOrString::Int(number) => Quantity(number.to_string()),
        IntOrString::String(text) => Quantity(text.clone()),
    }
}

/// Merges the user's template over the operator's: objects field by field, lists of named things by name.
fn merge(
    template: PodTemplateSpec,
    users: &serde_json::Map<String, Value>,
) -> Result<PodTemplateSpec, SpecError> {
    let not_a_template = |error: serde_json::Error| {
        SpecError::invalid("spec.template", error.to_string(), "write it as the template of a Deployment")
    };
    let mut merged = serde_json::to_value(template).map_err(not_a_template)?;
    merge_value(&mut merged, &Value::Object(users.clone()));
    let known: PodTemplateSpec = serde_json::from_value(merged.clone()).map_err(not_a_template)?;
    let kept = serde_json::to_value(&known).map_err(not_a_template)?;
    // A field that the type does not keep is a typing error that would otherwise vanish without a word.
    if let Some(path) = first_lost(&merged, &kept, "spec.template") {
        return Err(SpecError::invalid(path, "unknown field", "write it as the template of a Deployment"));
    }
    Ok(known)
}

fn merge_value(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    merge_value(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(base), Value::Array(over)) if over.iter().all(|item| name_of(item).is_some()) => {
            for item in over {
                match base.iter_mut().find(|existing| name_of(existing) == name_of(item)) {
                    Some(existing) => merge_value(existing, item),
                    None => base.push(item.clone()),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

fn name_of(item: &Value) -> Option<&str> {
    item.get("name").and_then(Value::as_str)
}

/// Path of the first field that `given` has and `kept` has not.
fn first_lost(given: &Value, kept: &Value, path: &str) -> Option<String> {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => given.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            match kept.get(key) {
                Some(kept) => first_lost(value, kept, &path),
                None if value.is_null() => None,
                None => Some(path),
            }
        }),
        (Value::Array(given), Value::Array(kept)) => given
            .iter()
            .zip(kept)
            .enumerate()
            .find_map(|(index, (given, kept))| first_lost(given, kept, &format!("{path}[{index}]"))),
        _ => None,
    }
}
