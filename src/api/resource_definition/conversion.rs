//! How objects of one version become objects of the version in which they are stored, and back. Pure.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most moves of one version.
pub const MAX_MOVES: usize = 64;
/// Most expressions of one version in one direction.
pub const MAX_CONVERTED: usize = 64;

/// How objects of a version become objects of the version in which they are stored, and back. Fields that both
/// versions have at the same place need no word. Fields that the other version cannot express are preserved in an
/// annotation, so that converting back restores them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionConversion {
    /// Fields that stand elsewhere in the version with `storage`. Each is read in both directions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_MOVES))]
    pub moves: Vec<FieldMove>,

    /// Fields of the version with `storage` whose value is another: path and expression in CEL, such as
    /// `spec.memoryMi: "${int(self.spec.memory.replace('Mi', ''))}"`. `self` is the object in this version. A field whose
    /// expression speaks of what the object has not is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "expressions")]
    pub to_storage: BTreeMap<String, String>,

    /// Fields of this version whose value is another: path and expression in CEL, such as
    /// `spec.memory: "${self.spec.memoryMi}Mi"`. `self` is the object in the version with `storage`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "expressions")]
    pub from_storage: BTreeMap<String, String>,
}

/// A field that stands elsewhere in the version with `storage`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldMove {
    /// Where it stands in this version, such as `spec.image`.
    #[schemars(length(min = 1, max = 256))]
    pub from: String,
    /// Where it stands in the version with `storage`, such as `spec.container.image`.
    #[schemars(length(min = 1, max = 256))]
    pub to: String,
}

/// Texts with expressions, by the path of a field.
fn expressions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": MAX_CONVERTED,
        "additionalProperties": { "type": "string", "minLength": 1, "maxLength": 2048 },
    })
}
