//! The permissions that the operator needs, as the chart grants them.

use std::borrow::Cow;

use kube::core::ApiResource;

use crate::api::{
    kind::{Kind, OwnKind},
    resource_definition::DefinitionScope,
};

/// Where a permission must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For kinds without a namespace.
    Cluster,
    /// In the operator's own namespace.
    Own,
    /// In the namespaces that are watched.
    Watched,
    /// In the namespaces where fleets are, which are all that are watched unless the administrator has listed some.
    Secrets,
}

/// Verbs on one resource.
#[derive(Debug)]
pub(super) struct Rule {
    /// API group; empty for the core group.
    pub group: Cow<'static, str>,
    /// Resource, with its subresource after a slash.
    pub resource: Cow<'static, str>,
    /// What is done to it.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// Why, to follow "because".
    pub why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const UPDATE: &[&str] = &["update"];
const KEEP: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];

/// All of them: those on the operator's own kinds, and those on what it works with.
pub(super) fn rules() -> Vec<Rule> {
    Kind::own().flat_map(|(kind, own)| of_kind(kind, own)).chain(others()).collect()
}

fn of_kind(kind: Kind, own: &OwnKind) -> impl Iterator<Item = Rule> {
    let info = kind.info();
    let ApiResource { group, plural, .. } = (own.resource)();
    let is_namespaced = (own.definition)().spec.scope == DefinitionScope::Namespaced.as_str();
    let place = if is_namespaced { Place::Watched } else { Place::Cluster };
    let finalizers = info.why_finalizers.map(|why| ("/finalizers", UPDATE, why));
    let parts = [("", info.verbs, info.why), ("/status", UPDATE, info.why_status)];
    parts.into_iter().chain(finalizers).map(move |(part, verbs, why)| Rule {
        group: group.clone().into(),
        resource: format!("{plural}{part}").into(),
        verbs,
        place,
        why,
    })
}

fn others() -> [Rule; 10] {
    [
        rule(
            "",
            "namespaces",
            READ,
            Place::Cluster,
            "a Colony selects by labels the namespaces that may use it",
        ),
        rule(
            "coordination.k8s.io",
            "leases",
            &["get", "update", "create"],
            Place::Own,
            "one replica alone writes",
        ),
        rule("", "secrets", &["get", "create", "patch"], Place::Own, "keys of colonies are kept in Secrets"),
        rule("", "configmaps", &["get"], Place::Watched, "the environment of a process may refer to them"),
        rule("apps", "deployments", KEEP, Place::Watched, "executors run in them"),
        rule("apps", "daemonsets", KEEP, Place::Watched, "executors run in them"),
        rule("batch", "jobs", KEEP, Place::Watched, "executors run in them"),
        rule("", "pods", &["list", "watch"], Place::Watched, "they show why an executor does not run"),
        rule(
            "",
            "secrets",
            &["get", "create", "patch", "delete"],
            Place::Secrets,
            "an executor's identity is kept beside it",
        ),
        rule(
            "events.k8s.io",
            "events",
            &["list", "create", "patch"],
            Place::Watched,
            "changes are recorded as Events, and those of a Job tell why it has no pods",
        ),
    ]
}

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    place: Place,
    why: &'static str,
) -> Rule {
    Rule { group: Cow::Borrowed(group), resource: Cow::Borrowed(resource), verbs, place, why }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::rules;

    const CHART: [&str; 2] = [
        include_str!("../../../charts/colonyos-operator/templates/rbac-operator.yaml"),
        include_str!("../../../charts/colonyos-operator/templates/rbac-executors.yaml"),
    ];

    /// The list that follows `key:` on a line, such as `verbs: [get, list]`.
    fn list<'a>(line: &'a str, key: &str) -> Option<Vec<&'a str>> {
        let inner = line.trim().trim_start_matches("- ").strip_prefix(key)?.trim().strip_prefix('[')?;
        Some(inner.strip_suffix(']')?.split(',').map(|item| item.trim().trim_matches('"')).collect())
    }

    /// What doctor asks for and what the chart grants must not drift apart: one would report an unnecessary
    /// permission, the other would miss one.
    #[test]
    fn the_chart_grants_exactly_these_rules() {
        let mut granted = BTreeSet::new();
        for template in CHART {
            let (mut groups, mut resources) = (Vec::new(), Vec::new());
            for line in template.lines() {
                if let Some(list) = list(line, "apiGroups:") {
                    groups = list;
                } else if let Some(list) = list(line, "resources:") {
                    resources = list;
                } else if let Some(verbs) = list(line, "verbs:") {
                    let all = groups
                        .iter()
                        .flat_map(|group| resources.iter().map(move |resource| (*group, *resource)));
                    granted.extend(all.flat_map(|pair| verbs.iter().map(move |verb| (pair, *verb))));
                }
            }
        }
        let rules = rules();
        let asked: BTreeSet<_> = rules
            .iter()
            .flat_map(|rule| rule.verbs.iter().map(move |verb| ((&*rule.group, &*rule.resource), *verb)))
            .collect();
        assert!(granted.len() > 30, "the templates are not read: {granted:?}");
        let unneeded: Vec<_> = granted.difference(&asked).collect();
        let missing: Vec<_> = asked.difference(&granted).collect();
        assert!(
            missing.is_empty() && unneeded.is_empty(),
            "asked alone {missing:?}, granted alone {unneeded:?}"
        );
    }
}
