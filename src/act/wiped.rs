//! Secrets whose values are overwritten when they are dropped.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
};

use k8s_openapi::api::core::v1::Secret;
use zeroize::Zeroize;

/// Values of a Secret, some of them keys: overwritten when dropped.
#[derive(Default)]
pub(super) struct WipedValues(pub(super) BTreeMap<String, String>);

impl Deref for WipedValues {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for WipedValues {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for WipedValues {
    fn drop(&mut self) {
        self.0.values_mut().for_each(Zeroize::zeroize);
    }
}

/// A Secret with new keys, or one that was read: its values are overwritten when it is dropped.
pub struct WipedSecret(pub(super) Secret);

impl Deref for WipedSecret {
    type Target = Secret;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for WipedSecret {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(secret: &mut Secret) {
    secret.string_data.iter_mut().flat_map(BTreeMap::values_mut).for_each(Zeroize::zeroize);
    secret.data.iter_mut().flat_map(BTreeMap::values_mut).for_each(|bytes| bytes.0.zeroize());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_value_of_a_secret_is_left() {
        let mut secret: Secret = serde_json::from_value(json!({
            "data": {"a": "c2VjcmV0"}, "stringData": {"b": "secret"},
        }))
        .unwrap();
        wipe(&mut secret);
        assert_eq!(secret.data.unwrap()["a"].0, b"");
        assert_eq!(secret.string_data.unwrap()["b"], "");
    }
}
