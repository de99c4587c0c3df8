//! The kinds of the operator, one row for each: from the table follow CRDs, caches, metrics, finalizers, permissions, and
//! what the commands know of a kind. A list that cannot be made from it, such as a template of the chart, is compared with it.

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSON},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    CustomResourceExt as _,
    core::{ApiResource, object::HasStatus},
};
use strum::{IntoStaticStr, VariantArray};

use super::{
    colony::Colony,
    colony_cron::{ColonyCron, RunKind},
    colony_process::ColonyProcess,
    colony_workflow::ColonyWorkflow,
    condition::ConditionType::{
        self, Authorized, Conflict, Degraded, Drifted, Established, Failed, Finished, Handled, Mirrored,
        Paused, Progressing, Ready, Reconciling, Running, Stalled, StorageMigrated, Submitted, Succeeded,
        Warnings,
    },
    executor_deployment::ExecutorDeployment,
    instance::Instance,
    names::{
        COLONY_FINALIZER, COLONY_PROCESS_FINALIZER, COLONY_WORKFLOW_FINALIZER, EXECUTOR_DEPLOYMENT_FINALIZER,
        INSTANCE_FINALIZER, NEVER_OBSERVED, REQUEST_FINALIZER, REQUEST_GROUP, RESOURCE_DEFINITION_FINALIZER,
    },
    request_flow::RequestFlow,
    request_state::RequestState,
    resource_definition::ResourceDefinition,
};

/// What is known of a kind.
#[derive(Debug)]
pub struct KindInfo {
    /// Its name, as in `kind` of a manifest.
    pub name: &'static str,
    /// Its status, as metrics name it.
    pub status: &'static str,
    /// Where the API server has it; none if it is known at run time only.
    pub own: Option<OwnKind>,
    /// The conditions that its objects may have, in their order; `Paused` if an annotation stops their passes.
    pub conditions: &'static [ConditionType],
    /// The condition that says what becomes of the process of an object; none if no process carries objects of the kind.
    pub process_condition: Option<ConditionType>,
    /// The conditions that are true once an object is what others wait for; none if it is as soon as it is there.
    pub ready_conditions: &'static [ConditionType],
    /// Whether the cache keeps the record of who wrote which field, which is half of an object.
    pub keeps_managed_fields: bool,
    /// What the operator may do to objects.
    pub verbs: &'static [&'static str],
    /// Why, to follow "because".
    pub why: &'static str,
    /// Why it may update their status.
    pub why_status: &'static str,
    /// Why it may create objects that block their deletion (`blockOwnerDeletion`); none if it creates none.
    pub why_finalizers: Option<&'static str>,
}

/// Where the API server has a kind of the operator.
#[derive(Debug)]
pub struct OwnKind {
    /// Its group, version and plural.
    pub resource: fn() -> ApiResource,
    /// Its CRD.
    pub definition: fn() -> CustomResourceDefinition,
}

/// Objects of a kind in the table.
pub trait HasKind {
    /// The kind.
    const KIND: Kind;
}

/// Objects that stay until the operator is done with them.
pub trait HasFinalizer {
    /// What holds them.
    const FINALIZER: &'static str;
}

/// A status with conditions.
pub trait HasConditions {
    /// Its conditions.
    fn conditions(&self) -> &[Condition];
    /// Its conditions, to be changed.
    fn conditions_mut(&mut self) -> &mut Vec<Condition>;
}

/// What an object has for a status until the operator looks at it.
#[must_use]
pub fn unobserved_status() -> serde_json::Value {
    serde_json::json!({ "observedGeneration": NEVER_OBSERVED })
}

/// Whether a status with this `observedGeneration` is more than that.
#[must_use]
pub fn is_observed(generation: Option<i64>) -> bool {
    generation != Some(NEVER_OBSERVED)
}

/// Has the API server say of a new object that it was not looked at: tools take an object without any status for done. Requests are
/// moved by programs of others too, which write no `observedGeneration`: `kubectl wait` would wait for them for ever.
fn unobserved(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    if definition.spec.group == REQUEST_GROUP {
        return definition;
    }
    for version in &mut definition.spec.versions {
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        let properties = schema.and_then(|schema| schema.properties.as_mut());
        if let Some(status) = properties.and_then(|properties| properties.get_mut("status")) {
            status.default = Some(JSON(unobserved_status()));
        }
    }
    definition
}

