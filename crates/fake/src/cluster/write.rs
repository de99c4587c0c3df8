//! Writes: create, update, patch and delete, with the preconditions and the counting of the real API server.

use serde_json::{Value, json};

use super::{
    answer::{
        Answer, MODIFIED, Result, already_exists, bad_request, conflict, failure, invalid, not_found, ok,
    },
    content::{check_finalizers, conform, initial_status, is_spec_changed, is_subdomain, merge, put},
    fields::{self, Writing},
    request::{ResourceRequest, Verb},
    store::{In, Key, Store, finalizers, is_deleting, set, text},
};

/// Holds an object until what it owns is gone.
pub(super) const FOREGROUND: &str = "foregroundDeletion";

/// Holds an object until what it owns is free.
pub(super) const ORPHAN: &str = "orphan";

/// Letters and digits of generated names.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What only the server writes.
const OWN_FIELDS: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
];

impl Store {
    pub(super) fn create(&mut self, request: &ResourceRequest, of: In<'_>) -> Result<Answer> {
        let mut object = request.body.clone();
        check_body(request, of, &object)?;
        if !text(&object, "resourceVersion").is_empty() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(failure(500, "", message, &json!({})));
        }
        if text(&object, "name").is_empty() && !text(&object, "generateName").is_empty() {
            let name = format!("{}{}", text(&object, "generateName"), self.suffix());
            set(&mut object, "name", name.into());
        }
        let name = text(&object, "name").to_owned();
        if name.is_empty() {
            return Err(invalid(
                of.kind,
                "",
                "metadata.name",
                "Required value: name or generateName is required",
            ));
        }
        if !is_subdomain(&name) {
            let why = format!(
                "Invalid value: {name:?}: a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
            );
            return Err(invalid(of.kind, &name, "metadata.name", &why));
        }
        if of.kind.is_namespaced {
            self.check_namespace(request)?;
            set(&mut object, "namespace", request.namespace.clone().into());
        } else {
            set(&mut object, "namespace", Value::Null);
        }
        let key = Key { name: name.clone(), ..request.key() };
        if self.objects.contains_key(&key) {
            return Err(already_exists(of.kind, &name));
        }
        for field in OWN_FIELDS {
            set(&mut object, field, Value::Null);
        }
        if of.version.has_status {
            let blank = initial_status(&of.kind.plural, of.kind.is_custom);
            put(&mut object, "status", blank);
        }
        conform(of, &mut object);
        set(&mut object, "uid", format!("00000000-0000-4000-8000-{:012x}", self.count()).into());
        set(&mut object, "creationTimestamp", self.now().into());
        if of.kind.has_generation {
            set(&mut object, "generation", 1.into());
        }
        self.note_writer(request, of, None, &mut object);
        if request.query.is_dry_run {
            return Ok(Answer { status: 201, body: of.shown(&object, request.metadata_only) });
        }
        let stored = self.commit(key, Some(object));
        self.definition_written(&stored);
        Ok(Answer { status: 201, body: of.shown(&stored, request.metadata_only) })
    }

    pub(super) fn update(&mut self, request: &ResourceRequest, of: In<'_>) -> Result<Answer> {
        check_body(request, of, &request.body)?;
        if text(&request.body, "name") != request.name {
            return Err(bad_request(format!(
                "the name of the object ({}) does not match the name on the URL ({})",
                text(&request.body, "name"),
                request.name
            )));
        }
        let found = self.objects.get(&request.key()).ok_or_else(|| not_found(of.kind, &request.name))?;
        let mut object = request.body.clone();
        if text(&object, "resourceVersion").is_empty() {
            if of.kind.is_custom {
                let why = "Invalid value: 0: must be specified for an update";
                return Err(invalid(of.kind, &request.name, "metadata.resourceVersion", why));
            }
            set(&mut object, "resourceVersion", text(found, "resourceVersion").into());
        }
        self.replace(request, of, object)
    }

    pub(super) fn patch(&mut self, request: &ResourceRequest, of: In<'_>) -> Result<Answer> {
        let found = self.objects.get(&request.key()).ok_or_else(|| not_found(of.kind, &request.name))?;
        let mut object = of.shown(found, false);
        if request.body.is_array() {
            let changed = serde_json::from_value::<json_patch::Patch>(request.body.clone())
                .map_err(|error| error.to_string())
                .and_then(|patch| json_patch::patch(&mut object, &patch).map_err(|error| error.to_string()));
            changed.map_err(|why| invalid(of.kind, &request.name, "patch", &why))?;
        } else {
            merge(&mut object, &request.body);
        }
        check_body(request, of, &object)?;
        if text(&object, "name") != request.name {
            let why = format!("Invalid value: {:?}: field is immutable", text(&object, "name"));
            return Err(invalid(of.kind, &request.name, "metadata.name", &why));
        }
        self.replace(request, of, object)
    }

    /// Puts `object` in the place of what is there, if it was made of that.
    fn replace(&mut self, request: &ResourceRequest, of: In<'_>, object: Value) -> Result<Answer> {
        let (key, name) = (request.key(), &request.name);
        let found = self.objects.get(&key).cloned().ok_or_else(|| not_found(of.kind, name))?;
        if text(&object, "resourceVersion") != text(&found, "resourceVersion") {
            return Err(conflict(of.kind, name, MODIFIED));
        }
        let (uid, its) = (text(&object, "uid"), text(&found, "uid"));
        if !uid.is_empty() && uid != its {
            // Of a patch the UID is no precondition: it is a field that cannot be changed.
            return Err(if request.verb == Verb::Patch {
                let why = format!("Invalid value: {uid:?}: field is immutable");
                invalid(of.kind, name, "metadata.uid", &why)
            } else {
                let why =
                    format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {its}");
                conflict(of.kind, name, &why)
            });
        }
        let mut next;
        if request.subresource == "status" {
            next = found.as_ref().clone();
            put(&mut next, "status", object.get("status").cloned().unwrap_or_default());
        } else {
            next = object;
            for field in OWN_FIELDS {
                set(&mut next, field, found["metadata"][field].clone());
            }
            if of.kind.is_namespaced {
                set(&mut next, "namespace", key.namespace.clone().into());
            }
            if of.version.has_status {
                put(&mut next, "status", found.get("status").cloned().unwrap_or_default());
            }
        }
        put(&mut next, "apiVersion", found["apiVersion"].clone());
        put(&mut next, "kind", of.kind.name.clone().into());
        conform(of, &mut next);
        check_finalizers(of, name, &found, &next)?;
        if request.subresource.is_empty() && of.kind.has_generation && is_spec_changed(of, &found, &next) {
            let generation = found["metadata"]["generation"].as_i64().unwrap_or_default();
            set(&mut next, "generation", (generation + 1).into());
        }
        if next == *found {
            return Ok(ok(of.shown(&found, request.metadata_only)));
        }
        self.note_writer(request, of, Some(&found), &mut next);
        if request.query.is_dry_run {
            return Ok(ok(of.shown(&next, request.metadata_only)));
        }
        if is_deleting(&next) && finalizers(&next).is_empty() {
            // The change itself is never stored, and is what the writer sees.
            self.remove(key);
            return Ok(ok(of.shown(&next, request.metadata_only)));
        }
        let stored = self.commit(key, Some(next));
        self.definition_written(&stored);
        Ok(ok(of.shown(&stored, request.metadata_only)))
    }

    pub(super) fn delete(&mut self, request: &ResourceRequest, of: In<'_>) -> Result<Answer> {
        let (key, name) = (request.key(), &request.name);
        let found = self.objects.get(&key).cloned().ok_or_else(|| not_found(of.kind, name))?;
        let wanted = |field: &str| {
            let wanted = request.body.get("preconditions").and_then(|all| all.get(field)?.as_str());
            wanted.unwrap_or_default()
        };
        let (uid, its) = (wanted("uid"), text(&found, "uid"));
        if !uid.is_empty() && uid != its {
            let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {its}");
            return Err(conflict(of.kind, name, &why));
        }
        let (version, its) = (wanted("resourceVersion"), text(&found, "resourceVersion"));
        if !version.is_empty() && version != its {
            let why = format!(
                "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {its}"
            );
            return Err(conflict(of.kind, name, &why));
        }
        if request.query.is_dry_run {
            return Ok(ok(of.shown(&found, request.metadata_only)));
        }
        let policy = request.body.get("propagationPolicy").and_then(Value::as_str);
        let left = self.begin_to_delete(&key, policy);
        Ok(ok(match left {
            // Only these are shown once more; of all others only that they are gone.
            None if key.plural == "pods" || key.plural == "namespaces" => {
                of.shown(&found, request.metadata_only)
            }
            None => json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": name, "group": of.kind.group, "kind": of.kind.plural, "uid": text(&found, "uid"),
                },
            }),
            Some(left) => of.shown(&left, request.metadata_only),
        }))
    }

    /// Deletes an object, or marks it as being deleted while something holds it; what is left of it.
    pub(super) fn begin_to_delete(&mut self, key: &Key, policy: Option<&str>) -> Option<Value> {
        let found = self.objects.get(key).cloned()?;
        let mut next = found.as_ref().clone();
        let mut holders = finalizers(&next);
        if policy.is_some() {
            holders.retain(|name| name != FOREGROUND && name != ORPHAN);
        }
        match policy {
            Some("Foreground") => holders.push(FOREGROUND.to_owned()),
            Some("Orphan") => holders.push(ORPHAN.to_owned()),
            _ => {}
        }
        if let Some(own) = self.lifecycle_finalizer(key)
            && !holders.iter().any(|name| name == own)
        {
            holders.push(own.to_owned());
        }
        if holders.is_empty() {
            self.remove(key.clone());
            return None;
        }
        set(&mut next, "finalizers", json!(holders));
        if !is_deleting(&next) {
            set(&mut next, "deletionTimestamp", self.now().into());
            set(&mut next, "deletionGracePeriodSeconds", 0.into());
            if let Some(generation) = found["metadata"]["generation"].as_i64() {
                set(&mut next, "generation", (generation + 1).into());
            }
        }
        if next == *found {
            return Some(next);
        }
        Some(self.commit(key.clone(), Some(next)).as_ref().clone())
    }

    /// Takes an object out, and what ends with it.
    pub(super) fn remove(&mut self, key: Key) {
        let gone = self.commit(key, None);
        self.definition_removed(&gone);
    }

    /// Changes an object behind everyone's back, as a controller of the cluster does; whether it was there.
    pub(super) fn change(&mut self, key: &Key, change: impl FnOnce(&mut Value)) -> bool {
        let Some(found) = self.objects.get(key).cloned() else { return false };
        let mut next = found.as_ref().clone();
        change(&mut next);
        if next == *found {
            return true;
        }
        if is_deleting(&next) && finalizers(&next).is_empty() {
            self.remove(key.clone());
        } else {
            self.commit(key.clone(), Some(next));
        }
        true
    }

    fn check_namespace(&self, request: &ResourceRequest) -> Result<()> {
        let key = Key {
            group: String::new(),
            plural: "namespaces".to_owned(),
            namespace: String::new(),
            name: request.namespace.clone(),
        };
        let details = json!({ "name": request.namespace, "kind": "namespaces" });
        let Some(namespace) = self.objects.get(&key) else {
            let message = format!("namespaces {:?} not found", request.namespace);
            return Err(failure(404, "NotFound", message, &details));
        };
        if is_deleting(namespace) && request.verb == Verb::Create {
            let message = format!(
                "unable to create new content in namespace {} because it is being terminated",
                request.namespace
            );
            return Err(failure(403, "Forbidden", message, &details));
        }
        Ok(())
    }

    fn note_writer(&self, request: &ResourceRequest, of: In<'_>, before: Option<&Value>, object: &mut Value) {
        if !self.with_managed_fields.contains(&of.kind.plural) {
            return;
        }
        let (api_version, time) = (of.api_version(), self.now());
        let writing = Writing {
            manager: &request.query.manager,
            subresource: &request.subresource,
            api_version: &api_version,
            time: &time,
        };
        let entries = fields::after(before, object, &writing);
        set(object, "managedFields", entries);
    }

    /// The end of a name that the server makes up.
    fn suffix(&mut self) -> String {
        let mut number = self.count().wrapping_mul(2_654_435_761) % 14_348_907;
        let mut suffix = String::with_capacity(5);
        for _ in 0..5 {
            let place = usize::try_from(number % 27).unwrap_or_default();
            suffix.push(ALPHABET.get(place).copied().map_or('x', char::from));
            number /= 27;
        }
        suffix
    }
}

fn check_body(request: &ResourceRequest, of: In<'_>, object: &Value) -> Result<()> {
    if !object.is_object() {
        return Err(bad_request("the object provided is no object"));
    }
    let (said, kind) = (object["apiVersion"].as_str(), object["kind"].as_str());
    if said.is_some_and(|said| said != of.api_version()) || kind.is_some_and(|kind| kind != of.kind.name) {
        return Err(bad_request(format!(
            "the object provided is unrecognized (it is {said:?} {kind:?}, and {} {} is expected)",
            of.api_version(),
            of.kind.name
        )));
    }
    let namespace = text(object, "namespace");
    if of.kind.is_namespaced && !namespace.is_empty() && namespace != request.namespace {
        return Err(bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({namespace}, {})",
            request.namespace
        )));
    }
    Ok(())
}
