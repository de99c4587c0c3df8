//! Puts together what one pass knows of a `ResourceDefinition`.

mod composes;
mod policies;
mod stored;

use std::sync::Arc;

use k8s_openapi::{
    api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, PostParams},
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::reflector::Store,
};

use super::{
    colonies::{Colonies, ColonyClaim},
    freshness::CacheBehind,
    mirror::ProcessReader,
    stores::Filled,
};
use crate::{
    api::{
        instance::{AcceptedHandler, Instance, InstanceKind},
        kind::HasKind as _,
        names::{HANDLER_ANNOTATION, INSTANCE_FINALIZER},
        resource_definition::{DefinitionScope, HandlerMode, InstanceCounts, ResourceDefinition},
    },
    colony::Error,
    memory::{
        adds::Added,
        endpoint::Endpoint,
        rights::Rights,
        writes::{Key, Writes},
    },
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
    },
    snapshot::{
        ColonyKindState, ColonyReference, DefinitionSnapshot, Handlers, LiveInstance, Observed,
        RemainingInstances,
    },
};

/// Most instances of a deleted definition that are looked at one by one.
const MAX_INSPECTED_INSTANCES: u32 = 500;

/// Most lists of so many that are asked for, of instances that nothing watches.
const MOST_PAGES: u32 = 20;

/// All instances of a kind, as the watch of them shows them.
#[derive(Clone, Debug)]
pub struct WatchedInstances {
    /// How many there are.
    pub counts: InstanceCounts,
    pub live: Vec<LiveInstance>,
}

/// Builds the snapshot for one pass over a `ResourceDefinition`.
#[derive(Clone)]
pub struct DefinitionReader {
    /// For what is not cached.
    pub client: Client,
    pub definitions: Store<DeserializeGuard<ResourceDefinition>>,
    pub colonies: Colonies,
    /// What may still arrive in colonies.
    pub processes: ProcessReader,
    /// Rights that were found.
    pub rights: Rights,
    /// Last writes of this process.
    pub writes: Writes,
    /// The time.
    pub clock: Clock,
    /// UID of the `kube-system` namespace.
    pub cluster: String,
    /// The operator's own namespace.
    pub namespace: String,
    /// The namespaces that are watched; all when empty.
    pub watched: Vec<String>,
    /// Policies that must be there, by name.
    pub policies: Vec<String>,
    /// Where API servers have objects converted.
    pub endpoint: Endpoint,
    /// When each of the caches is filled.
    pub filled: Vec<Filled>,
}

/// A right to ask for.
struct Right<'a> {
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    verb: &'a str,
    namespace: &'a str,
}