const WATCH: &[&str] = &["list", "watch"];
const READ: &[&str] = &["get", "list", "watch"];
const READ_AND_PATCH: &[&str] = &["get", "list", "watch", "patch"];

macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident($type:ty $(, $finalizer:expr)?) { $($column:ident: $value:expr,)+ })+) => {
        /// A kind, in the order in which CRDs are installed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, IntoStaticStr, VariantArray)]
        pub enum Kind {
            $($(#[$doc])+ $kind,)+
            /// An object of a kind that users define.
            Instance,
        }

        impl Kind {
            /// Its row in the table.
            #[must_use]
            pub const fn info(self) -> &'static KindInfo {
                match self {
                    $(Self::$kind => const { &KindInfo {
                        name: stringify!($kind),
                        status: concat!(stringify!($kind), "/status"),
                        own: Some(OwnKind {
                            resource: || ApiResource::erase::<$type>(&()),
                            definition: || unobserved(<$type>::crd()),
                        }),
                        $($column: $value,)+
                    } },)+
                    Self::Instance => &INSTANCE,
                }
            }
        }

        $(
            impl HasKind for $type {
                const KIND: Kind = Kind::$kind;
            }

            impl HasConditions for <$type as HasStatus>::Status {
                fn conditions(&self) -> &[Condition] {
                    &self.conditions
                }

                fn conditions_mut(&mut self) -> &mut Vec<Condition> {
                    &mut self.conditions
                }
            }

            $(impl HasFinalizer for $type {
                const FINALIZER: &'static str = $finalizer;
            })?
        )+
    };
}

kinds! {
    /// A connection to a colony.
    Colony(Colony, COLONY_FINALIZER) {
        conditions: &[Warnings, Progressing, Stalled, Ready],
        process_condition: None,
        ready_conditions: &[],
        keeps_managed_fields: false,
        verbs: READ_AND_PATCH,
        why: "a Colony holds the address of a colony's server, and stays while it is in use",
        why_status: "a Colony shows whether it is connected",
        why_finalizers: Some("the operator's keys go with their Colony"),
    }

    /// A fleet of executors.
    ExecutorDeployment(ExecutorDeployment, EXECUTOR_DEPLOYMENT_FINALIZER) {
        conditions: &[Paused, Mirrored, Conflict, Drifted, Warnings, Progressing, Degraded, Finished, Stalled, Ready],
        process_condition: Some(Mirrored),
        ready_conditions: &[Stalled, Ready],
        keeps_managed_fields: false,
        verbs: &["get", "list", "watch", "create", "update", "patch", "delete"],
        why: "the operator reconciles them, and creates them for blueprints of the colony",
        why_status: "an ExecutorDeployment shows how it fares",
        why_finalizers: Some("workloads go with their ExecutorDeployment"),
    }

    /// A process.
    ColonyProcess(ColonyProcess, COLONY_PROCESS_FINALIZER) {
        conditions: &[Paused, Submitted, Running, Warnings, Succeeded, Failed, Finished, Reconciling, Stalled],
        process_condition: Some(Submitted),
        ready_conditions: &[Succeeded, Finished],
        keeps_managed_fields: false,
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "they are submitted to colonies, created by ColonyCrons, and go when their time is over",
        why_status: "a ColonyProcess reports its state",
        why_finalizers: None,
    }

    /// A workflow.
    ColonyWorkflow(ColonyWorkflow, COLONY_WORKFLOW_FINALIZER) {
        conditions: &[Paused, Submitted, Running, Warnings, Succeeded, Failed, Finished, Reconciling, Stalled],
        process_condition: Some(Submitted),
        ready_conditions: &[Succeeded, Finished],
        keeps_managed_fields: false,
        verbs: &["get", "list", "watch", "create", "patch", "delete"],
        why: "they are submitted to colonies, created by ColonyCrons, and go when their time is over",
        why_status: "a ColonyWorkflow reports its state",
        why_finalizers: None,
    }

    /// A schedule.
    ColonyCron(ColonyCron) {
        conditions: &[Paused, Stalled, Ready],
        process_condition: None,
        ready_conditions: &[Stalled, Ready],
        keeps_managed_fields: false,
        verbs: READ,
        why: "they define when processes are created",
        why_status: "a ColonyCron shows what runs, and when the next run is due",
        why_finalizers: Some("runs go with their ColonyCron"),
    }

    /// The jobs of requests.
    RequestFlow(RequestFlow) {
        conditions: &[Stalled, Ready],
        process_condition: None,
        ready_conditions: &[],
        keeps_managed_fields: false,
        verbs: WATCH,
        why: "requests follow them",
        why_status: "a RequestFlow shows whether it can be followed",
        why_finalizers: None,
    }

    /// A request.
    RequestState(RequestState, REQUEST_FINALIZER) {
        conditions: &[Paused, Degraded, Succeeded, Finished, Reconciling, Stalled],
        process_condition: Some(Degraded),
        ready_conditions: &[],
        // The times of its history follow from it.
        keeps_managed_fields: true,
        verbs: READ_AND_PATCH,
        why: "requests are moved from state to state",
        why_status: "a request shows the way that it has come",
        why_finalizers: None,
    }

    /// A kind that users define.
    ResourceDefinition(ResourceDefinition, RESOURCE_DEFINITION_FINALIZER) {
        // Not `Paused`: its instances would be looked after no more once the operator starts anew.
        conditions: &[Authorized, Established, Handled, StorageMigrated, Degraded, Stalled, Ready],
        process_condition: None,
        ready_conditions: &[],
        keeps_managed_fields: false,
        verbs: READ_AND_PATCH,
        why: "they define the user-defined kinds",
        why_status: "a ResourceDefinition shows whether its kind is served",
        why_finalizers: None,
    }
}

