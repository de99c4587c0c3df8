//! The plan of an uninstallation, for a person and for programs. Pure.

use serde_json::{Value, json};

use super::inventory::{Group, Inventory, Left};

/// How many objects of a step are named.
const NAMED: usize = 20;

/// The plan as text.
pub(super) fn text(inventory: &Inventory, crds: bool) -> String {
    let mut lines = vec![format!("The operator of namespace {}{}", inventory.namespace, running(inventory))];
    let mut number = 0;
    let mut step = |lines: &mut Vec<String>, what: &str| {
        number += 1;
        lines.push(format!("{number:>2}. {what}"));
    };
    for group in &inventory.groups {
        step(&mut lines, &format!("delete {}: {}", counted(group), group.why));
        lines.extend(group.objects.iter().take(NAMED).map(|(_, left)| format!("      {}", object(left))));
        let more = group.objects.len().saturating_sub(NAMED);
        if more > 0 {
            lines.push(format!("      and {more} more"));
        }
    }
    let namespace = &inventory.namespace;
    step(
        &mut lines,
        &format!(
            "uninstall the operator: helm uninstall RELEASE --namespace {namespace} (helm list has the name)"
        ),
    );
    for what in own(inventory, crds) {
        step(&mut lines, &format!("delete {what}"));
    }
    lines.extend(staying(inventory, crds).into_iter().map(|what| format!("stays: {what}")));
    lines.join("\n") + "\n"
}

/// The plan as a value.
pub(super) fn json(inventory: &Inventory, crds: bool) -> Value {
    let object = |left: &Left| {
        json!({
            "kind": left.kind, "namespace": left.namespace, "name": left.name, "finalizers": left.finalizers,
            "inColony": left.in_colony, "orphaned": left.is_orphaned, "remark": left.remark,
        })
    };
    let step = |group: &Group| {
        let objects: Vec<Value> = group.objects.iter().map(|(_, left)| object(left)).collect();
        json!({ "kind": group.kind.name(), "why": group.why, "objects": objects })
    };
    json!({
        "namespace": inventory.namespace,
        "operatorRuns": inventory.is_running,
        "steps": inventory.groups.iter().map(step).collect::<Vec<_>>(),
        "afterwards": own(inventory, crds),
        "stays": staying(inventory, crds),
    })
}

/// What is left to do once nothing is left that the operator looks after.
pub(super) fn next(inventory: &Inventory, crds: bool) -> String {
    let namespace = &inventory.namespace;
    let own = own(inventory, crds);
    if inventory.is_running == Some(true) {
        let again = if crds { " --crds" } else { "" };
        return format!(
            "nothing is left that the operator looks after; now uninstall it: helm uninstall RELEASE --namespace {namespace}. Then run this command again{again}, which deletes {}",
            own.join(", ")
        );
    }
    let stays = staying(inventory, crds);
    let stays = if stays.is_empty() { "nothing".to_owned() } else { stays.join("; ") };
    format!("the operator of namespace {namespace} is uninstalled; stays: {stays}")
}

fn running(inventory: &Inventory) -> &'static str {
    match inventory.is_running {
        Some(true) => " runs, and ends what is in colonies:",
        Some(false) if inventory.groups.is_empty() => " does not run:",
        Some(false) => " does not run: start it first, or what it holds stays",
        None => " needs no lease: make sure that it runs, or what it holds stays",
    }
}

