//! The desired connection to a colony.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{
    CustomResource, KubeSchema,
    core::{Selector, SelectorExt as _},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ColonyStatus;
use crate::api::names::DEFAULT_COLONY_ANNOTATION;

/// A connection to a ColonyOS colony: where its server is, with which keys the operator acts there, and which
/// namespaces of this cluster may use it.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "Colony",
    plural = "colonies",
    status = "ColonyStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "col",
    doc = "A connection to a ColonyOS colony: its server, the credentials, and the namespaces that may use it.",
    printcolumn = r#"{"name": "Server", "type": "string", "jsonPath": ".spec.server.host"}"#,
    printcolumn = r#"{"name": "Colony", "type": "string", "jsonPath": ".spec.colonyName"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Executors", "type": "integer", "jsonPath": ".status.executors.registered", "priority": 1}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ColonySpec {
    /// Where the colony's server answers.
    pub server: ColonyServer,

    /// Name of the colony on that server.
    #[x_kube(validation = Rule::new("self.size() > 0").message("colonyName is empty: give the colony's name as `colonies colony ls` shows it"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("colonyName cannot change: objects have processes in the old colony; create another Colony"))]
    #[schemars(length(max = 253))]
    pub colony_name: String,

    /// The name of this cluster in the colony. It is the location of executors that the operator registers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub location: Option<String>,

    /// Secret in the operator's own namespace with key `colonyPrvKey` (the colony's owner key, needed to register
    /// executors) and, if a member exists already, `prvKey` (a user's key; made when absent). Never written to.
    #[x_kube(validation = Rule::new("self.size() > 0").message("credentialsSecretName is empty: name a Secret in the operator's namespace that holds colonyPrvKey"))]
    #[schemars(length(max = 253))]
    pub credentials_secret_name: String,

    /// The namespaces that may use this colony and receive objects that originate in it.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,

    /// Which namespaces may register executors of which types. Executors of one type are given each other's processes, with
    /// their arguments. A type that is not listed belongs to the namespace whose ExecutorDeployment has it first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub executor_types: Vec<ExecutorTypeRule>,

    /// What happens to blueprints and processes that originate in the colony and are meant for this cluster.
    #[serde(default)]
    pub inbound: Inbound,
}

/// The namespaces that may register executors of a type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutorTypeRule {
    /// The type, as `executorType` of ExecutorDeployments has it.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 63))]
    pub executor_type: String,

    /// Names of the namespaces; none may register executors of the type when empty.
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
}

impl Colony {
    /// Whether it is marked as the one that is used where an object names none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        let marked = self.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_COLONY_ANNOTATION));
        marked.is_some_and(|value| value == "true")
    }

    /// Its place among several that are marked as the default, of which the first is taken: one that is being deleted takes
    /// nothing new, and a later copy of the default one changes nothing.
    #[must_use]
    pub fn rank(&self) -> (bool, Option<Timestamp>, Option<String>) {
        let metadata = &self.metadata;
        let created_at = metadata.creation_timestamp.as_ref().map(|created| created.0);
        (metadata.deletion_timestamp.is_some(), created_at, metadata.name.clone())
    }
}

/// What happens to blueprints and processes that originate in a colony and are meant for this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.policy != 'Accept' || self.namespaces.size() > 0").message("inbound: policy Accept needs namespaces: list those that may receive objects from the colony").field_path(".namespaces"))]
#[x_kube(validation = Rule::new("self.policy != 'Accept' || !has(self.defaultNamespace) || self.defaultNamespace in self.namespaces").message(Message::Expression("'inbound.defaultNamespace: ' + self.defaultNamespace + ' is not among inbound.namespaces: add it there, or choose one of them'".into())).field_path(".defaultNamespace"))]
pub struct Inbound {
    /// `Accept`: they become objects in `namespaces`. `Refuse`: their processes are closed as failed with that reason, and
    /// no object takes its spec from a blueprint.
    #[serde(default)]
    pub policy: InboundPolicy,

    /// The namespaces that they may reach. Each must exist and be allowed by `allowedNamespaces`. The operator's own
    /// namespace and those whose name begins with `kube-` are never reached.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 63)))]
    #[x_kube(validation = Rule::new("self.all(name, name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && !name.startsWith('kube-'))").message(Message::Expression("'inbound.namespaces: ' + self.filter(name, !name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') || name.startsWith('kube-'))[0] + ' cannot receive objects from a colony: give names of namespaces that do not begin with kube-'".into())))]
    pub namespaces: Vec<String>,

