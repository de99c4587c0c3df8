//! The Go programs of the development cluster: found, or built once into the user's cache.
//!
//! Callers name programs and get a [`Toolbox`] with their paths. What is there already costs a few stat calls. What is
//! not is built from the modules pinned under `deploy/tools`, a few at a time, into a folder whose name is a hash of
//! everything that goes into it, so that a changed version is a new folder and an old one is never half overwritten.

mod catalog;
mod go;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
pub use catalog::{COLONY, CONTROL_PLANE, HELMS, INTEROP_PROGRAMS, NODE, Tool};
use sha2::{Digest, Sha256};

use crate::folders;

/// Programs built at the same time: two, since compiling fills all cores by itself, and linking, which does not, is
/// then hidden behind the other one's compiling.
const SIDE_BY_SIDE: usize = 2;
/// How often a long build says that it is still at it.
const HEARTBEAT: Duration = Duration::from_mins(1);

/// Paths of programs by name.
#[derive(Debug, Default, Clone)]
pub struct Toolbox {
    paths: BTreeMap<String, PathBuf>,
}

impl Toolbox {
    /// Path of a program that was asked for.
    ///
    /// # Errors
    /// When the caller did not ask for it.
    pub fn path(&self, name: &str) -> Result<&Path> {
        self.paths.get(name).map(PathBuf::as_path).with_context(|| format!("{name} was not asked for"))
    }

    /// All programs with their paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.paths.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }
}

/// Finds or builds the named programs. Programs in the folder `KUBEBUILDER_ASSETS` are taken from there.
///
/// # Errors
/// When a program is unknown, Go is not to be had, or a build fails; the message has the last lines of the build.
pub fn provide(names: &[&str]) -> Result<Toolbox> {
    let mut toolbox = Toolbox::default();
    let mut missing = Vec::new();
    for tool in catalog::TOOLS.iter().filter(|tool| names.contains(&tool.name)) {
        if let Some(path) = given(tool.name) {
            toolbox.paths.insert(tool.name.to_owned(), path);
            continue;
        }
        let path = cached_path(tool)?;
        if !path.is_file() {
            missing.push((*tool, path.clone()));
        }
        toolbox.paths.insert(tool.name.to_owned(), path);
    }
    if let Some(unknown) = names.iter().find(|name| !toolbox.paths.contains_key(**name)) {
        bail!("failed to find {unknown} among the tools");
    }
    if !missing.is_empty() {
        build_all(&missing)?;
    }
    Ok(toolbox)
}

fn given(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty())?;
    let path = Path::new(&folder).join(name);
    path.is_file().then_some(path)
}

/// Where a program lies once it is built.
fn cached_path(tool: &Tool) -> Result<PathBuf> {
    let folder = tool.folder();
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .with_context(|| format!("failed to list {}", folder.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(|| format!("failed to list {}", folder.display()))?;
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let content = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
        hash.update(content);
    }
    let digest = format!("{:x}", hash.finalize());
    Ok(folders::cache()?
        .join("tools")
        .join(format!("{}-{}", tool.set, &digest[..12]))
        .join("bin")
        .join(tool.name))
}

fn build_all(missing: &[(Tool, PathBuf)]) -> Result<()> {
    let go = go::program()?;
    let total = missing.len();
    eprintln!("building {total} tools from their Go modules (once; minutes when nothing is cached):");
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(total) {
            scope.spawn(|| {
                while let Some((tool, path)) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    match build(&go, tool, path) {
                        Ok(()) => eprintln!(
                            "  [{:>4}s] {:<24} built in {:>3}s ({} of {total})",
                            started.elapsed().as_secs(),
                            tool.name,
                            begun.elapsed().as_secs(),
                            done.fetch_add(1, Ordering::Relaxed) + 1
                        ),
                        Err(error) => {
                            // The others stop after what they are at; the first error is the one to read.
                            next.store(total, Ordering::Relaxed);
                            if let Ok(mut slot) = failure.lock() {
                                slot.get_or_insert(error);
                            }
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}

fn build(go: &Path, tool: &Tool, path: &Path) -> Result<()> {
    let folder = path.parent().context("a tool has a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    let lock_path = folder.with_file_name(format!("{}.lock", tool.name));
    let lock =
        File::create(&lock_path).with_context(|| format!("failed to create {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("failed to lock {}", lock_path.display()))?;
    if path.is_file() {
        return Ok(()); // another run built it while this one waited
    }
    let half = folder.join(format!(".{}.half", tool.name));
    let log_path = folder.with_file_name(format!("{}.log", tool.name));
    let log = File::create(&log_path).with_context(|| format!("failed to create {}", log_path.display()))?;
    let errors = log.try_clone().with_context(|| format!("failed to open {}", log_path.display()))?;
    let mut child = Command::new(go)
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &tool.linker_flags()?, "-o"])
        .arg(&half)
        .arg(tool.package())
        .current_dir(tool.folder())
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .context("failed to run go build")?;
    let begun = Instant::now();
    let mut said = Duration::ZERO;
    let status = loop {
        if let Some(status) = child.try_wait().context("failed to wait for go build")? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
        if begun.elapsed() > said + HEARTBEAT {
            said = begun.elapsed();
            eprintln!("  still building {} ({}s)", tool.name, said.as_secs());
        }
    };
    if !status.success() {
        bail!(
            "failed to build {}; the log is {}, its last lines:\n{}",
            tool.name,
            log_path.display(),
            folders::last_lines(&log_path, 15)
        );
    }
    fs::rename(&half, path).with_context(|| format!("failed to move {} into place", path.display()))
}
