//! Rung `interop`: requests that are moved by our commands, by programs of others, and by both together; and what tools of
//! others make of objects. Needs `KUBECONFIG`, `REQUESTS_IN_GO_BIN` and `KSTATUS_IN_GO_BIN`; `cargo xtask test --rung interop` starts a cluster and runs it.
//!
//! A director of others takes any request for its own, in whatever namespace: a test with programs that look at all
//! namespaces has the cluster to itself.

// Everything is marked as a test for the lints, which let tests stop where they fail.
#[cfg(test)]
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each rung uses its part of the support")]
mod support;

#[cfg(test)]
mod crowd;
#[cfg(test)]
mod flows;
#[cfg(test)]
mod kstatus;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod program;
#[cfg(test)]
mod record;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod worker;
