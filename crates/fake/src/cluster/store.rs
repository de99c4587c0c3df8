//! The objects, the order of their changes, and reads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};

use super::{
    answer::{Answer, Result, no_such_path, not_found, ok},
    kind::{Kind, Version, built_in},
    request::{ResourceRequest, Verb},
};

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// A change of an object.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) version: u64,
    pub(super) key: Key,
    /// `None` for a new object.
    pub(super) before: Option<Arc<Value>>,
    /// `None` for an object that is gone.
    pub(super) after: Option<Arc<Value>>,
}

/// Whether a review of rights is answered with yes; given `spec` of the review.
pub(super) type Rights = Arc<dyn Fn(&Value) -> bool + Send + Sync>;

/// All objects. Nothing happens by itself: garbage is collected, and definitions end, when someone asks.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) version: u64,
    counter: u64,
    /// By group and plural.
    pub(super) kinds: BTreeMap<(String, String), Arc<Kind>>,
    pub(super) objects: BTreeMap<Key, Arc<Value>>,
    pub(super) changes: Vec<Change>,
    /// Plurals of the kinds that watches show no change of for now.
    pub(super) held: BTreeSet<String>,
    pub(super) rights: Rights,
    /// Plurals of the kinds for which it is kept who wrote what.
    pub(super) with_managed_fields: BTreeSet<String>,
}

/// A kind and one of its versions.
#[derive(Clone, Copy)]
pub(super) struct In<'a> {
    pub(super) kind: &'a Kind,
    pub(super) version: &'a Version,
}

impl Store {
    pub(super) fn new(clock: Arc<dyn Fn() -> Timestamp + Send + Sync>) -> Self {
        let kinds = built_in().map(|kind| ((kind.group.clone(), kind.plural.clone()), Arc::new(kind)));
        Self {
            clock,
            version: 0,
            counter: 0,
            kinds: kinds.collect(),
            objects: BTreeMap::new(),
            changes: Vec::new(),
            held: BTreeSet::new(),
            rights: Arc::new(|_| true),
            with_managed_fields: BTreeSet::new(),
        }
    }

    /// Now, in seconds, as the API server writes it.
    pub(super) fn now(&self) -> String {
        let now = (self.clock)();
        now.round(Unit::Second)
            .map_or(now, |rounded| if rounded > now { rounded - SECOND } else { rounded })
            .to_string()
    }

    /// A number that no other has.
    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn find(&self, request: &ResourceRequest) -> Result<(Arc<Kind>, Version)> {
        let kind = self.kinds.get(&(request.group.clone(), request.plural.clone()));
        let found = kind.and_then(|kind| Some((Arc::clone(kind), kind.version(&request.version)?.clone())));
        let (kind, version) = found.ok_or_else(no_such_path)?;
        let is_status = request.subresource == "status" && version.has_status;
        let is_about_one = matches!(request.verb, Verb::Get | Verb::Update | Verb::Patch);
        if !request.subresource.is_empty() && !(is_status && is_about_one) {
            return Err(no_such_path());
        }
        let is_about_many = matches!(request.verb, Verb::List | Verb::Watch);
        if kind.is_namespaced && request.namespace.is_empty() && !is_about_many {
            return Err(no_such_path());
        }
        Ok((kind, version))
    }

    pub(super) fn get(&self, request: &ResourceRequest, of: In<'_>) -> Result<Answer> {
        let key = request.key();
        let found = self.objects.get(&key).ok_or_else(|| not_found(of.kind, &key.name))?;
        Ok(ok(of.shown(found, request.metadata_only)))
    }

