//! What a pass does, as data. Pure.

use std::fmt;

use crate::{
    fleet::Template,
    name::{FleetName, ReplicaName},
};

/// A replica to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Its name, and its executor's.
    pub name: ReplicaName,
    /// The blueprint that it is for.
    pub blueprint: String,
    /// The generation of the spec that it is for.
    pub generation: i64,
    /// What it is.
    pub template: Template,
}

/// One thing to do. Each can be repeated, and a crash after any of them leaves a state from which the next pass goes on.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Make a replica with a fresh key, register and approve its executor, start it.
    Start(Box<Launch>),
    /// Ask a replica to end.
    Ask(ReplicaName, &'static str),
    /// End a replica at once.
    Kill(ReplicaName, &'static str),
    /// Take away a replica that does not run, and then its executor.
    Remove(ReplicaName),
    /// Remove an executor that has no replica.
    Unregister(ReplicaName),
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(launch) => write!(formatter, "start {}", launch.name),
            Self::Ask(name, why) => write!(formatter, "ask {name} to end: {why}"),
            Self::Kill(name, why) => write!(formatter, "kill {name}: {why}"),
            Self::Remove(name) => write!(formatter, "remove {name}"),
            Self::Unregister(name) => write!(formatter, "unregister {name}"),
        }
    }
}

/// How far a fleet is on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The fleet.
    pub fleet: FleetName,
    /// How many replicas it has, on all hosts.
    pub current: u32,
    /// How many it should have.
    pub desired: u32,
    /// What is waited for, in words; empty when it is as it should be.
    pub waits: Vec<String>,
}

/// What one pass does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// How far each fleet is, before the steps.
    pub progress: Vec<Progress>,
}
