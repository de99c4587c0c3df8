//! Rung `faults`: one intended piece of work is one ColonyOS process, whatever is lost, refused or killed on the way.
//!
//! A proxy of this rung stands between the operator's own binary and both its servers, which are real. It knows what each
//! request is for, and kills the operator, loses answers or refuses calls at every point at which the operator writes.
//! What counts in the end is what stands in the ColonyOS server's database.
//!
//! Needs `KUBECONFIG`, the `COLONIES_*` variables of a server and a node labelled `colonies.io/node=kwok`; `cargo xtask
//! test --rung faults` starts all of it and runs this. With `FAULTS_AT=TEXT` only points whose line in the table contains
//! the text are met by kills and losses. The tables are also written to `faults.txt`, `forgotten.txt` and `emptied.txt`
//! in Cargo's folder for such files.

// Everything is marked as a test for the lints, which let tests stop where they fail.
#[cfg(test)]
#[path = "../support/mod.rs"]
#[allow(dead_code, reason = "each rung uses its part of the support")]
mod support;

#[cfg(test)]
mod emptied;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod forgotten;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod report;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod trials;
