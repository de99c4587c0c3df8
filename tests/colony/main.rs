//! The ColonyOS client, and the example executor, against a real ColonyOS server.
//!
//! `cargo xtask test --rung colony` starts the server and sets the variables that this needs:
//! `COLONIES_SERVER_HOST`, `COLONIES_SERVER_PORT`, `COLONIES_TLS` and `COLONIES_SERVER_PRVKEY`; and it builds
//! the executor (`EXECUTOR_BIN`, else looked for where cargo puts examples). Each test has a colony and keys
//! of its own.

#[cfg(test)]
mod executor;
#[cfg(test)]
mod life;
#[cfg(test)]
mod look_up;
#[cfg(test)]
mod membership;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod relay;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod way;
