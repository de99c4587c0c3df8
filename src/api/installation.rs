//! As whom an installation of the operator is known to an API server and in a colony.

use super::names::OPERATOR;

/// As whom an installation, known by its namespace and lease, writes statuses, within the 128 characters of a field manager.
#[must_use]
pub fn status_manager(namespace: &str, lease: &str) -> String {
    format!("{OPERATOR}:{namespace}/{lease}").chars().take(128).collect()
}

/// Whether a field manager is that of an installation's statuses.
#[must_use]
pub fn is_status_manager(manager: &str) -> bool {
    manager.strip_prefix(OPERATOR).is_some_and(|rest| rest.starts_with(':'))
}

/// The name of the member of a colony as which an operator is registered with a key of its own, by the id that follows from the key.
#[must_use]
pub fn operator_member_name(id: &str) -> String {
    let short: String = id.chars().take(12).collect();
    format!("{OPERATOR}-{short}")
}
