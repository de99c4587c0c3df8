//! Puts together what one pass knows of a `Colony`: asks its server, as far as there are keys to ask with.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use jiff::Timestamp;
use kube::{Client as KubernetesClient, ResourceExt as _};

use super::{
    calls::Counter,
    credentials::{self, Keys, OperatorKey},
};
use crate::{
    api::{colony::Colony, names::EXECUTOR_DEPLOYMENT_KIND},
    colony::{
        Client, Error, Id, Process, ProcessId, ProcessQuery, ProcessState, Server, Session, Statistics,
        Timeouts,
    },
    memory::connections::OperatorIdentity,
    runtime::{clock::Clock, metrics::Metrics},
    snapshot::{
        Busy, ColonySnapshot, Credentials, Leftovers, Membership, Observed, OperatorExecutor, Snapshot,
        Workforce,
    },
};

/// How many processes the server lists at most.
const LISTED_AT_MOST: usize = 100;

/// Calls to a colony as each of the operator's identities.
#[derive(Clone)]
pub struct Sessions {
    pub owner: Session,
    pub member: Session,
    /// As each of the operator's executors.
    pub operator: Vec<OperatorIdentity>,
}

/// What was read of a `Colony`, and the calls that can be made.
pub struct ColonyReading {
    /// What is known.
    pub snapshot: ColonySnapshot,
    /// The calls, if there are keys and a client.
    pub sessions: Option<Sessions>,
    /// Labels of what outlives its object by a policy, by UID of the object.
    pub left: BTreeMap<String, String>,
    /// Who could take work in the colony, if it could be asked.
    pub workforce: Option<Workforce>,
    /// What executors run, of each the process that has run longest, if all could be listed.
    pub running: Option<BTreeMap<Id, ProcessId>>,
    /// When it was begun to be read.
    pub asked_at: Instant,
}

impl Snapshot for ColonyReading {
    fn now(&self) -> Timestamp {
        self.snapshot.now
    }
}

/// Where and with what colonies are asked.
pub struct ColonyReader<'a> {
    /// For the Secrets.
    pub kubernetes: &'a KubernetesClient,
    /// The operator's own namespace.
    pub namespace: &'a str,
    /// What the cluster is called in colonies.
    pub cluster: &'a str,
    /// The time.
    pub clock: &'a Clock,
    /// Where calls are counted, if anywhere.
    pub metrics: Option<&'a Metrics>,
}

/// Reads a `Colony`. `known` is used again while the server is the same, so that its connections are kept.
pub async fn read(
    object: &Colony,
    reader: &ColonyReader<'_>,
    known: &mut Option<(Server, Client)>,
) -> ColonyReading {
    let ColonyReader { kubernetes, namespace, clock, .. } = *reader;
    let asked_at = clock.instant();
    let mut snapshot = ColonySnapshot {
        object: object.clone(),
        cluster: reader.cluster.to_owned(),
        credentials: Credentials::Complete,
        server: Observed::Unknown("not asked".to_owned()),
        membership: Membership::Unknown("not asked".to_owned()),
        member_id: None,
        knows_earlier_member: None,
        executors: Observed::Unknown("not asked".to_owned()),
        busy_executors: None,
        operator_executors: Vec::new(),
        definitions: Observed::Unknown("not asked".to_owned()),
        blueprints: Observed::Unknown("not asked".to_owned()),
        leftovers: Leftovers::default(),
        refused_blueprints: BTreeMap::new(),
        users: Observed::Unknown("not looked for".to_owned()),
        other_default: None,
        now: clock.now(),
    };
    let client = match client(object, reader, known).await {
        Ok(client) => client,
        Err(why) => {
            snapshot.server = Observed::Unknown(why);
            let left = BTreeMap::new();
            return ColonyReading {
                snapshot,
                sessions: None,
                left,
                workforce: None,
                running: None,
                asked_at,
            };
        }
    };
    snapshot.server = match client.server_info().await {
        Ok(information) => Observed::Known(information),
        Err(error) => Observed::Unknown(error.to_string()),
    };
    let keys = match credentials::keys(kubernetes, namespace, object).await {
        Ok(keys) => keys,
        Err(missing) => {
            snapshot.credentials = missing;
            let left = BTreeMap::new();
            return ColonyReading {
                snapshot,
                sessions: None,
                left,
                workforce: None,
                running: None,
                asked_at,
            };
        }
    };
    snapshot.operator_executors = keys.operator.iter().map(OperatorKey::executor).collect();
    let left = keys.left.clone();
    let sessions = sessions(&client, &object.spec.colony_name, keys);
    snapshot.member_id = Some(sessions.member.id().to_string());
    let (mut workforce, mut running) = (None, None);
    if snapshot.server.known().is_some() {
        (workforce, running) = ask(&mut snapshot, &sessions).await;
    }
    ColonyReading { snapshot, sessions: Some(sessions), left, workforce, running, asked_at }
}

