//! Connections to colonies, one for each `Colony` that can be used.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;
use parking_lot::RwLock;

use super::{origins::Origins, running::Running};
use crate::{
    colony::{Executor, ExecutorState, Id, Session},
    snapshot::Workforce,
};

/// One identity of the operator in a colony.
#[derive(Clone)]
pub struct OperatorIdentity {
    /// Calls as that executor.
    pub session: Session,
    /// Name of the executor.
    pub name: String,
    pub id: String,
    pub executor_type: &'static str,
}

/// What the operator itself has brought about since the colony was last asked for its executors, by name, and when. The
/// connections of a colony that follow each other share it: a pass may note something by one that another has just replaced.
type PreservedFields = Arc<RwLock<Notes>>;

#[derive(Default)]
struct Notes {
    by_name: HashMap<String, (Executor, Instant)>,
    origins: Origins,
}

impl Notes {
    fn get(&self, name: &str) -> Option<&Executor> {
        self.by_name.get(name).map(|(executor, _)| executor)
    }

    fn put(&mut self, executor: Executor, now: Instant) {
        if let Some((before, _)) = self.by_name.get(&executor.name) {
            self.origins.remove(before);
        }
        self.origins.add(&executor);
        self.by_name.insert(executor.name.clone(), (executor, now));
    }

    fn forget_before(&mut self, asked_at: Instant) {
        self.by_name.retain(|_, (_, noted_at)| *noted_at >= asked_at);
        self.origins = Origins::of(self.by_name.values().map(|(executor, _)| executor));
    }
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
    /// Since when it cannot.
    pub problem_since: Option<Timestamp>,
    /// Who could take work, if the colony could be asked.
    pub workforce: Option<Arc<Workforce>>,
    /// What the executors run, if all of it could be read.
    pub running: Option<Arc<Running>>,
    executors: Option<BTreeMap<String, Executor>>,
    origins: Origins,
    notes: PreservedFields,
    names: RwLock<HashMap<Id, String>>,
    approved: Option<BTreeMap<String, usize>>,
}

