//! Rung `apiserver`: what only a real kube-apiserver can show. Needs `KUBECONFIG`; `cargo xtask test --rung apiserver`
//! starts a cluster and runs it.

#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each rung uses its part of the support")]
mod support;

mod admission;
mod definitions;
mod lease;
mod status;