/// Calls to a colony as the operator's member, without asking its server for anything.
///
/// # Errors
///
/// Why there is none, for a person.
pub async fn member(
    object: &Colony,
    reader: &ColonyReader<'_>,
    known: &mut Option<(Server, Client)>,
) -> Result<Session, String> {
    let client = client(object, reader, known).await?;
    match credentials::keys(reader.kubernetes, reader.namespace, object).await {
        Ok(keys) => Ok(client.session(&object.spec.colony_name, keys.member)),
        Err(_) => Err(format!(
            "the operator has no usable keys for Colony {name}: see kubectl describe colony {name}",
            name = object.name_any()
        )),
    }
}

/// Asks for everything that the snapshot is to know; who could take work, and what executors run.
async fn ask(
    snapshot: &mut ColonySnapshot,
    sessions: &Sessions,
) -> (Option<Workforce>, Option<BTreeMap<Id, ProcessId>>) {
    // Who is no member is refused here; the statistics would answer such a one with nothing at all.
    snapshot.executors = match sessions.member.executors().await {
        Ok(executors) => Observed::Known(executors),
        Err(error) => {
            let why = error.to_string();
            snapshot.membership =
                if error.is_forbidden() { Membership::Stranger } else { Membership::Unknown(why.clone()) };
            Observed::Unknown(why)
        }
    };
    let Some(executors) = snapshot.executors.known() else { return (None, None) };
    let (mut workforce, mut processes) = (None, None);
    snapshot.membership = match sessions.member.statistics().await {
        Ok(statistics) => {
            let running = running(&sessions.member, &statistics).await;
            let busy = running.as_deref().map(busy);
            processes = running.as_deref().map(first_of_each);
            snapshot.busy_executors = busy.as_ref().and_then(|busy| i64::try_from(busy.len()).ok());
            let waiting = waiting(&sessions.member, &statistics).await;
            // Asked only where it keeps something from being taken.
            let is_paused =
                statistics.waiting > 0 && sessions.member.assignments_are_paused().await.unwrap_or_default();
            workforce = Some(Workforce::new(executors, is_paused, busy).with_queue(&waiting));
            Membership::Member(statistics)
        }
        Err(error) => Membership::Unknown(error.to_string()),
    };
    look_for_earlier_member(snapshot, &sessions.member).await;
    ask_for_blueprints(snapshot, &sessions.member).await;
    (workforce, processes)
}

/// Asks for the member as which the operator was connected before its keys were lost or changed: a colony that does not know it
/// has forgotten more, or is another.
async fn look_for_earlier_member(snapshot: &mut ColonySnapshot, member: &Session) {
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.member.clone());
    let Some(earlier) = recorded.filter(|recorded| snapshot.member_id.as_ref() != Some(recorded)) else {
        return;
    };
    match member.users().await {
        Ok(users) => {
            snapshot.knows_earlier_member = Some(users.iter().any(|user| user.id.as_str() == earlier));
        }
        Err(error) => snapshot.membership = Membership::Unknown(error.to_string()),
    }
}

