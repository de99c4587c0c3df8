//! What one pass knows of a `Colony`.

use jiff::Timestamp;

use super::Observed;
use crate::{
    api::colony::Colony,
    colony::model::{Blueprint, BlueprintDefinition, Executor, ServerInfo, Statistics},
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
    pub executors: Observed<Vec<Executor>>,
    /// How many executors run a process; none if that is unknown.
    pub busy_executors: Option<i64>,
    /// The executors as which the operator serves the colony, one for each type; none while no identity is made.
    pub operator_executors: Vec<OperatorExecutor>,
    /// Definitions of blueprints; unknown while the colony cannot be asked.
    pub definitions: Observed<Vec<BlueprintDefinition>>,
    /// Blueprints of fleets.
    pub blueprints: Observed<Vec<Blueprint>>,
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
    /// The operator's Secret was made by an earlier version: it lacks the key of an executor.
    ReconcilerKeyMissing,
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

/// The state of the member key in the colony.
#[derive(Clone, Debug, PartialEq)]
pub enum Membership {
    /// It answers a member's question.
    Member(Statistics),
    /// It does not know the key.
    Stranger,
    /// It could not be asked.
    Unknown(String),
}

/// An executor as which the operator serves a colony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorExecutor {
    pub name: String,
    pub id: String,
    /// Its type. An executor has one, hence there are several.
    pub executor_type: &'static str,
}
