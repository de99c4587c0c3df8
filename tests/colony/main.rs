//! The way to a real ColonyOS server, and the example executor on one. What the server itself does is checked in
//! `tests/conformance`.
//!
//! `cargo xtask test --rung colony` starts the server and sets the variables that this needs:
//! `COLONIES_SERVER_HOST`, `COLONIES_SERVER_PORT`, `COLONIES_TLS` and `COLONIES_SERVER_PRVKEY`; and it builds
//! the executor (`EXECUTOR_BIN`, else looked for where cargo puts examples). Each test has a colony and keys
//! of its own.

#[cfg(test)]
mod containers;
#[cfg(test)]
mod executor;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod reconciler;
#[cfg(test)]
mod relay;
#[cfg(test)]
#[allow(dead_code, reason = "each of the binaries that share it uses a part")]
mod stage;
#[cfg(test)]
#[path = "../support"]
#[allow(dead_code, reason = "each of the binaries that share it uses a part")]
mod support {
    pub mod daemon;
    pub mod environment;
    pub mod process;
    pub mod program;
    pub mod server;
    pub mod wait;
}
#[cfg(test)]
mod way;
