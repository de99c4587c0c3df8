//! Files of a colony that a function sees, as users write them: part of a [`FunctionCall`](super::function::FunctionCall).
//! Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Files of a colony that the executor puts in place before the function runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileSystem {
    /// Directory in which the executor mounts them, such as `/cfs`.
    #[schemars(length(min = 1, max = 4096))]
    pub mount: String,
    /// Snapshots of files, which do not change while the function runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub snapshots: Vec<Snapshot>,
    /// Directories that are fetched before the function runs and kept in the colony afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub dirs: Vec<SyncDirectory>,
}

/// A snapshot below the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Id of the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub snapshot_id: Option<String>,
    /// Label of the files in the colony, such as `/data`.
    #[schemars(length(min = 1, max = 4096))]
    pub label: String,
    /// Directory below the mount.
    #[schemars(length(min = 1, max = 4096))]
    pub dir: String,
    /// Whether the executor keeps the files afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_files: bool,
    /// Whether the snapshot is kept afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_snapshot: bool,
}

/// A directory below the mount that is synchronised with files of the colony.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncDirectory {
    /// Label of the files in the colony, such as `/results`.
    #[schemars(length(min = 1, max = 4096))]
    pub label: String,
    /// Directory below the mount.
    #[schemars(length(min = 1, max = 4096))]
    pub dir: String,
    /// Whether the executor keeps the files afterwards.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_files: bool,
    /// Which of two differing files wins; the colony's when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_conflicts: Option<OnConflicts>,
}

/// Which of two differing files wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnConflicts {
    /// Before the function runs.
    #[serde(default)]
    pub on_start: Winner,
    /// After it has run.
    #[serde(default)]
    pub on_close: Winner,
}

/// The side whose file wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Winner {
    /// Whether it is the executor's side.
    #[serde(default)]
    pub keep_local: bool,
}
