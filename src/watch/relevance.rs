//! Which changes of a kind are worth a pass. A child's status moves several times on its way to readiness, and each own
//! write comes back as a change: a pass over most of them would find nothing to do.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher as _},
};

use futures::{StreamExt as _, TryStreamExt as _, future};
use k8s_openapi::{
    api::{
        apps::v1::{DaemonSet, Deployment},
        batch::v1::Job,
        core::v1::Pod,
        policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Resource, ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};

use super::{
    cache::{Changes, Filled, GuardedExecutorDeployment},
    index::Index,
};
use crate::{
    api::names::{EXECUTOR_DEPLOYMENT_LABEL, EXECUTOR_NAME_ANNOTATION},
    memory::writes::Writes,
    snapshot::{BusyMarks, PodExecutor, is_queued, pod_trouble, progress},
};

/// What controllers of the cluster note on their own account.
const NOTES_OF_CONTROLLERS: &str = "deployment.kubernetes.io/";

/// Those of `changes` in which something differs that a pass looks at: `digest` of it, or none while there is nothing.
/// What has gone always counts, what is an own write never does.
pub fn relevant<K>(
    changes: Changes<K>,
    store: Store<K>,
    kind: &'static str,
    writes: Writes,
    digest: impl Fn(&K) -> Option<u64> + Send + 'static,
) -> Changes<K>
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let mut known: HashMap<ObjectRef<K>, Option<u64>> = HashMap::new();
    let counts = move |object: &K| {
        let is_own = writes.is_own(kind, object.meta().resource_version.as_deref());
        let reference = ObjectRef::from_obj(object);
        // Not there: it is gone, or the first list is not complete.
        if store.get(&reference).is_none() {
            known.remove(&reference);
            return true;
        }
        let digest = digest(object);
        let before = known.insert(reference, digest);
        before.flatten() != digest && !is_own
    };
    filtered(changes, counts)
}

/// Those of `changes` that are not the work of this process: its pass has seen to what follows. Until the cache is
/// `filled` all count: another controller of this process may have made the version, and has ended.
pub fn of_others<K>(
    changes: Changes<K>,
    filled: Filled,
    kind: impl Into<String>,
    writes: Writes,
) -> Changes<K>
where
    K: Resource + Send + Sync + 'static,
{
    let kind = kind.into();
    filtered(changes, move |object| {
        let is_own = writes.is_own(&kind, object.meta().resource_version.as_deref());
        !is_own || !filled.is_reached()
    })
}

fn filtered<K>(changes: Changes<K>, mut counts: impl FnMut(&K) -> bool + Send + 'static) -> Changes<K>
where
    K: Send + Sync + 'static,
{
    changes.try_filter(move |object| future::ready(counts(object))).boxed()
}

/// What says of an object what it is to be: everything but its status.
#[must_use]
pub fn of_metadata<K: Resource>(object: &K) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let ObjectMeta { uid, generation, labels, annotations, finalizers, deletion_timestamp, .. } =
        object.meta();
    (uid, generation, labels, annotations, finalizers, deletion_timestamp.is_some()).hash(&mut hasher);
    Some(hasher.finish())
}

/// What a pass looks at in a Deployment.
#[must_use]
pub fn of_deployment(deployment: &Deployment) -> Option<u64> {
    let refusal = progress::refusal_of_deployment(deployment);
    Some(of_workload(&deployment.metadata, (progress::of_deployment(deployment), refusal)))
}

/// What a pass looks at in a `DaemonSet`.
#[must_use]
pub fn of_daemon_set(daemon_set: &DaemonSet) -> Option<u64> {
    Some(of_workload(&daemon_set.metadata, progress::of_daemon_set(daemon_set)))
}

/// What a pass looks at in a Job.
#[must_use]
pub fn of_job(job: &Job) -> Option<u64> {
    Some(of_workload(&job.metadata, progress::of_job(job)))
}

/// What a pass looks at in a `PodDisruptionBudget`: its status moves with each busy pod.
#[must_use]
pub fn of_budget(budget: &PodDisruptionBudget) -> Option<u64> {
    Some(of_workload(&budget.metadata, ()))
}