impl DefinitionReader {
    /// Builds a snapshot. `watched` is what the watch of the instances shows.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn snapshot(
        &self,
        object: &ResourceDefinition,
        watched: Option<WatchedInstances>,
    ) -> Result<DefinitionSnapshot, CacheBehind> {
        let name = object.name_any();
        let key = Key::new(ResourceDefinition::KIND.name(), "", &name);
        if self.writes.is_cache_behind(&key, self.clock.instant()) {
            return Err(CacheBehind);
        }
        let now = self.clock.now();
        let missing_rights = self.missing_rights(object).await;
        let has_rights = missing_rights.known().is_some_and(Vec::is_empty);
        let crd = if has_rights {
            self.crd(&name).await
        } else {
            Observed::Unknown("rights are missing".to_owned())
        };
        let left = match &crd {
            Observed::Known(Some(crd)) if object.metadata.deletion_timestamp.is_some() => {
                self.left(crd).await
            }
            Observed::Known(None) => Observed::Known(RemainingInstances::default()),
            _ => Observed::Unknown("they were not looked for".to_owned()),
        };
        let (instances, live) = watched.map_or((None, None), |seen| (Some(seen.counts), Some(seen.live)));
        let live = match live {
            Some(live) => Observed::Known(live),
            None => self.live(&crd).await,
        };
        let stored = self.stored(object, &crd, now).await;
        Ok(DefinitionSnapshot {
            object: object.clone(),
            crd,
            create_in_flight_until: self.processes.arrives_until(&Added::Crd(name)),
            missing_rights,
            missing_policies: self.missing_policies().await,
            granted_groups: self.granted_groups(&object.spec.group),
            namespace: self.namespace.clone(),
            instances,
            live,
            stored,
            may_retry_stored: true,
            left,
            composes: self.composes(object).await,
            handlers: self.handlers(object),
            in_colony: self.read_colony_state(object).await,
            endpoint: self.endpoint.known(),
            now,
        })
    }

    async fn crd(&self, name: &str) -> Observed<Option<CustomResourceDefinition>> {
        let api = Api::<CustomResourceDefinition>::all(self.client.clone());
        match call(CALL_TIME_LIMIT, api.get_opt(name)).await {
            Ok(found) => Observed::Known(found),
            Err(error) => Observed::Unknown(error.explain(&format!("get CustomResourceDefinition {name}"))),
        }
    }

    /// The rights that the operator lacks for a definition.
    async fn missing_rights(&self, object: &ResourceDefinition) -> Observed<Vec<String>> {
        let (group, plural) = (object.spec.group.as_str(), object.spec.names.plural.as_str());
        let what = format!("{plural}.{group} {}", object.spec.scope.as_str());
        let asked_at = self.clock.instant();
        if self.rights.are_granted(&what, asked_at) {
            return Observed::Known(Vec::new());
        }
        let everywhere = [String::new()];
        let namespaces = match object.spec.scope {
            DefinitionScope::Namespaced if !self.watched.is_empty() => self.watched.as_slice(),
            _ => everywhere.as_slice(),
        };
        let crds = ["get", "create", "update", "delete"].map(|verb| Right {
            group: "apiextensions.k8s.io",
            resource: "customresourcedefinitions",
            subresource: "",
            verb,
            namespace: "",
        });
        // Which versions objects may be stored in stands in a CRD's status.
        let status = Right {
            group: "apiextensions.k8s.io",
            resource: "customresourcedefinitions",
            subresource: "status",
            verb: "update",
            namespace: "",
        };
        let instances = namespaces.iter().flat_map(|namespace| {
            [("", "list"), ("", "watch"), ("", "patch"), ("status", "update")]
                .map(|(subresource, verb)| Right { group, resource: plural, subresource, verb, namespace })
        });
        let mut missing = Vec::new();
        for right in crds.into_iter().chain([status]).chain(instances) {
            match self.is_granted(&right).await {
                Ok(true) => {}
                Ok(false) => missing.push(right.to_string()),
                Err(why) => return Observed::Unknown(why),
            }
        }
        self.rights.note(&what, missing.is_empty(), asked_at);
        Observed::Known(missing)
    }

    async fn is_granted(&self, right: &Right<'_>) -> Result<bool, String> {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let attributes = ResourceAttributes {
            group: some(right.group),
            resource: some(right.resource),
            subresource: some(right.subresource),
            verb: some(right.verb),
            namespace: some(right.namespace),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            non_resource_attributes: None,
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let api = Api::<SelfSubjectAccessReview>::all(self.client.clone());
        match call(CALL_TIME_LIMIT, api.create(&PostParams::default(), &review)).await {
            Ok(answer) => Ok(answer.status.is_some_and(|status| status.allowed)),
            Err(error) => Err(error.explain("check the operator's own permissions")),
        }
    }

    /// Groups of other definitions that are known to be authorized, so that a line that grants one keeps them.
    fn granted_groups(&self, group: &str) -> Vec<String> {
        let definitions = self.definitions.state();
        let readable = definitions.iter().filter_map(|guarded| guarded.0.as_ref().ok());
        let mut groups: Vec<String> = readable
            .filter(|definition| Self::is_authorized(definition) && definition.spec.group != group)
            .map(|definition| definition.spec.group.clone())
            .collect();
        groups.sort();
        groups.dedup();
        groups
    }

    /// The instances of a kind that nothing watches.
    async fn live(&self, crd: &Observed<Option<CustomResourceDefinition>>) -> Observed<Vec<LiveInstance>> {
        let Observed::Known(Some(crd)) = crd else {
            return Observed::Unknown("the CRD is not known".to_owned());
        };
        let accepted = crd.annotations().get(HANDLER_ANNOTATION);
        let accepted = accepted.and_then(|text| serde_json::from_str::<AcceptedHandler>(text).ok());
        if accepted.is_some() {
            return Observed::Unknown("the watch of them has not shown all of them yet".to_owned());
        }
        let Some(kind) = InstanceKind::of(crd, AcceptedHandler::default(), false) else {
            return Observed::Unknown("the CRD has no storage version".to_owned());
        };
        let api = Api::<DeserializeGuard<Instance>>::all_with(self.client.clone(), &kind);
        let mut live = Vec::new();
        let mut parameters = ListParams::default().limit(MAX_INSPECTED_INSTANCES);
        for _ in 0..MOST_PAGES {
            match call(CALL_TIME_LIMIT, api.list(&parameters)).await {
                Ok(list) => {
                    live.extend(list.items.into_iter().map(Arc::new));
                    match list.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => parameters = parameters.continue_token(&token),
                        None => return Observed::Known(live),
                    }
                }
                Err(error) => return Observed::Unknown(error.explain(&format!("list {}", kind.name()))),
            }
        }
        Observed::Unknown(format!("there are more than {} of them", live.len()))
    }

    /// Instances of a definition that is being deleted, as the API server has them.
    async fn left(&self, crd: &CustomResourceDefinition) -> Observed<RemainingInstances> {
        let Some(kind) = InstanceKind::of(crd, AcceptedHandler::default(), false) else {
            return Observed::Unknown("the CRD has no storage version".to_owned());
        };
        let api = Api::<PartialObjectMeta<Instance>>::all_with(self.client.clone(), &kind);
        let parameters = ListParams::default().limit(MAX_INSPECTED_INSTANCES);
        match call(CALL_TIME_LIMIT, api.list_metadata(&parameters)).await {
            Ok(list) => {
                let held = list.items.iter().filter(|object| {
                    object.finalizers().iter().any(|finalizer| finalizer == INSTANCE_FINALIZER)
                });
                let further = list.metadata.remaining_item_count.unwrap_or_default();
                let further = usize::try_from(further).unwrap_or_default();
                Observed::Known(RemainingInstances { held: held.count(), total: list.items.len() + further })
            }
            // The API server has the definition and does not serve it yet, or not any more.
            Err(error) if error.is_not_found() => Observed::Known(RemainingInstances::default()),
            Err(error) => Observed::Unknown(error.explain(&format!("list {}", kind.name()))),
        }
    }

    /// What the colony has of a kind whose instances are blueprints.
    async fn read_colony_state(&self, object: &ResourceDefinition) -> Option<ColonyKindState> {
        let handler = &object.spec.handler;
        if handler.mode != HandlerMode::Blueprint {
            return None;
        }
        let claim = ColonyClaim {
            wanted: handler.colony.as_deref(),
            used: object.status.as_ref().and_then(|status| status.colony.as_ref()),
            is_there: true,
            is_ending: object.metadata.deletion_timestamp.is_some(),
            needs_no_admission: true,
        };
        let (colony, connection) = self.colonies.find(claim, "");
        let used = match &colony {
            ColonyReference::Resolved(colony) => colony.used(),
            ColonyReference::Changed { used, .. } => used.clone(),
            ColonyReference::NotFound { .. }
            | ColonyReference::NotAllowed { .. }
            | ColonyReference::Leaving { .. } => return None,
        };
        let (kind, name) = (&object.spec.names.kind, object.name_any());
        let added = |colony| Added::Definition(colony, name.clone());
        let add_in_flight_until = self.processes.in_flight_until(&colony, added);
        let problem = connection.as_ref().map_or(Some("not connected"), |found| found.problem.as_deref());
        let (definitions, blueprints) = match (&connection, problem) {
            (Some(connection), None) => {
                let mut definitions = observed(connection.member.blueprint_definitions().await);
                if let Observed::Known(found) = &mut definitions {
                    found.retain(|one| one.spec.names.kind == *kind || one.metadata.name == name);
                }
                let blueprints = connection.member.blueprints(Some(kind), None).await;
                (definitions, observed(blueprints.map(|found| found.len())))
            }
            (_, problem) => {
                let why = problem.unwrap_or_default();
                let why = colony.obstacle().map_or_else(|| why.to_owned(), |(_, why)| why);
                (Observed::Unknown(why.clone()), Observed::Unknown(why))
            }
        };
        Some(ColonyKindState {
            used,
            cluster: self.cluster.clone(),
            definitions,
            blueprints,
            add_in_flight_until,
        })
    }

    fn handlers(&self, object: &ResourceDefinition) -> Handlers {
        let handler = &object.spec.handler;
        let Some(wanted) = handler.executor_type.as_ref().filter(|_| handler.mode != HandlerMode::Compose)
        else {
            return Handlers::None;
        };
        let (colony, connection) = self.colonies.find_any(handler.colony.as_deref());
        let colony = match colony {
            ColonyReference::Resolved(colony) => colony.name.clone(),
            ColonyReference::NotFound { name: Some(name) } => {
                return Handlers::Unknown(format!("there is no Colony {name}"));
            }
            _ => {
                return Handlers::Unknown(
                    "handler.colony is not given and no Colony is the default".to_owned(),
                );
            }
        };
        match connection.as_ref().and_then(|connection| connection.approved()) {
            Some(approved) => {
                Handlers::Executors { count: approved.get(wanted).copied().unwrap_or_default(), colony }
            }
            None if !self.colonies.connections.was_tried(&colony) => Handlers::Unread(colony),
            None => Handlers::Unknown(format!("Colony {colony} is not connected; see its status")),
        }
    }
}

fn observed<T>(answer: Result<T, Error>) -> Observed<T> {
    answer.map_or_else(|error| Observed::Unknown(error.to_string()), Observed::Known)
}

impl std::fmt::Display for Right<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group, resource, subresource, verb, namespace } = self;
        write!(formatter, "{verb} {resource}")?;
        if !subresource.is_empty() {
            write!(formatter, "/{subresource}")?;
        }
        write!(formatter, " in group {group}")?;
        if !namespace.is_empty() {
            write!(formatter, " in namespace {namespace}")?;
        }
        Ok(())
    }
}
