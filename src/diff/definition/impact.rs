//! What a change of a definition would break, and whether a user has accepted it. Pure.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::{Resource as _, ResourceExt as _};
use serde_json::{Value, json};

use crate::{
    api::{
        condition::Reason,
        metadata::content_hash,
        names::ACCEPT_IMPACT_ANNOTATION,
        resource_definition::{BrokenInstance, Impact, NAMED_INSTANCES, stored_version},
    },
    kinds::{
        conversion::Converter,
        definition::{Validator, Violation, is_established},
    },
    snapshot::{DefinitionSnapshot, LiveInstance, Observed, StoredObjects},
};

/// Why a change of a definition is not applied.
#[derive(Clone, Debug, PartialEq)]
pub struct HeldBack {
    /// Why, in a word.
    pub reason: Reason,
    /// Why, and what to do.
    pub message: String,
    /// What it would break, if that is why.
    pub impact: Option<Impact>,
}

/// A version with a schema that objects were not checked against before.
struct Changed {
    name: String,
    now: Value,
    before: Option<Value>,
}

/// Why the CRD that there is must not become the one that is wanted; none if it may.
pub(super) fn held_back(
    snapshot: &DefinitionSnapshot,
    desired: &CustomResourceDefinition,
    found: &CustomResourceDefinition,
) -> Option<HeldBack> {
    if let Some(version) = dropped(desired, found) {
        return Some(in_use(snapshot, desired, found, version));
    }
    let converter = match Converter::of(desired) {
        Ok(converter) => converter,
        Err(error) => {
            return Some(HeldBack { reason: error.reason(), message: error.to_string(), impact: None });
        }
    };
    let changes = changes(desired, found);
    // What the API server never served has no objects.
    if changes.is_empty() || !is_established(found) {
        return None;
    }
    let live = match &snapshot.live {
        Observed::Known(live) => live,
        Observed::Unknown(why) => {
            let message = format!("the schema changes, and instances are held against it first: {why}");
            return Some(HeldBack { reason: Reason::ReadFailed, message, impact: None });
        }
    };
    let (broken, lost) = broken(live, &changes, found, converter.as_ref());
    let first = broken.first()?;
    let hash = content_hash(&json!({ "spec": snapshot.object.spec, "broken": broken }));
    let name = snapshot.object.name_any();
    let message = if let Some(lost) = &lost {
        // API servers could neither read it nor have it written, not even in the version in which it is stored.
        format!(
            "{} of {} instances do not fit the new schema, and {} cannot be converted, and could then be neither read nor changed ({}): change it, or the conversion",
            broken.len(),
            live.len(),
            lost.shown(),
            lost.why
        )
    } else if snapshot.object.annotations().get(ACCEPT_IMPACT_ANNOTATION) == Some(&hash) {
        return None;
    } else {
        format!(
            "{} of {} instances do not fit the new schema, such as {} ({}): change them, or the schema; or accept that by: kubectl annotate rd {name} {ACCEPT_IMPACT_ANNOTATION}={hash} --overwrite",
            broken.len(),
            live.len(),
            first.shown(),
            first.why
        )
    };
    let impact = Impact {
        hash,
        breaking: counted(broken.len()),
        checked: counted(live.len()),
        instances: broken.into_iter().take(NAMED_INSTANCES).collect(),
    };
    Some(HeldBack { reason: Reason::BreaksInstances, message, impact: Some(impact) })
}

/// Why a version that is not wanted any more stays: objects may be stored in it.
fn in_use(
    snapshot: &DefinitionSnapshot,
    desired: &CustomResourceDefinition,
    found: &CustomResourceDefinition,
    version: &str,
) -> HeldBack {
    let now = stored_version(found).unwrap_or_default();
    let recorded = snapshot.object.status.as_ref().and_then(|status| status.storage_migration.as_ref());
    let has_failed =
        recorded.is_some_and(|recorded| recorded.is_of(found) && recorded.listed && recorded.failed > 0);
    let in_use = format!("spec.versions: {version}: objects may be stored in this version");
    let (reason, message) = match &snapshot.stored {
        _ if stored_version(desired) != Some(now) => {
            let wanted = stored_version(desired).unwrap_or_default();
            let message = format!(
                "{in_use}: keep it in the list, with served: false if it is unused, while {wanted} becomes the storage version; remove it once condition StorageMigrated is True"
            );
            (Reason::VersionInUse, message)
        }
        StoredObjects::OutOfReach(_) => {
            (Reason::VersionInUse, format!("{in_use}: {}", manual_migration(snapshot, found)))
        }
        _ if has_failed => (
            Reason::VersionInUse,
            format!(
                "{in_use}, and some could not be written in {now}: follow the message of condition StorageMigrated; remove it then"
            ),
        ),
        _ => (
            Reason::StorageMigrating,
            format!(
                "{in_use}: they are being written in {now}, and then it leaves; see condition StorageMigrated"
            ),
        ),
    };
    HeldBack { reason, message, impact: None }
}

/// How objects that the operator may not write come to be stored in the version of now.
#[must_use]
pub fn manual_migration(snapshot: &DefinitionSnapshot, found: &CustomResourceDefinition) -> String {
    let (name, version) = (found.name_any(), stored_version(found).unwrap_or_default());
    let missing = match &snapshot.stored {
        StoredObjects::OutOfReach(missing) => missing.join(", "),
        _ => String::new(),
    };
    format!(
        "the operator may not {missing} in all namespaces: grant it that, and it writes them in {version}; or write each object again and then run: kubectl patch crd {name} --subresource=status --type=merge -p '{{\"status\":{{\"storedVersions\":[\"{version}\"]}}}}'"
    )
}

