//! The migration of a kind's objects to the version in which they are stored: how far it is, and what comes next. Pure.
//!
//! ```text
//! begun ──settled──▶ page after page ──end of the list──▶ those that failed ──all written──▶ concluded
//! ```

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most instances that are named of those that a change would break.
pub const NAMED_INSTANCES: usize = 10;

/// How long after the CRD changed every API server is taken to store objects in the new version, requests that were under
/// way included. They learn of it by a watch, within a second as a rule; one that learned later could store an object in a
/// version that is not in the list any more.
const STORAGE_VERSION_PROPAGATION: SignedDuration = SignedDuration::from_secs(10);

/// How far the migration of a kind's objects to another stored version is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageMigration {
    /// The version in which all objects are to be stored.
    pub version: String,
    /// Generation of the CRD by which they are written. When it is another, they are written from the beginning.
    pub crd_generation: i64,
    /// When it was found that objects may be stored in another version.
    pub began_at: Time,
    /// How many objects have been written in the version.
    pub migrated: i32,
    /// How many could not be written.
    pub failed: i32,
    /// How many are still to be written, as the API server last estimated.
    #[serde(default)]
    pub remaining: i32,
    /// The first that could not be written, and why; 10 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = NAMED_INSTANCES))]
    pub failures: Vec<BrokenInstance>,
    /// The continue token of the list of objects; absent at its beginning and at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_token: Option<String>,
    /// Whether the list has been gone through to its end.
    #[serde(default)]
    pub listed: bool,
    /// When it was known that all objects are stored in the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
}

/// An object as it was listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// Its namespace; absent for a kind of the cluster.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its UID and version, as far as they are known: any write in the meantime stored it in the current version.
    pub seen: Option<SeenObject>,
}

/// Which object of a name was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenObject {
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextOfMigration<'m> {
    /// Nothing: all objects are stored in the version of now.
    Nothing,
    /// It has to be begun.
    Beginning,
    /// To wait until every API server knows the version.
    Settling,
    /// The objects of the list from here on; from its beginning if there is no token.
    Page(Option<&'m str>),
    /// Those that could not be written before.
    Failed(&'m [BrokenInstance]),
    /// Update `status.storedVersions` of the CRD: all objects are stored in the version.
    Conclusion,
}

impl StorageMigration {
    /// One that begins.
    #[must_use]
    pub const fn begin(version: String, crd_generation: i64, began_at: Time) -> Self {
        Self {
            version,
            crd_generation,
            began_at,
            migrated: 0,
            failed: 0,
            remaining: 0,
            failures: Vec::new(),
            continue_token: None,
            listed: false,
            completed_at: None,
        }
    }

    /// Whether it is under way and about the CRD as it is. Any change of its spec may have let objects be stored in yet
    /// another version meanwhile.
    #[must_use]
    pub fn is_of(&self, crd: &CustomResourceDefinition) -> bool {
        self.completed_at.is_none()
            && Some(self.crd_generation) == crd.metadata.generation
            && Some(self.version.as_str()) == stored_version(crd)
    }

    /// How long until every API server knows the version; none if all are taken to.
    #[must_use]
    pub fn settles_in(&self, now: Timestamp) -> Option<Duration> {
        let left = STORAGE_VERSION_PROPAGATION - now.duration_since(self.began_at.0);
        Duration::try_from(left).ok().filter(|left| !left.is_zero())
    }
}

/// The next step, from the CRD and the recorded progress.
#[must_use]
pub fn next_of_migration<'m>(
    crd: &CustomResourceDefinition,
    recorded: Option<&'m StorageMigration>,
    now: Timestamp,
) -> NextOfMigration<'m> {
    if versions_left(crd).is_empty() {
        return NextOfMigration::Nothing;
    }
    let Some(recorded) = recorded.filter(|recorded| recorded.is_of(crd)) else {
        return NextOfMigration::Beginning;
    };
    match recorded {
        _ if recorded.settles_in(now).is_some() => NextOfMigration::Settling,
        _ if !recorded.listed => NextOfMigration::Page(recorded.continue_token.as_deref()),
        _ if !recorded.failures.is_empty() => NextOfMigration::Failed(&recorded.failures),
        _ => NextOfMigration::Conclusion,
    }
}

