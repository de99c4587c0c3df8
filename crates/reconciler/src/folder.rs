//! The state folder: who this reconciler is, and that there is one of it.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use colonyos_client::PrivateKey;
use rand::{TryRngCore as _, rngs::OsRng};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::local::write;

/// A state folder that no other reconciler uses, for as long as this lives.
pub struct StateFolder {
    path: PathBuf,
    _lock: File,
}

/// The reconciler's own executor.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    key: String,
}

impl StateFolder {
    /// Takes the folder; `None` while another reconciler has it.
    ///
    /// # Errors
    /// When it cannot be made or locked.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))?;
        let lock = File::options().create(true).append(true).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_path_buf(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this folder from all others; made when it is first asked for.
    ///
    /// # Errors
    /// When it can be neither read nor written.
    pub fn id(&self) -> io::Result<String> {
        let path = self.path.join("id");
        if let Some(text) = read(&path)? {
            return Ok(text.trim().to_owned());
        }
        let id = random(8)?;
        write(&path, id.as_bytes())?;
        Ok(id)
    }

    /// Name and key of the reconciler's own executor; made, with a name that begins with `prefix`, when there are none.
    ///
    /// # Errors
    /// When they can be neither read nor written.
    pub fn executor(&self, prefix: &str) -> io::Result<(String, PrivateKey)> {
        let path = self.path.join("executor.json");
        let kept: Kept = if let Some(text) = read(&path)? {
            serde_json::from_str(&Zeroizing::new(text))?
        } else {
            let key = PrivateKey::generate().map_err(io::Error::other)?;
            let kept = Kept { name: format!("{prefix}-{}", random(4)?), key: key.to_hex().to_string() };
            write(&path, &serde_json::to_vec(&kept)?)?;
            kept
        };
        let key = PrivateKey::from_hex(&Zeroizing::new(kept.key)).map_err(io::Error::other)?;
        Ok((kept.name, key))
    }

    /// Forgets the reconciler's own executor, so that the next one has another name and another key.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn forget_executor(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join("executor.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn random(bytes: usize) -> io::Result<String> {
    let mut chance = vec![0; bytes];
    OsRng.try_fill_bytes(&mut chance).map_err(io::Error::other)?;
    Ok(hex::encode(chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_folder_is_one_reconciler_with_one_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let taken = StateFolder::take(&path).unwrap().unwrap();
        assert!(StateFolder::take(&path).unwrap().is_none());
        let (id, (name, key)) = (taken.id().unwrap(), taken.executor("docker-reconciler-edge").unwrap());
        drop(taken);
        let again = StateFolder::take(&path).unwrap().unwrap();
        let (name_again, key_again) = again.executor("x").unwrap();
        assert_eq!((again.id().unwrap(), name_again, key_again.id()), (id, name.clone(), key.id()));
        let mode = fs::metadata(path.join("executor.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        again.forget_executor().unwrap();
        assert_ne!(again.executor("x").unwrap().0, name);
    }
}
