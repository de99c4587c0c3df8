//! Writes to the objects that instances are made of. Their kind is known at run time only.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy},
    core::DynamicObject,
};
use rand::{Rng as _, distr::Alphanumeric};
use serde_json::{Map, Value, json};

use super::{
    failure::{of_call, removed},
    kubernetes::Cluster,
    outcome::{Done, Effect, FailureKind, StepFailure},
    owner::Owner,
};
use crate::{
    api::{
        names::{ADMITTED_ANNOTATION, GENERATE_ANNOTATION, OPERATOR},
        resource_definition::ObjectKind,
    },
    diff::{KubernetesStep, admission::Admitted, difference::Surplus},
    kinds::composition::DesiredChild,
    memory::writes::Key,
    runtime::{
        kubernetes::{CALL_TIME_LIMIT, CallError, call},
        metrics::{WriteKind, WriteVerb},
    },
};

/// Letters and digits of a text that is made by chance: 190 bits.
const GENERATED: usize = 32;

impl Cluster {
    /// Creates an object. A name that is taken is noted, so that the next snapshot looks at who has it.
    pub(super) async fn create_child(
        &self,
        owner: Owner<'_>,
        child: &DesiredChild,
    ) -> Result<Done, StepFailure> {
        let what = format!("create {} {}", child.kind.kind, child.name);
        let api = self.child_api(&child.kind, owner, &what)?;
        let whole = with_generated(child);
        let object: DynamicObject = serde_json::from_value(whole.clone()).map_err(|error| StepFailure {
            kind: FailureKind::Refused,
            message: format!("failed to {what}: {error}"),
        })?;
        let parameters = PostParams { field_manager: Some(OPERATOR.to_owned()), ..PostParams::default() };
        let result = call(CALL_TIME_LIMIT, api.create(&parameters, &object)).await;
        let created = self.written(WriteVerb::Create, owner, (&child.kind, &child.name), &what, result)?;
        Ok(answered(&child.kind, &whole, &created, &[]))
    }

    /// Changes an object.
    pub(super) async fn patch_child(
        &self,
        owner: Owner<'_>,
        kind: &ObjectKind,
        name: &str,
        patch: &Map<String, Value>,
        differences: &[String],
    ) -> Result<Done, StepFailure> {
        let what = format!("update {} {name}", kind.kind);
        let api = self.child_api(kind, owner, &what)?;
        let parameters = PatchParams { field_manager: Some(OPERATOR.to_owned()), ..PatchParams::default() };
        let result = call(CALL_TIME_LIMIT, api.patch(name, &parameters, &Patch::Merge(patch))).await;
        let patched = self.written(WriteVerb::Patch, owner, (kind, name), &what, result)?;
        Ok(answered(kind, &Value::Object(patch.clone()), &patched, differences))
    }

    /// Deletes an object, which stays until what it owns is gone: what comes after it, or takes its place, must not meet its
    /// pods. One that is gone already is as good as deleted.
    pub(super) async fn delete_child(
        &self,
        owner: Owner<'_>,
        kind: &ObjectKind,
        name: &str,
        uid: &str,
    ) -> Result<(), StepFailure> {
        let what = format!("delete {} {name}", kind.kind);
        let api = self.child_api(kind, owner, &what)?;
        let parameters = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Foreground),
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::default()
        };
        let result = call(CALL_TIME_LIMIT, api.delete(name, &parameters)).await;
        self.count(WriteVerb::Delete, WriteKind::Child, &result);
        removed(&what, result).map(drop)
    }

    fn child_api(
        &self,
        kind: &ObjectKind,
        owner: Owner<'_>,
        what: &str,
    ) -> Result<Api<DynamicObject>, StepFailure> {
        let resource = self.served.resource(kind).ok_or_else(|| StepFailure {
            kind: FailureKind::Unavailable,
            message: format!("failed to {what}: the cluster does not serve {kind}"),
        })?;
        Ok(Api::namespaced_with(self.client.clone(), owner.namespace, &resource))
    }

    fn written(
        &self,
        verb: WriteVerb,
        owner: Owner<'_>,
        (kind, name): (&ObjectKind, &str),
        what: &str,
        result: Result<DynamicObject, CallError>,
    ) -> Result<DynamicObject, StepFailure> {
        self.count(verb, WriteKind::Child, &result);
        match result {
            Ok(written) => {
                // Of all objects of the kind the instance's last write counts: one more than it is no newer.
                let key = Key::new(kind.to_string(), owner.namespace, owner.uid);
                self.writes.wrote(key, written.metadata.resource_version.as_deref(), self.clock.instant());
                Ok(written)
            }
            Err(error) => {
                let failure = of_call(what, &error);
                if failure.kind == FailureKind::Conflict {
                    self.writes.invalidate(Key::new(kind.to_string(), owner.namespace, name));
                }
                Err(failure)
            }
        }
    }
}

