//! What the user brings along: a cluster by `KUBECONFIG`, a ColonyOS server by the `COLONIES_*` variables. A part that is
//! brought along is neither built nor started nor stopped.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

/// Variable by which `cluster env` marks what it prints as belonging to a stack, so that a shell that has evaluated it
/// does not make the next `up` take that stack for existing servers.
pub const MARK: &str = "COLONIES_STACK_STATE";
/// The variables that together name a ColonyOS server, a colony and the right to use it.
const SERVER: &[&str] = &[
    "COLONIES_SERVER_HOST",
    "COLONIES_SERVER_PORT",
    "COLONIES_COLONY_NAME",
    "COLONIES_COLONY_PRVKEY",
    "COLONIES_PRVKEY",
];

/// Parts of a stack that existed before it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Surroundings {
    /// The user's cluster.
    pub kubeconfig: Option<PathBuf>,
    /// Whether the user names a ColonyOS server.
    pub colony: bool,
}

/// Reads the environment of this process.
pub fn find() -> Surroundings {
    let variables: BTreeMap<String, String> = env::vars().filter(|(_, value)| !value.is_empty()).collect();
    find_in(&variables)
}

fn find_in(variables: &BTreeMap<String, String>) -> Surroundings {
    let ours = variables.get(MARK).map(Path::new);
    let kubeconfig = variables
        .get("KUBECONFIG")
        .map(PathBuf::from)
        .filter(|path| !ours.is_some_and(|folder| path.starts_with(folder)));
    let colony = ours.is_none() && SERVER.iter().all(|name| variables.contains_key(*name));
    Surroundings { kubeconfig, colony }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Surroundings {
        find_in(&pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_foreign_cluster_is_taken_and_an_own_one_is_not() {
        assert_eq!(with(&[("KUBECONFIG", "/home/a/config")]).kubeconfig, Some("/home/a/config".into()));
        assert_eq!(with(&[("KUBECONFIG", "/s/demo/kubeconfig"), (MARK, "/s/demo")]).kubeconfig, None);
    }

    #[test]
    fn a_colony_counts_only_when_it_is_complete_and_not_a_stacks() {
        let complete: Vec<(&str, &str)> = SERVER.iter().map(|name| (*name, "x")).collect();
        assert!(with(&complete).colony);
        assert!(!with(&complete[1..]).colony);
        assert!(!with(&[&complete[..], &[(MARK, "/s/demo")]].concat()).colony);
    }
}
