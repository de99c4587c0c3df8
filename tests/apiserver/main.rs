//! Rung `apiserver`: what only a real kube-apiserver can show. Needs `KUBECONFIG`; `cargo xtask test --rung apiserver`
//! starts a cluster and runs it.

// Everything is marked as a test for the lints, which let tests stop where they fail.
#[cfg(test)]
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each rung uses its part of the support")]
mod support;

#[cfg(test)]
mod absence;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod adoption;
#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod blueprints;
#[cfg(test)]
mod born;
#[cfg(test)]
mod borrowed_rights;
#[cfg(test)]
mod busy_pods;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod causes;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod colonies;
#[cfg(test)]
mod colony_cron;
#[cfg(test)]
mod colony_process;
#[cfg(test)]
mod colony_workflow;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod composition;
#[cfg(test)]
mod conversion;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod definitions;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod describe;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod elsewhere;
#[cfg(test)]
mod executor_deployment;
#[cfg(test)]
mod function_spec;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod kind_policies;
#[cfg(test)]
mod lease;
#[cfg(test)]
mod management;
#[cfg(test)]
mod memory_server;
#[cfg(test)]
mod mutator;
#[cfg(test)]
mod operator;
#[cfg(test)]
mod pod_causes;
#[cfg(test)]
mod pod_identities;
#[cfg(test)]
mod pod_security;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod processes;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod release_test;
#[cfg(test)]
mod request_flow;
#[cfg(test)]
mod request_state;
#[cfg(test)]
mod requester;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod resource_definition;
#[cfg(test)]
mod restore;
#[cfg(test)]
mod results;
#[cfg(test)]
mod status;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod whole_cluster;
#[cfg(test)]
mod whole_leftovers;
#[cfg(test)]
mod whole_release;
#[cfg(test)]
mod whole_uninstall;
#[cfg(test)]
mod whole_verify;
#[cfg(test)]
mod writes;