/// What follows from the answer to a write: that admission changed it is noted.
fn answered(kind: &ObjectKind, written: &Value, answer: &DynamicObject, differences: &[String]) -> Done {
    let before = Admitted::read(answer.annotations().get(ADMITTED_ANNOTATION).map(String::as_str));
    let whole = serde_json::to_value(answer).unwrap_or_default();
    let admitted = before.after(written, &whole, Surplus::Theirs, differences);
    let follow_up = admitted.map(|admitted| {
        let metadata = json!({ "uid": answer.uid(), "annotations": { ADMITTED_ANNOTATION: admitted } });
        Box::new(KubernetesStep::PatchChild {
            kind: kind.clone(),
            name: answer.name_any(),
            patch: Map::from_iter([("metadata".to_owned(), metadata)]),
            differences: vec![format!("metadata.annotations.{ADMITTED_ANNOTATION}")],
        })
    });
    Done { follow_up, ..Effect::Nothing.into() }
}

/// The object, with what its template leaves to chance. Only a Secret may have that.
fn with_generated(child: &DesiredChild) -> Value {
    let mut object = child.object.clone();
    let keys = object.pointer("/metadata/annotations").and_then(|all| all.get(GENERATE_ANNOTATION)?.as_str());
    let keys: Vec<String> =
        keys.into_iter().flat_map(|keys| keys.split(',')).map(|key| key.trim().to_owned()).collect();
    if child.kind != ObjectKind::new("v1", "Secret") || keys.is_empty() {
        return object;
    }
    if let Value::Object(fields) = &mut object {
        let data = fields.entry("data").or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(data) = data {
            for key in keys.into_iter().filter(|key| !key.is_empty()) {
                let text: String =
                    rand::rng().sample_iter(Alphanumeric).take(GENERATED).map(char::from).collect();
                data.entry(key).or_insert_with(|| Value::String(STANDARD.encode(text)));
            }
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(kind: &str, annotations: &Value) -> Value {
        let object = json!({"metadata": {"name": "a", "annotations": annotations}, "data": {"user": "eA=="}});
        with_generated(&DesiredChild { kind: ObjectKind::new("v1", kind), name: "a".to_owned(), object })
    }

    #[test]
    fn a_secret_is_given_what_its_template_leaves_to_chance() {
        let wish = json!({(GENERATE_ANNOTATION): "password, token,user"});
        let (one, other) = (made("Secret", &wish), made("Secret", &wish));
        for key in ["password", "token"] {
            let text = STANDARD.decode(one["data"][key].as_str().unwrap()).unwrap();
            assert_eq!(text.len(), GENERATED);
            assert_ne!(one["data"][key], other["data"][key], "{key}");
        }
        assert_eq!(one["data"]["user"], "eA==");
        assert_eq!(made("ConfigMap", &wish)["data"], json!({"user": "eA=="}));
        assert_eq!(made("Secret", &json!({}))["data"], json!({"user": "eA=="}));
    }
}