impl Connection {
    /// A connection; `executors` is the last read of them, if the colony could be read.
    #[must_use]
    pub fn new(
        member: Session,
        owner: Session,
        operator: Vec<OperatorIdentity>,
        problem: Option<String>,
        executors: Option<&[Executor]>,
    ) -> Self {
        let listed = executors.map(|executors| {
            executors.iter().map(|executor| (executor.name.clone(), executor.clone())).collect()
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
        let origins = Origins::of(executors.unwrap_or_default());
        let notes = PreservedFields::default();
        let (workforce, problem_since, running) = (None, None, None);
        Self {
            member,
            owner,
            operator,
            problem,
            problem_since,
            workforce,
            running,
            executors: listed,
            origins,
            notes,
            names,
            approved,
        }
    }

    /// Adds who could take work.
    #[must_use]
    pub fn with_workforce(mut self, workforce: Option<Workforce>) -> Self {
        self.workforce = workforce.map(Arc::new);
        self
    }

    /// Adds what the executors run.
    #[must_use]
    pub fn with_running(self, running: Option<Running>) -> Self {
        Self { running: running.map(Arc::new), ..self }
    }

    /// Adds since when the colony cannot be used.
    #[must_use]
    pub fn with_problem_since(self, problem_since: Option<Timestamp>) -> Self {
        Self { problem_since, ..self }
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

    /// An executor as the colony described it when it was last asked: `None` if it could not be, `Some(None)` if it does not
    /// know it.
    #[must_use]
    pub fn executor(&self, name: &str) -> Option<Option<Executor>> {
        let listed = self.executors.as_ref()?;
        let notes = self.notes.read();
        Some(notes.get(name).or_else(|| listed.get(name)).cloned())
    }

    /// Whether an executor of a type was registered for the fleet of that name in `place`, a cluster and a namespace; none if the
    /// colony could not be asked. Looks at those that were registered for fleets of other namespaces, and at no others: a fleet may
    /// be one of thousands of a type.
    pub fn each_elsewhere(
        &self,
        executor_type: &str,
        place: &(String, String),
        fleet: &str,
        mut look: impl FnMut(&Executor),
    ) -> Option<bool> {
        let listed = self.executors.as_ref()?;
        let notes = self.notes.read();
        let is_current = |name: &&String| notes.get(name).is_none();
        let own = notes.origins.elsewhere(executor_type, place).filter_map(|name| notes.get(name));
        let others = self.origins.elsewhere(executor_type, place).filter(is_current);
        own.chain(others.filter_map(|name| listed.get(name))).for_each(&mut look);
        let is_noted = notes.origins.of_fleet(executor_type, place, fleet).next().is_some();
        Some(is_noted || self.origins.of_fleet(executor_type, place, fleet).any(|name| is_current(&name)))
    }

    /// The executors that were registered for a fleet of that name in `place`, a cluster and a namespace; none if the colony could
    /// not be asked.
    #[must_use]
    pub fn executors_of(&self, place: &(String, String), fleet: &str) -> Option<Vec<Executor>> {
        let listed = self.executors.as_ref()?;
        let notes = self.notes.read();
        let own = notes.origins.of_all_types(place, fleet).filter_map(|name| notes.get(name));
        let others = self.origins.of_all_types(place, fleet).filter(|name| notes.get(name).is_none());
        Some(own.chain(others.filter_map(|name| listed.get(name))).cloned().collect())
    }

    /// Notes an executor that the operator itself has just registered, until the colony is asked again.
    pub fn note_executor(&self, executor: Executor, now: Instant) {
        self.notes.write().put(executor, now);
    }

    /// Notes that the operator itself has just removed an executor, until the colony is asked again.
    pub fn note_removed(&self, name: &str, now: Instant) {
        if let Some(Some(mut executor)) = self.executor(name) {
            executor.state = ExecutorState::Unregistered;
            self.note_executor(executor, now);
        }
    }

    /// The states of all executors, to see what has changed between two connections.
    #[must_use]
    pub fn executor_states(&self) -> Option<BTreeMap<String, ExecutorState>> {
        let state = |executor: &Executor| (executor.name.clone(), executor.state);
        let mut states: BTreeMap<_, _> = self.executors.as_ref()?.values().map(state).collect();
        states.extend(self.notes.read().by_name.values().map(|(executor, _)| state(executor)));
        Some(states)
    }
}

/// All connections, by name of the `Colony`.
#[derive(Clone, Default)]
pub struct Connections {
    /// None for a `Colony` that was tried in vain.
    by_colony: Arc<RwLock<BTreeMap<String, Option<Arc<Connection>>>>>,
}

impl Connections {
    #[must_use]
    pub fn get(&self, colony: &str) -> Option<Arc<Connection>> {
        self.by_colony.read().get(colony).cloned().flatten()
    }

    /// Whether a `Colony` was tried at all since the operator began: before that, a missing connection means nothing.
    #[must_use]
    pub fn was_tried(&self, colony: &str) -> bool {
        self.by_colony.read().contains_key(colony)
    }

    /// Replaces the connection of a `Colony` by one whose executors were asked for at `asked_at`: what was noted since then
    /// holds still, since the answer may lack it. The new one and the one that there was.
    pub fn put(
        &self,
        colony: &str,
        mut connection: Connection,
        asked_at: Instant,
    ) -> (Arc<Connection>, Option<Arc<Connection>>) {
        let mut by_colony = self.by_colony.write();
        let previous = by_colony.get(colony).cloned().flatten();
        if let Some(previous) = &previous {
            connection.notes.clone_from(&previous.notes);
            connection.notes.write().forget_before(asked_at);
        }
        let connection = Arc::new(connection);
        by_colony.insert(colony.to_owned(), Some(connection.clone()));
        (connection, previous)
    }

    /// Notes that a `Colony` has no connection; whether that is news.
    #[must_use]
    pub fn remove(&self, colony: &str) -> bool {
        let mut by_colony = self.by_colony.write();
        by_colony.insert(colony.to_owned(), None).is_none_or(|before| before.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::colony::{Client, PrivateKey, Server, Timeouts, Tls};

    fn executor(name: &str) -> Executor {
        serde_json::from_value(json!({
            "executorid": "a".repeat(64), "executorname": name, "executortype": "t", "colonyname": "dev",
            "state": 1, "commissiontime": "2026-11-21T09:58:00Z", "lastheardfromtime": "2026-11-21T09:58:00Z",
        }))
        .unwrap()
    }

    fn connection(executors: &[&str]) -> Connection {
        crate::runtime::kubernetes::install_crypto_provider();
        let server = Server { host: "localhost".to_owned(), port: 1, tls: Tls::Insecure };
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let session = || client.session("dev", PrivateKey::generate().unwrap());
        let executors: Vec<Executor> = executors.iter().map(|name| executor(name)).collect();
        Connection::new(session(), session(), Vec::new(), None, Some(&executors))
    }

    /// Fleets are registered while the colony is asked for its executors: taken for absent, they would be registered again.
    #[test]
    fn what_is_registered_while_the_colony_is_asked_stays_known() {
        use ExecutorState::{Approved, Unregistered};
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let start = Instant::now();
        let at = |second| start + Duration::from_secs(second);
        let connections = Connections::default();
        let (first, previous) = connections.put("dev", connection(&["old"]), at(0));
        assert!(previous.is_none());
        first.note_executor(executor("early"), at(1));
        first.note_removed("old", at(3));
        first.note_removed("never there", at(3));
        let (second, previous) = connections.put("dev", connection(&["old"]), at(2));
        assert!(previous.is_some());
        // By a pass that began before.
        first.note_executor(executor("late"), at(4));
        let state = |name| second.executor(name).unwrap().map(|executor| executor.state);
        assert_eq!((state("late"), state("old")), (Some(Approved), Some(Unregistered)));
        assert_eq!(state("early"), None, "the colony was asked later, and does not know it");
        let (third, _) = connections.put("dev", connection(&["old", "late"]), at(5));
        assert_eq!(third.executor("old").unwrap(), Some(executor("old")), "what the colony says later holds");
    }

    /// Of thousands of a type, a pass looks at none but those of other namespaces.
    #[test]
    fn executors_of_a_type_are_found_by_the_fleet_that_they_were_registered_for() {
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        let now = Instant::now();
        let of = |name: &str, place: &str, fleet: &str| Executor {
            blueprint_id: format!("k8s:{place}/{fleet}"),
            ..executor(&format!("{name}-{fleet}"))
        };
        let fleet = |number: usize| of("x", "here/u/blue", &format!("f{number}"));
        let mut all: Vec<Executor> = (0..1000).map(fleet).collect();
        all.extend([of("x", "here/v/red", "r"), of("x", "there/w/red", "t"), executor("unknown")]);
        let mut connection = connection(&[]);
        connection.executors = Some(all.iter().map(|one| (one.name.clone(), one.clone())).collect());
        connection.origins = Origins::of(&all);
        let found = |executor_type: &str, fleet: &str| {
            let (mut looked_at, place) = (Vec::new(), ("here".to_owned(), "blue".to_owned()));
            let look = |one: &Executor| looked_at.push(one.name.clone());
            let is_registered = connection.each_elsewhere(executor_type, &place, fleet, look);
            (is_registered, looked_at)
        };
        assert_eq!(found("t", "f7"), (Some(true), vec!["x-r".to_owned()]));
        assert_eq!(found("t", "f1000"), (Some(false), vec!["x-r".to_owned()]));
        assert_eq!(found("other", "f7"), (Some(false), Vec::new()));
        // What was noted since takes the place of what was listed, under another type as well.
        connection.note_executor(Executor { executor_type: "other".to_owned(), ..fleet(7) }, now);
        connection
            .note_executor(Executor { executor_type: "other".to_owned(), ..of("x", "here/v/red", "r") }, now);
        connection.note_executor(fleet(1000), now);
        assert_eq!(found("t", "f7"), (Some(false), Vec::new()));
        assert_eq!(found("other", "f7"), (Some(true), vec!["x-r".to_owned()]));
        assert_eq!(found("t", "f1000"), (Some(true), Vec::new()));
        connection.note_executor(fleet(7), now);
        assert_eq!((found("t", "f7").0, found("other", "f7").0), (Some(true), Some(false)));
        connection.executors = None;
        let place = ("here".to_owned(), "blue".to_owned());
        assert_eq!(connection.each_elsewhere("t", &place, "f7", |_| ()), None, "it could not be asked");
    }
}
