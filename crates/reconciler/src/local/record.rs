//! What is kept of each local process on disk, so that it is found again after a crash of the reconciler.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::name::ReplicaName;

/// A local process, as it was started. Its key is not here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// The name of the replica.
    pub(super) name: String,
    /// The identity of its executor; also in the environment of the process, where it is looked for.
    pub(super) executor_id: String,
    /// The blueprint that it is for.
    pub(super) blueprint: String,
    /// The generation of the spec that it is for.
    pub(super) generation: i64,
    /// The digest of the template that it was made from.
    pub(super) template: String,
    /// The program.
    pub(super) program: String,
    /// When it was made.
    pub(super) created: Timestamp,
    /// The process, once it is started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) process: Option<Identified>,
}

/// A process, and what tells it from another one that gets its number later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Identified {
    /// Its number, which is also that of its group.
    pub(super) pid: i32,
    /// When it started, in ticks since the machine did.
    pub(super) start_ticks: u64,
    /// The start of the machine.
    pub(super) boot: String,
}

/// The folder with the records.
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// All records. One that cannot be read is an error: what is not known is not gone.
    pub(super) fn all(&self) -> io::Result<Vec<(ReplicaName, Record)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let invalid = |detail: &dyn std::fmt::Display| {
                io::Error::new(io::ErrorKind::InvalidData, format!("{}: {detail}", path.display()))
            };
            let record: Record =
                serde_json::from_slice(&fs::read(&path)?).map_err(|error| invalid(&error))?;
            let name =
                ReplicaName::parse(&record.name).ok_or_else(|| invalid(&"its name is none of a replica"))?;
            found.push((name, record));
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    pub(super) fn get(&self, name: &ReplicaName) -> io::Result<Option<Record>> {
        Ok(self.all()?.into_iter().find_map(|(other, record)| (other == *name).then_some(record)))
    }

    pub(super) fn put(&self, record: &Record) -> io::Result<()> {
        write(&self.path(&record.name), &serde_json::to_vec_pretty(record)?)
    }

    pub(super) fn remove(&self, name: &ReplicaName) -> io::Result<()> {
        match fs::remove_file(self.path(&name.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

/// Writes a file whole or not at all, for its owner alone.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let beside = path.with_extension("new");
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}
