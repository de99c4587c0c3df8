//! What controllers of the cluster do to objects: definitions come into force and end, garbage is collected.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::{Value, json};

use super::{
    kind::Kind,
    store::{Key, Store, finalizers, is_deleting, set, text},
    write::{FOREGROUND, ORPHAN},
};

/// Holds a definition until its objects are gone.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Holds a namespace until what is in it is gone. Really it stands in `spec.finalizers`.
const NAMESPACE: &str = "kubernetes";

impl Store {
    /// What the server itself holds an object by until it has ended what the object stands for.
    pub(super) fn lifecycle_finalizer(&self, key: &Key) -> Option<&'static str> {
        match (key.group.as_str(), key.plural.as_str()) {
            ("apiextensions.k8s.io", "customresourcedefinitions") => Some(CLEANUP),
            ("", "namespaces") => {
                let is_used = self.objects.keys().any(|other| other.namespace == key.name);
                is_used.then_some(NAMESPACE)
            }
            _ => None,
        }
    }

    /// Has a definition come into force that was just written.
    pub(super) fn definition_written(&mut self, object: &Value) {
        if object["kind"] != "CustomResourceDefinition" || is_deleting(object) {
            return;
        }
        let Some(kind) = Kind::of_definition(object) else { return };
        let key = definition_key(text(object, "name"));
        let names = object.pointer("/spec/names").cloned().unwrap_or_default();
        let versions = object.pointer("/spec/versions").and_then(Value::as_array);
        let stored = versions.into_iter().flatten().find(|version| version["storage"] == true);
        let stored = stored.map(|version| version["name"].clone()).unwrap_or_default();
        let now = self.now();
        self.kinds.insert((kind.group.clone(), kind.plural.clone()), Arc::new(kind));
        self.change(&key, |object| {
            let condition = |type_: &str, reason: &str, message: &str| {
                json!({ "type": type_, "status": "True", "lastTransitionTime": now, "reason": reason, "message": message })
            };
            let status = &mut object["status"];
            if status.get("conditions").is_none() {
                status["conditions"] = json!([
                    condition("NamesAccepted", "NoConflicts", "no conflicts found"),
                    condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
                ]);
            }
            status["acceptedNames"] = names;
            let known = status.get("storedVersions").and_then(Value::as_array).cloned();
            let mut known = known.unwrap_or_default();
            if !known.contains(&stored) {
                known.push(stored);
            }
            status["storedVersions"] = known.into();
        });
    }

    /// Has the kind end whose definition is gone.
    pub(super) fn definition_removed(&mut self, object: &Value) {
        if object["kind"] != "CustomResourceDefinition" {
            return;
        }
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        self.kinds.remove(&(text("/spec/group").to_owned(), text("/spec/names/plural").to_owned()));
    }

    /// One round of what the cluster's controllers do; whether anything was to be done.
    pub(super) fn run_controllers(&mut self) -> bool {
        let before = self.version;
        self.end_containers();
        self.collect_dependents();
        self.release_owners();
        self.version != before
    }

    /// Deletes what is in namespaces and of kinds that are being deleted, and these once they are empty.
    fn end_containers(&mut self) {
        let ending: Vec<(Key, Value)> = self
            .objects
            .iter()
            .filter(|(key, object)| is_deleting(object) && self.lifecycle_finalizer(key).is_some())
            .map(|(key, object)| (key.clone(), object.as_ref().clone()))
            .collect();
        for (key, object) in ending {
            let is_inside = |other: &Key| {
                if key.plural == "namespaces" {
                    other.namespace == key.name
                } else {
                    other.group == object["spec"]["group"]
                        && other.plural == object["spec"]["names"]["plural"]
                }
            };
            let inside: Vec<Key> = self.objects.keys().filter(|other| is_inside(other)).cloned().collect();
            for other in inside {
                if self.objects.get(&other).is_some_and(|object| !is_deleting(object)) {
                    self.begin_to_delete(&other, None);
                }
            }
        }
        let emptied: Vec<Key> = self
            .objects
            .iter()
            .filter(|(key, object)| is_deleting(object) && self.is_empty_container(key, object))
            .map(|(key, _)| key.clone())
            .collect();
        for key in emptied {
            self.drop_finalizer(&key, if key.plural == "namespaces" { NAMESPACE } else { CLEANUP });
        }
    }

    fn is_empty_container(&self, key: &Key, object: &Value) -> bool {
        match key.plural.as_str() {
            "namespaces" => !self.objects.keys().any(|other| other.namespace == key.name),
            "customresourcedefinitions" => !self.objects.keys().any(|other| {
                other.group == object["spec"]["group"] && other.plural == object["spec"]["names"]["plural"]
            }),
            _ => false,
        }
    }

    /// Deletes what has owners none of which is there any more, and what an owner waits for that is being deleted.
    fn collect_dependents(&mut self) {
        let uids: BTreeSet<String> =
            self.objects.values().map(|object| text(object, "uid").to_owned()).collect();
        let waiting: BTreeSet<String> = self.held_by(FOREGROUND).into_iter().map(|(_, uid)| uid).collect();
        let doomed: Vec<(Key, bool)> = self
            .objects
            .iter()
            .filter(|(_, object)| !is_deleting(object))
            .filter_map(|(key, object)| {
                let owners = owners(object);
                let is_solid = |uid: &String| uids.contains(uid) && !waiting.contains(uid);
                let is_doomed = !owners.is_empty() && !owners.iter().any(is_solid);
                let is_waited_for = owners.iter().any(|uid| waiting.contains(uid));
                is_doomed.then(|| (key.clone(), is_waited_for))
            })
            .collect();
        for (key, is_waited_for) in doomed {
            // The owner waits for what this one owns, too.
            let policy = if is_waited_for { "Foreground" } else { "Background" };
            self.begin_to_delete(&key, Some(policy));
        }
    }

    /// Lets go of owners that wait for nothing any more, and frees what others leave behind.
    fn release_owners(&mut self) {
        for (key, uid) in self.held_by(FOREGROUND) {
            let blocks = |object: &Value| {
                let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
                let mut references = references.into_iter().flatten();
                references.any(|one| one["uid"] == *uid && one["blockOwnerDeletion"] == true)
            };
            if !self.objects.values().any(|object| blocks(object)) {
                self.drop_finalizer(&key, FOREGROUND);
            }
        }
        for (key, uid) in self.held_by(ORPHAN) {
            let dependents: Vec<Key> = self
                .objects
                .iter()
                .filter(|(_, object)| owners(object).contains(&uid))
                .map(|(key, _)| key.clone())
                .collect();
            for dependent in dependents {
                self.change(&dependent, |object| {
                    let left = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
                    let left: Vec<Value> = left.into_iter().filter(|one| one["uid"] != *uid).collect();
                    set(object, "ownerReferences", if left.is_empty() { Value::Null } else { json!(left) });
                });
            }
            self.drop_finalizer(&key, ORPHAN);
        }
    }

    /// Objects that are being deleted and that this finalizer holds, with their UIDs.
    fn held_by(&self, finalizer: &str) -> Vec<(Key, String)> {
        self.objects
            .iter()
            .filter(|(_, object)| {
                is_deleting(object) && finalizers(object).iter().any(|name| name == finalizer)
            })
            .map(|(key, object)| (key.clone(), text(object, "uid").to_owned()))
            .collect()
    }

    fn drop_finalizer(&mut self, key: &Key, finalizer: &str) {
        self.change(key, |object| {
            let left: Vec<String> = finalizers(object).into_iter().filter(|name| name != finalizer).collect();
            set(object, "finalizers", if left.is_empty() { Value::Null } else { json!(left) });
        });
    }
}

fn definition_key(name: &str) -> Key {
    Key {
        group: "apiextensions.k8s.io".to_owned(),
        plural: "customresourcedefinitions".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    }
}

/// The UIDs of the owners of an object.
fn owners(object: &Value) -> Vec<String> {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let uids = references.into_iter().flatten().filter_map(|one| one["uid"].as_str());
    uids.map(str::to_owned).collect()
}
