//! How the objects of a cache fare, for metrics: what their conditions say, in one word. Pure.

use std::{collections::BTreeMap, hash::Hash};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta};
use kube::{
    Resource,
    core::{DeserializeGuard, object::HasStatus},
    runtime::reflector::Store,
};

use crate::{
    api::{
        condition::ConditionType::{self, Failed, Finished, Paused, Ready, Running, Succeeded},
        kind::{HasConditions, Kind},
    },
    runtime::metrics::ObjectState,
};

/// How many objects of a cache are in each state.
pub fn count<K>(kind: Kind, store: &Store<DeserializeGuard<K>>) -> BTreeMap<ObjectState, usize>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + HasStatus<Status: HasConditions> + Clone + 'static,
{
    let mut counts = BTreeMap::new();
    for object in store.state() {
        let state = match &object.0 {
            Ok(object) => {
                let conditions = object.status().map(HasConditions::conditions).unwrap_or_default();
                state(kind, object.meta(), conditions)
            }
            Err(_) => ObjectState::Unreadable,
        };
        *counts.entry(state).or_default() += 1;
    }
    counts
}

/// The state of an object: first what holds it, then how it ended, then where it is.
fn state(kind: Kind, metadata: &ObjectMeta, conditions: &[Condition]) -> ObjectState {
    let is = |wanted: ConditionType| {
        conditions.iter().any(|found| found.type_ == wanted.as_str() && found.status == "True")
    };
    let ended = [
        (Failed, ObjectState::Failed),
        (Succeeded, ObjectState::Succeeded),
        (Finished, ObjectState::Finished),
    ];
    if metadata.deletion_timestamp.is_some() {
        ObjectState::Deleting
    } else if is(Paused) {
        ObjectState::Paused
    } else if let Some((_, state)) = ended.into_iter().find(|(condition, _)| is(*condition)) {
        state
    } else if kind.info().conditions.contains(&Ready) {
        if is(Ready) { ObjectState::Ready } else { ObjectState::NotReady }
    } else if is(Running) {
        ObjectState::Running
    } else {
        ObjectState::Waiting
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::{reflector::store::Writer, watcher::Event};
    use serde_json::{Value, json};

    use super::*;
    use crate::api::{colony_process::ColonyProcess, executor_deployment::ExecutorDeployment};

    fn conditions(said: &[(&str, &str)]) -> Vec<Condition> {
        let one = |(name, status): &(&str, &str)| {
            let condition = json!({ "type": name, "status": status, "reason": "R", "message": "",
                                    "lastTransitionTime": "2026-11-30T10:00:00Z" });
            serde_json::from_value(condition).unwrap()
        };
        said.iter().map(one).collect()
    }

    #[test]
    fn an_object_is_in_one_state() {
        let at = |kind, said: &[(&str, &str)]| state(kind, &ObjectMeta::default(), &conditions(said));
        assert_eq!(at(Kind::ColonyProcess, &[]), ObjectState::Waiting);
        assert_eq!(at(Kind::ColonyProcess, &[("Running", "True")]), ObjectState::Running);
        assert_eq!(at(Kind::ColonyProcess, &[("Failed", "True"), ("Finished", "True")]), ObjectState::Failed);
        assert_eq!(at(Kind::RequestState, &[("Succeeded", "True")]), ObjectState::Succeeded);
        assert_eq!(at(Kind::RequestState, &[("Finished", "True")]), ObjectState::Finished);
        assert_eq!(at(Kind::Colony, &[]), ObjectState::NotReady);
        assert_eq!(at(Kind::Colony, &[("Ready", "Unknown")]), ObjectState::NotReady);
        let paused = [("Paused", "True"), ("Ready", "True")];
        assert_eq!(at(Kind::ExecutorDeployment, &paused), ObjectState::Paused);
        let going: ObjectMeta =
            serde_json::from_value(json!({ "deletionTimestamp": "2026-11-30T10:00:00Z" })).unwrap();
        assert_eq!(state(Kind::ColonyProcess, &going, &[]), ObjectState::Deleting);
    }

    #[test]
    fn all_objects_of_a_cache_are_counted() {
        let mut writer = Writer::<DeserializeGuard<ExecutorDeployment>>::new(());
        let broken = json!({ "metadata": { "name": "b", "namespace": "n" }, "spec": 1 });
        let spec = json!({ "executorType": "t", "image": "i" });
        let whole = |name: &str| json!({ "metadata": { "name": name, "namespace": "n" }, "spec": spec });
        for object in [broken, whole("one"), whole("two")] {
            let object: Value = object;
            writer.apply_watcher_event(&Event::Apply(serde_json::from_value(object).unwrap()));
        }
        let expected = BTreeMap::from([(ObjectState::NotReady, 2), (ObjectState::Unreadable, 1)]);
        assert_eq!(count(Kind::ExecutorDeployment, &writer.as_reader()), expected);
        let none = Writer::<DeserializeGuard<ColonyProcess>>::new(()).as_reader();
        assert_eq!(count(Kind::ColonyProcess, &none), BTreeMap::new());
    }
}
