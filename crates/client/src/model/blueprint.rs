//! Blueprints (a wished-for thing in a colony, for a reconciler to bring about) and their definitions.
//!
//! `updateblueprintmsg` stores the whole document that it is sent, so an update that leaves a field out removes
//! it. These types therefore **keep what they do not know**: read, change, send back.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InvalidField, field, null_is_empty, timestamp};

/// A blueprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Blueprint {
    /// The id, unique on the whole server. May be chosen when it is added; the server makes one up when it is
    /// empty, and an update cannot change it.
    #[serde(rename = "blueprintid", default)]
    pub id: String,
    /// The kind, which a definition in the same colony gives a handler.
    pub kind: String,
    /// Its name, place and labels.
    pub metadata: BlueprintMetadata,
    /// What is wished for. The server checks it against the definition's schema.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub spec: Map<String, Value>,
    /// The observed state, as reported by the reconciler.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "Map::is_empty")]
    pub status: Map<String, Value>,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What identifies and describes a blueprint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlueprintMetadata {
    /// The name, unique in the colony **over all kinds**.
    pub name: String,
    /// The colony.
    #[serde(rename = "colonyname")]
    pub colony: String,
    /// Where its reconciler must be; empty for anywhere.
    #[serde(rename = "locationname", default, skip_serializing_if = "String::is_empty")]
    pub location: String,
    /// Labels, of no meaning to the server.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations, of no meaning to the server.
    #[serde(default, deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Counts the changes of the spec. Taken as it is sent when the blueprint is added; afterwards the server counts,
    /// and ignores the value in an update.
    #[serde(default)]
    pub generation: i64,
    /// Fields that this client does not know, the times of creation and of the last reconciliation among them.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl Blueprint {
    /// A blueprint of generation 1, without an id, with an empty spec.
    ///
    /// # Errors
    /// When one of the names is empty or holds `:`, white space or control characters.
    pub fn new(colony: &str, kind: &str, name: &str) -> Result<Self, InvalidField> {
        let metadata = BlueprintMetadata {
            name: field::name("name", name)?,
            colony: field::name("colonyname", colony)?,
            generation: 1,
            ..BlueprintMetadata::default()
        };
        Ok(Self { kind: field::name("kind", kind)?, metadata, ..Self::default() })
    }
}