/// Blueprints are only read where some definition could have led to one.
async fn ask_for_blueprints(snapshot: &mut ColonySnapshot, member: &Session) {
    snapshot.definitions = observed(member.blueprint_definitions().await);
    let Some(definitions) = snapshot.definitions.known() else { return };
    let defined = definitions.iter().any(|definition| definition.spec.names.kind == EXECUTOR_DEPLOYMENT_KIND);
    snapshot.blueprints = if defined {
        observed(member.blueprints(Some(EXECUTOR_DEPLOYMENT_KIND), None).await)
    } else {
        Observed::Known(Vec::new())
    };
}

fn observed<T>(answer: Result<T, Error>) -> Observed<T> {
    answer.map_or_else(|error| Observed::Unknown(error.to_string()), Observed::Known)
}

/// The first processes that wait, asked for only when any does. Which they are is of no concern if they cannot be listed.
async fn waiting(member: &Session, statistics: &Statistics) -> Vec<Process> {
    if statistics.waiting == 0 {
        return Vec::new();
    }
    member.processes(&ProcessQuery::new(ProcessState::Waiting)).await.unwrap_or_default()
}

/// The processes that run, those first that were begun first; asked for only when any runs. The server lists no more than a hundred.
async fn running(member: &Session, statistics: &Statistics) -> Option<Vec<Process>> {
    if statistics.running == 0 {
        return Some(Vec::new());
    }
    let running = member.processes(&ProcessQuery::new(ProcessState::Running)).await.ok()?;
    (running.len() < LISTED_AT_MOST).then_some(running)
}

/// The executors that run a process, and since when.
fn busy(running: &[Process]) -> Busy {
    let busy = |process: &Process| Some((process.assigned_executor.clone()?, process.started_at));
    running.iter().filter_map(busy).collect()
}

/// The executors that run a process, and which of theirs was begun first: others may come and go meanwhile.
#[must_use]
pub fn first_of_each(running: &[Process]) -> BTreeMap<Id, ProcessId> {
    let mut first: BTreeMap<Id, &Process> = BTreeMap::new();
    for process in running {
        let Some(executor) = &process.assigned_executor else { continue };
        let is_earlier = |known: &&Process| (process.started_at, &process.id) < (known.started_at, &known.id);
        if first.get(executor).is_none_or(is_earlier) {
            first.insert(executor.clone(), process);
        }
    }
    first.into_iter().map(|(executor, process)| (executor, process.id.clone())).collect()
}

async fn client(
    object: &Colony,
    reader: &ColonyReader<'_>,
    known: &mut Option<(Server, Client)>,
) -> Result<Client, String> {
    let spec = &object.spec.server;
    let tls = credentials::tls(reader.kubernetes, reader.namespace, object).await?;
    let server = Server { host: spec.host.clone(), port: spec.port, tls };
    if let Some((_, client)) = known.as_ref().filter(|(same, _)| *same == server) {
        return Ok(client.clone());
    }
    let mut client = Client::new(&server, Timeouts::default())
        .map_err(|error| format!("Colony {}: {error}", object.name_any()))?;
    if let Some(metrics) = reader.metrics {
        client = client.observed_by(Arc::new(Counter(metrics.clone())));
    }
    *known = Some((server, client.clone()));
    Ok(client)
}

fn sessions(client: &Client, colony: &str, keys: Keys) -> Sessions {
    Sessions {
        owner: client.session(colony, keys.owner),
        member: client.session(colony, keys.member),
        operator: keys.operator.into_iter().map(|key| identity(client, colony, key)).collect(),
    }
}

fn identity(client: &Client, colony: &str, key: OperatorKey) -> OperatorIdentity {
    let OperatorExecutor { name, id, executor_type } = key.executor();
    OperatorIdentity { session: client.session(colony, key.key), name, id, executor_type }
}
