//! The kinds that the server has: some of its own, and those that definitions add.

use std::sync::Arc;

use serde_json::Value;

/// A kind of objects in one API group.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) group: String,
    /// Versions in which it is served, the one in which it is listed first in front.
    pub(super) versions: Vec<Version>,
    pub(super) name: String,
    pub(super) plural: String,
    pub(super) is_namespaced: bool,
    /// Whether the API server counts changes of the spec.
    pub(super) has_generation: bool,
    /// Whether it came with a definition.
    pub(super) is_custom: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) name: String,
    /// Whether status has an endpoint of its own.
    pub(super) has_status: bool,
    /// The schema by which objects are filled in and pruned.
    pub(super) schema: Option<Arc<Value>>,
}

/// Group, version, kind, plural, and: n(amespaced), s(tatus), g(eneration).
const BUILT_IN: [(&str, &str, &str, &str, &str); 20] = [
    ("", "v1", "Namespace", "namespaces", "s"),
    ("", "v1", "Node", "nodes", "s"),
    ("", "v1", "Secret", "secrets", "n"),
    ("", "v1", "ConfigMap", "configmaps", "n"),
    ("", "v1", "Service", "services", "ns"),
    ("", "v1", "ServiceAccount", "serviceaccounts", "n"),
    ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", "ns"),
    ("", "v1", "Pod", "pods", "nsg"),
    ("", "v1", "Event", "events", "n"),
    ("events.k8s.io", "v1", "Event", "events", "n"),
    ("apps", "v1", "Deployment", "deployments", "nsg"),
    ("apps", "v1", "DaemonSet", "daemonsets", "nsg"),
    ("apps", "v1", "StatefulSet", "statefulsets", "nsg"),
    ("apps", "v1", "ReplicaSet", "replicasets", "nsg"),
    ("batch", "v1", "Job", "jobs", "nsg"),
    ("batch", "v1", "CronJob", "cronjobs", "nsg"),
    ("coordination.k8s.io", "v1", "Lease", "leases", "n"),
    ("networking.k8s.io", "v1", "Ingress", "ingresses", "nsg"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", "sg"),
    (
        "admissionregistration.k8s.io",
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        "g",
    ),
];

/// The kinds that every API server has, as far as anything here is made of them.
pub(super) fn built_in() -> impl Iterator<Item = Kind> {
    BUILT_IN.into_iter().map(|(group, version, kind, plural, traits)| Kind {
        group: group.to_owned(),
        versions: vec![Version { name: version.to_owned(), has_status: traits.contains('s'), schema: None }],
        name: kind.to_owned(),
        plural: plural.to_owned(),
        is_namespaced: traits.contains('n'),
        has_generation: traits.contains('g'),
        is_custom: false,
    })
}

impl Kind {
    /// The kind that a definition adds.
    pub(super) fn of_definition(definition: &Value) -> Option<Self> {
        let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let versions = definition.pointer("/spec/versions").and_then(Value::as_array)?;
        let served = versions.iter().filter(|version| version["served"] == true);
        let mut served: Vec<(bool, Version)> = served
            .filter_map(|version| {
                let read = Version {
                    name: version["name"].as_str()?.to_owned(),
                    has_status: version.pointer("/subresources/status").is_some(),
                    schema: version.pointer("/schema/openAPIV3Schema").cloned().map(Arc::new),
                };
                Some((version["storage"] == true, read))
            })
            .collect();
        served.sort_by_key(|(is_stored, _)| !is_stored);
        Some(Self {
            group: text("/spec/group")?,
            versions: served.into_iter().map(|(_, version)| version).collect(),
            name: text("/spec/names/kind")?,
            plural: text("/spec/names/plural")?,
            is_namespaced: text("/spec/scope")? == "Namespaced",
            has_generation: true,
            is_custom: true,
        })
    }

    pub(super) fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.name == name)
    }

    /// The resource as messages name it, such as `deployments.apps`.
    pub(super) fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The `apiVersion` of its objects.
    pub(super) fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }
}
