//! Reads both sides: all objects, executors' Secrets and kinds of the cluster, and what each colony has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::ListParams,
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;

use crate::{
    api::{
        colony::Colony,
        condition::Reason,
        kind::Kind,
        mirror::MirrorStatus,
        names::{APP_MANAGED_BY_LABEL, OPERATOR, identity_secret},
        resource_definition::{HandlerMode, ResourceDefinition},
    },
    cli::Failure,
    colony::{Process, ProcessId, ProcessQuery, ProcessState, Session},
    diff::{
        orphans,
        verify::{ColonySide, ObjectRecord, SecretRecord, Sides},
    },
    memory::{connections::Connection, identities::read_identity},
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, Kubernetes, call},
        metrics::Metrics,
    },
    snapshot::{Membership, Observed},
    watch::{
        colony::{ColonyReader, read},
        orphans::exists,
    },
};

/// How many objects are listed at once.
const PAGE: u32 = 500;
/// The most processes that the server lists.
const FULL: u8 = 100;
/// How far back all that live are asked for where there are more: further than any server has run.
const EVER: u32 = 20 * 365 * 24 * 60 * 60;

/// Both sides, and what could not be read of them.
#[derive(Default)]
pub(super) struct Reading {
    pub sides: Sides,
    /// The `Colonies` that answered, with the calls to each.
    pub connections: Vec<(Colony, Arc<Connection>)>,
    pub problems: Vec<String>,
    /// Requests to the API server.
    pub requests: usize,
}

/// Where both sides are read.
pub(super) struct Reader<'a> {
    pub kubernetes: &'a Kubernetes,
    pub clock: &'a Clock,
    /// Counts the calls to colonies.
    pub metrics: &'a Metrics,
    pub cluster: &'a str,
    /// The `Colony` that alone is looked at, if one is.
    pub only: Option<&'a str>,
}

