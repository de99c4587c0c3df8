//! Puts together what one pass knows of an instance of a defined kind.

use kube::{Resource as _, ResourceExt as _};

use super::{
    colonies::ColonyClaim,
    freshness::CacheBehind,
    work::{WorkReader, explained},
};
use crate::{
    api::{
        blueprint::is_of_instance,
        instance::{Instance, InstanceKind},
        mirror::Mirrored as _,
        names::CLEANUP_FUNCTION,
        resource_definition::HandlerMode,
    },
    colony::{Blueprint, Error, Process, ProcessId, ProcessQuery, ProcessState, Session},
    memory::{adds::Added, connections::Connection},
    snapshot::{Belonging, ColonyInstanceState, ColonyReference, InstanceSnapshot, Observed},
};

/// The most processes that the server lists.
const LISTED_AT_MOST: usize = 100;

impl WorkReader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn instance(
        &self,
        kind: &InstanceKind,
        object: &Instance,
    ) -> Result<InstanceSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.ensure_cache_fresh(kind.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        // New ones go where the definition is: the default one may be another by now.
        let home = self.blueprints.home(&kind.name());
        let named = kind.handler().colony.as_deref().or(home.as_deref());
        let mut belonging = Belonging::new(&self.cluster, &object.metadata);
        if let (HandlerMode::Blueprint, Some(blueprint)) = (kind.handler().mode, object.blueprint()) {
            belonging = belonging.cleaned_up(Instance::kind(kind).into_owned(), blueprint.to_owned());
        }
        let object = &mut belonging.believed(object);
        let claim = match kind.handler().mode {
            HandlerMode::Process => ColonyClaim::of_work(object, named, false),
            HandlerMode::Blueprint | HandlerMode::Compose => ColonyClaim::of(object, named),
        };
        let (colony, connection) = self.colonies.find(claim, &namespace);
        self.ensure_colony_read(&colony)?;
        let in_colony = match kind.handler().mode {
            HandlerMode::Blueprint => {
                self.read_colony_state(kind, object, &colony, connection.as_deref()).await
            }
            HandlerMode::Process | HandlerMode::Compose => ColonyInstanceState::default(),
        };
        let processes = self.processes.own(object, &belonging, connection.as_deref()).await;
        let mirror = object.mirror();
        let process = mirror.and_then(|mirror| mirror.process_id.as_deref());
        let is_found = |id: &&str| {
            processes.known().is_some_and(|found| found.iter().any(|process| process.id.as_str() == *id))
        };
        let last_line = process.filter(is_found).and_then(|id| self.lines.latest(&ProcessId::new(id)));
        let mut header = self.header(colony, processes, mirror, now);
        if mirror.is_none() && object.metadata.deletion_timestamp.is_none() {
            header.is_owner_gone = self.is_owner_gone(&object.metadata).await;
            if kind.handler().mode == HandlerMode::Process {
                let policy = kind.handler().restore_policy;
                header.earlier = self.earlier(&object.metadata, policy, connection.as_deref()).await;
            }
        }
        Ok(InstanceSnapshot { object: object.clone(), kind: kind.clone(), in_colony, last_line, header })
    }

    /// What the colony has of an instance. Before the intent is on record there is nothing to look for.
    async fn read_colony_state(
        &self,
        kind: &InstanceKind,
        object: &Instance,
        colony: &ColonyReference,
        connection: Option<&Connection>,
    ) -> ColonyInstanceState {
        let handler_state = self.blueprints.handler_state(&kind.name());
        let Some(name) = object.blueprint() else {
            return ColonyInstanceState { handler_state, ..ColonyInstanceState::default() };
        };
        let blueprint_kind = Instance::kind(kind);
        let blueprint = match colony.resolved() {
            Some(colony) => {
                let known = self.blueprints.get(&colony.name, &blueprint_kind, name).flatten();
                let recorded = object.status.as_ref().and_then(|status| status.blueprint.as_ref());
                let is_ending = object.metadata.deletion_timestamp.is_some();
                self.processes.blueprint(known, (&colony.name, name), recorded, is_ending, connection).await
            }
            None => explained(Observed::Unknown("no Colony".to_owned()), colony),
        };
        let owns =
            |found: &Blueprint| is_of_instance(found, &self.cluster, &blueprint_kind, &object.metadata);
        let is_gone = blueprint.known().is_some_and(|found| !found.as_ref().is_some_and(owns));
        let is_ending = object.metadata.deletion_timestamp.is_some() && object.mirror().is_none();
        let executor_type = kind.handler().executor_type.as_deref().unwrap_or_default();
        let cleanups = match connection {
            Some(connection) if is_ending && is_gone => {
                cleanups(&connection.member, executor_type, &blueprint_kind, name).await
            }
            _ => Observed::Known(Vec::new()),
        };
        let added = |colony| Added::Blueprint(colony, name.to_owned());
        let blueprint_in_flight_until = self.processes.in_flight_until(colony, added);
        ColonyInstanceState { handler_state, blueprint, blueprint_in_flight_until, cleanups }
    }
}

/// The processes under way by which the server has executors clean up after a blueprint. It submits one right after it has
/// removed the blueprint.
async fn cleanups(member: &Session, executor_type: &str, kind: &str, name: &str) -> Observed<Vec<Process>> {
    let is_one = |process: &Process| {
        let says = |argument: &str| process.spec.kwargs.get(argument).and_then(|value| value.as_str());
        process.spec.function == CLEANUP_FUNCTION
            && says("blueprintName") == Some(name)
            && says("kind") == Some(kind)
    };
    // One may step back from running to waiting between two lists.
    for state in [ProcessState::Waiting, ProcessState::Running, ProcessState::Waiting] {
        let listed = match listed(member, state, executor_type).await {
            Ok(listed) => listed,
            Err(error) => return Observed::Unknown(error.to_string()),
        };
        let is_cut = listed.len() >= LISTED_AT_MOST;
        let found: Vec<Process> = listed.into_iter().filter(is_one).collect();
        if !found.is_empty() {
            return Observed::Known(found);
        }
        if is_cut {
            return Observed::Unknown(format!(
                "more processes for executors of type {executor_type} are {state} than the server lists"
            ));
        }
    }
    Observed::Known(Vec::new())
}

async fn listed(member: &Session, state: ProcessState, executor_type: &str) -> Result<Vec<Process>, Error> {
    let query = ProcessQuery::new(state).executor_type(executor_type).map_err(Error::Field)?;
    member.processes(&query).await
}
