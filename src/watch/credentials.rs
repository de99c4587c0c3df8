//! Reads the keys for a colony: those that a user supplied and those that the operator made.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};

use crate::{
    api::{
        colony::Colony,
        names::{
            CONTROLLER_EXECUTOR_TYPE, LEFT_KEY_PREFIX, MEMBER_KEY, OPERATOR_EXECUTOR_KEY,
            OPERATOR_EXECUTOR_NAME_KEY, OWNER_KEY, RECONCILER_EXECUTOR_TYPE, RECONCILER_KEY,
            RECONCILER_NAME_KEY, operator_secret,
        },
    },
    colony::{PrivateKey, Tls},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{Credentials, OperatorExecutor},
};

/// Key of the certificate authority in the Secret that `caSecretName` names.
const CA_CERTIFICATE: &str = "ca.crt";

/// Keys to work with in a colony.
#[derive(Clone)]
pub struct Keys {
    /// The colony's owner.
    pub owner: PrivateKey,
    pub member: PrivateKey,
    /// The operator's executors.
    pub operator: Vec<OperatorKey>,
    /// Labels of what outlives its object by a policy, by UID of the object.
    pub left: BTreeMap<String, String>,
}

/// The key of one of the operator's executors.
#[derive(Clone)]
pub struct OperatorKey {
    pub key: PrivateKey,
    /// Name of the executor.
    pub name: String,
    pub executor_type: &'static str,
}

impl OperatorKey {
    /// The executor without its key.
    #[must_use]
    pub fn executor(&self) -> OperatorExecutor {
        let (name, id) = (self.name.clone(), self.key.id().to_string());
        OperatorExecutor { name, id, executor_type: self.executor_type }
    }
}

/// Why there are no keys, for the snapshot.
type Missing = Credentials;

/// Reads the keys from the user's Secret and the operator's own, both in the operator's `namespace`.
///
/// # Errors
///
/// Names what is missing.
pub async fn keys(client: &Client, namespace: &str, colony: &Colony) -> Result<Keys, Missing> {
    let users = &colony.spec.credentials_secret_name;
    let supplied = secret(client, namespace, users).await.map_err(Credentials::Unknown)?;
    let supplied = supplied.ok_or(Credentials::SecretNotFound)?;
    let owner = key(&supplied, OWNER_KEY)?.ok_or_else(|| Credentials::Invalid {
        problem: format!("Secret {users} has no key {OWNER_KEY}: put the colony's private key there (COLONIES_COLONY_PRVKEY)"),
    })?;
    let own = secret(client, namespace, &operator_secret(&colony.name_any()))
        .await
        .map_err(Credentials::Unknown)?;
    let own = own.ok_or(Credentials::OperatorKeysMissing)?;
    let member = match key(&supplied, MEMBER_KEY)? {
        Some(member) => member,
        None => key(&own, MEMBER_KEY)?.ok_or(Credentials::OperatorKeysMissing)?,
    };
    let controller =
        operator_key(&own, OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY, CONTROLLER_EXECUTOR_TYPE)?
            .ok_or(Credentials::OperatorKeysMissing)?;
    let reconciler = operator_key(&own, RECONCILER_KEY, RECONCILER_NAME_KEY, RECONCILER_EXECUTOR_TYPE)?
        .ok_or(Credentials::ReconcilerKeyMissing)?;
    Ok(Keys { owner, member, operator: vec![controller, reconciler], left: left(&own) })
}

fn left(own: &Secret) -> BTreeMap<String, String> {
    let keys = own.data.iter().flatten().map(|(key, _)| key);
    let noted = keys.filter_map(|key| Some((key.strip_prefix(LEFT_KEY_PREFIX)?.to_owned(), text(own, key)?)));
    noted.collect()
}

fn operator_key(
    secret: &Secret,
    key_name: &str,
    name_name: &str,
    executor_type: &'static str,
) -> Result<Option<OperatorKey>, Missing> {
    let (key, name) = (key(secret, key_name)?, text(secret, name_name));
    Ok(key.zip(name).map(|(key, name)| OperatorKey { key, name, executor_type }))
}

/// How the server is to be trusted.
///
/// # Errors
///
/// When the Secret with the certificate authority cannot be used; for a person.
pub async fn tls(client: &Client, namespace: &str, colony: &Colony) -> Result<Tls, String> {
    let server = &colony.spec.server;
    if server.insecure {
        return Ok(Tls::Insecure);
    }
    let Some(name) = &server.ca_secret_name else { return Ok(Tls::Webpki) };
    let found = secret(client, namespace, name).await?;
    let found = found.ok_or_else(|| {
        format!("spec.server.caSecretName: there is no Secret {name:?} in the operator's namespace")
    })?;
    let certificate = found.data.as_ref().and_then(|data| data.get(CA_CERTIFICATE));
    let certificate = certificate.ok_or_else(|| {
        format!("Secret {name} has no key {CA_CERTIFICATE}: put the certificate authority there as PEM")
    })?;
    Ok(Tls::CustomCa(certificate.0.clone()))
}

async fn secret(client: &Client, namespace: &str, name: &str) -> Result<Option<Secret>, String> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    call(CALL_TIME_LIMIT, api.get_opt(name))
        .await
        .map_err(|error| error.explain(&format!("get Secret {name}")))
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&bytes.0).ok()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn key(secret: &Secret, name: &str) -> Result<Option<PrivateKey>, Missing> {
    let Some(text) = text(secret, name) else { return Ok(None) };
    PrivateKey::from_hex(&text).map(Some).map_err(|error| Credentials::Invalid {
        problem: format!("key {name} of Secret {}: {error}", secret.name_any()),
    })
}
