//! A `Colony`: what the operator does to be served by it, if its server answers and takes the keys. Of one that has a status,
//! what that and the files say is where it begins.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;

use super::{
    super::Failure,
    Rendered,
    manifests::{CLUSTER, Manifests},
    passes::{self, Rehearsed, Status},
};
use crate::{
    act::outcome::Outcome,
    api::{
        colony::{Colony, ColonyStatus},
        condition::Reason,
        kind::{HasFinalizer as _, is_observed},
        names::{
            CONTROLLER_EXECUTOR_TYPE, OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY, OWNER_KEY,
            RECONCILER_EXECUTOR_TYPE, RECONCILER_KEY, RECONCILER_NAME_KEY, operator_secret,
        },
    },
    colony::{
        Executor, ExecutorState, Id,
        model::{ServerInfo, Statistics},
    },
    diff::{ColonyStep, KubernetesStep, Plan, Problem, Step, plan_colony},
    snapshot::{ColonySnapshot, Credentials, Leftovers, Membership, Observed, OperatorExecutor},
    status,
};

/// What stands for the identity of a key that is not known.
const UNKNOWN_ID: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Plans a connection. `text` has its name already.
pub(super) fn plan(
    mut text: String,
    object: Colony,
    world: &Manifests,
    now: Timestamp,
) -> Result<Rendered, Failure> {
    let is_deleted = object.metadata.deletion_timestamp.is_some();
    let has_status = object.status.as_ref().is_some_and(|status| is_observed(status.observed_generation));
    let name = object.name_any();
    let mut connection = Connection::read(object, world, now);
    let status = if has_status { passes::first(&connection)? } else { String::new() };
    let is_refused = matches!(connection.snapshot.credentials, Credentials::Invalid { .. });
    let is_idle = plan_colony(&connection.snapshot).is_idle();
    let end = passes::rehearse(&mut text, &mut connection)?;
    passes::tell(&mut text, &end)?;
    if !is_idle {
        writeln!(text, "then ready, once the server answers")?;
    }
    if !is_deleted {
        let secret = operator_secret(&name);
        if has_keys(&connection.snapshot) {
            writeln!(
                text,
                "when it is deleted, it stays until no object of this cluster is in the colony; then the operator's executors and its member leave the colony, and the garbage collector takes Secret {secret}"
            )?;
        } else {
            writeln!(text, "when it is deleted, nothing is done")?;
        }
    }
    Ok(Rendered { steps: text, status, is_refused })
}

/// What is known of a connection, and the executors as which the operator serves the colony once it has keys.
struct Connection {
    snapshot: ColonySnapshot,
    operator_executors: Vec<OperatorExecutor>,
}

impl Connection {
    fn read(object: Colony, world: &Manifests, now: Timestamp) -> Self {
        let known = object.status.clone().unwrap_or_default();
        let own = world.secret(&operator_secret(&object.name_any()));
        let operator_executors = operator_executors(&object, &known, own);
        let mut snapshot = ColonySnapshot {
            cluster: CLUSTER.to_owned(),
            leftovers: Leftovers::default(),
            refused_blueprints: BTreeMap::new(),
            credentials: credentials(
                &object,
                &known,
                world.secret(&object.spec.credentials_secret_name),
                own,
            ),
            server: Observed::Known(ServerInfo {
                version: known.server.as_ref().map(|server| server.version.clone()).unwrap_or_default(),
                built_at: String::new(),
                backends: Vec::new(),
            }),
            membership: if known.executors.is_some() {
                Membership::Member(statistics(&known))
            } else {
                Membership::Stranger
            },
            member_id: known.member.clone(),
            knows_earlier_member: None,
            executors: Observed::Known(world.executors_of(&object.spec.colony_name)),
            busy_executors: known.executors.and_then(|executors| executors.busy),
            operator_executors: Vec::new(),
            // A definition that the operator keeps is there once a generation was carried out.
            definitions: if known.executors.is_some()
                && known.observed_generation == object.metadata.generation
            {
                Observed::Unknown("the files do not say".to_owned())
            } else {
                Observed::Known(Vec::new())
            },
            blueprints: Observed::Known(Vec::new()),
            users: Observed::Known(Vec::new()),
            other_default: None,
            object,
            now,
        };
        let is_registered = known.executors.is_some() && !has_reason(&known, Reason::ColonyNotReady);
        for own in &operator_executors {
            let is_missing = snapshot
                .executors
                .known()
                .is_none_or(|executors| executors.iter().all(|executor| executor.name != own.name));
            if is_registered
                && is_missing
                && (own.executor_type == CONTROLLER_EXECUTOR_TYPE || has_keys(&snapshot))
            {
                let location = snapshot.object.spec.location.clone();
                register(&mut snapshot, own.name.clone(), &own.id, own.executor_type, location);
            }
        }
        if has_keys(&snapshot) {
            snapshot.operator_executors.clone_from(&operator_executors);
        }
        Self { snapshot, operator_executors }
    }
}

fn has_keys(snapshot: &ColonySnapshot) -> bool {
    snapshot.credentials == Credentials::Complete
}

fn has_reason(status: &ColonyStatus, reason: Reason) -> bool {
    let mut ready = status.conditions.iter().filter(|condition| condition.type_ == "Ready");
    ready.any(|ready| ready.reason == reason.as_str())
}

