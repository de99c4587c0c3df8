//! Whether the operator has the rights that a kind and what it is made of need.

use crate::{
    api::condition::{ConditionType, Reason},
    snapshot::{DefinitionSnapshot, Observed},
    status::condition::Finding,
};

/// Most missing rights that are named.
const NAMED_RIGHTS: usize = 3;

pub(super) fn authorized(snapshot: &DefinitionSnapshot) -> Finding {
    let kind = ConditionType::Authorized;
    let group = &snapshot.object.spec.group;
    match &snapshot.missing_rights {
        Observed::Unknown(why) => Finding::unknown(kind, Reason::ReadFailed, why),
        Observed::Known(missing) if missing.is_empty() && snapshot.composes.missing.is_empty() => {
            if let Some(finding) = unguarded(snapshot) {
                return finding;
            }
            Finding::yes(kind, Reason::RightsGranted, format!("the operator has its rights in group {group}"))
        }
        Observed::Known(missing) => {
            let named: Vec<&str> = missing.iter().take(NAMED_RIGHTS).map(String::as_str).collect();
            if missing.is_empty() {
                return parts_unauthorized(snapshot);
            }
            let further = if missing.len() > NAMED_RIGHTS { " and more" } else { "" };
            let mut groups: Vec<&str> = snapshot.granted_groups.iter().map(String::as_str).collect();
            groups.push(group);
            groups.sort_unstable();
            let quoted: Vec<String> = groups.iter().map(|group| format!("\"{group}\"")).collect();
            let message = format!(
                "the operator may not {}{further}: its administrator can run: helm upgrade RELEASE CHART --namespace {} --reset-then-reuse-values --set-json 'userKinds.groups=[{}]' (keep every group that is already listed)",
                named.join(", "),
                snapshot.namespace,
                quoted.join(",")
            );
            Finding::no(kind, Reason::RightsMissing, message)
        }
    }
}

/// That nothing keeps users of the kind from borrowing the operator's rights, if so.
fn unguarded(snapshot: &DefinitionSnapshot) -> Option<Finding> {
    let kind = ConditionType::Authorized;
    match &snapshot.missing_policies {
        Observed::Known(missing) if missing.is_empty() => None,
        Observed::Known(missing) => {
            let message = format!(
                "users of the kind borrow the rights of the operator, since admission policies or their bindings are missing: {}: its administrator can run: helm upgrade RELEASE CHART --namespace {} --reset-then-reuse-values --set admissionPolicy.enabled=true",
                missing.join(", "),
                snapshot.namespace
            );
            Some(Finding::no(kind, Reason::PoliciesMissing, message))
        }
        Observed::Unknown(why) => {
            Some(Finding::unknown(kind, Reason::ReadFailed, format!("admission policies: {why}")))
        }
    }
}

/// That the operator may not write what instances are made of.
fn parts_unauthorized(snapshot: &DefinitionSnapshot) -> Finding {
    let missing = &snapshot.composes.missing;
    let named = missing.iter().map(|name| match name.group.as_str() {
        "" => name.resource.clone(),
        group => format!("{}.{group}", name.resource),
    });
    let named: Vec<String> = named.collect();
    let entries = missing.iter().map(|name| {
        let (group, resource) = (&name.group, &name.resource);
        format!("{{\"apiGroups\":[\"{group}\"],\"resources\":[\"{resource}\"]}}")
    });
    let entries: Vec<String> = entries.collect();
    let message = format!(
        "the operator may not write {}, which instances are composed of: its administrator can run: helm upgrade RELEASE CHART --namespace {} --reset-then-reuse-values --set-json 'userKinds.composes=[{}]' (keep every entry that is already listed)",
        named.join(", "),
        snapshot.namespace,
        entries.join(",")
    );
    Finding::no(ConditionType::Authorized, Reason::RightsMissing, message)
}
