//! What one pass knows of a `Colony`.

use jiff::Timestamp;

use super::Observed;
use crate::{
    api::colony::Colony,
    colony::model::{Executor, ServerInfo, Statistics},
};

/// What one pass knows of a `Colony`.
#[derive(Clone, Debug)]
pub struct ColonySnapshot {
    /// The object as applied.
    pub object: Colony,
    /// Whether the keys that the user supplied and those that the operator made can be used.
    pub credentials: Credentials,
    /// The server, asked without a key.
    pub server: Observed<ServerInfo>,
    /// Whether the member key is known to the colony.
    pub membership: Membership,
    /// All executors of the colony.
    pub executors: Observed<Vec<Executor>>,
    /// How many executors run a process; none if that cannot be told.
    pub busy_executors: Option<i64>,
    /// The executor as which the operator serves the colony; none while no identity is made.
    pub operator_executor: Option<OperatorExecutor>,
    /// When the snapshot was taken.
    pub now: Timestamp,
}

/// Whether there are keys to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// The user's Secret holds an owner key, and the operator's Secret is there.
    Complete,
    /// The user's Secret holds an owner key; the operator has made no keys of its own yet.
    OperatorKeysMissing,
    /// There is no Secret of that name in the operator's namespace.
    SecretNotFound,
    /// The Secret holds no owner key, or something that is none.
    Invalid {
        /// What is wrong, naming Secret and key.
        problem: String,
    },
    /// The Secrets could not be read.
    Unknown(String),
}

/// What the colony says of the member key.
#[derive(Clone, Debug, PartialEq)]
pub enum Membership {
    /// It answers a member's question.
    Member(Statistics),
    /// It does not know the key.
    Stranger,
    /// It could not be asked.
    Unknown(String),
}

/// The executor as which the operator serves a colony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorExecutor {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
}