/// What is known of the keys: of a Secret that the files lack, what status says; else that it is right.
fn credentials(
    object: &Colony,
    known: &ColonyStatus,
    supplied: Option<&Secret>,
    own: Option<&Secret>,
) -> Credentials {
    let name = &object.spec.credentials_secret_name;
    match supplied {
        Some(secret) if !has(secret, OWNER_KEY) => {
            let problem = format!(
                "Secret {name} has no key {OWNER_KEY}: put the colony's private key there (COLONIES_COLONY_PRVKEY)"
            );
            return Credentials::Invalid { problem };
        }
        None if has_reason(known, Reason::CredentialsNotFound) => return Credentials::SecretNotFound,
        _ => {}
    }
    match own {
        Some(own) if !has(own, OPERATOR_EXECUTOR_KEY) => Credentials::OperatorKeysMissing,
        Some(own) if !has(own, RECONCILER_KEY) => Credentials::ReconcilerKeyMissing,
        None if known.operator_executor.is_none() => Credentials::OperatorKeysMissing,
        _ => Credentials::Complete,
    }
}

/// The executors as which the operator serves the colony. What is not known of their names is given by chance.
fn operator_executors(object: &Colony, known: &ColonyStatus, own: Option<&Secret>) -> Vec<OperatorExecutor> {
    let place = object.spec.location.clone().unwrap_or_else(|| object.name_any());
    let named = |role: &str, key: &str, recorded: Option<&String>, executor_type| OperatorExecutor {
        name: own
            .and_then(|own| text(own, key))
            .or_else(|| recorded.cloned())
            .unwrap_or_else(|| format!("{place}-{role}-<random>")),
        id: UNKNOWN_ID.to_owned(),
        executor_type,
    };
    let recorded = known.operator_executor.as_ref();
    vec![
        named("operator", OPERATOR_EXECUTOR_NAME_KEY, recorded, CONTROLLER_EXECUTOR_TYPE),
        named("reconciler", RECONCILER_NAME_KEY, None, RECONCILER_EXECUTOR_TYPE),
    ]
}

fn has(secret: &Secret, key: &str) -> bool {
    secret.data.as_ref().is_some_and(|data| data.contains_key(key))
        || secret.string_data.as_ref().is_some_and(|data| data.contains_key(key))
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let written = secret.string_data.as_ref().and_then(|data| data.get(key)).cloned();
    written.or_else(|| String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok())
}

fn statistics(known: &ColonyStatus) -> Statistics {
    let processes = known.processes.unwrap_or_default();
    let registered = known.executors.unwrap_or_default().registered;
    Statistics {
        executors: registered,
        active_executors: registered,
        unregistered_executors: 0,
        waiting: processes.waiting,
        running: processes.running,
        successful: 0,
        failed: 0,
        cancelled: 0,
    }
}

fn register(
    snapshot: &mut ColonySnapshot,
    name: String,
    id: &str,
    executor_type: &str,
    location: Option<String>,
) {
    let colony = snapshot.object.spec.colony_name.clone();
    if let (Observed::Known(executors), Ok(id)) = (&mut snapshot.executors, Id::parse(id)) {
        executors.retain(|executor| executor.name != name);
        executors.push(Executor {
            id,
            name,
            executor_type: executor_type.to_owned(),
            colony,
            state: ExecutorState::Approved,
            location: location.unwrap_or_default(),
            added_at: None,
            last_heard_at: None,
            blueprint_id: String::new(),
            blueprint_generation: 0,
            capabilities: crate::colony::Capabilities::default(),
        });
    }
}

impl Rehearsed for Connection {
    type Findings = ();
    type Object = Colony;

    const FINALIZER: Option<&'static str> = Some(Colony::FINALIZER);

    fn decide(&self) -> Result<(Plan, ()), Problem> {
        Ok((plan_colony(&self.snapshot), ()))
    }

    fn status(&self, pass: Result<(&Outcome, &()), &Problem>) -> Option<Status<Self>> {
        Some(status::colony::compute(&self.snapshot, pass.ok().and_then(|(outcome, ())| outcome.failure())))
    }

    fn object(&mut self) -> &mut Colony {
        &mut self.snapshot.object
    }

    fn kind(&self) {}

    fn now(&self) -> Timestamp {
        self.snapshot.now
    }

    fn apply(&mut self, step: Step) -> bool {
        let snapshot = &mut self.snapshot;
        match step {
            Step::Kubernetes(
                KubernetesStep::CreateOperatorKeys { .. } | KubernetesStep::AddReconcilerKey { .. },
            ) => {
                snapshot.credentials = Credentials::Complete;
                snapshot.operator_executors.clone_from(&self.operator_executors);
            }
            Step::Colony(ColonyStep::RegisterMember) => {
                snapshot.membership = Membership::Member(statistics(&ColonyStatus::default()));
            }
            Step::Colony(ColonyStep::RegisterOperator { name, id, executor_type, location, .. }) => {
                register(snapshot, name, &id, executor_type, location);
            }
            Step::Colony(ColonyStep::RemoveExecutor { name }) => {
                if let Observed::Known(executors) = &mut snapshot.executors {
                    executors.retain(|executor| executor.name != name);
                }
            }
            Step::Colony(ColonyStep::RemoveMember) => snapshot.membership = Membership::Stranger,
            Step::Colony(ColonyStep::AddDefinition(definition)) => {
                if let Observed::Known(definitions) = &mut snapshot.definitions {
                    definitions.push(*definition);
                }
            }
            _ => return false,
        }
        true
    }
}