impl Reader<'_> {
    /// Reads the colonies first: what is submitted meanwhile is in neither side.
    pub(super) async fn read(&self) -> Result<Reading, Failure> {
        let mut reading = Reading::default();
        reading.sides.cluster = self.cluster.to_owned();
        let colonies = self.list(&ApiResource::erase::<Colony>(&()), &mut reading).await?;
        for colony in colonies {
            let name = colony.name_any();
            let object: Colony = serde_json::from_value(serde_json::to_value(colony)?)?;
            if self.only.is_none_or(|only| only == name) {
                self.colony(object, &mut reading).await;
            }
        }
        if let Some(only) =
            self.only.filter(|_| reading.sides.colonies.is_empty() && reading.problems.is_empty())
        {
            return Err(format!("there is no Colony {only}: see kubectl get colonies").into());
        }
        reading.sides.is_whole = self.only.is_none() && reading.problems.is_empty();
        self.objects(&mut reading).await?;
        self.secrets(&mut reading).await;
        self.unknown(&mut reading).await;
        self.unlisted(&mut reading).await;
        Ok(reading)
    }

    async fn colony(&self, object: Colony, reading: &mut Reading) {
        let name = object.name_any();
        let reader = ColonyReader {
            kubernetes: &self.kubernetes.calls,
            namespace: &self.kubernetes.namespace,
            cluster: self.cluster,
            clock: self.clock,
            metrics: Some(self.metrics),
        };
        let read = read(&object, &reader, &mut None).await;
        // Keys and server are for doctor to explain.
        let (Some(sessions), Membership::Member(_), Observed::Known(executors)) =
            (read.sessions, &read.snapshot.membership, &read.snapshot.executors)
        else {
            reading.problems.push(format!("Colony {name} cannot be asked: see colonyos-operator doctor"));
            return;
        };
        let live = match live(&sessions.member).await {
            Ok(live) => live,
            Err(why) => {
                reading.problems.push(format!("Colony {name}: {why}"));
                return;
            }
        };
        let conditions = object.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let reason = Reason::AnotherInstallation.as_str();
        let told = conditions.iter().find(|condition| condition.reason == reason);
        reading.sides.colonies.push(ColonySide {
            name,
            member: sessions.member.id().to_string(),
            live,
            executors: executors.clone(),
            left: read.left.into_keys().collect(),
            withheld: told
                .map(|condition| condition.message.clone())
                .or_else(|| orphans::other_installation(&read.snapshot)),
        });
        let connection = Connection::new(sessions.member, sessions.owner, Vec::new(), None, Some(executors));
        reading.connections.push((object, Arc::new(connection)));
    }

    /// All objects that may have a process.
    async fn objects(&self, reading: &mut Reading) -> Result<(), Failure> {
        let carried = Kind::own().filter(|(kind, _)| kind.info().process_condition.is_some());
        let mut resources: Vec<ApiResource> = carried.map(|(_, own)| (own.resource)()).collect();
        for definition in self.list(&ApiResource::erase::<ResourceDefinition>(&()), reading).await? {
            let definition: ResourceDefinition = serde_json::from_value(serde_json::to_value(definition)?)?;
            let spec = &definition.spec;
            let stored = spec.versions.iter().find(|version| version.storage).or(spec.versions.first());
            let Some(version) = stored.filter(|_| spec.handler.mode != HandlerMode::Compose) else {
                continue;
            };
            resources.push(ApiResource {
                group: spec.group.clone(),
                version: version.name.clone(),
                api_version: format!("{}/{}", spec.group, version.name),
                kind: spec.names.kind.clone(),
                plural: spec.names.plural.clone(),
            });
        }
        for resource in resources {
            // Of objects that cannot be listed nothing may be said to be gone.
            let objects = self.list(&resource, reading).await?;
            reading.sides.objects.extend(objects.iter().map(|object| record(object, &resource)));
        }
        Ok(())
    }

    async fn list(
        &self,
        resource: &ApiResource,
        reading: &mut Reading,
    ) -> Result<Vec<DynamicObject>, Failure> {
        let api: Api<DynamicObject> = Api::all_with(self.kubernetes.calls.clone(), resource);
        let (mut found, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            reading.requests += 1;
            let listed = match call(CALL_TIME_LIMIT, api.list(&page)).await {
                Ok(listed) => listed,
                // A kind that is not served has no objects.
                Err(error) if error.is_not_found() => return Ok(found),
                Err(error) => return Err(error.explain(&format!("list {}", resource.plural)).into()),
            };
            let next = listed.metadata.continue_.clone().filter(|token| !token.is_empty());
            found.extend(listed.items);
            match next {
                Some(token) => page = page.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    /// Secrets with the keys of executors, if they may be listed.
    async fn secrets(&self, reading: &mut Reading) {
        let api = Api::<Secret>::all(self.kubernetes.calls.clone());
        let ours = ListParams::default().labels(&format!("{APP_MANAGED_BY_LABEL}={OPERATOR}"));
        reading.requests += 1;
        match call(CALL_TIME_LIMIT, api.list(&ours)).await {
            Ok(listed) => {
                let part = identity_secret("");
                let is_identity = |name: &str| {
                    name.rsplit_once(part.as_str())
                        .is_some_and(|(_, end)| end.is_empty() || end.starts_with('-'))
                };
                let identities = listed.items.iter().filter(|secret| is_identity(&secret.name_any()));
                reading.sides.secrets = Some(identities.map(secret_record).collect());
            }
            Err(error) => {
                let why = error.explain("list Secrets");
                reading.problems.push(format!("{why}: executors and Secrets are not compared"));
            }
        }
    }

    /// Looks for the objects that processes name and that no list has: their kind may not be looked after any more.
    async fn unknown(&self, reading: &mut Reading) {
        for (uid, processes) in reading.sides.unknown() {
            for named in processes.iter().filter_map(|process| orphans::named(process, &uid)) {
                let calls = &self.kubernetes.calls;
                reading.requests += 1;
                match exists(calls, &named.kind, named.namespace.as_deref(), &named.name, &uid).await {
                    Observed::Known(false) => {}
                    Observed::Known(true) => drop(reading.sides.elsewhere.insert(uid.clone())),
                    Observed::Unknown(why) => {
                        reading.problems.push(why);
                        reading.sides.elsewhere.insert(uid.clone());
                    }
                }
            }
        }
    }

    /// Asks for what status says to live and no list shows.
    async fn unlisted(&self, reading: &mut Reading) {
        let ids: BTreeSet<String> = reading.sides.unlisted().into_iter().collect();
        for id in ids {
            let mut found = Some(None);
            for (_, connection) in &reading.connections {
                match state(&connection.member, &id).await {
                    Ok(Some(state)) => {
                        found = Some(Some(state));
                        break;
                    }
                    Ok(None) => {}
                    Err(why) => {
                        reading.problems.push(why);
                        found = None;
                        break;
                    }
                }
            }
            if let Some(found) = found.filter(|found| found.is_some() || reading.sides.is_whole) {
                reading.sides.asked.insert(id, found);
            }
        }
    }
}

/// The state of a process, or of a workflow; none if a colony has neither.
async fn state(member: &Session, id: &str) -> Result<Option<ProcessState>, String> {
    match member.process(&ProcessId::new(id)).await {
        Ok(process) => return Ok(Some(process.state)),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.to_string()),
    }
    match member.process_graph(id).await {
        Ok(graph) => Ok(Some(graph.state)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// What waits or runs in a colony. One may step back from running to waiting between two lists.
async fn live(member: &Session) -> Result<Vec<Process>, String> {
    let mut found: BTreeMap<String, Process> = BTreeMap::new();
    for state in [ProcessState::Waiting, ProcessState::Running, ProcessState::Waiting] {
        let query = ProcessQuery::new(state).limit(FULL);
        let mut listed = member.processes(&query).await.map_err(|error| error.to_string())?;
        if listed.len() >= usize::from(FULL) {
            listed = member.process_history(None, EVER, state).await.map_err(|error| error.to_string())?;
        }
        found.extend(listed.into_iter().map(|process| (process.id.to_string(), process)));
    }
    Ok(found.into_values().collect())
}

fn record(object: &DynamicObject, resource: &ApiResource) -> ObjectRecord {
    let status = object.data.get("status");
    let mirror = status.and_then(|status| status.get("mirror"));
    let mirror = mirror.and_then(|mirror| serde_json::from_value::<MirrorStatus>(mirror.clone()).ok());
    let executor = status.and_then(|status| status.get("executor"));
    let executor = executor.filter(|executor| executor.get("registered") == Some(&Value::Bool(true)));
    let executor = executor.and_then(|executor| executor.get("name")?.as_str());
    let namespace = object.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
    ObjectRecord {
        name: format!("{} {namespace}{}", resource.kind, object.name_any()),
        uid: object.uid().unwrap_or_default(),
        mirror,
        executor: executor.map(str::to_owned),
    }
}

fn secret_record(secret: &Secret) -> SecretRecord {
    SecretRecord {
        namespace: secret.namespace().unwrap_or_default(),
        name: secret.name_any(),
        owners: secret.owner_references().iter().map(|owner| owner.uid.clone()).collect(),
        executor: read_identity(secret).executor_name,
        is_of_pod: secret.owner_references().iter().any(|owner| owner.kind == "Pod"),
    }
}
