//! The environment of an executor, as stock executors and docker-reconcilers expect it, and the Secret that holds it.
//! Pure.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, Pod, SecretEnvSource, SecretKeySelector,
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::ResourceExt as _;

use crate::{
    api::{
        executor_deployment::{Config, ExecutorDeploymentSpec},
        metadata::{self, Owner},
        names::{self, CONTENT_HASH_ANNOTATION, EXECUTOR_CONTAINER},
    },
    snapshot::ResolvedColony,
};

/// Environment variable with the executor's private key.
pub const PRIVATE_KEY: &str = "COLONIES_PRVKEY";
/// Environment variable with the executor's name.
pub const EXECUTOR_NAME: &str = "COLONIES_EXECUTOR_NAME";
/// Environment variable with the executor's id.
pub const EXECUTOR_ID: &str = "COLONIES_EXECUTOR_ID";

/// The Secret with an executor's identity, but for name, id and key, which are made when it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredIdentity {
    /// Metadata of the Secret, with the hash of `environment`.
    pub metadata: ObjectMeta,
    /// Beginning of the executor's name. Names are burnt once an executor is removed, so the rest is random.
    pub name_prefix: String,
    /// Type as which it registers.
    pub executor_type: String,
    /// Its location.
    pub location: Option<String>,
    /// The environment that is no secret.
    pub environment: BTreeMap<String, String>,
}

impl DesiredIdentity {
    /// Hash of `environment`.
    #[must_use]
    pub fn content_hash(&self) -> Option<&String> {
        self.metadata.annotations.as_ref()?.get(CONTENT_HASH_ANNOTATION)
    }
}

/// The identity of an object's executor.
#[must_use]
pub fn identity(owner: &Owner, spec: &ExecutorDeploymentSpec, colony: &ResolvedColony) -> DesiredIdentity {
    let environment = environment(owner, spec, colony);
    let mut metadata = owner.child(&names::identity_secret(&owner.name), &spec.executor_type);
    let hash = metadata::content_hash(&serde_json::json!([environment, spec.executor_type]));
    metadata.annotations = Some(BTreeMap::from([(CONTENT_HASH_ANNOTATION.to_owned(), hash)]));
    DesiredIdentity {
        metadata,
        name_prefix: names::executor_prefix(&owner.namespace, &owner.name),
        executor_type: spec.executor_type.clone(),
        location: spec.location_in(colony.spec.location.as_deref()).map(str::to_owned),
        environment,
    }
}

impl DesiredIdentity {
    /// The identity of the executor of one pod, by the end of the executor's name. It goes with the pod.
    #[must_use]
    pub fn of_pod(&self, fleet: &str, end: &str, pod: &Pod) -> Self {
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        };
        let metadata = ObjectMeta {
            name: Some(names::pod_identity_secret(fleet, end)),
            owner_references: Some(vec![owner]),
            ..self.metadata.clone()
        };
        Self { metadata, ..self.clone() }
    }
}

