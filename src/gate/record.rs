//! What an executor has in hand, in a file: a gate that starts again knows it. The directory is the pod's, and goes with it.

use std::{fs, path::PathBuf};

use crate::colony::ProcessId;

/// Name of the file.
const FILE: &str = "open";
/// Most of it that is read, in bytes.
const READ_MAX: u64 = 1 << 20;

/// Keeps it.
pub(super) struct Record(Option<PathBuf>);

impl Record {
    /// Reads what a gate before has written.
    pub fn read(directory: Option<PathBuf>) -> (Self, Vec<ProcessId>) {
        let Some(path) = directory.map(|directory| directory.join(FILE)) else {
            return (Self(None), Vec::new());
        };
        let is_short = fs::metadata(&path).is_ok_and(|file| file.len() <= READ_MAX);
        let text = is_short.then(|| fs::read_to_string(&path).ok()).flatten().unwrap_or_default();
        let is_id = |line: &&str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let open = text.lines().filter(is_id).map(ProcessId::new).collect();
        (Self(Some(path)), open)
    }

    /// Writes it anew, if it has changed.
    pub fn write<'a>(&self, open: impl Iterator<Item = &'a ProcessId>) {
        let Some(path) = &self.0 else { return };
        let text: String = open.flat_map(|process| [process.as_str(), "\n"]).collect();
        if fs::read_to_string(path).unwrap_or_default() == text {
            return;
        }
        let beside = path.with_extension("new");
        let written = fs::write(&beside, &text).and_then(|()| fs::rename(&beside, path));
        if let Err(error) = written {
            tracing::warn!(%error, "what the executor has in hand is not kept: a gate that starts again will not wait for it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_starts_again_knows_what_is_in_hand() {
        let directory = tempfile::tempdir().unwrap();
        let (record, open) = Record::read(Some(directory.path().to_owned()));
        assert!(open.is_empty());
        let open = [ProcessId::new("a1"), ProcessId::new("b2")];
        record.write(open.iter());
        assert_eq!(Record::read(Some(directory.path().to_owned())).1, open);
        record.write([].iter());
        assert!(Record::read(Some(directory.path().to_owned())).1.is_empty());
        fs::write(directory.path().join(FILE), "a1\n../x\n\nb2").unwrap();
        assert_eq!(Record::read(Some(directory.path().to_owned())).1, open);
        let (nowhere, open) = Record::read(Some(directory.path().join("missing")));
        nowhere.write([ProcessId::new("a1")].iter());
        assert!(open.is_empty());
    }
}
