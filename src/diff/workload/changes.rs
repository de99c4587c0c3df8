//! How a workload that is there differs from what is wanted. Pure.

use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::Resource;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    api::names::{ADMITTED_ANNOTATION, CONTENT_HASH_ANNOTATION},
    diff::{
        admission::{self, Admitted, of_workload},
        difference::{Surplus, differences},
    },
};

/// The path of the hash of the desired state.
pub(super) const HASH_PATH: &str = "metadata.annotations.content-hash";

/// Differences of a whole object: of the desired state, and of its changes since the last write.
pub(super) fn changes<T: Serialize>(
    wanted: &T,
    wanted_metadata: &ObjectMeta,
    found: &T,
    found_metadata: &ObjectMeta,
) -> Vec<String> {
    let other_wish = content_hash(wanted_metadata) != content_hash(found_metadata);
    let mut paths = differences(&of_workload(wanted), &of_workload(found));
    if other_wish && paths.is_empty() {
        paths.push(HASH_PATH.to_owned());
    }
    paths
}

/// What a Job can change while it runs.
pub(super) fn is_resizable(path: &str) -> bool {
    matches!(path, "spec.parallelism" | "spec.completions" | "spec.suspend" | HASH_PATH)
        || path.starts_with("metadata.")
}

/// What is wanted of a workload that is there: of the fields that admission has changed, what it has; which these are.
/// Another wish is written as it is, where it can be. What cannot change, and differs although the wish has not, was changed
/// when the object was created.
pub(super) fn as_admitted<K>(
    wanted: &K,
    found: &K,
    is_new_wish: bool,
    is_fixed: Option<fn(&str) -> bool>,
) -> (K, Vec<String>)
where
    K: Resource<DynamicType = ()> + Clone + Serialize + DeserializeOwned,
{
    let noted = found.meta().annotations.as_ref().and_then(|all| all.get(ADMITTED_ANNOTATION));
    if noted.is_none() && is_fixed.is_none() {
        return (wanted.clone(), Vec::new());
    }
    let noted = Admitted::read(noted.map(String::as_str));
    let (mut accepted, there) = (of_workload(wanted), of_workload(found));
    let before = accepted.clone();
    let told = admission::accept(&mut accepted, &there, Surplus::Ours, |difference| {
        let is_fixed = is_fixed.is_some_and(|is_fixed| is_fixed(&difference.to_string()));
        (!is_new_wish || is_fixed) && noted.covers(difference) || !is_new_wish && is_fixed
    });
    if accepted == before {
        return (wanted.clone(), told);
    }
    let Ok(mut whole) = serde_json::to_value(wanted) else { return (wanted.clone(), told) };
    whole["spec"] = accepted["spec"].take();
    whole["metadata"]["labels"] = accepted["metadata"]["labels"].take();
    // Both were of the type before.
    (serde_json::from_value(whole).unwrap_or_else(|_| wanted.clone()), told)
}

pub(super) fn content_hash(metadata: &ObjectMeta) -> Option<&String> {
    metadata.annotations.as_ref()?.get(CONTENT_HASH_ANNOTATION)
}

/// Differences of the pod templates of two Jobs, including fields that are no longer desired.
pub(super) fn template_differences(wanted: &Job, found: &Job) -> Vec<String> {
    let template =
        |job: &Job| serde_json::to_value(job.spec.as_ref().map(|spec| &spec.template)).unwrap_or_default();
    differences(&template(wanted), &template(found))
}