/// The environment of an executor besides its identity. The names are those that the docker-reconciler of `ColonyOS`
/// injects; stock executors refuse to start when one of the `EXECUTOR_HW_*` counts is no number.
fn environment(
    owner: &Owner,
    spec: &ExecutorDeploymentSpec,
    colony: &ResolvedColony,
) -> BTreeMap<String, String> {
    let server = &colony.spec.server;
    let location = spec.location_in(colony.spec.location.as_deref()).unwrap_or_default().to_owned();
    let port = server.port.to_string();
    let tls = (!server.insecure).to_string();
    [
        ("COLONIES_SERVER_HOST", server.host.clone()),
        ("COLONIES_SERVER_PORT", port.clone()),
        ("COLONIES_TLS", tls),
        ("COLONIES_CLIENT_HTTP_HOST", server.host.clone()),
        ("COLONIES_CLIENT_HTTP_PORT", port),
        ("COLONIES_CLIENT_BACKENDS", "http".to_owned()),
        ("COLONIES_COLONY_NAME", colony.spec.colony_name.clone()),
        ("COLONIES_DEPLOYMENT", owner.name.clone()),
        ("COLONIES_NODE_LOCATION", location.clone()),
        ("COLONIES_EXECUTOR_TYPE", spec.executor_type.clone()),
        ("EXECUTOR_TYPE", spec.executor_type.clone()),
        ("EXECUTOR_ADD_DEBUG_LOGS", "false".to_owned()),
        ("EXECUTOR_FS_DIR", "/tmp/colonies".to_owned()),
        ("EXECUTOR_GPU", "0".to_owned()),
        ("EXECUTOR_HW_MODEL", "n/a".to_owned()),
        ("EXECUTOR_HW_NODES", "1".to_owned()),
        ("EXECUTOR_HW_CPU", String::new()),
        ("EXECUTOR_HW_MEM", String::new()),
        ("EXECUTOR_HW_STORAGE", String::new()),
        ("EXECUTOR_HW_GPU_COUNT", "0".to_owned()),
        ("EXECUTOR_HW_GPU_MEM", String::new()),
        ("EXECUTOR_HW_GPU_NODES_COUNT", "0".to_owned()),
        ("EXECUTOR_HW_GPU_NAME", String::new()),
        ("EXECUTOR_LOCATION_LONG", String::new()),
        ("EXECUTOR_LOCATION_LAT", String::new()),
        ("EXECUTOR_LOCATION_DESC", if location.is_empty() { "n/a".to_owned() } else { location }),
        ("EXECUTOR_SW_NAME", spec.image.clone()),
        ("EXECUTOR_SW_TYPE", "kubernetes".to_owned()),
        ("EXECUTOR_SW_VERSION", String::new()),
        ("LANG", "C.UTF-8".to_owned()),
        ("LANGUAGE", "C.UTF-8".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("LC_CTYPE", "C.UTF-8".to_owned()),
        ("TZ", "UTC".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// Where a container takes its environment from: first the operator's defaults, then the user's sources, so that the
/// latter win.
#[must_use]
pub fn sources(owner: &Owner, config: Option<&Config>) -> Vec<EnvFromSource> {
    let defaults = EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: names::identity_secret(&owner.name), optional: None }),
        ..EnvFromSource::default()
    };
    let users = config.and_then(|config| config.env_from.clone()).unwrap_or_default();
    std::iter::once(defaults).chain(users).collect()
}

/// The container's own variables: the user's, then the identity, which nothing may override.
#[must_use]
pub fn variables(owner: &Owner, config: Option<&Config>) -> Vec<EnvVar> {
    let identity = [
        from_field("COLONIES_NODE_NAME", "spec.nodeName"),
        from_secret(owner, PRIVATE_KEY),
        from_secret(owner, EXECUTOR_NAME),
        from_secret(owner, EXECUTOR_ID),
        plain("COLONIES_DEPLOYMENT", &owner.name),
        plain("COLONIES_CONTAINER_NAME", EXECUTOR_CONTAINER),
    ];
    config
        .and_then(|config| config.env.as_ref())
        .into_iter()
        .flatten()
        .filter(|(name, _)| !identity.iter().any(|variable| &variable.name == *name))
        .map(|(name, value)| plain(name, value))
        .chain(identity.iter().cloned())
        .collect()
}

fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(literal(value)), value_from: None }
}

/// Words of a command, each as [`literal`].
#[must_use]
pub fn literals(words: &[String]) -> Vec<String> {
    words.iter().map(|word| literal(word)).collect()
}

/// A text that the kubelet, which expands `$(NAME)` and reads `$$` as `$`, gives to a process as it is: users of other
/// runtimes mean it literally. A `$` that the kubelet leaves alone stays, so that no pod restarts for this.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        literal.push(letter);
        if letter == '$' && matches!(letters.peek(), Some('$' | '(')) {
            literal.push('$');
        }
    }
    literal
}

/// Whether a variable is the operator's own: from the Secret with the identity of the object's executor.
#[must_use]
pub fn is_identity(owner: &Owner, variable: &EnvVar) -> bool {
    *variable == from_secret(owner, &variable.name)
}

fn from_secret(owner: &Owner, key: &str) -> EnvVar {
    let selector =
        SecretKeySelector { name: names::identity_secret(&owner.name), key: key.to_owned(), optional: None };
    let value_from = EnvVarSource { secret_key_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: key.to_owned(), value: None, value_from: Some(value_from) }
}

fn from_field(name: &str, path: &str) -> EnvVar {
    let selector = ObjectFieldSelector { api_version: Some("v1".to_owned()), field_path: path.to_owned() };
    let value_from = EnvVarSource { field_ref: Some(selector), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(value_from) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kubelet makes of a text where no variable is defined that it could name.
    fn expanded(text: &str) -> String {
        let mut expanded = String::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match (letter, letters.peek()) {
                ('$', Some('$')) => drop(letters.next()),
                ('$', Some('(')) => panic!("{text} has an expression"),
                _ => {}
            }
            expanded.push(letter);
        }
        expanded
    }

    #[test]
    fn a_process_sees_what_the_user_wrote() {
        for text in [
            "",
            "plain",
            "pa$$word",
            "$",
            "$$",
            "$$$",
            "a$",
            "$(HOME)",
            "$$(HOME)",
            "$$$(HOME)",
            "$a$b",
            "ä$$(é",
        ] {
            assert_eq!(expanded(&literal(text)), text, "{text}");
        }
        assert_eq!(literal("$a and b$"), "$a and b$", "it would restart pods");
        assert_eq!(literal("$(HOME)"), "$$(HOME)");
    }
}