fn of_workload(metadata: &ObjectMeta, progress: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Whatever changes a spec changes the generation.
    (&metadata.uid, metadata.generation, &metadata.labels, &metadata.finalizers).hash(&mut hasher);
    let annotations = metadata.annotations.iter().flatten();
    for annotation in annotations.filter(|(name, _)| !name.starts_with(NOTES_OF_CONTROLLERS)) {
        annotation.hash(&mut hasher);
    }
    for owner in metadata.owner_references.iter().flatten() {
        (&owner.uid, owner.controller).hash(&mut hasher);
    }
    (metadata.deletion_timestamp.is_some(), progress).hash(&mut hasher);
    hasher.finish()
}

/// What a pass over a fleet looks at in a pod: nothing while it comes up as it should, unless a blueprint tells of it, or it has an
/// executor of its own.
#[must_use]
pub fn of_pod(pod: &Pod, fleets: &Index<GuardedExecutorDeployment>) -> Option<u64> {
    let pods = std::slice::from_ref(pod);
    let (problem, is_leaving) = (pod_trouble::of_pods(pods), pod.metadata.deletion_timestamp.is_some());
    let is_told = || {
        let reference = ObjectRef::new(pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL)?);
        let fleet = fleets.store().get(&reference.within(pod.metadata.namespace.as_deref()?))?;
        fleet.0.as_ref().ok()?.blueprint_name()
    };
    let phase = is_told().and_then(|_| Some(pod.status.as_ref()?.phase.clone()));
    let name = |fleet: &str| {
        let own = PodExecutor::of(pod, pod.metadata.namespace.as_deref()?, fleet)?;
        Some((own.name.map(|(name, _)| name.to_owned()), own.is_gated, BusyMarks::of(pod)))
    };
    let executor = pod.labels().get(EXECUTOR_DEPLOYMENT_LABEL).and_then(|fleet| name(fleet));
    let is_queued = is_queued(pod);
    if problem.is_none() && !is_leaving && phase.is_none() && executor.is_none() && !is_queued {
        return None;
    }
    let mut hasher = DefaultHasher::new();
    (problem, pod_trouble::waits_for_configuration(pods), is_leaving, phase).hash(&mut hasher);
    (executor, is_queued).hash(&mut hasher);
    pod.annotations().get(EXECUTOR_NAME_ANNOTATION).hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use kube::runtime::{reflector::store::Writer, watcher::Event};
    use serde_json::{Value, json};

    use super::*;
    use crate::memory::writes::Key;

    fn deployment(version: u64, annotations: &Value, ready: i32) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {
                "name": "encoders", "namespace": "blue", "uid": "u", "generation": 1,
                "resourceVersion": version.to_string(), "annotations": annotations,
            },
            "spec": { "selector": {}, "template": {} },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": ready },
        }))
        .unwrap()
    }

    /// The objects that are left of what happens.
    async fn left(writes: &Writes, events: Vec<Event<Deployment>>) -> Vec<String> {
        let mut cache = Writer::new(());
        let store = cache.as_reader();
        let changes = futures::stream::iter(events).map(move |event| {
            cache.apply_watcher_event(&event);
            let (Event::Apply(object) | Event::Delete(object)) = event else { panic!("{event:?}") };
            Ok(object)
        });
        let left = relevant(changes.boxed(), store, "Deployment", writes.clone(), of_deployment);
        left.map_ok(|object| object.resource_version().unwrap()).try_collect().await.unwrap()
    }

    #[tokio::test]
    async fn a_workload_counts_when_something_differs_that_a_pass_looks_at() {
        let revision = json!({ "deployment.kubernetes.io/revision": "1" });
        let events = vec![
            Event::Apply(deployment(1, &json!({}), 0)),
            Event::Apply(deployment(2, &revision, 0)),
            Event::Apply(deployment(3, &revision, 1)),
            Event::Apply(deployment(4, &json!({ "edited": "yes" }), 1)),
            Event::Apply(deployment(5, &json!({ "edited": "yes" }), 1)),
            Event::Delete(deployment(5, &json!({ "edited": "yes" }), 1)),
            Event::Apply(deployment(6, &json!({ "edited": "yes" }), 1)),
        ];
        assert_eq!(left(&Writes::default(), events).await, ["1", "3", "4", "5", "6"]);
    }

    #[tokio::test]
    async fn an_own_write_does_not_count_and_hides_nothing_else() {
        let writes = Writes::default();
        #[expect(clippy::disallowed_methods, reason = "any moment will do")]
        writes.wrote_in_pass(Key::new("Deployment", "blue", "encoders"), Some("1"), Instant::now());
        let events = vec![
            Event::Apply(deployment(1, &json!({}), 0)),
            Event::Apply(deployment(2, &json!({}), 0)),
            Event::Apply(deployment(3, &json!({}), 1)),
        ];
        assert_eq!(left(&writes, events).await, ["3"]);
    }

    /// A kind whose definition has changed gets a new watch: what the pass of the last one wrote is all that its first list
    /// shows.
    #[tokio::test]
    async fn the_first_list_counts_whoever_wrote_what_it_shows() {
        let writes = Writes::default();
        for version in ["1", "2"] {
            #[expect(clippy::disallowed_methods, reason = "any moment will do")]
            writes.wrote_in_pass(Key::new("Deployment", "blue", "encoders"), Some(version), Instant::now());
        }
        let (fill, filled) = Filled::pair();
        let changes = futures::stream::iter([1, 2, 3]).map(move |version| {
            // The list shows the first, and no more.
            fill.send_replace(version > 1);
            Ok(deployment(version, &json!({}), 0))
        });
        let left = of_others(changes.boxed(), filled, "Deployment", writes);
        let left: Vec<_> =
            left.map_ok(|object| object.resource_version().unwrap()).try_collect().await.unwrap();
        assert_eq!(left, ["1", "3"]);
    }

    #[test]
    fn status_alone_is_no_change() {
        let (before, counted) = (deployment(1, &json!({}), 0), deployment(2, &json!({}), 1));
        let mut wanted = counted.clone();
        wanted.metadata.generation = Some(2);
        assert_eq!(of_metadata(&before), of_metadata(&counted));
        assert_ne!(of_metadata(&counted), of_metadata(&wanted));
        assert_ne!(of_metadata(&counted), of_metadata(&deployment(3, &json!({ "default": "true" }), 1)));
    }

    #[test]
    fn a_pod_counts_when_something_is_wrong_with_it() {
        let fleets = Index::new(Writer::new(()).as_reader(), (), crate::watch::index::executor_deployment);
        let pod = |status: Value| -> Pod {
            let metadata =
                json!({ "name": "p", "namespace": "blue", "labels": { EXECUTOR_DEPLOYMENT_LABEL: "f" } });
            serde_json::from_value(json!({ "metadata": metadata, "status": status })).unwrap()
        };
        let waiting = |reason: &str| {
            let state = json!({ "waiting": { "reason": reason } });
            let container = json!({ "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state });
            of_pod(&pod(json!({ "phase": "Pending", "containerStatuses": [container] })), &fleets)
        };
        assert_eq!(of_pod(&pod(json!({ "phase": "Running" })), &fleets), None);
        let mut queued = pod(json!({ "phase": "Pending" }));
        let gates = json!({ "containers": [], "schedulingGates": [{ "name": "kueue.x-k8s.io/admission" }] });
        queued.spec = Some(serde_json::from_value(gates).unwrap());
        assert!(of_pod(&queued, &fleets).is_some(), "a pod that waits in a queue is told of");
        assert_eq!(waiting("ContainerCreating"), None);
        let unpulled = waiting("ErrImagePull");
        assert!(unpulled.is_some());
        assert_eq!(waiting("ImagePullBackOff"), unpulled, "nodes tell both in turn");
        assert_ne!(waiting("CreateContainerConfigError"), unpulled);
    }
}