fn counted(group: &Group) -> String {
    let count = group.objects.len();
    let name = group.kind.name();
    match (count, name.strip_suffix('y')) {
        (1, _) => format!("1 {name}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ if name.ends_with('s') => format!("{count} {name}es"),
        _ => format!("{count} {name}s"),
    }
}

fn object(left: &Left) -> String {
    let mut parts = vec![left.place()];
    if left.kind != "Colony" && !left.in_colony.is_empty() {
        let what = left.in_colony.join(", ");
        parts.push(if left.is_orphaned { format!("{what} stays (deletionPolicy Orphan)") } else { what });
    }
    if !left.finalizers.is_empty() {
        parts.push(format!("held by {}", left.finalizers.join(", ")));
    }
    parts.extend(left.remark.clone());
    parts.join("; ")
}

/// What goes when the operator is gone.
fn own(inventory: &Inventory, crds: bool) -> Vec<String> {
    let lease = inventory.lease.iter().map(|name| format!("Lease {name}"));
    let secrets = inventory.secrets.iter().map(|name| format!("Secret {name}"));
    let kinds =
        inventory.crds.iter().filter(|_| crds).map(|(name, _)| format!("CustomResourceDefinition {name}"));
    lease.chain(secrets).chain(kinds).collect()
}

/// What is not deleted.
fn staying(inventory: &Inventory, crds: bool) -> Vec<String> {
    let secrets = inventory.users_secrets.iter();
    let mut all: Vec<String> =
        secrets.map(|name| format!("Secret {name}, which a user created for a Colony")).collect();
    let orphans = inventory.groups.iter().flat_map(|group| &group.objects);
    let orphans = orphans.filter(|(_, left)| left.is_orphaned && !left.in_colony.is_empty());
    all.extend(
        orphans.map(|(_, left)| format!("{} of {} {}", left.in_colony.join(", "), left.kind, left.place())),
    );
    if !crds && !inventory.crds.is_empty() {
        all.push(format!("{} CustomResourceDefinitions (--crds deletes them)", inventory.crds.len()));
    }
    all
}

#[cfg(test)]
mod tests {
    use kube::core::ApiResource;

    use super::*;
    use crate::api::kind::Kind;

    #[test]
    fn a_plan_is_read_from_top_to_bottom() {
        let left = |kind: &str, name: &str, in_colony: &[&str], is_orphaned| Left {
            kind: kind.to_owned(),
            namespace: (kind != "Colony").then(|| "media".to_owned()),
            name: name.to_owned(),
            finalizers: vec![format!("colonies.io/{name}")],
            in_colony: in_colony.iter().map(ToString::to_string).collect(),
            is_orphaned,
            remark: None,
        };
        let group = |kind: Kind, why, objects: Vec<Left>| {
            let resource = || ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
            Group { kind, why, objects: objects.into_iter().map(|left| (resource(), left)).collect() }
        };
        let process = |name: &str, is_orphaned| {
            left("ColonyProcess", name, &["process 4711 in Colony dev"], is_orphaned)
        };
        let inventory = Inventory {
            namespace: "colonyos-system".to_owned(),
            is_running: Some(true),
            groups: vec![
                group(Kind::ColonyProcess, "ended", vec![process("a", false), process("b", true)]),
                group(Kind::Colony, "left", vec![left("Colony", "dev", &[], false)]),
            ],
            lease: Some("colonyos-operator".to_owned()),
            secrets: vec!["colony-dev-operator".to_owned()],
            users_secrets: vec!["colony-dev".to_owned()],
            crds: vec![("colonies.colonies.io".to_owned(), 1)],
        };
        let expected = expect_test::expect![[r"
            The operator of namespace colonyos-system runs, and ends what is in colonies:
             1. delete 2 ColonyProcesses: ended
                  media/a; process 4711 in Colony dev; held by colonies.io/a
                  media/b; process 4711 in Colony dev stays (deletionPolicy Orphan); held by colonies.io/b
             2. delete 1 Colony: left
                  dev; held by colonies.io/dev
             3. uninstall the operator: helm uninstall RELEASE --namespace colonyos-system (helm list has the name)
             4. delete Lease colonyos-operator
             5. delete Secret colony-dev-operator
            stays: Secret colony-dev, which a user created for a Colony
            stays: process 4711 in Colony dev of ColonyProcess media/b
            stays: 1 CustomResourceDefinitions (--crds deletes them)
        "]];
        expected.assert_eq(&text(&inventory, false));
        assert_eq!(json(&inventory, true)["steps"][0]["objects"][0]["name"], "a");
        assert!(text(&inventory, true).contains("6. delete CustomResourceDefinition colonies.colonies.io\n"));
    }
}