/// A version in which objects may be stored, and which is not wanted any more.
fn dropped<'c>(desired: &CustomResourceDefinition, found: &'c CustomResourceDefinition) -> Option<&'c str> {
    let stored = found.status.iter().flat_map(|status| status.stored_versions.iter().flatten());
    let is_wanted = |name: &str| desired.spec.versions.iter().any(|version| version.name == name);
    stored.map(String::as_str).find(|name| !is_wanted(name))
}

/// The versions that change. Existing instances matched the previous schema; one that is new, or becomes the storage
/// version, is checked in full.
fn changes(desired: &CustomResourceDefinition, found: &CustomResourceDefinition) -> Vec<Changed> {
    let used = desired.spec.versions.iter().filter(|version| version.served || version.storage);
    let changes = used.map(|version| {
        let mut known = found.spec.versions.iter();
        let is_like = |known: &CustomResourceDefinitionVersion| {
            known.name == version.name
                && known.storage == version.storage
                && conversion(found, &known.name) == conversion(desired, &known.name)
        };
        Changed {
            name: version.name.clone(),
            now: schema(version),
            before: known.find(|known| is_like(known)).map(schema),
        }
    });
    changes.filter(|changed| changed.before.as_ref() != Some(&changed.now)).collect()
}

/// How objects of a version are converted, and into which; nothing if they are not.
fn conversion<'c>(crd: &'c CustomResourceDefinition, version: &str) -> Option<(Value, &'c str)> {
    let conversions: Value = serde_json::from_str(Converter::remembered(crd)?).ok()?;
    let stored = crd.spec.versions.iter().find(|version| version.storage)?;
    Some((conversions.get(version).cloned().unwrap_or_default(), stored.name.as_str()))
}

fn schema(version: &CustomResourceDefinitionVersion) -> Value {
    let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    serde_json::to_value(schema).unwrap_or_default()
}

/// Why an instance does not fit.
enum Incompatibility {
    /// A version does not take what is in it.
    Violation(String),
    /// It cannot be converted at all.
    Lost(String),
}

/// The instances that do not fit, in the order of their names, and the first that cannot be converted.
fn broken(
    live: &[LiveInstance],
    changes: &[Changed],
    found: &CustomResourceDefinition,
    converter: Option<&Converter>,
) -> (Vec<BrokenInstance>, Option<BrokenInstance>) {
    let stored = found.spec.versions.iter().find(|version| version.storage);
    let stored = stored.map(|version| version.name.as_str()).unwrap_or_default();
    // One that is not wanted any more is no place to start from.
    let converter = converter.filter(|converter| converter.knows(stored));
    let mut validator = Validator::default();
    let mut ordered: Vec<&LiveInstance> = live.iter().collect();
    ordered.sort_by_key(|one| (one.meta().namespace.clone(), one.meta().name.clone()));
    let (mut broken, mut lost) = (Vec::new(), None);
    for instance in ordered {
        let unfit = match &instance.0 {
            Ok(instance) => {
                let mut object = serde_json::to_value(instance).unwrap_or_default();
                object["apiVersion"] = json!(format!("{}/{stored}", found.spec.group));
                object["kind"] = json!(found.spec.names.kind);
                unfit(&mut validator, changes, &object, found, converter)
            }
            Err(invalid) => Some(Incompatibility::Violation(format!(
                "cannot be read, so it cannot be checked: {}",
                invalid.error
            ))),
        };
        let (why, is_lost) = match unfit {
            None => continue,
            Some(Incompatibility::Violation(why)) => (why, false),
            Some(Incompatibility::Lost(why)) => (why, true),
        };
        let metadata = instance.meta();
        let one = BrokenInstance {
            namespace: metadata.namespace.clone(),
            name: metadata.name.clone().unwrap_or_default(),
            why: cut(&why),
        };
        if is_lost && lost.is_none() {
            lost = Some(one.clone());
        }
        broken.push(one);
    }
    (broken, lost)
}

/// Why an instance does not fit the versions that change. That it cannot be converted weighs more than anything else.
fn unfit(
    validator: &mut Validator,
    changes: &[Changed],
    object: &Value,
    found: &CustomResourceDefinition,
    converter: Option<&Converter>,
) -> Option<Incompatibility> {
    let mut first = None;
    for changed in changes {
        match why(validator, changed, object, found, converter) {
            Some(Incompatibility::Lost(why)) => return Some(Incompatibility::Lost(why)),
            unfit => first = first.or(unfit),
        }
    }
    first
}

/// Why an instance does not fit a version.
fn why(
    validator: &mut Validator,
    changed: &Changed,
    object: &Value,
    found: &CustomResourceDefinition,
    converter: Option<&Converter>,
) -> Option<Incompatibility> {
    let api_version = format!("{}/{}", found.spec.group, changed.name);
    let object = match converter.map(|converter| converter.convert(object, &api_version)) {
        Some(Ok(object)) => object,
        Some(Err(error)) => {
            return Some(Incompatibility::Lost(format!("{}: cannot be converted: {error}", changed.name)));
        }
        None => {
            let mut object = object.clone();
            object["apiVersion"] = json!(api_version);
            object
        }
    };
    let violation: Violation = validator.check(&changed.now, changed.before.as_ref(), &object).err()?;
    Some(Incompatibility::Violation(format!("{}: {violation}", changed.name)))
}

/// The beginning of a text: what an instance or a rule holds may be long, and ten of them stand in status.
fn cut(text: &str) -> String {
    const ROOM: usize = 300;
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn counted(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