const INSTANCE: KindInfo = KindInfo {
    name: "Instance",
    status: "Instance/status",
    own: None,
    conditions: &[
        Paused,
        Mirrored,
        Conflict,
        Drifted,
        Running,
        Warnings,
        Progressing,
        Degraded,
        Finished,
        Stalled,
        Ready,
    ],
    process_condition: Some(Mirrored),
    ready_conditions: &[Finished, Ready],
    keeps_managed_fields: false,
    verbs: READ_AND_PATCH,
    why: "they are carried out as their definition says",
    why_status: "an instance shows where it stands",
    why_finalizers: Some("what an instance is made of goes with it"),
};

impl HasKind for Instance {
    const KIND: Kind = Kind::Instance;
}

impl HasConditions for <Instance as HasStatus>::Status {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn conditions_mut(&mut self) -> &mut Vec<Condition> {
        &mut self.conditions
    }
}

impl HasFinalizer for Instance {
    const FINALIZER: &'static str = INSTANCE_FINALIZER;
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// Its name, as in `kind` of a manifest.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// Whether an annotation on an object stops its passes.
    #[must_use]
    pub fn can_be_paused(self) -> bool {
        self.info().conditions.contains(&Paused)
    }

    /// The kinds that have a CRD of their own.
    pub fn own() -> impl Iterator<Item = (Self, &'static OwnKind)> {
        Self::ALL.iter().filter_map(|kind| Some((*kind, kind.info().own.as_ref()?)))
    }

    /// The kind that an API server has by this group and name, if it is one of the operator's own.
    #[must_use]
    pub fn find(group: &str, name: &str) -> Option<Self> {
        let is_meant = |own: &OwnKind| (own.resource)().group == group;
        Self::own().find(|(kind, own)| kind.name() == name && is_meant(own)).map(|(kind, _)| kind)
    }

    /// The kind that kubectl takes by this name: a kind, a plural or a short name.
    #[must_use]
    pub fn called(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let is_called = |kind: Self, own: &OwnKind| {
            let names = (own.definition)().spec.names;
            let is_short = names.short_names.iter().flatten().any(|short| *short == name);
            is_short || names.plural == name || kind.name().to_lowercase() == name
        };
        Self::own().find(|(kind, own)| is_called(*kind, own)).map(|(kind, _)| kind)
    }

    /// Whether an API group is that of one of the operator's own kinds.
    #[must_use]
    pub fn is_own_group(group: &str) -> bool {
        Self::own().any(|(_, own)| (own.resource)().group == group)
    }
}

