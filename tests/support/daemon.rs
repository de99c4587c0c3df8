//! A Docker daemon of a test alone, without a registry and without a network of its own.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::environment::variable;

/// What a command of Docker may take: a storage driver that copies needs a while.
const TRIES: u32 = 1200;

/// A running daemon. Its containers and itself are gone when it is dropped.
pub struct Daemon {
    child: Child,
    folder: TempDir,
}

impl Daemon {
    /// Starts one; the reason when this machine cannot.
    pub fn start() -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let child = launch(folder.path())?;
        let mut daemon = Self { child, folder };
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Starts one; `None`, with the reason said, when this machine cannot. `cargo xtask test` finds out beforehand, and names the
    /// reason in `DOCKER_OBSTACLE`: without one, it has to start.
    pub fn start_or_skip() -> Option<Self> {
        let reason = match (variable("DOCKER_OBSTACLE"), variable("XTASK_BIN")) {
            (Some(obstacle), _) => obstacle,
            (None, Some(_)) => return Some(Self::start().unwrap_or_else(|reason| panic!("{reason}"))),
            (None, None) => match Self::start() {
                Ok(daemon) => return Some(daemon),
                Err(reason) => reason,
            },
        };
        println!("SKIPPED: no Docker daemon on this machine: {reason}");
        None
    }

    /// Kills it, as when it crashes. Containers go on.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Starts it again, after it was killed.
    pub fn start_again(&mut self) {
        self.forget_processes();
        self.child = launch(self.folder.path()).expect("it starts again");
        self.wait_until_ready().expect("it is ready again");
    }

    /// Its containerd goes with it, but in its own time, and would be taken for one that runs. Other processes may have their
    /// numbers by now.
    fn forget_processes(&self) {
        let number = self.folder.path().join("exec/containerd/containerd.pid");
        if let Ok(pid) = fs::read_to_string(&number) {
            let program = format!("/proc/{}/exe", pid.trim());
            let runs = || fs::read_link(&program).is_ok_and(|program| program.ends_with("containerd"));
            for _ in 0..100 {
                if !runs() {
                    break;
                }
                thread::sleep(Duration::from_millis(50));
            }
        }
        for file in [number, self.folder.path().join("pid")] {
            let _ = fs::remove_file(file);
        }
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        for _ in 0..TRIES {
            if self.docker(&["info"]).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let last: Vec<_> = log.lines().rev().take(3).collect();
                return Err(format!("dockerd ended with {status}: {last:?}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!("dockerd does not answer within {} seconds", TRIES / 10))
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// A folder that goes with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a command of Docker's own client.
    pub fn docker(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("docker").args(["-H", &self.address()]).args(arguments).output();
        let output = output.map_err(|error| format!("docker does not start: {error}"))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Makes an image of programs, each in the root folder under its own name, that runs the first one.
    pub fn import(&self, image: &str, programs: &[&Path]) {
        let root = TempDir::new_in(self.folder.path()).unwrap();
        let names: Vec<String> = programs
            .iter()
            .map(|program| {
                let name = program.file_name().unwrap().to_string_lossy().into_owned();
                // Each container has a copy of it. Without `strip` it is a large one.
                let target = root.path().join(&name);
                let stripped = Command::new("strip").arg("-o").arg(&target).arg(program).status();
                if !stripped.is_ok_and(|status| status.success()) {
                    fs::copy(program, &target).unwrap();
                }
                name
            })
            .collect();
        let tar = self.folder.path().join("image.tar");
        let status =
            Command::new("tar").arg("-C").arg(root.path()).arg("-cf").arg(&tar).args(&names).status();
        assert!(status.unwrap().success());
        let entry = format!("ENTRYPOINT [\"/{}\"]", names[0]);
        self.docker(&["import", "--change", &entry, &tar.display().to_string(), image]).unwrap();
    }
}

fn launch(folder: &Path) -> Result<Child, String> {
    let at = |name: &str| folder.join(name).display().to_string();
    let log = File::options().create(true).append(true).open(at("log")).map_err(|error| error.to_string())?;
    Command::new("dockerd")
        // What runs outlives the daemon, as on machines whose daemon is upgraded.
        .args(["--live-restore", "--iptables=false", "--bridge=none", "--storage-driver", "vfs"])
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["-H", &format!("unix://{}", at("docker.sock"))])
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| error.to_string())?)
        .stderr(log)
        .spawn()
        .map_err(|error| format!("dockerd does not start: {error}; install docker.io"))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            let last: Vec<_> = log.lines().rev().take(20).collect();
            eprintln!("──── the end of dockerd's log, last line first ────\n{}", last.join("\n"));
        }
        if !matches!(self.child.try_wait(), Ok(None)) {
            // Its containers have outlived it.
            self.forget_processes();
            if let Ok(child) = launch(self.folder.path()) {
                self.child = child;
                let _ = self.wait_until_ready();
            }
        }
        // What it started goes first, and the daemon by its own signal, so that it leaves no mounts.
        if let Ok(all) = self.docker(&["ps", "--all", "--quiet"]) {
            for id in all.lines() {
                let _ = self.docker(&["rm", "--force", id]);
            }
        }
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for point in points.filter(|point| Path::new(point).starts_with(self.folder.path())) {
            let _ = Command::new("umount").args(["--lazy", point]).status();
        }
    }
}

/// A static busybox of this machine.
pub fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].iter().map(PathBuf::from).find(|path| path.is_file())
}