/// The version in which objects of a CRD are stored from now on.
#[must_use]
pub fn stored_version(crd: &CustomResourceDefinition) -> Option<&str> {
    crd.spec.versions.iter().find(|version| version.storage).map(|version| version.name.as_str())
}

/// The other versions in which objects of a CRD may be stored.
#[must_use]
pub fn versions_left(crd: &CustomResourceDefinition) -> Vec<&str> {
    let stored = crd.status.iter().flat_map(|status| status.stored_versions.iter().flatten());
    let now = stored_version(crd);
    stored.map(String::as_str).filter(|name| Some(*name) != now).collect()
}

/// An instance that a change would break.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BrokenInstance {
    /// Its namespace; absent for a kind of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// The first field that does not fit, and why.
    pub why: String,
}

impl BrokenInstance {
    /// Namespace and name.
    #[must_use]
    pub fn shown(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn crd(stored: &[&str]) -> CustomResourceDefinition {
        serde_json::from_value(json!({
            "metadata": { "name": "things.g.example.com", "generation": 4 },
            "spec": { "group": "g.example.com", "scope": "Namespaced",
                "names": { "kind": "Thing", "plural": "things" },
                "versions": [{ "name": "v1", "served": true, "storage": true },
                             { "name": "v1alpha1", "served": true, "storage": false }] },
            "status": { "storedVersions": stored },
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn it_goes_on_from_what_is_on_record() {
        let crd = crd(&["v1alpha1", "v1"]);
        let next = |recorded: &StorageMigration| match next_of_migration(&crd, Some(recorded), at(20)) {
            NextOfMigration::Page(token) => format!("page {token:?}"),
            NextOfMigration::Failed(failed) => format!("failed {}", failed.len()),
            other => format!("{other:?}"),
        };
        assert_eq!(next_of_migration(&crd, None, at(20)), NextOfMigration::Beginning);
        let mut recorded = StorageMigration::begin("v1".to_owned(), 4, Time(at(11)));
        assert_eq!(next(&recorded), "Settling");
        assert_eq!(recorded.settles_in(at(20)), Some(Duration::from_secs(1)));
        recorded.began_at = Time(at(10));
        assert_eq!(next(&recorded), "page None");
        recorded.continue_token = Some("t".to_owned());
        assert_eq!(next(&recorded), r#"page Some("t")"#);
        recorded.listed = true;
        assert_eq!(next(&recorded), "Conclusion");
        recorded.failures.push(BrokenInstance::default());
        assert_eq!(next(&recorded), "failed 1");
    }

    /// What was written by another CRD may be stored in another version.
    #[test]
    fn another_crd_is_another_migration() {
        let crd = crd(&["v1alpha1", "v1"]);
        let recorded = StorageMigration::begin("v1".to_owned(), 4, Time(at(0)));
        assert!(recorded.is_of(&crd));
        let others = [
            StorageMigration { version: "v1alpha1".to_owned(), ..recorded.clone() },
            StorageMigration { crd_generation: 3, ..recorded.clone() },
            StorageMigration { completed_at: Some(Time(at(5))), ..recorded },
        ];
        for other in others {
            assert_eq!(
                next_of_migration(&crd, Some(&other), at(20)),
                NextOfMigration::Beginning,
                "{other:?}"
            );
        }
    }

    #[test]
    fn objects_that_are_all_stored_in_the_version_need_nothing() {
        assert_eq!(versions_left(&crd(&["v1alpha1", "v1"])), ["v1alpha1"]);
        for stored in [&["v1"][..], &[]] {
            assert_eq!(next_of_migration(&crd(stored), None, at(20)), NextOfMigration::Nothing);
        }
    }
}
