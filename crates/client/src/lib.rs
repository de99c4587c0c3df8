//! A client of [ColonyOS](https://colonyos.io) servers: typed, bounded in time, and honest about what it does
//! not know.
//!
//! It knows nothing of Kubernetes. Checked against ColonyOS 1.9.12.
//!
//! ```text
//! Session ── Call ──▶ wire (inner JSON, base64) ──▶ Client ──▶ Transport (sign, one POST) ──▶ wire (reply) ──▶ model | Error
//! ```
//!
//! | module | what | |
//! |---|---|---|
//! | [`model`] | the words: what is sent and what comes back | pure: no clock, network or randomness |
//! | `wire` | payload types, envelopes, replies | pure |
//! | [`sign`] | identities, keys and signatures | randomness for new keys only |
//! | [`error`] | what went wrong, and whether it may have been done all the same | pure |
//! | [`client`] | one client per server: time limits, and what the end of a call means | network |
//! | [`transport`] | how a call reaches the server: HTTP, or a way of the caller's own | network |
//! | [`session`] | one identity in one colony: the calls | network |
//! | [`subscription`] | being told of a process, without a promise | network |
//!
//! # Three rules
//! - **Unknown is not empty.** A list that cannot be read or decoded is an [`Error`], never an empty `Vec`.
//! - **A lost reply is not a refusal.** [`Error::may_have_happened`] tells them apart; nothing is ever sent
//!   twice.
//! - **What bites cannot be built.** [`FunctionSpec`], [`NewExecutor`] and their kin refuse, when made, the
//!   values that the server accepts and then misbehaves on.
//!
//! # Example
//! ```no_run
//! use colonyos_client::{Client, FunctionSpec, PrivateKey, Server, Timeouts, Tls};
//!
//! # async fn submit() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server { host: "localhost".into(), port: 50080, tls: Tls::Insecure };
//! let client = Client::new(&server, Timeouts::default())?;
//! let member = client.session("dev", PrivateKey::from_hex(&std::env::var("COLONIES_PRVKEY")?)?);
//! let process = member.submit(&FunctionSpec::new("dev", "cli", "echo")?.arg("hello")).await?;
//! println!("{} is {}", process.id, process.state);
//! # Ok(())
//! # }
//! ```

//!
//! The README has a table of the errors and what to do about each, and the limits of server and client.

#![deny(missing_docs)]

pub mod client;
pub mod error;
pub mod model;
pub mod session;
pub mod sign;
pub mod subscription;
mod tls;
pub mod transport;
mod wire;

pub use client::{Client, Observer, Server, Timeouts};
pub use error::{Error, ErrorKind, Reply};
pub use model::{
    Attribute, AttributeKind, Blueprint, BlueprintDefinition, BlueprintMetadata, BlueprintRevision,
    Capabilities, Colony, Cpu, Cron, DefinitionMetadata, DefinitionNames, DefinitionSpec, Environment,
    Executor, ExecutorState, Filesystem, Filter, FunctionSpec, GpuRequest, Handler, Hardware, Id,
    InvalidField, Log, LogQuery, Memory, NewAttribute, NewColony, NewCron, NewExecutor, NewUser, OnConflicts,
    Process, ProcessGraph, ProcessId, ProcessQuery, ProcessState, Retries, Schedule, ServerInfo,
    SnapshotMount, Software, Statistics, SubmittedConditions, SubmittedSpec, SyncDirectory, TimeLimit, User,
    Winner, WorkflowSpec, weight,
};
pub use session::Session;
pub use sign::{InvalidKey, PrivateKey};
pub use subscription::Subscription;
pub use tls::Tls;
pub use transport::Transport;

/// Compiles the example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
