//! Environment and volumes of executors.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::EnvFromSource, apimachinery::pkg::api::resource::Quantity};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Environment and volumes of executors.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// Environment variables. They override what the operator sets, except the executor's identity. `$(NAME)` in a value is not expanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 256))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$'))").message(Message::Expression("'config.env: \"' + self.filter(name, !name.matches('^[-._a-zA-Z][-._a-zA-Z0-9]*$'))[0] + '\" is not the name of an environment variable: use letters, digits, \"_\", \"-\" and \".\", not beginning with a digit'".into())))]
    #[x_kube(validation = Rule::new("self.all(name, !(name in ['COLONIES_PRVKEY', 'COLONIES_COLONY_PRVKEY', 'COLONIES_SERVER_PRVKEY', 'COLONIES_EXECUTOR_NAME', 'COLONIES_EXECUTOR_ID', 'COLONIES_DEPLOYMENT', 'COLONIES_CONTAINER_NAME']))").message(Message::Expression("'config.env: \"' + self.filter(name, name in ['COLONIES_PRVKEY', 'COLONIES_COLONY_PRVKEY', 'COLONIES_SERVER_PRVKEY', 'COLONIES_EXECUTOR_NAME', 'COLONIES_EXECUTOR_ID', 'COLONIES_DEPLOYMENT', 'COLONIES_CONTAINER_NAME'])[0] + '\" is set by the operator, which gives each executor its identity and keeps keys in Secrets: remove it'".into())))]
    pub env: Option<BTreeMap<String, String>>,

    /// Secrets and ConfigMaps of the namespace whose keys become environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub env_from: Option<Vec<EnvFromSource>>,

    /// Volumes, each mounted at its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    #[x_kube(validation = Rule::new("self.all(v, self.exists_one(w, w.target == v.target))").message(Message::Expression("'config.volumes: target \"' + self.map(v, v.target).filter(t, self.filter(w, w.target == t).size() > 1)[0] + '\" is used twice: give each volume a target of its own'".into())))]
    pub volumes: Option<Vec<Volume>>,
}

/// One volume: exactly one of `source`, `emptyDir`, `persistentVolumeClaim`, `configMap` and `secret`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.source), has(self.emptyDir), has(self.persistentVolumeClaim), has(self.configMap), has(self.secret)].filter(x, x).size() == 1").message(Message::Expression("'config.volumes: the volume at \"' + self.target + '\" needs exactly one of source, emptyDir, persistentVolumeClaim, configMap and secret'".into())))]
pub struct Volume {
    /// Where the volume is mounted in the container; an absolute path.
    #[x_kube(validation = Rule::new("self.startsWith('/') && !self.contains(':')").message(Message::Expression("'target: \"' + self + '\" is not an absolute path: begin it with \"/\" and leave out \":\"'".into())))]
    #[schemars(length(max = 1024))]
    pub target: String,

    /// What is mounted, in one word: `emptyDir`, `persistentVolumeClaim/NAME`, `configMap/NAME`, `secret/NAME`, or the
    /// absolute path of a folder of the node, if the operator's configuration allows its prefix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == 'emptyDir' || self.startsWith('/') || self.matches('^(persistentVolumeClaim|configMap|secret)/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$')").message(Message::Expression("'source: \"' + self + '\" is not a source: use emptyDir, persistentVolumeClaim/NAME, configMap/NAME, secret/NAME or an absolute path'".into())))]
    #[schemars(length(max = 1024))]
    pub source: Option<String>,

    /// An empty folder that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirVolume>,

    /// Name of a `PersistentVolumeClaim` in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub persistent_volume_claim: Option<String>,

    /// Name of a ConfigMap in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub config_map: Option<String>,

    /// Name of a Secret in the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub secret: Option<String>,

    /// Mount it read-only. Directories of the node are read-only unless this is `false` and the operator's
    /// configuration allows writing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

/// An empty folder that lives as long as the pod.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDirVolume {
    /// Size at which the pod is evicted, such as `20Gi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Quantity>,
}