/// What a kind of blueprint is: its schema, and who brings its blueprints about.
///
/// The server checks almost nothing of it, and has no update: remove it and add it again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlueprintDefinition {
    /// The id; the server makes one up when it is empty.
    #[serde(rename = "blueprintdefinitionid", default)]
    pub id: String,
    /// The kind of the definition itself: `BlueprintDefinition`.
    #[serde(default)]
    pub kind: String,
    /// Its name and colony.
    pub metadata: DefinitionMetadata,
    /// What it defines.
    pub spec: DefinitionSpec,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What identifies a definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DefinitionMetadata {
    /// The name, unique among the definitions of the colony.
    pub name: String,
    /// The colony.
    #[serde(rename = "colonyname")]
    pub colony: String,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// What a definition defines.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DefinitionSpec {
    /// The group, for example `compute.colonies.io`. Of no meaning to the server.
    #[serde(default)]
    pub group: String,
    /// The version, for example `v1`. Of no meaning to the server.
    #[serde(default)]
    pub version: String,
    /// `Namespaced` or `Cluster`. Of no meaning to the server.
    #[serde(default)]
    pub scope: String,
    /// The names of the kind.
    pub names: DefinitionNames,
    /// What specs must look like, in the server's small dialect: `type`, `properties`, top-level `required`,
    /// `enum` and `items`. It does not check `integer`, nor `required` further down, nor fields that it does
    /// not name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Who brings the blueprints about.
    #[serde(default)]
    pub handler: Handler,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The names of a kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DefinitionNames {
    /// The kind. Several definitions may give the same one: the first by name holds for a new blueprint, and
    /// **the first on the whole server**, in whatever colony, for a reconcile and for the clean-up.
    pub kind: String,
    /// The kind of a list of them.
    #[serde(rename = "listKind", default)]
    pub list_kind: String,
    /// The name of one.
    #[serde(default)]
    pub singular: String,
    /// The name of several.
    #[serde(default)]
    pub plural: String,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Who brings the blueprints of a kind about. Without a type and a function, the server makes no processes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Handler {
    /// The type of the executors that do it.
    #[serde(rename = "executorType", default)]
    pub executor_type: String,
    /// The function that they are asked for.
    #[serde(rename = "functionName", default)]
    pub function: String,
    /// Seconds between two reconciliations. **The server ignores it** and takes 60.
    #[serde(rename = "reconcileInterval", default, skip_serializing_if = "is_zero")]
    pub reconcile_interval: i64,
    /// Fields that this client does not know.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl BlueprintDefinition {
    /// A definition of `kind` that executors of type `executor_type` bring about with `function`, without a
    /// schema.
    ///
    /// # Errors
    /// When one of the names is empty or holds `:`, white space or control characters.
    pub fn new(
        colony: &str,
        name: &str,
        kind: &str,
        executor_type: &str,
        function: &str,
    ) -> Result<Self, InvalidField> {
        let metadata = DefinitionMetadata {
            name: field::name("name", name)?,
            colony: field::name("colonyname", colony)?,
            other: Map::new(),
        };
        let names = DefinitionNames { kind: field::name("kind", kind)?, ..DefinitionNames::default() };
        let handler = Handler {
            executor_type: field::name("executorType", executor_type)?,
            function: field::name("functionName", function)?,
            ..Handler::default()
        };
        let spec = DefinitionSpec { names, handler, ..DefinitionSpec::default() };
        Ok(Self { kind: "BlueprintDefinition".to_owned(), metadata, spec, ..Self::default() })
    }
}

/// A blueprint as it once was. The server keeps one for each new generation, but none for a forced reconcile.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BlueprintRevision {
    /// The blueprint.
    #[serde(rename = "blueprintid")]
    pub blueprint_id: String,
    /// Its generation then.
    pub generation: i64,
    /// Its spec then.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub spec: Map<String, Value>,
    /// Its status then.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub status: Map<String, Value>,
    /// When.
    #[serde(rename = "timestamp", deserialize_with = "timestamp::required")]
    pub changed_at: Timestamp,
    /// The identity that changed it.
    #[serde(rename = "changedby", default)]
    pub changed_by: String,
    /// What was done: `create` or `update`.
    #[serde(rename = "changetype", default)]
    pub change: String,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Blueprint, BlueprintDefinition};

    /// An update overwrites the whole stored document: what is not sent back is lost.
    #[test]
    fn what_is_not_known_is_sent_back() {
        let stored = json!({
            "blueprintid": "b1", "kind": "Fleet", "newfield": [1],
            "metadata": {
                "name": "workers", "colonyname": "dev", "locationname": "lab", "generation": 3,
                "labels": {"a": "b"}, "annotations": {"c": "d"}, "createdAt": "0001-01-01T00:00:00Z",
                "lastReconciliationProcess": "p1", "updatedAt": "2026-03-01T12:00:00.123456789+01:00",
            },
            "spec": {"replicas": 3}, "status": {"ready": 1},
        });
        let read: Blueprint = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), stored);
        let definition = json!({
            "blueprintdefinitionid": "d1", "kind": "BlueprintDefinition",
            "metadata": {"name": "fleet", "colonyname": "dev", "createdAt": "0001-01-01T00:00:00Z"},
            "spec": {
                "group": "g", "version": "v1", "scope": "Namespaced", "schema": {"type": "object"},
                "names": {"kind": "Fleet", "listKind": "", "singular": "", "plural": "", "shortNames": ["f"]},
                "handler": {"executorType": "r", "functionName": "reconcile", "reconcileInterval": 60},
            },
        });
        let read: BlueprintDefinition = serde_json::from_value(definition.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), definition);
    }

    /// Go writes a map that was never made as `null`.
    #[test]
    fn null_maps_are_empty() {
        let read: Blueprint = serde_json::from_value(json!({
            "blueprintid": "", "kind": "Fleet", "spec": null, "status": null,
            "metadata": {"name": "workers", "colonyname": "dev", "labels": null, "annotations": null},
        }))
        .unwrap();
        assert!(read.spec.is_empty() && read.status.is_empty() && read.metadata.labels.is_empty());
        assert_eq!(serde_json::to_value(&read).unwrap()["spec"], Value::Object(serde_json::Map::new()));
    }

    #[test]
    fn a_new_one_starts_at_generation_one_and_has_no_bad_name() {
        assert_eq!(Blueprint::new("dev", "Fleet", "workers").unwrap().metadata.generation, 1);
        for (colony, kind, name) in [("", "k", "n"), ("c", "", "n"), ("c", "k", ""), ("c", "k", "a:b")] {
            assert!(Blueprint::new(colony, kind, name).is_err());
        }
        assert!(BlueprintDefinition::new("dev", "fleet", "Fleet", "", "reconcile").is_err());
    }
}
