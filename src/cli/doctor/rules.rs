//! The permissions that the operator needs, as the chart grants them.

/// Where a permission must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// For kinds without a namespace.
    Cluster,
    /// In the operator's own namespace.
    Own,
    /// In the namespaces that are watched.
    Watched,
}

/// Verbs on one resource.
#[derive(Debug)]
pub(super) struct Rule {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Resource, with its subresource after a slash.
    pub resource: &'static str,
    /// What is done to it.
    pub verbs: &'static [&'static str],
    /// Where.
    pub place: Place,
    /// Why, to follow "because".
    pub why: &'static str,
}

const READ: &[&str] = &["get", "list", "watch"];
const KEEP: &[&str] = &["get", "list", "watch", "create", "update", "delete"];

/// All of them.
pub(super) const RULES: &[Rule] = &[
    rule("colonies.io", "colonies", READ, Place::Cluster, "a Colony says where a colony's server is"),
    rule(
        "colonies.io",
        "colonies/status",
        &["update"],
        Place::Cluster,
        "a Colony shows whether it is connected",
    ),
    rule(
        "colonies.io",
        "colonies/finalizers",
        &["update"],
        Place::Cluster,
        "the operator's keys go with their Colony",
    ),
    rule(
        "colonies.io",
        "resourcedefinitions",
        &["get", "list", "watch", "patch"],
        Place::Cluster,
        "they say which kinds users make up",
    ),
    rule(
        "colonies.io",
        "resourcedefinitions/status",
        &["update"],
        Place::Cluster,
        "a ResourceDefinition shows whether its kind is served",
    ),
    rule("", "namespaces", READ, Place::Cluster, "a Colony names by labels which namespaces may use it"),
    rule(
        "coordination.k8s.io",
        "leases",
        &["get", "update", "create"],
        Place::Own,
        "one replica alone writes",
    ),
    rule("", "secrets", &["get", "create", "patch"], Place::Own, "keys of colonies are kept in Secrets"),
    rule(
        "compute.colonies.io",
        "executordeployments",
        &["get", "list", "watch", "create", "update", "patch", "delete"],
        Place::Watched,
        "they are what the operator looks after, and makes for blueprints of the colony",
    ),
    rule(
        "compute.colonies.io",
        "executordeployments/status",
        &["update"],
        Place::Watched,
        "an ExecutorDeployment shows how it fares",
    ),
    rule(
        "compute.colonies.io",
        "executordeployments/finalizers",
        &["update"],
        Place::Watched,
        "workloads go with their ExecutorDeployment",
    ),
    rule(
        "colonies.io",
        "colonyprocesses",
        &["get", "list", "watch", "create", "patch", "delete"],
        Place::Watched,
        "they are submitted to colonies, created by ColonyCrons, and go when their time is over",
    ),
    rule(
        "colonies.io",
        "colonyprocesses/status",
        &["update"],
        Place::Watched,
        "a ColonyProcess shows where it stands",
    ),
    rule(
        "colonies.io",
        "colonyworkflows",
        &["get", "list", "watch", "create", "patch", "delete"],
        Place::Watched,
        "they are submitted to colonies, created by ColonyCrons, and go when their time is over",
    ),
    rule(
        "colonies.io",
        "colonyworkflows/status",
        &["update"],
        Place::Watched,
        "a ColonyWorkflow shows where it stands",
    ),
    rule(
        "com.redhat.ecosystem.sample",
        "requeststates",
        &["get", "list", "watch", "update", "patch"],
        Place::Watched,
        "requests are moved from state to state",
    ),
    rule(
        "com.redhat.ecosystem.sample",
        "requeststates/status",
        &["update"],
        Place::Watched,
        "a request shows the way that it has come",
    ),
    rule("colonies.io", "colonycrons", READ, Place::Watched, "they say when processes are created"),
    rule(
        "colonies.io",
        "colonycrons/status",
        &["update"],
        Place::Watched,
        "a ColonyCron shows what runs, and when the next run is due",
    ),
    rule(
        "colonies.io",
        "colonycrons/finalizers",
        &["update"],
        Place::Watched,
        "runs go with their ColonyCron",
    ),
    rule("colonies.io", "requestflows", READ, Place::Watched, "requests follow them"),
    rule(
        "colonies.io",
        "requestflows/status",
        &["update"],
        Place::Watched,
        "a RequestFlow shows whether it can be followed",
    ),
    rule("", "configmaps", &["get"], Place::Watched, "the environment of a process may refer to them"),
    rule("apps", "deployments", KEEP, Place::Watched, "executors run in them"),
    rule("apps", "daemonsets", KEEP, Place::Watched, "executors run in them"),
    rule("batch", "jobs", KEEP, Place::Watched, "executors run in them"),
    rule("", "pods", READ, Place::Watched, "they tell why an executor does not run"),
    rule(
        "",
        "secrets",
        &["get", "create", "update", "patch", "delete"],
        Place::Watched,
        "an executor's identity is kept beside it",
    ),
    rule("events.k8s.io", "events", &["create", "patch"], Place::Watched, "changes are told in Events"),
];

const fn rule(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    place: Place,
    why: &'static str,
) -> Rule {
    Rule { group, resource, verbs, place, why }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RULES;

    const CHART: [&str; 2] = [
        include_str!("../../../charts/colonyos-operator/templates/rbac-operator.yaml"),
        include_str!("../../../charts/colonyos-operator/templates/rbac-executors.yaml"),
    ];

    /// The list that follows `key:` on a line, such as `verbs: [get, list]`.
    fn list<'a>(line: &'a str, key: &str) -> Option<Vec<&'a str>> {
        let inner = line.trim().trim_start_matches("- ").strip_prefix(key)?.trim().strip_prefix('[')?;
        Some(inner.strip_suffix(']')?.split(',').map(|item| item.trim().trim_matches('"')).collect())
    }

    /// What doctor asks for and what the chart grants must not drift apart: one would report a permission that nobody
    /// needs, the other would leave one out.
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
        let asked: BTreeSet<_> = RULES
            .iter()
            .flat_map(|rule| rule.verbs.iter().map(move |verb| ((rule.group, rule.resource), *verb)))
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
