//! The chart grants what the engines call, and no right to write that they do not use.

use std::{collections::BTreeSet, fs, path::Path};

use proptest::{collection::vec, test_runner::TestRunner};

use super::{events, kinds, runtime, world::World};

/// Verb, group and resource, with its subresource after a slash.
type Right = (String, String, String);

/// Groups of users' kinds, which the chart is told.
const USERS: &str = "ml.example.com";

/// Rights to write that no engine uses here, and what does.
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    ("create", "coordination.k8s.io", "leases", "the elector: tests/apiserver/lease.rs"),
    ("update", "coordination.k8s.io", "leases", "the elector: tests/apiserver/lease.rs"),
    ("create", "compute.colonies.io", "executordeployments", "inbound: tests/apiserver/doors.rs"),
    ("update", "compute.colonies.io", "executordeployments", "inbound: tests/e2e/requests.rs"),
    ("delete", "compute.colonies.io", "executordeployments", "inbound: tests/e2e/blueprints.rs"),
    ("delete", "colonies.io", "colonyprocesses", "what has expired: tests/apiserver/colony_process.rs"),
    ("delete", "colonies.io", "colonyworkflows", "what has expired: tests/apiserver/colony_workflow.rs"),
    ("create", "colonies.io", "colonyworkflows", "schedules of workflows: tests/apiserver/colony_cron.rs"),
    ("update", "colonies.io", "requestflows/status", "flows: tests/apiserver/request_flow.rs"),
    ("delete", "", "secrets", "a fleet that was never registered: tests/apiserver/deletion.rs"),
    ("delete", "apiextensions.k8s.io", "customresourcedefinitions", "tests/apiserver/resource_definition.rs"),
    (
        "update",
        "apiextensions.k8s.io",
        "customresourcedefinitions/status",
        "tests/apiserver/conversion/migration.rs",
    ),
    // Asked for by API servers whose plugin OwnerReferencesPermissionEnforcement is on, for no call of its own.
    ("update", "colonies.io", "colonies/finalizers", "owner references"),
    ("update", "colonies.io", "colonycrons/finalizers", "owner references"),
    ("update", "compute.colonies.io", "executordeployments/finalizers", "owner references"),
    // The same code as for Deployments: tests/apiserver/executor_deployment.rs.
    ("create", "apps", "daemonsets", "workloads"),
    ("update", "apps", "daemonsets", "workloads"),
    ("patch", "apps", "daemonsets", "workloads"),
    ("delete", "apps", "daemonsets", "workloads"),
    ("create", "batch", "jobs", "workloads"),
    ("update", "batch", "jobs", "workloads"),
    ("patch", "batch", "jobs", "workloads"),
    ("delete", "batch", "jobs", "workloads"),
];

/// The kinds of which single objects are read by name; all others that are watched come from lists alone. Calls of the memory server are
/// those of passes: what is watched it hands out by itself.
const READ_BY_NAME: &[(&str, &str, &str)] = &[
    ("colonies.io", "colonies", "logs and outputs: src/webhook/results"),
    ("colonies.io", "resourcedefinitions", "logs and outputs: src/webhook/results"),
    ("colonies.io", "colonyprocesses", "logs and outputs, and owners of processes: src/watch/orphans.rs"),
    ("colonies.io", "colonyworkflows", "as processes"),
    ("colonies.io", "colonycrons", "whether the schedule of a run is gone: src/watch/work.rs"),
    ("com.redhat.ecosystem.sample", "requeststates", "as processes"),
    ("compute.colonies.io", "executordeployments", "inbound: src/watch/inbound.rs"),
    ("", "namespaces", "the identity of the cluster: src/cli/run.rs"),
    ("", "configmaps", "values of the environment: src/watch/values.rs"),
    ("", "secrets", "identities, and values of the environment"),
    ("apps", "deployments", "who owns what is in the way: src/watch/executor_deployment.rs"),
    ("apps", "daemonsets", "as Deployments"),
    ("batch", "jobs", "as Deployments"),
    ("coordination.k8s.io", "leases", "the elector"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "conversions: src/webhook/converters.rs"),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        "src/watch/resource_definition/policies.rs",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        "src/watch/resource_definition/policies.rs",
    ),
];

/// The list that follows `key:` on a line, such as `verbs: [get, list]`.
fn list(line: &str, key: &str) -> Option<Vec<String>> {
    let inner = line.trim().trim_start_matches("- ").strip_prefix(key)?.trim();
    if inner.starts_with("{{") {
        return Some(vec![USERS.to_owned()]);
    }
    let inner = inner.strip_prefix('[')?.strip_suffix(']')?;
    Some(inner.split(',').map(|item| item.trim().trim_matches('"').to_owned()).collect())
}

