//! Logs of local processes, which they write themselves, with the reconciler or without: cut when they have grown too long.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// Most bytes of a log, besides what is written between two looks. As much again is kept of what came before.
pub(super) const MOST: u64 = 16 << 20;

/// Where what came before is kept.
pub(super) fn earlier(log: &Path) -> PathBuf {
    log.with_added_extension("1")
}

/// Begins a log anew that is longer than `most`, and keeps what it had beside it. Its writer appends, and so goes on at its beginning; what
/// it writes between the copy and the cut is lost.
pub(super) fn cut(log: &Path, most: u64) -> io::Result<()> {
    match fs::metadata(log) {
        Ok(metadata) if metadata.len() > most => {}
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    let beside = earlier(log);
    let half = log.with_added_extension("half");
    fs::copy(log, &half)?;
    fs::rename(&half, &beside)?;
    File::options().write(true).open(log)?.set_len(0)
}

/// Removes a log with what came before it. That there is none is no error.
pub(super) fn remove(log: &Path) -> io::Result<()> {
    for path in [earlier(log), log.to_path_buf()] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// The writer holds the file open all the while, as a process does.
    #[test]
    fn a_log_that_is_too_long_begins_anew_for_its_writer_too() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("ml-0-1.log");
        let mut writer = File::options().create(true).append(true).open(&log).unwrap();
        writer.write_all(b"first\n").unwrap();
        cut(&log, 6).unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "first\n");
        writer.write_all(b"second\n").unwrap();
        cut(&log, 6).unwrap();
        writer.write_all(b"third\n").unwrap();
        assert_eq!(fs::read_to_string(&log).unwrap(), "third\n");
        assert_eq!(fs::read_to_string(earlier(&log)).unwrap(), "first\nsecond\n");
        for text in ["fourth and last\n", "fifth\n"] {
            writer.write_all(text.as_bytes()).unwrap();
            cut(&log, 6).unwrap();
        }
        assert_eq!(fs::read_to_string(earlier(&log)).unwrap(), "third\nfourth and last\n");
        remove(&log).unwrap();
        remove(&log).unwrap();
        cut(&log, 6).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
