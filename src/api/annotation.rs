//! All annotations of the operator: another one under its prefixes is a mistake, of which people are warned.

use super::names;

/// Every annotation that the operator reads or writes.
pub const KNOWN: [&str; 38] = [
    names::ABANDON_ANNOTATION,
    names::ACCEPT_IMPACT_ANNOTATION,
    names::ACCEPT_RESET_ANNOTATION,
    names::ACCEPTED_GENERATION_ANNOTATION,
    names::ADOPTION_ANNOTATION,
    names::FIELDS_ANNOTATION,
    names::BLUEPRINT_ANNOTATION,
    names::ADMITTED_ANNOTATION,
    names::BUSY_WITH_ANNOTATION,
    names::CLAIM_ANNOTATION,
    names::COLONY_ANNOTATION,
    names::CONVERSIONS_ANNOTATION,
    names::DEFAULT_COLONY_ANNOTATION,
    names::EXECUTOR_TYPE_ANNOTATION,
    names::FLOW_ANNOTATION,
    names::GENERATE_ANNOTATION,
    names::HANDLER_ANNOTATION,
    names::PRESERVED_FIELDS_ANNOTATION,
    names::BLUEPRINT_NAMESPACE_ANNOTATION,
    names::BLUEPRINT_ORIGIN_ANNOTATION,
    names::PAUSED_ANNOTATION,
    names::PROCESS_ANNOTATION,
    names::PROCESS_SPEC_ANNOTATION,
    names::PROCESS_TIME_ANNOTATION,
    names::RECONCILE_ANNOTATION,
    names::RESTORE_ANNOTATION,
    names::RERUN_ANNOTATION,
    names::DEFINITION_ANNOTATION,
    names::RESTART_ANNOTATION,
    names::ROLES_ANNOTATION,
    names::SCHEDULED_AT_ANNOTATION,
    names::SUBMITTED_AS_ANNOTATION,
    names::TRIGGER_ANNOTATION,
    names::WRITTEN_SPEC_ANNOTATION,
    names::CONTENT_HASH_ANNOTATION,
    names::ENVIRONMENT_ANNOTATION,
    names::EXECUTOR_NAME_ANNOTATION,
    names::RUN_ANNOTATION,
];

/// Those that users write on their objects.
pub const FOR_USERS: [&str; 13] = [
    names::ABANDON_ANNOTATION,
    names::ACCEPT_IMPACT_ANNOTATION,
    names::ACCEPT_RESET_ANNOTATION,
    names::ADOPTION_ANNOTATION,
    names::BLUEPRINT_ANNOTATION,
    names::COLONY_ANNOTATION,
    names::DEFAULT_COLONY_ANNOTATION,
    names::EXECUTOR_TYPE_ANNOTATION,
    names::FLOW_ANNOTATION,
    names::PAUSED_ANNOTATION,
    names::RECONCILE_ANNOTATION,
    names::RESTORE_ANNOTATION,
    names::ROLES_ANNOTATION,
];

/// Annotations that are `true` or `false`: any other value means `false`.
pub const FLAGS: [&str; 3] =
    [names::ABANDON_ANNOTATION, names::DEFAULT_COLONY_ANNOTATION, names::PAUSED_ANNOTATION];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Of one that is missing here, people would be warned who write it.
    #[test]
    fn no_annotation_is_left_out() {
        let source = include_str!("names.rs");
        let declared = source.lines().filter_map(|line| {
            let (name, value) = line.trim().strip_prefix("pub const ")?.split_once(": &str = \"")?;
            name.ends_with("_ANNOTATION").then(|| value.trim_end_matches("\";"))
        });
        let declared: BTreeSet<&str> = declared.collect();
        assert!(declared.len() > 20, "{declared:?}");
        assert_eq!(KNOWN.into_iter().collect::<BTreeSet<_>>(), declared);
        assert!(FOR_USERS.iter().chain(&FLAGS).all(|annotation| KNOWN.contains(annotation)));
    }
}