/// What the operator's roles of the chart give, as far as it depends on no value.
fn granted() -> BTreeSet<Right> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/colonyos-operator/templates");
    let mut granted = BTreeSet::new();
    for template in ["rbac-operator.yaml", "rbac-executors.yaml", "rbac-kinds.yaml"] {
        let text = fs::read_to_string(folder.join(template)).unwrap();
        let (mut groups, mut resources) = (Vec::new(), Vec::new());
        // What follows is for people.
        for line in text.lines().take_while(|line| !line.contains("rbac.aggregate")) {
            if let Some(list) = list(line, "apiGroups:") {
                groups = list;
            } else if let Some(list) = list(line, "resources:") {
                resources = list;
            } else if let Some(verbs) = list(line, "verbs:") {
                for (group, resource) in
                    groups.iter().flat_map(|group| resources.iter().map(move |resource| (group, resource)))
                {
                    granted.extend(verbs.iter().map(|verb| (verb.clone(), group.clone(), resource.clone())));
                }
            }
        }
    }
    granted
}

/// What the engines call, of all kinds, whatever happens.
fn called() -> BTreeSet<Right> {
    const SEQUENCES: usize = 24;
    let mut called = BTreeSet::new();
    for kind in kinds() {
        let mut runner = TestRunner::deterministic();
        for _ in 0..SEQUENCES {
            use proptest::strategy::{Strategy as _, ValueTree as _};
            let events = vec(events::any_event(), 10..super::EVENTS).new_tree(&mut runner).unwrap().current();
            called.extend(runtime().block_on(async {
                let mut world = World::new(&kind).await;
                world.play(&events).await;
                world.permissions()
            }));
        }
    }
    called
}

/// As a Role names it: one for users' kinds names all resources of a group.
fn is_granted(granted: &BTreeSet<Right>, (verb, group, resource): &Right) -> bool {
    let of_all = match resource.split_once('/') {
        Some((_, part)) => format!("*/{part}"),
        None => "*".to_owned(),
    };
    [resource.clone(), of_all]
        .into_iter()
        .any(|resource| granted.contains(&(verb.clone(), group.clone(), resource)))
}

#[test]
fn the_chart_grants_each_call_and_no_write_that_is_not_called() {
    let (granted, called) = (granted(), called());
    assert!(granted.len() > 60 && called.len() > 20, "{granted:?} {called:?}");
    // Parts of users' kinds are granted by a value of the chart: userKinds.composes.
    let is_part = |group: &str| group.is_empty() || group == "apps";
    let refused: Vec<&Right> = called
        .iter()
        .filter(|right| !is_granted(&granted, right))
        .filter(|(_, group, resource)| !(is_part(group) && resource == "configmaps"))
        .collect();
    assert!(refused.is_empty(), "the chart does not grant {refused:?}");

    let is_write = |verb: &str| !matches!(verb, "get" | "list" | "watch");
    let is_used = |(verb, group, resource): &Right| {
        let is_same = |named: &str| resource == named || resource.starts_with('*');
        called.iter().any(|used| used.0 == *verb && used.1 == *group && is_same(&used.2))
    };
    let is_elsewhere = |(verb, group, resource): &Right| {
        ELSEWHERE.iter().any(|other| (other.0, other.1, other.2) == (verb, group, resource))
    };
    let unused: Vec<&Right> = granted
        .iter()
        .filter(|right| is_write(&right.0) && right.1 != USERS)
        .filter(|right| !is_used(right) && !is_elsewhere(right))
        .collect();
    assert!(unused.is_empty(), "nothing uses {unused:?}");
    let of_reads: BTreeSet<(&str, &str)> =
        READ_BY_NAME.iter().map(|(group, resource, _)| (*group, *resource)).collect();
    let granted_by_name: BTreeSet<(&str, &str)> = granted
        .iter()
        .filter(|right| right.0 == "get" && right.1 != USERS)
        .map(|right| (right.1.as_str(), right.2.as_str()))
        .collect();
    assert_eq!(granted_by_name, of_reads, "what is read by name");
    // Nor is there a reason for what is not granted.
    for (verb, group, resource, why) in ELSEWHERE {
        let right = ((*verb).to_owned(), (*group).to_owned(), (*resource).to_owned());
        assert!(granted.contains(&right), "{right:?} is not granted: {why}");
    }
}
