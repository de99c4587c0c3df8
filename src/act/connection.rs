//! Writes that set up a connection to a colony: keys of the operator's own, its membership, its executor.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Resource as _, ResourceExt as _, api::ObjectMeta};

use super::{
    colony::{new_executor, register},
    failure::of_colony,
    identity::executor_name,
    kubernetes::Cluster,
    outcome::{FailureKind, StepFailure},
};
use crate::{
    api::{
        colony::Colony,
        names::{
            APP_MANAGED_BY_LABEL, MEMBER_KEY, OPERATOR, OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY,
            RECONCILER_KEY, RECONCILER_NAME_KEY, operator_secret,
        },
    },
    colony::{InvalidField, InvalidKey, NewUser, PrivateKey, Session},
    diff::ColonyConnectionStep,
    runtime::lease::Leadership,
};

/// What a connection is set up for.
pub struct ConnectionTarget<'a> {
    /// The `Colony`.
    pub object: &'a Colony,
    /// The operator's own namespace.
    pub namespace: &'a str,
    /// Calls as owner and as member; none while there are no keys.
    pub sessions: Option<(&'a Session, &'a Session)>,
}

/// Carries the steps out, the first failure ends it.
///
/// # Errors
///
/// What failed.
pub async fn connect(
    cluster: &Cluster,
    leadership: &Leadership,
    steps: &[ColonyConnectionStep],
    target: &ConnectionTarget<'_>,
) -> Result<(), StepFailure> {
    for step in steps {
        if !leadership.is_leader() {
            return Err(unavailable("another replica leads"));
        }
        carry_out(cluster, step, target).await?;
    }
    Ok(())
}

async fn carry_out(
    cluster: &Cluster,
    step: &ColonyConnectionStep,
    target: &ConnectionTarget<'_>,
) -> Result<(), StepFailure> {
    match step {
        ColonyConnectionStep::CreateOperatorKeys => {
            let mut data = controller_key(target.object).map_err(no_key)?;
            data.extend(reconciler_key(target.object).map_err(no_key)?);
            let member = PrivateKey::generate().map_err(no_key)?;
            data.insert(MEMBER_KEY.to_owned(), member.to_hex().to_string());
            cluster.create(target.namespace, &secret(target.object, data)).await
        }
        ColonyConnectionStep::AddReconcilerKey => {
            let data = reconciler_key(target.object).map_err(no_key)?;
            let name = operator_secret(&target.object.name_any());
            cluster.add_to_secret(target.namespace, &name, &data).await
        }
        ColonyConnectionStep::RegisterMember => {
            let (owner, member) = target.sessions.ok_or_else(|| unavailable("there are no keys yet"))?;
            let what = format!("register the operator as a member of colony {}", owner.colony());
            let id = member.id();
            let short: String = id.as_str().chars().take(12).collect();
            let user = NewUser::new(owner.colony(), &format!("{OPERATOR}-{short}"), id.clone())
                .map_err(|error| refused(&what, &error))?;
            owner.add_user(&user).await.map(|_| ()).map_err(|error| of_colony(&what, &error))
        }
        ColonyConnectionStep::RegisterOperatorExecutor { name, id, executor_type, location } => {
            let (owner, member) = target.sessions.ok_or_else(|| unavailable("there are no keys yet"))?;
            let what = format!("register the operator as executor {name} in colony {}", owner.colony());
            let executor = new_executor(owner.colony(), name, executor_type, id, location.as_deref())
                .map_err(|error| refused(&what, &error))?;
            register(owner, member, &executor).await.map_err(|error| of_colony(&what, &error))
        }
        ColonyConnectionStep::AddDefinition(definition) => {
            let (owner, _) = target.sessions.ok_or_else(|| unavailable("there are no keys yet"))?;
            match owner.add_blueprint_definition(definition).await {
                Ok(_) => Ok(()),
                // Somebody was faster.
                Err(error) if error.is_already_exists() => Ok(()),
                Err(error) => {
                    let what = format!("add BlueprintDefinition {}", definition.metadata.name);
                    Err(of_colony(&what, &error))
                }
            }
        }
    }
}

/// A new key and a new name for the operator's executor that serves processes of objects.
fn controller_key(colony: &Colony) -> Result<BTreeMap<String, String>, InvalidKey> {
    executor_key(colony, "operator", OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY)
}

/// A new key and a new name for the operator's executor that serves blueprints.
fn reconciler_key(colony: &Colony) -> Result<BTreeMap<String, String>, InvalidKey> {
    executor_key(colony, "reconciler", RECONCILER_KEY, RECONCILER_NAME_KEY)
}

fn executor_key(
    colony: &Colony,
    role: &str,
    key_name: &str,
    name_name: &str,
) -> Result<BTreeMap<String, String>, InvalidKey> {
    let key = PrivateKey::generate()?;
    let place = colony.spec.location.clone().unwrap_or_else(|| colony.name_any());
    Ok(BTreeMap::from([
        (key_name.to_owned(), key.to_hex().to_string()),
        (name_name.to_owned(), executor_name(&format!("{place}-{role}"))),
    ]))
}

/// The Secret with the operator's own keys. It goes with the `Colony`.
fn secret(colony: &Colony, data: BTreeMap<String, String>) -> Secret {
    let metadata = ObjectMeta {
        name: Some(operator_secret(&colony.name_any())),
        labels: Some(BTreeMap::from([(APP_MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned())])),
        owner_references: colony.controller_owner_ref(&()).map(|reference| vec![reference]),
        ..ObjectMeta::default()
    };
    Secret { metadata, string_data: Some(data), type_: Some("Opaque".to_owned()), ..Secret::default() }
}

fn no_key(error: InvalidKey) -> StepFailure {
    unavailable(&error.to_string())
}

fn unavailable(why: &str) -> StepFailure {
    StepFailure { kind: FailureKind::Unavailable, message: why.to_owned() }
}

fn refused(what: &str, error: &InvalidField) -> StepFailure {
    StepFailure { kind: FailureKind::Refused, message: format!("failed to {what}: {error}") }
}
