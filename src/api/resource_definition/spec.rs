//! The desired kind.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Handler, ResourceDefinitionStatus, VersionConversion};
use crate::api::policy::DeletionPolicy;

/// A user-defined kind: its names, its schema, and the handler of its instances.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "colonies.io",
    version = "v1",
    kind = "ResourceDefinition",
    plural = "resourcedefinitions",
    status = "ResourceDefinitionStatus",
    derive = "PartialEq",
    category = "colonyos",
    shortname = "rd",
    doc = "A user-defined kind: its names, its schema, and the handler that implements its instances. The operator creates the CRD of the kind and reconciles every instance.",
    validation = Rule::new("self.metadata.name == self.spec.names.plural + '.' + self.spec.group").message(Message::Expression("'metadata.name: ' + self.metadata.name + ' is not <names.plural>.<group>: call it ' + self.spec.names.plural + '.' + self.spec.group".into())),
    printcolumn = r#"{"name": "Kind", "type": "string", "jsonPath": ".spec.names.kind"}"#,
    printcolumn = r#"{"name": "Mode", "type": "string", "jsonPath": ".spec.handler.mode"}"#,
    printcolumn = r#"{"name": "Handler", "type": "string", "jsonPath": ".spec.handler.executorType"}"#,
    printcolumn = r#"{"name": "Instances", "type": "integer", "jsonPath": ".status.instances.total"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].status"}"#,
    printcolumn = r#"{"name": "Reason", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].reason"}"#,
    printcolumn = r#"{"name": "Message", "type": "string", "jsonPath": ".status.conditions[?(@.type=='Ready')].message", "priority": 1}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.versions.filter(v, v.storage).size() == 1").message("versions: exactly one version must be the storage version: set storage on one version and remove it from the others").field_path(".versions"))]
#[x_kube(validation = Rule::new("self.versions.all(v, !v.storage || v.served)").message("versions: the version with storage must be served: the operator follows objects in it").field_path(".versions"))]
#[x_kube(validation = Rule::new("self.scope == oldSelf.scope").message("scope cannot change: create another ResourceDefinition").field_path(".scope"))]
#[x_kube(validation = Rule::new("self.names.kind == oldSelf.names.kind").message("names.kind cannot change: create another ResourceDefinition").field_path(".names"))]
pub struct ResourceDefinitionSpec {
    /// API group of the kind, such as `ml.example.com`. The installer of the operator must have given it rights for
    /// the group (chart value `userKinds.groups`); see condition Authorized.
    #[x_kube(validation = Rule::new("self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)+$')").message(Message::Expression("'group: \"' + self + '\" is not an API group: give a domain with a dot, such as ml.example.com'".into())))]
    #[x_kube(validation = Rule::new("!(self in ['colonies.io', 'compute.colonies.io', 'com.redhat.ecosystem.sample'])").message(Message::Expression("'group: ' + self + ' is reserved for the operator\\'s own kinds: choose another, such as ml.' + self".into())))]
    #[x_kube(validation = Rule::new("self != 'k8s.io' && self != 'kubernetes.io' && !self.endsWith('.k8s.io') && !self.endsWith('.kubernetes.io')").message(Message::Expression("'group: ' + self + ' belongs to Kubernetes: choose a domain of your own'".into())))]
    #[schemars(length(max = 200))]
    pub group: String,

    /// What the kind is called.
    pub names: DefinitionNames,

    /// Whether its objects are in namespaces.
    #[serde(default)]
    pub scope: DefinitionScope,

    /// The versions in which the kind is served.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub versions: Vec<DefinitionVersion>,

    /// The handler of its instances.
    pub handler: Handler,

    /// What deletion leaves. `Delete`: an instance goes when its process is cancelled and `handler.cleanupFunction` has run;
    /// the definition goes, with its CRD, when no instance is left. `Orphan`: an instance goes at once and what stands in the
    /// colony stays; the definition goes at once, and its CRD and instances stay.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What a kind is called.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.categories) || !(self.plural in self.categories || 'colonies' in self.categories)").message("categories has the plural of a kind: kubectl delete with that name and --all would delete the objects of every kind of the category; choose another word").field_path(".categories"))]
pub struct DefinitionNames {
    /// The kind, such as `MLModel`.
    #[x_kube(validation = Rule::new("self.matches('^[A-Z][A-Za-z0-9]*$')").message(Message::Expression("'kind: \"' + self + '\" is not a kind: use letters and digits, beginning with a capital letter, such as MLModel'".into())))]
    #[schemars(length(max = 63))]
    pub kind: String,

    /// The name in addresses, such as `mlmodels`.
    #[x_kube(validation = Rule::new("self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message(Message::Expression("'plural: \"' + self + '\" is not a plural: use lower-case letters, digits and \"-\", beginning with a letter, such as mlmodels'".into())))]
    #[schemars(length(max = 63))]
    pub plural: String,

