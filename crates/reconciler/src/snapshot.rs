//! What one pass knows. Data alone.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use colonyos_client::{Executor, ExecutorState, Id, ProcessId};
use jiff::Timestamp;

use crate::{
    fleet::{Fleet, Refused},
    name::{FleetName, ReplicaName},
};

/// What marks the executors of this reconciler's host among the software of an executor.
pub const SOFTWARE: &str = "colonyos-operator reconciler";

/// Which host this is, and how it is called where. A host is what replicas live and die with: a Docker daemon, or the
/// state folder of local processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(pub String);

/// How far a replica is on its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// It runs.
    Running,
    /// It does not run any more, with the reason.
    Ended(String),
}

/// A replica as its host has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Its name, which is that of its executor.
    pub name: ReplicaName,
    /// How the host identifies it: of a container its id, of a process its process id.
    pub id: String,
    /// How the host calls it.
    pub host_name: String,
    /// The identity of its executor.
    pub executor_id: String,
    /// The blueprint that it was made for.
    pub blueprint: String,
    /// The generation of the spec that it was made for.
    pub generation: i64,
    /// The digest of the template that it was made from.
    pub template: String,
    /// The image, or the program.
    pub image: String,
    /// How far it is.
    pub state: State,
    /// When it was made.
    pub created: Timestamp,
    /// Whether it was made by this reconciler, so that no other can be about to start it.
    pub is_own: bool,
}

/// A replica's executor as the colony has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: ReplicaName,
    /// Its identity.
    pub id: Id,
    /// Whether it was removed, or held for stale.
    pub is_gone: bool,
    /// Whether it has asked the colony for work.
    pub has_asked: bool,
    /// The blueprint that it is for.
    pub blueprint: String,
    /// The host that it is on, if one of ours has registered it.
    pub host: Option<Host>,
}

impl Member {
    /// Reads an executor; `None` when it is not named like a replica.
    #[must_use]
    pub fn of(executor: &Executor) -> Option<Self> {
        let software = executor.capabilities.software.iter().find(|software| software.name == SOFTWARE);
        Some(Self {
            name: ReplicaName::parse(&executor.name)?,
            id: executor.id.clone(),
            is_gone: executor.state == ExecutorState::Unregistered,
            has_asked: executor.last_heard_at.is_some_and(|heard| Some(heard) > executor.added_at),
            blueprint: executor.blueprint_id.clone(),
            host: software.map(|software| Host(software.version.clone())),
        })
    }
}

/// A blueprint at this reconciler's location.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// It can be carried out.
    Fleet(Box<Fleet>),
    /// It cannot be read: what runs goes on running.
    Refused(Refused),
}

impl Wish {
    /// The blueprint's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Fleet(fleet) => fleet.name.as_str(),
            Self::Refused(refused) => &refused.name,
        }
    }
}

/// Whether a replica's executor runs a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// It runs none.
    Idle,
    /// It runs this one.
    Busy(ProcessId),
}

/// What happened before that no server tells. Losing it costs time, not safety.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Since when a replica is to go.
    pub leaving: HashMap<ReplicaName, Duration>,
    /// When a replica was asked to end.
    pub asked: HashMap<ReplicaName, Duration>,
    /// Since when the blueprint of a fleet with replicas is not there.
    pub absent: HashMap<FleetName, Duration>,
    /// How often in a row the replicas of a slot ended soon after their start, and when last.
    pub failures: HashMap<(FleetName, u32), Failures>,
}

/// Replicas of a slot that ended soon after their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// How many in a row.
    pub count: u32,
    /// When the last one was seen.
    pub last: Duration,
    /// Why it ended.
    pub reason: String,
}

/// How patient a reconciler is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For how long a replica that is to go may finish its process.
    pub drain: Duration,
    /// For how long an idle replica that was asked to end may take.
    pub grace: Duration,
}

/// What one pass knows.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The time of day.
    pub now: Timestamp,
    /// The time since the reconciler started, by a clock that nobody sets.
    pub elapsed: Duration,
    /// This host.
    pub host: Host,
    /// The blueprints that are ours to carry out.
    pub wishes: Vec<Wish>,
    /// All executors that are named like replicas, those that are gone included.
    pub members: Vec<Member>,
    /// What this host has.
    pub replicas: Vec<Replica>,
    /// What those do that may have to go. One that is missing is unknown, and not idle.
    pub work: BTreeMap<ReplicaName, Work>,
    /// How patient to be.
    pub patience: Patience,
    /// Generations up to which replicas are replaced although their template is the same, since a process asks for it.
    pub forced: BTreeMap<FleetName, i64>,
}

impl Snapshot {
    /// Whether a replica is what its fleet wishes for now. A spec that only scales has another generation, and the same template.
    #[must_use]
    pub fn is_current(&self, fleet: &Fleet, replica: &Replica) -> bool {
        let forced = self.forced.get(&fleet.name).copied().unwrap_or(i64::MIN);
        replica.template == fleet.template.digest() && replica.generation >= forced
    }

    /// The fleet of that name.
    #[must_use]
    pub fn fleet(&self, name: &FleetName) -> Option<&Fleet> {
        self.wishes.iter().find_map(|wish| match wish {
            Wish::Fleet(fleet) if fleet.name == *name => Some(fleet.as_ref()),
            _ => None,
        })
    }

    /// Whether there is a blueprint of that name, readable or not.
    #[must_use]
    pub fn has_wish(&self, name: &FleetName) -> bool {
        self.wishes.iter().any(|wish| wish.name() == name.as_str())
    }

    /// The executor of that name.
    #[must_use]
    pub fn member(&self, name: &ReplicaName) -> Option<&Member> {
        self.members.iter().find(|member| member.name == *name)
    }

    /// Whether a replica runs and has asked the colony for work, or has run for so long that it is no executor.
    #[must_use]
    pub fn is_ready(&self, replica: &Replica) -> bool {
        let age = Duration::try_from(self.now.duration_since(replica.created)).unwrap_or_default();
        replica.state == State::Running
            && (self.member(&replica.name).is_some_and(|member| member.has_asked)
                || age > Duration::from_secs(30))
    }
}
