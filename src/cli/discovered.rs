//! Kinds as every user of a cluster may see them, in the discovery of the API server: for users of one namespace, who may not list
//! `ResourceDefinitions`.

use kube::core::{
    ApiResource,
    discovery::v2::{APIGroupDiscovery, APIGroupDiscoveryList, APIResourceDiscovery},
};

use super::Failure;
use crate::runtime::kubernetes::{CALL_TIME_LIMIT, Kubernetes, call};

/// A kind that the API server serves.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Discovered {
    pub resource: ApiResource,
    pub is_namespaced: bool,
}

/// The kind that is called `kind`: by its kind, plural, singular or a short name, alone or with its group. Kinds of Kubernetes
/// itself are none of them.
///
/// # Errors
///
/// When there is none, or several.
pub(super) async fn find(kubernetes: &Kubernetes, kind: &str) -> Result<Discovered, Failure> {
    let found = call(CALL_TIME_LIMIT, kubernetes.calls.list_api_groups_aggregated()).await;
    let found = found.map_err(|error| error.explain("read which kinds the API server serves"))?;
    Ok(choose(found, kind)?)
}

fn choose(groups: APIGroupDiscoveryList, wanted: &str) -> Result<Discovered, String> {
    let wanted = wanted.to_lowercase();
    let (name, group) = match wanted.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted.as_str(), None),
    };
    let called = |served: APIGroupDiscovery| called_of_group(served, name, group);
    let mut found: Vec<Discovered> = groups.items.into_iter().filter_map(called).collect();
    match (found.pop(), found.as_slice()) {
        (Some(one), []) => Ok(one),
        (Some(one), others) => {
            let full = |kind: &Discovered| format!("{}.{}", kind.resource.plural, kind.resource.group);
            let mut all: Vec<String> = others.iter().chain([&one]).map(full).collect();
            all.sort();
            Err(format!("{wanted:?} is the name of several kinds: give one of {}, and /NAME", all.join(", ")))
        }
        (None, _) => Err(format!(
            "the API server serves no kind that is called {wanted:?}: kubectl api-resources lists all"
        )),
    }
}

/// The kind of that name in a group; none if the group is another, or one of Kubernetes.
fn called_of_group(served: APIGroupDiscovery, name: &str, wanted: Option<&str>) -> Option<Discovered> {
    let group = served.metadata?.name?;
    // Users' kinds are in domains of their own; those of Kubernetes in none, or in this one.
    if !group.contains('.') || group.ends_with(".k8s.io") {
        return None;
    }
    // The first is the one that the API server prefers.
    served.versions.into_iter().find_map(|of_version| {
        let version = of_version.version?;
        let is_wanted = wanted.is_none_or(|wanted| {
            wanted == group
                || wanted.strip_prefix(&version).and_then(|rest| rest.strip_prefix('.')) == Some(&group)
        });
        let resource =
            of_version.resources.into_iter().find(|resource| is_wanted && is_called(resource, name))?;
        Some(Discovered {
            is_namespaced: resource.scope.as_deref() == Some("Namespaced"),
            resource: ApiResource {
                api_version: format!("{group}/{version}"),
                version,
                kind: resource.response_kind?.kind?,
                plural: resource.resource?,
                group: group.clone(),
            },
        })
    })
}

fn is_called(resource: &APIResourceDiscovery, name: &str) -> bool {
    let kind = resource.response_kind.as_ref().and_then(|kind| kind.kind.as_ref());
    resource.resource.as_deref() == Some(name)
        || resource.singular_resource.as_deref() == Some(name)
        || kind.is_some_and(|kind| kind.to_lowercase() == name)
        || resource.short_names.iter().any(|short| short == name)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn resource(kind: &str, plural: &str) -> Value {
        json!({ "resource": plural, "singularResource": kind.to_lowercase(), "shortNames": ["mlm"], "scope": "Namespaced",
                "responseKind": { "group": "", "version": "", "kind": kind }, "verbs": ["get"] })
    }

    fn served(groups: &Value) -> APIGroupDiscoveryList {
        serde_json::from_value(json!({ "items": groups })).unwrap()
    }

    fn group(name: &str) -> Value {
        json!({ "metadata": { "name": name }, "versions": [
            { "version": "v2", "resources": [resource("MLModel", "mlmodels")] },
            { "version": "v1", "resources": [resource("MLModel", "mlmodels"), resource("Old", "olds")] },
        ] })
    }

    #[test]
    fn a_kind_has_every_name_that_kubectl_takes() {
        let one = || served(&json!([group("apps"), group("metrics.k8s.io"), group("ml.example.com")]));
        for name in
            ["mlmodel", "mlmodels", "MLModel", "mlm", "mlmodels.ml.example.com", "mlmodel.v2.ml.example.com"]
        {
            let found = choose(one(), name).unwrap();
            let known =
                (found.resource.api_version.as_str(), found.resource.plural.as_str(), found.is_namespaced);
            assert_eq!(known, ("ml.example.com/v2", "mlmodels", true), "{name}");
        }
        let versioned = choose(one(), "mlmodels.v1.ml.example.com").unwrap();
        assert_eq!(versioned.resource.version, "v1");
        assert_eq!(choose(one(), "old").unwrap().resource.version, "v1", "not every version has every kind");
        for name in ["models", "mlmodels.v3.ml.example.com", "mlmodels.apps", ""] {
            assert!(choose(one(), name).unwrap_err().contains("kubectl api-resources"), "{name}");
        }
    }

    #[test]
    fn a_name_of_several_kinds_asks_for_the_group() {
        let error = choose(served(&json!([group("b.com"), group("a.com")])), "mlm").unwrap_err();
        assert!(error.contains("give one of mlmodels.a.com, mlmodels.b.com"), "{error}");
    }
}
