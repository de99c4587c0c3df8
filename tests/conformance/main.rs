//! What a ColonyOS server does, checked twice: on a real one, and on the one in memory that simulations stand on. Whatever
//! both pass is a fact that the operator may count on; a check that only one of them passes is a mistake in the other.
//!
//! `cargo xtask test --rung conformance` starts the real server and sets the variables that this needs:
//! `COLONIES_SERVER_HOST`, `COLONIES_SERVER_PORT`, `COLONIES_TLS` and `COLONIES_SERVER_PRVKEY`. Without one,
//! `cargo test --test conformance fake::` checks the one in memory. Each check has a colony and keys of
//! its own.

#[cfg(test)]
mod backend;
#[cfg(test)]
mod blueprints;
#[cfg(test)]
mod crons;
#[cfg(test)]
#[path = "../../crates/client/examples/submit.rs"]
#[allow(dead_code, reason = "its main function takes everything from the environment")]
mod example;
#[cfg(test)]
mod gate;
#[cfg(test)]
mod life;
#[cfg(test)]
mod look_up;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod owners;
#[cfg(test)]
mod refusals;
#[cfg(test)]
#[path = "../colony/stage.rs"]
#[allow(dead_code, reason = "each of the binaries that share it uses a part")]
mod stage;
#[cfg(test)]
mod subscriptions;
#[cfg(test)]
#[path = "../support"]
#[allow(dead_code, reason = "each of the binaries that share it uses a part")]
mod support {
    pub mod environment;
    pub mod process;
    pub mod server;
    pub mod wait;
}
#[cfg(test)]
mod workflows;
