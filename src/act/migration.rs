//! Has objects stored in another version: each is written again by a patch that changes nothing, which the API server carries
//! out only because what it would store is not what is stored. So nothing can be lost by it, whoever else writes.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    failure::of_call,
    kinds::Written as _,
    kubernetes::Cluster,
    outcome::{FailureKind, MigrationOutcome, StepFailure},
};
use crate::{
    api::{
        instance::{Instance, InstanceKind},
        names::OPERATOR,
        resource_definition::{BrokenInstance, StoredObject},
    },
    diff::definition::Migration,
    runtime::{
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
        lease::Leadership,
        metrics::{WriteKind, WriteVerb},
    },
};

/// Pause after each object, so that at most a hundred of a kind are written in a second: an API server takes about eight
/// hundred writes of one client, and others want to write too.
const PAUSE: Duration = Duration::from_millis(10);

/// What came of an object.
enum Rewritten {
    /// It is stored in the version of now.
    Stored,
    /// It is gone.
    Gone,
    /// It could not be written, and will not be before somebody changes something.
    Failed(String),
    /// There is no telling.
    Unknown(StepFailure),
}

/// Carries out the next part of the migration, and asks before each write whether this process still leads. An object that
/// cannot be written holds up no other.
pub async fn migrate(plan: &Migration, cluster: &Cluster, leadership: &Leadership) -> MigrationOutcome {
    let mut outcome = MigrationOutcome::default();
    match plan {
        Migration::Rewrite(rewrite) => {
            for object in &rewrite.objects {
                let written = if leadership.is_leader() {
                    cluster.write_again(&rewrite.kind, object).await
                } else {
                    Rewritten::Unknown(no_leader())
                };
                match written {
                    Rewritten::Stored => outcome.migrated += 1,
                    Rewritten::Gone => {}
                    Rewritten::Failed(why) => {
                        tracing::warn!(object = object.name, "cannot be stored in another version: {why}");
                        outcome.failures.push(BrokenInstance {
                            namespace: object.namespace.clone(),
                            name: object.name.clone(),
                            why,
                        });
                    }
                    Rewritten::Unknown(failure) => {
                        outcome.failure = Some(failure);
                        return outcome;
                    }
                }
                tokio::time::sleep(PAUSE).await;
            }
            tracing::info!(%plan, migrated = outcome.migrated, failed = outcome.failures.len(), "done");
        }
        Migration::Conclude(_) if !leadership.is_leader() => outcome.failure = Some(no_leader()),
        Migration::Conclude(crd) => match cluster.tell_versions(crd).await {
            Ok(()) => {
                tracing::info!(%plan, "done");
                outcome.is_concluded = true;
            }
            Err(failure) => outcome.failure = Some(failure),
        },
        Migration::Nothing | Migration::Wait | Migration::OutOfReach(_) | Migration::Unread(_) => {}
    }
    outcome
}

fn no_leader() -> StepFailure {
    StepFailure { kind: FailureKind::Unavailable, message: "another replica leads".to_owned() }
}

impl Cluster {
    async fn write_again(&self, kind: &InstanceKind, object: &StoredObject) -> Rewritten {
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let api = Instance::api(self.client.clone(), namespace, kind);
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(nothing(object));
        let result = call(CALL_TIME_LIMIT, api.patch_metadata(&object.name, &parameters, &patch)).await;
        self.count(WriteVerb::Patch, WriteKind::Instance, &result);
        match result {
            Ok(_) => Rewritten::Stored,
            Err(error) => judge(&object.name, &error),
        }
    }

    /// Writes the status of a CRD, if it is still the one that was seen.
    async fn tell_versions(&self, crd: &CustomResourceDefinition) -> Result<(), StepFailure> {
        let (name, api) = (crd.name_any(), Api::<CustomResourceDefinition>::all(self.client.clone()));
        let parameters = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let result = call(CALL_TIME_LIMIT, api.replace_status(&name, &parameters, crd)).await;
        self.count(WriteVerb::Replace, WriteKind::CustomResourceDefinitionStatus, &result);
        let what = format!("update the status of CustomResourceDefinition {name}");
        result.map(drop).map_err(|error| of_call(&what, &error))
    }
}

/// A patch that changes nothing of the object that was seen, and is refused for any other.
fn nothing(object: &StoredObject) -> Value {
    match &object.seen {
        Some(seen) => json!({ "metadata": { "uid": seen.uid, "resourceVersion": seen.resource_version } }),
        None => json!({}),
    }
}

/// What an error means for an object.
fn judge(name: &str, error: &CallError) -> Rewritten {
    let what = format!("write {name} again");
    match error.status_code() {
        // Whoever wrote it meanwhile has had it stored in the version of now.
        Some(409) => Rewritten::Stored,
        Some(404) => Rewritten::Gone,
        // The API server does not tell an object that it cannot convert from an error of its own.
        Some(500) => Rewritten::Failed(error.explain(&what)),
        _ => match of_call(&what, error) {
            failure if failure.kind == FailureKind::Refused => Rewritten::Failed(failure.message),
            failure => Rewritten::Unknown(failure),
        },
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::api::resource_definition::SeenObject;

    fn error(code: u16) -> CallError {
        let status = Status::failure("because", "").with_code(code);
        CallError::Failed { source: Box::new(kube::Error::Api(Box::new(status))) }
    }

    #[test]
    fn only_what_concerns_an_object_alone_is_held_against_it() {
        let judged = |code| match judge("a", &error(code)) {
            Rewritten::Stored => "stored",
            Rewritten::Gone => "gone",
            Rewritten::Failed(_) => "failed",
            Rewritten::Unknown(_) => "unknown",
        };
        let expected = [
            (409, "stored"),
            (404, "gone"),
            (422, "failed"),
            (403, "failed"),
            (500, "failed"),
            (429, "unknown"),
            (503, "unknown"),
            (504, "unknown"),
        ];
        for (code, expected) in expected {
            assert_eq!(judged(code), expected, "{code}");
        }
        let late = CallError::TimedOut { limit: CALL_TIME_LIMIT };
        assert!(matches!(judge("a", &late), Rewritten::Unknown(_)));
    }

    #[test]
    fn the_patch_is_for_the_object_that_was_seen() {
        let mut object = StoredObject { namespace: None, name: "a".to_owned(), seen: None };
        assert_eq!(nothing(&object), json!({}));
        object.seen = Some(SeenObject { uid: "u".to_owned(), resource_version: "7".to_owned() });
        assert_eq!(nothing(&object), json!({ "metadata": { "uid": "u", "resourceVersion": "7" } }));
    }
}