    /// The namespace of objects that name none; the first of `namespaces` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub default_namespace: Option<String>,

    /// How many objects in this cluster may originate in the colony at a time.
    #[serde(default = "default_max_objects")]
    #[x_kube(validation = Rule::new("self >= 0").message("inbound.maxObjects is negative: give 0 or more"))]
    #[schemars(range(max = 10_000))]
    pub max_objects: i32,

    /// How many replicas the colony may request for one object.
    #[serde(default = "default_max_replicas")]
    #[x_kube(validation = Rule::new("self >= 0").message("inbound.maxReplicas is negative: give 0 or more"))]
    #[schemars(range(max = 100_000))]
    pub max_replicas: i32,

    /// `Keep`: the colony always has a `BlueprintDefinition` for `ExecutorDeployment` whose handler is this operator, so that
    /// `colonies blueprint add` just works. `Ignore`: definitions are the colony's own business.
    #[serde(default)]
    pub definition: DefinitionPolicy,
}

impl Default for Inbound {
    fn default() -> Self {
        Self {
            policy: InboundPolicy::default(),
            namespaces: Vec::new(),
            default_namespace: None,
            max_objects: default_max_objects(),
            max_replicas: default_max_replicas(),
            definition: DefinitionPolicy::default(),
        }
    }
}

impl Inbound {
    /// The namespace of objects that name none.
    #[must_use]
    pub fn default_namespace(&self) -> Option<&str> {
        self.default_namespace.as_deref().or_else(|| self.namespaces.first().map(String::as_str))
    }
}

/// A colony that asks for more is either busy beyond what most clusters have room for, or hostile.
const fn default_max_objects() -> i32 {
    20
}

/// As [`default_max_objects`], for the pods of one object.
const fn default_max_replicas() -> i32 {
    20
}

/// Whether blueprints and processes of a colony may become objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum InboundPolicy {
    /// It may, in the namespaces that the `Colony` lists.
    Accept,
    /// It may not.
    #[default]
    Refuse,
}

/// Who manages the definition of blueprints for fleets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum DefinitionPolicy {
    /// The owner of the colony.
    #[default]
    Ignore,
    /// The operator makes it when it is missing.
    Keep,
}

/// Address of a colony's server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(self.insecure && has(self.caSecretName))").message("insecure and caSecretName exclude each other: plain HTTP has no certificate to check"))]
pub struct ColonyServer {
    /// Host name or address. Executor pods use it too, so it must be reachable from pods.
    #[x_kube(validation = Rule::new("self.size() > 0 && !self.contains('/') && !self.contains(' ')").message("host is not a host name or address: give it without scheme and path, such as colonies.example.com"))]
    #[schemars(length(max = 253))]
    pub host: String,

    /// Port of the server's API.
    #[serde(default = "default_port")]
    #[schemars(schema_with = "port_number")]
    pub port: u16,

    /// Plain HTTP. Requests are signed but neither secret nor safe from replay: for trusted networks only.
    #[serde(default)]
    pub insecure: bool,

    /// Secret in the operator's namespace whose key `ca.crt` holds the certificate authority of the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret_name: Option<String>,
}

/// The default port of a `ColonyOS` server.
const fn default_port() -> u16 {
    50080
}

/// A port. The format is one that API servers know; they warn of `uint16`.
fn port_number(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 })
}

/// Which namespaces may use a colony.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.from != 'Selector' || has(self.selector)").message("from Selector needs a selector"))]
pub struct AllowedNamespaces {
    /// `All` namespaces, or those that the `Selector` matches.
    #[serde(default)]
    pub from: NamespacesFrom,

    /// Labels of the namespaces that may use the colony; with from `Selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

impl AllowedNamespaces {
    /// Whether a namespace with these labels is one of them.
    #[must_use]
    pub fn admit(&self, labels: &BTreeMap<String, String>) -> bool {
        match (self.from, &self.selector) {
            (NamespacesFrom::All, _) => true,
            (NamespacesFrom::Selector, None) => false,
            (NamespacesFrom::Selector, Some(selector)) => {
                Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
            }
        }
    }
}

/// How the allowed namespaces are named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Every namespace.
    #[default]
    All,
    /// Namespaces whose labels match the selector.
    Selector,
}
