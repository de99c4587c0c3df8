//! Makes executor identities: the key and the name, the two things of a plan that are random, and the Secret that
//! holds them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use rand::{Rng as _, distr::Alphanumeric};

use super::wiped::WipedSecret;
use crate::{
    colony::{InvalidKey, PrivateKey},
    desired::DesiredIdentity,
};

/// Random characters at the end of an executor's name; 36 to the power of 6 names a prefix.
const SUFFIX_LENGTH: usize = 6;
/// The same, where each pod has a name: a fleet may need a million of them.
const POD_SUFFIX_LENGTH: usize = 10;

/// A name that was never used before: the server never gives a name out twice.
#[must_use]
pub fn executor_name(prefix: &str) -> String {
    format!("{prefix}-{}", random_end(SUFFIX_LENGTH))
}

/// The end of the name of the executor of a pod.
#[must_use]
pub fn pod_executor_end() -> String {
    random_end(POD_SUFFIX_LENGTH)
}

fn random_end(length: usize) -> String {
    let letters = rand::rng().sample_iter(&Alphanumeric).take(length);
    letters.map(|byte| char::from(byte).to_ascii_lowercase()).collect()
}

/// The Secret of an executor with a new key and a new name.
///
/// # Errors
///
/// When the operating system gives no randomness.
pub fn new_secret(identity: &DesiredIdentity) -> Result<WipedSecret, InvalidKey> {
    new_secret_of(identity, executor_name(&identity.name_prefix))
}

/// The Secret of an executor with a new key, and with a name that it was given before.
///
/// # Errors
///
/// When the operating system gives no randomness.
pub fn new_secret_of(identity: &DesiredIdentity, executor: String) -> Result<WipedSecret, InvalidKey> {
    let key = PrivateKey::generate()?;
    let mut data = environment(identity);
    data.insert("COLONIES_EXECUTOR_NAME".to_owned(), executor);
    data.insert("COLONIES_EXECUTOR_ID".to_owned(), key.id().to_string());
    data.insert("COLONIES_PRVKEY".to_owned(), key.to_hex().to_string());
    Ok(WipedSecret(secret(identity, data)))
}

/// Environment of an identity, to be written over a Secret whose key stays.
#[must_use]
pub fn environment(identity: &DesiredIdentity) -> BTreeMap<String, String> {
    identity.environment.clone()
}

fn secret(identity: &DesiredIdentity, data: BTreeMap<String, String>) -> Secret {
    Secret {
        metadata: identity.metadata.clone(),
        string_data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}
