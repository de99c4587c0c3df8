//! Keys of the operator's own: those of its member and of its executors in a colony.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt as _, api::ObjectMeta};

use super::{
    identity::executor_name,
    wiped::{WipedSecret, WipedValues},
};
use crate::{
    api::names::{
        APP_MANAGED_BY_LABEL, MEMBER_KEY, OPERATOR, OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY,
        RECONCILER_KEY, RECONCILER_NAME_KEY, executor_prefix, operator_secret,
    },
    colony::{InvalidKey, PrivateKey},
};

/// The Secret with new keys for the connection to the colony of an object, with which it goes. Executors are named after
/// `place`.
///
/// # Errors
///
/// When the system gives no random bytes.
pub(super) fn new_secret<K: Resource>(
    object: &K,
    kind: &K::DynamicType,
    place: &str,
) -> Result<WipedSecret, InvalidKey> {
    let mut data = executor_key(place, "operator", OPERATOR_EXECUTOR_KEY, OPERATOR_EXECUTOR_NAME_KEY)?;
    data.append(&mut *reconciler(place)?);
    data.insert(MEMBER_KEY.to_owned(), PrivateKey::generate()?.to_hex().to_string());
    let metadata = ObjectMeta {
        name: Some(operator_secret(&object.name_any())),
        labels: Some(BTreeMap::from([(APP_MANAGED_BY_LABEL.to_owned(), OPERATOR.to_owned())])),
        owner_references: object.controller_owner_ref(kind).map(|reference| vec![reference]),
        ..ObjectMeta::default()
    };
    let string_data = Some(std::mem::take(&mut *data));
    Ok(WipedSecret(Secret { metadata, string_data, type_: Some("Opaque".to_owned()), ..Secret::default() }))
}

/// A new key and a new name for the operator's executor that serves blueprints.
///
/// # Errors
///
/// When the system gives no random bytes.
pub(super) fn reconciler(place: &str) -> Result<WipedValues, InvalidKey> {
    executor_key(place, "reconciler", RECONCILER_KEY, RECONCILER_NAME_KEY)
}

fn executor_key(place: &str, role: &str, key_name: &str, name_name: &str) -> Result<WipedValues, InvalidKey> {
    let key = PrivateKey::generate()?;
    Ok(WipedValues(BTreeMap::from([
        (key_name.to_owned(), key.to_hex().to_string()),
        (name_name.to_owned(), executor_name(&executor_prefix(place, role))),
    ])))
}
