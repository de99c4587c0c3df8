//! A Docker daemon of a stack, for reconcilers of runtime `docker`. It has no registry and no network: containers have the one of this
//! machine (`--network host`). Images are given to it by `cargo xtask images`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use super::{
    commands,
    ledger::Ledger,
    process::{self, PATIENCE},
    sandbox,
    stack::Stack,
};
use crate::packages;

/// Its name as a component.
pub const COMPONENT: &str = "dockerd";
/// How long it may take to be ready.
const LIMIT: Duration = Duration::from_mins(1);

/// Why this machine cannot have a Docker daemon, if so. Installs it where it is missing.
pub fn obstacle() -> Option<String> {
    if let Some(obstacle) = sandbox::obstacle() {
        return Some(obstacle.replace("a real node", "a Docker daemon"));
    }
    install().err().map(|error| format!("{error:#}"))
}

/// Installs the daemon and its client if they are missing.
///
/// # Errors
/// When they cannot be installed.
pub fn install() -> Result<()> {
    let what_for = "a Docker daemon";
    packages::ensure(&[("dockerd", "docker.io")], what_for)?;
    // In newer versions of Debian it is a package of its own.
    packages::ensure(&[("docker", "docker-cli")], what_for)
}

/// Where it listens, as `DOCKER_HOST` has it.
pub fn address(stack: &Stack) -> String {
    format!("unix://{}", folder(stack).join("docker.sock").display())
}

/// Starts it unless it runs.
///
/// # Errors
/// When it does not get ready; the message has the end of its log.
pub fn up(ledger: &Ledger) -> Result<()> {
    if !ledger.lacks(COMPONENT) {
        return Ok(());
    }
    let stack = ledger.stack();
    let started = launch(&stack)?;
    ledger.record(COMPONENT, started.clone())?;
    process::wait_ready(COMPONENT, &started, LIMIT, || is_healthy(&stack))?;
    eprintln!("  Docker ready at {}", address(&stack));
    Ok(())
}

/// Whether it answers.
pub fn is_healthy(stack: &Stack) -> bool {
    commands::succeeds(docker(stack).arg("info"))
}

/// Gives it an image, as `docker save` writes it.
///
/// # Errors
/// When it does not take it.
pub fn load(stack: &Stack, archive: &Path) -> Result<()> {
    commands::output(docker(stack).args(["load", "--quiet", "--input"]).arg(archive))?;
    Ok(())
}

/// Ends it with all its containers, and unmounts what they had.
///
/// # Errors
/// When it cannot be ended.
pub fn down(stack: &Stack) -> Result<()> {
    // Containers outlive a daemon that has crashed: another one removes them.
    let daemon = match stack.alive(COMPONENT) {
        Some(daemon) => daemon.clone(),
        None => launch(stack)?,
    };
    process::wait_until(PATIENCE, || is_healthy(stack) || !daemon.is_alive());
    let all = commands::output(docker(stack).args(["ps", "--all", "--quiet"])).unwrap_or_default();
    let all: Vec<&str> = all.split_whitespace().collect();
    if !all.is_empty() {
        commands::succeeds(docker(stack).args(["rm", "--force"]).args(&all));
    }
    daemon.stop()?;
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    for mount in mounts_below(&mounts, &folder(stack)) {
        commands::succeeds(Command::new("umount").args(["--lazy", mount]));
    }
    Ok(())
}

fn launch(stack: &Stack) -> Result<process::Process> {
    let folder = folder(stack);
    fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    // The numbers of one that was killed, and of its containerd, which goes with it in its own time: other processes may have them.
    let containerd = folder.join("exec/containerd/containerd.pid");
    let pid: Option<i32> = fs::read_to_string(&containerd).ok().and_then(|pid| pid.trim().parse().ok());
    if let Some(pid) = pid {
        let program = format!("/proc/{pid}/exe");
        let runs = || fs::read_link(&program).is_ok_and(|program| program.ends_with("containerd"));
        process::wait_until(PATIENCE, || !runs());
    }
    for file in [containerd, folder.join("pid")] {
        let _ = fs::remove_file(file);
    }
    let program = packages::find("dockerd").context("failed to find dockerd")?;
    let mut command = Command::new(program);
    command
        .args(["--live-restore", "--iptables=false", "--bridge=none", "--storage-driver", "vfs"])
        .arg("--data-root")
        .arg(folder.join("data"))
        .arg("--exec-root")
        .arg(folder.join("exec"))
        .arg("--pidfile")
        .arg(folder.join("pid"))
        .args(["--host", &address(stack)]);
    process::start(&mut command, &stack.log(COMPONENT))
}

fn docker(stack: &Stack) -> Command {
    let mut command = Command::new(packages::find("docker").unwrap_or_else(|| "docker".into()));
    command.args(["--host", &address(stack)]);
    command
}

fn folder(stack: &Stack) -> PathBuf {
    stack.folder.join("docker")
}

/// Mount points below a folder, the innermost first.
fn mounts_below<'a>(mounts: &'a str, folder: &Path) -> Vec<&'a str> {
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let mut below: Vec<&str> = points.filter(|point| Path::new(point).starts_with(folder)).collect();
    below.sort_unstable_by_key(|point| std::cmp::Reverse(point.len()));
    below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_a_folder_is_found_from_the_inside_out() {
        let mounts = "tmpfs /s/docker/exec tmpfs rw 0 0\nproc /s/dockerd proc rw 0 0\nnsfs /s/docker/exec/netns/a nsfs rw 0 0\n";
        assert_eq!(
            mounts_below(mounts, Path::new("/s/docker")),
            ["/s/docker/exec/netns/a", "/s/docker/exec"]
        );
    }
}
