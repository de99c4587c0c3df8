//! Files that an executor puts in place before a function runs and keeps afterwards: the field `fs` of a function spec.
//! The server keeps it and does nothing with it.

use serde::{Deserialize, Serialize};

use super::null_is_empty;

/// Files of a colony that a function sees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filesystem {
    /// Where the executor mounts them.
    #[serde(default)]
    pub mount: String,
    /// Snapshots of labels, to read.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub snapshots: Vec<SnapshotMount>,
    /// Labels that are synchronised with a directory before and after.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub dirs: Vec<SyncDirectory>,
}

/// A snapshot below the mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMount {
    /// Id of the snapshot; empty for one that is made of the label at the submit by the client.
    #[serde(rename = "snapshotid", default)]
    pub snapshot_id: String,
    /// Label of the files.
    #[serde(default)]
    pub label: String,
    /// Directory below the mount.
    #[serde(default)]
    pub dir: String,
    /// Whether the executor keeps the files afterwards.
    #[serde(rename = "keepfiles", default)]
    pub keep_files: bool,
    /// Whether the snapshot is kept afterwards.
    #[serde(rename = "keepsnapshot", default)]
    pub keep_snapshot: bool,
}

/// A directory below the mount that is kept like a label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncDirectory {
    /// Label of the files.
    #[serde(default)]
    pub label: String,
    /// Directory below the mount.
    #[serde(default)]
    pub dir: String,
    /// Whether the executor keeps the files afterwards.
    #[serde(rename = "keepfiles", default)]
    pub keep_files: bool,
    /// Which of two differing files wins.
    #[serde(rename = "onconflicts", default)]
    pub on_conflicts: OnConflicts,
}

/// Which of two differing files wins, before the function runs and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnConflicts {
    /// Before.
    #[serde(rename = "onstart", default)]
    pub on_start: Winner,
    /// After.
    #[serde(rename = "onclose", default)]
    pub on_close: Winner,
}

/// Which of two differing files wins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Winner {
    /// Whether it is the executor's, not the colony's.
    #[serde(rename = "keeplocal", default)]
    pub keep_local: bool,
}