    /// The name of one; the kind in lower case when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub singular: Option<String>,

    /// The kind of a list of them; the kind with `List` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 67), regex(pattern = r"^[A-Z][A-Za-z0-9]*$"))]
    pub list_kind: Option<String>,

    /// Short names for kubectl.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub short_names: Vec<String>,

    /// Groups of kinds that `kubectl get` shows together, such as `all`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(length(min = 1, max = 63), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))
    )]
    pub categories: Vec<String>,
}

/// Whether objects are in namespaces.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Deserialize,
    Serialize,
    JsonSchema,
    strum::EnumString,
    strum::IntoStaticStr,
)]
pub enum DefinitionScope {
    /// Each in a namespace.
    #[default]
    Namespaced,
    /// In the cluster as a whole. Such objects use Colonies that are open to all namespaces.
    Cluster,
}

impl DefinitionScope {
    /// The name as it stands in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A version in which a kind is served.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.storage || !has(self.conversion)").message("conversion is not allowed in the version with storage: the other versions describe how they differ from it; remove it").field_path(".conversion"))]
#[x_kube(validation = Rule::new("self.deprecated || !has(self.deprecationWarning)").message("deprecationWarning is for a version that is deprecated: set deprecated, or remove it").field_path(".deprecationWarning"))]
pub struct DefinitionVersion {
    /// Its name, such as `v1alpha1`.
    #[x_kube(validation = Rule::new("self.matches('^v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?$')").message(Message::Expression("'name: \"' + self + '\" is not a version: use v1, v1beta1, v1alpha1 or the like'".into())))]
    #[schemars(length(max = 32))]
    pub name: String,

    /// Whether objects can be read and written in this version.
    #[serde(default = "yes")]
    pub served: bool,

    /// Whether objects are stored in this version. Exactly one is; handlers are given objects as they stand in it.
    #[serde(default)]
    pub storage: bool,

    /// What objects look like.
    pub schema: VersionSchema,

    /// Columns of `kubectl get`, before `Ready` and `Age`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub additional_printer_columns: Vec<PrinterColumn>,

    /// Which fields `kubectl scale` and autoscalers read and write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,

    /// Whether users of this version are warned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,

    /// The warning; the API server's words when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub deprecation_warning: Option<String>,

    /// How objects of this version become objects of the version with `storage`, and back. If any version sets this,
    /// the operator converts objects of all versions. Absent from all: only `apiVersion` changes, and API servers
    /// drop what a version does not describe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<VersionConversion>,
}

const fn yes() -> bool {
    true
}

/// What objects look like.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct VersionSchema {
    /// A structural schema in `OpenAPI` v3, as in a `CustomResourceDefinition`, `x-kubernetes-validations` included. The operator
    /// adds `status.conditions`, `status.observedGeneration`, `status.submittedGeneration` and `status.mirror`, and a field for
    /// everything in `handler.status` that it does not describe.
    #[serde(rename = "openAPIV3Schema")]
    #[schemars(schema_with = "free_form_object")]
    pub open_api_v3_schema: Value,
}

/// An object whose fields the schema does not know.
fn free_form_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A column of `kubectl get`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrinterColumn {
    /// Its heading.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Type of what it shows.
    #[serde(rename = "type")]
    #[schemars(schema_with = "column_type")]
    pub type_: String,

    /// Where that is, such as `.status.endpoint`.
    #[x_kube(validation = Rule::new("self.startsWith('.')").message(Message::Expression("'jsonPath: \"' + self + '\" does not begin with a dot: write it as .status.endpoint'".into())))]
    #[schemars(length(min = 1, max = 1024))]
    pub json_path: String,

    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub description: Option<String>,

    /// How it is written, such as `int32` or `date-time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub format: Option<String>,

    /// Above 0: only with `-o wide`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub priority: Option<i32>,
}

/// The types that columns can have.
fn column_type(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "string",
        "enum": ["boolean", "date", "integer", "number", "string"],
    })
}

/// Which fields `kubectl scale` and autoscalers read and write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scale {
    /// The wanted number, such as `.spec.replicas`.
    #[schemars(length(max = 256), regex(pattern = r"^\.spec(\.[A-Za-z0-9_-]+)+$"))]
    pub spec_replicas_path: String,

    /// The present number, such as `.status.replicas`.
    #[schemars(length(max = 256), regex(pattern = r"^\.status(\.[A-Za-z0-9_-]+)+$"))]
    pub status_replicas_path: String,

    /// The selector of the pods, for horizontal autoscalers, such as `.status.selector`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = r"^\.(spec|status)(\.[A-Za-z0-9_-]+)+$"))]
    pub label_selector_path: Option<String>,
}