impl From<RunKind> for Kind {
    fn from(kind: RunKind) -> Self {
        match kind {
            RunKind::Process => Self::ColonyProcess,
            RunKind::Workflow => Self::ColonyWorkflow,
        }
    }
}

/// The custom resource definitions of every kind, in the order in which they are installed.
#[must_use]
pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
    Kind::own().map(|(_, own)| (own.definition)()).collect()
}

/// The operator's own kinds in the order in which their objects go, and why there. Instances go before all that they can be
/// made of, and so does what creates runs.
pub const UNINSTALL_ORDER: [(Kind, &str); 9] = [
    (Kind::ColonyCron, "they create no more runs"),
    (Kind::RequestState, "the processes of their jobs are cancelled"),
    (Kind::Instance, "what they are made of, and their processes and blueprints, go with them"),
    (Kind::ResourceDefinition, "their CustomResourceDefinitions go with them"),
    (Kind::ColonyWorkflow, "workflows that run are cancelled"),
    (Kind::ColonyProcess, "processes that wait or run are cancelled"),
    (Kind::ExecutorDeployment, "pods end, their executors leave the colony, and so do blueprints"),
    (Kind::RequestFlow, "no request follows them any more"),
    (Kind::Colony, "the operator's executors and its member leave the colony"),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Metrics and caches take names from the table, the API server from the types.
    #[test]
    fn a_kind_is_called_the_same_in_the_table_and_in_its_type() {
        for (kind, own) in Kind::own() {
            let resource = (own.resource)();
            assert_eq!(resource.kind, kind.name());
            assert_eq!(Kind::find(&resource.group, kind.name()), Some(kind));
        }
        assert_eq!(Kind::find("ml.example.com", "Colony"), None, "users may call a kind as they like");
        assert_eq!(Kind::find("", "Instance"), None);
    }

    /// `kubectl describe` shows conditions in the order of their types, and what sums others up is one of them.
    #[test]
    fn conditions_are_in_their_order_and_the_page_about_them_has_them() {
        let page = include_str!("../../docs/architecture.md");
        for kind in Kind::ALL {
            let info = kind.info();
            assert!(info.conditions.is_sorted(), "{}", kind.name());
            let summing_up = info.ready_conditions.iter().chain(&info.process_condition);
            assert!(summing_up.into_iter().all(|one| info.conditions.contains(one)), "{}", kind.name());
            let named: Vec<String> =
                info.conditions.iter().map(|one| format!("`{}`", one.as_str())).collect();
            let row = format!("| `{}` | {} |", kind.name(), named.join(", "));
            assert!(page.contains(&row), "docs/architecture.md lacks {row}");
        }
    }

    #[test]
    fn a_kind_is_found_by_the_names_that_kubectl_takes() {
        for name in ["colonyprocess", "colonyprocesses", "cproc", "ColonyProcess"] {
            assert_eq!(Kind::called(name), Some(Kind::ColonyProcess), "{name}");
        }
        assert_eq!(Kind::called("reqs"), Some(Kind::RequestState));
        assert_eq!(Kind::called("instance"), None);
    }

    /// `kubectl delete colonies --all` with a category of that name would delete the objects of all kinds.
    #[test]
    fn no_category_is_also_the_name_of_a_kind() {
        let definitions: Vec<_> = Kind::own().map(|(_, own)| (own.definition)()).collect();
        let names = definitions.iter().flat_map(|definition| {
            let names = &definition.spec.names;
            let short = names.short_names.iter().flatten();
            short.chain([&names.plural]).chain(&names.singular)
        });
        let names: Vec<&String> = names.collect();
        for definition in &definitions {
            let categories = definition.spec.names.categories.iter().flatten();
            let taken: Vec<_> = categories.filter(|category| names.contains(category)).collect();
            assert!(taken.is_empty(), "{}: {taken:?}", definition.spec.names.plural);
        }
    }

    /// Its rule is CEL, and cannot be made from the table.
    #[test]
    fn no_kind_of_users_can_be_of_a_group_of_the_operator() {
        let schema = serde_json::to_string(&ResourceDefinition::crd()).unwrap();
        for (kind, own) in Kind::own() {
            let group = (own.resource)().group;
            assert!(schema.contains(&format!("'{group}'")), "{}: {group}", kind.name());
        }
    }
}