    /// The objects that a request is about, in the order of the API server's own store.
    pub(super) fn matching<'a>(
        &'a self,
        request: &'a ResourceRequest,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let from = Key {
            group: request.group.clone(),
            plural: request.plural.clone(),
            namespace: request.namespace.clone(),
            name: String::new(),
        };
        self.objects
            .range(from..)
            .take_while(|(key, _)| request.covers(key))
            .filter(|(_, object)| request.selects(object))
    }

    pub(super) fn list(&self, request: &ResourceRequest, of: In<'_>) -> Answer {
        // What comes after the last object of the page before, at the version of the first page.
        let token = request.query.continue_token.as_deref();
        let token: Option<(String, String, String)> =
            token.and_then(|token| serde_json::from_str(token).ok());
        let version =
            token.as_ref().map_or_else(|| self.version.to_string(), |(version, ..)| version.clone());
        let is_later = |key: &Key| {
            token.as_ref().is_none_or(|(_, namespace, name)| (&key.namespace, &key.name) > (namespace, name))
        };
        let mut found = self.matching(request).filter(|(key, _)| is_later(key));
        let limit = request.query.limit.unwrap_or(usize::MAX);
        let page: Vec<_> = found.by_ref().take(limit).collect();
        let rest = found.count();
        let mut metadata = json!({ "resourceVersion": version });
        if let (Some((last, _)), true) = (page.last(), rest > 0) {
            let token = json!([version, last.namespace, last.name]).to_string();
            metadata = json!({ "resourceVersion": version, "continue": token, "remainingItemCount": rest });
        }
        let items: Vec<Value> = page
            .into_iter()
            .map(|(_, object)| {
                let mut shown = of.shown(object, request.metadata_only);
                // Of the server's own kinds only the list says what it is a list of.
                if let (Value::Object(fields), false) =
                    (&mut shown, of.kind.is_custom || request.metadata_only)
                {
                    fields.retain(|name, _| !matches!(name.as_str(), "apiVersion" | "kind"));
                }
                shown
            })
            .collect();
        let (api_version, kind) = if request.metadata_only {
            ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList".to_owned())
        } else {
            (of.api_version(), format!("{}List", of.kind.kind))
        };
        ok(json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "items": items }))
    }

    /// Puts an object into the store, or takes it out, under a new version; what is then stored, or was last.
    pub(super) fn commit(&mut self, key: Key, object: Option<Value>) -> Arc<Value> {
        self.version += 1;
        let version = self.version;
        let before = self.objects.get(&key).cloned();
        let stamped = |mut object: Value| {
            set(&mut object, "resourceVersion", version.to_string().into());
            Arc::new(object)
        };
        let (after, shown) = if let Some(object) = object {
            let stored = stamped(object);
            self.objects.insert(key.clone(), Arc::clone(&stored));
            (Some(Arc::clone(&stored)), stored)
        } else {
            self.objects.remove(&key);
            (None, stamped(before.as_deref().cloned().unwrap_or_default()))
        };
        self.changes.push(Change { version, key, before, after });
        shown
    }
}

const SECOND: jiff::SignedDuration = jiff::SignedDuration::from_secs(1);

impl In<'_> {
    pub(super) fn api_version(&self) -> String {
        self.kind.api_version(&self.version.name)
    }

    /// An object in this version, or its metadata alone.
    pub(super) fn shown(&self, object: &Value, metadata_only: bool) -> Value {
        if metadata_only {
            let metadata = object.get("metadata").cloned().unwrap_or_default();
            return json!({ "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata });
        }
        let mut shown = object.clone();
        if let Value::Object(fields) = &mut shown {
            fields.insert("apiVersion".to_owned(), self.api_version().into());
        }
        shown
    }
}

impl ResourceRequest {
    pub(super) fn key(&self) -> Key {
        Key {
            group: self.group.clone(),
            plural: self.plural.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// Whether an object at `key` is among those that the request is about.
    pub(super) fn covers(&self, key: &Key) -> bool {
        key.group == self.group
            && key.plural == self.plural
            && (self.namespace.is_empty() || key.namespace == self.namespace)
    }

    pub(super) fn selects(&self, object: &Value) -> bool {
        self.query.labels.admits_labels(object) && self.query.fields.admits_fields(object)
    }
}

/// A field of metadata as text; empty when there is none.
pub(super) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get("metadata").and_then(|metadata| metadata.get(field)?.as_str()).unwrap_or_default()
}

/// Sets a field of metadata, or takes it away with `null`.
pub(super) fn set(object: &mut Value, field: &str, value: Value) {
    let Value::Object(fields) = object else { return };
    let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
    let Value::Object(metadata) = metadata else { return };
    if value.is_null() {
        metadata.remove(field);
    } else {
        metadata.insert(field.to_owned(), value);
    }
}

pub(super) fn finalizers(object: &Value) -> Vec<String> {
    let listed = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Whether an object is being deleted.
pub(super) fn is_deleting(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}
