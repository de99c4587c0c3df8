//! Connections to colonies, one for each `Colony` that can be used.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::colony::{Executor, ExecutorState, Id, Session};

/// One identity of the operator in a colony.
#[derive(Clone)]
pub struct OperatorIdentity {
    /// Calls as that executor.
    pub session: Session,
    /// Name of the executor.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its type.
    pub executor_type: &'static str,
}

/// What is needed to work in a colony.
pub struct Connection {
    /// Calls as a member: submit, look up, cancel.
    pub member: Session,
    /// Calls as the owner: register and remove executors.
    pub owner: Session,
    /// Calls as the operator's executors: be assigned, close. Only those that are registered.
    pub operator: Vec<OperatorIdentity>,
    /// Why the colony cannot be used at the moment, if so.
    pub problem: Option<String>,
    executors: RwLock<Option<BTreeMap<String, ExecutorState>>>,
    names: RwLock<HashMap<Id, String>>,
    approved: Option<BTreeMap<String, usize>>,
}

impl Connection {
    /// A connection; `executors` is what the colony last said of them, if it could be asked.
    #[must_use]
    pub fn new(
        member: Session,
        owner: Session,
        operator: Vec<OperatorIdentity>,
        problem: Option<String>,
        executors: Option<&[Executor]>,
    ) -> Self {
        let states = executors.map(|executors| {
            executors.iter().map(|executor| (executor.name.clone(), executor.state)).collect()
        });
        let by_id = |executor: &Executor| (executor.id.clone(), executor.name.clone());
        let names = RwLock::new(executors.unwrap_or_default().iter().map(by_id).collect());
        let approved = executors.map(|executors| {
            let mut counts = BTreeMap::new();
            for executor in executors.iter().filter(|executor| executor.state == ExecutorState::Approved) {
                *counts.entry(executor.executor_type.clone()).or_default() += 1;
            }
            counts
        });
        Self { member, owner, operator, problem, executors: RwLock::new(states), names, approved }
    }

    /// How many executors of each type are approved, if the colony could be asked.
    #[must_use]
    pub const fn approved(&self) -> Option<&BTreeMap<String, usize>> {
        self.approved.as_ref()
    }

    /// Calls as the operator's executor of a type, if it is registered.
    #[must_use]
    pub fn operator(&self, executor_type: &str) -> Option<&OperatorIdentity> {
        self.operator.iter().find(|identity| identity.executor_type == executor_type)
    }

    /// Name of the executor with an id, if the colony knew it when it was last asked.
    #[must_use]
    pub fn executor_name(&self, id: &Id) -> Option<String> {
        self.names.read().get(id).cloned()
    }

    /// Notes the name of an executor that was asked for by itself.
    pub fn note_executor_name(&self, id: &Id, name: &str) {
        self.names.write().insert(id.clone(), name.to_owned());
    }

    /// State of an executor when the colony was last asked: `None` if it could not be, `Some(None)` if it does not know
    /// it.
    #[must_use]
    pub fn executor(&self, name: &str) -> Option<Option<ExecutorState>> {
        let states = self.executors.read();
        states.as_ref().map(|states| states.get(name).copied())
    }

    /// Notes what the operator itself has just brought about, until the colony is asked again.
    pub fn note_executor(&self, name: &str, state: ExecutorState) {
        if let Some(states) = self.executors.write().as_mut() {
            states.insert(name.to_owned(), state);
        }
    }

    /// The states of all executors, to see what has changed between two connections.
    #[must_use]
    pub fn executor_states(&self) -> Option<BTreeMap<String, ExecutorState>> {
        self.executors.read().clone()
    }
}

/// All connections, by name of the `Colony`.
#[derive(Clone, Default)]
pub struct Connections {
    /// None for a `Colony` that was tried in vain.
    by_colony: Arc<RwLock<BTreeMap<String, Option<Arc<Connection>>>>>,
}

impl Connections {
    /// The connection of a `Colony`, if it has one.
    #[must_use]
    pub fn get(&self, colony: &str) -> Option<Arc<Connection>> {
        self.by_colony.read().get(colony).cloned().flatten()
    }

    /// Whether a `Colony` was tried at all since the operator began: before, that it has no connection says nothing.
    #[must_use]
    pub fn was_tried(&self, colony: &str) -> bool {
        self.by_colony.read().contains_key(colony)
    }

    /// Replaces the connection of a `Colony`; the one that it had.
    pub fn put(&self, colony: &str, connection: Arc<Connection>) -> Option<Arc<Connection>> {
        let mut by_colony = self.by_colony.write();
        by_colony.insert(colony.to_owned(), Some(connection)).flatten()
    }

    /// Notes that a `Colony` has no connection; whether that is news.
    pub fn remove(&self, colony: &str) -> bool {
        let mut by_colony = self.by_colony.write();
        by_colony.insert(colony.to_owned(), None).is_none_or(|before| before.is_some())
    }
}
