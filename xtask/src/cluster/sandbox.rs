//! What keeps a real node apart from this machine: network, mount and process namespaces of its own, held open by one
//! process, and a cgroup of its own. Two nodes side by side then collide in nothing (ports, iptables chains, bridges),
//! and when the holding process is killed the kernel ends every process in there, unmounts every mount and removes every
//! interface: nothing is left to clean up but the cgroup.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use super::{
    commands,
    ledger::Ledger,
    process::{self, Process},
    stack::Stack,
};
use crate::{folders, packages};

/// Component name of the holding process.
pub const COMPONENT: &str = "node-sandbox";
/// Where containerd, the CNI plugins and kubelet write whatever their configuration says.
const WRITTEN_TO: &[&str] = &["/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/opt/containerd"];
/// How long removing a cgroup may take: its last processes are only just gone.
const CGROUP_LIMIT: Duration = Duration::from_secs(5);

/// What keeps this machine from having a real node, if anything; asked before minutes are spent on building its programs.
pub fn obstacle() -> Option<&'static str> {
    if !folders::is_root() {
        return Some("a real node needs root: run it with sudo");
    }
    let probe = ["--net", "--mount", "--pid", "--fork", "--mount-proc", "--propagation", "slave", "true"];
    if !commands::succeeds(Command::new("unshare").args(probe)) {
        return Some(
            "a real node needs the right to make namespaces and to mount, which this container does not have",
        );
    }
    if packages::find("ip").is_some() {
        let ip = |arguments: &str| commands::succeeds(Command::new("ip").args(arguments.split(' ')));
        let own = std::process::id(); // others may ask at the same time
        if !ip(&format!("link add probe{own} type veth peer name probed{own}")) {
            return Some(
                "a real node needs the right to make network interfaces, which this container does not have",
            );
        }
        ip(&format!("link delete probe{own}"));
    }
    let writable = cgroup_mounts(&fs::read_to_string("/proc/mounts").unwrap_or_default())
        .all(|mount| rustix::fs::access(mount, rustix::fs::Access::WRITE_OK).is_ok());
    (!writable)
        .then_some("a real node needs cgroups that it can write to, which this container does not have")
}

/// Makes the namespaces, joins them to this machine by a pair of interfaces, and makes the cgroup.
///
/// # Errors
/// When the rights for it are missing; the message says what to use instead.
pub fn up(ledger: &Ledger) -> Result<Process> {
    if let Some(holder) = ledger.stack().alive(COMPONENT) {
        return Ok(holder.clone());
    }
    let stack = ledger.stack();
    if let Some(old) = stack.processes.get(COMPONENT) {
        old.kill()?; // it may still be ending what ran in there
    }
    remove_interface(&stack);
    let holder = hold_namespaces(&stack, ledger)?;
    ledger.record(COMPONENT, holder.clone())?;
    furnish(&stack, &holder)?;
    connect(&stack, &holder)?;
    make_cgroup(&stack)?;
    Ok(holder)
}

fn hold_namespaces(stack: &Stack, ledger: &Ledger) -> Result<Process> {
    let mut command = Command::new("unshare");
    command
        .args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"])
        .args(["--propagation", "slave"])
        .arg(ledger.tools.path("pause")?);
    process::start(&mut command, &stack.log(COMPONENT))
        .and_then(|parent| process::only_child(&parent))
        .context(
            "failed to make the namespaces of a real node: it needs root and the right to mount; \
             `--nodes kwok` needs neither",
        )
}

/// Puts folders of the stack where the node's programs insist on writing, so that they write nothing elsewhere.
fn furnish(stack: &Stack, holder: &Process) -> Result<()> {
    if stack.folder.starts_with("/run") || stack.folder.starts_with("/var/run") {
        bail!("{} cannot hold a real node: choose a --state folder outside /run", stack.folder.display());
    }
    let mount = |arguments: &[&std::ffi::OsStr]| commands::output(enter(holder, "mount").args(arguments));
    // Sockets and namespaces of containers; nothing that this machine keeps there concerns the node.
    mount(&["-t".as_ref(), "tmpfs".as_ref(), "node".as_ref(), "/run".as_ref()])?;
    for place in WRITTEN_TO {
        let own = stack.folder.join("node/places").join(place.trim_start_matches('/'));
        for folder in [own.as_path(), Path::new(place)] {
            fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        }
        mount(&["--bind".as_ref(), own.as_ref(), place.as_ref()])?;
    }
    // Volumes that kubelet mounts must appear in containers, and nothing of it outside.
    mount(&["--make-rshared".as_ref(), "/".as_ref()])?;
    Ok(())
}

/// A command that runs `program` inside the node's namespaces.
pub fn enter(holder: &Process, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &holder.pid.to_string(), "--net", "--mount", "--pid", "--"]).arg(program);
    command
}

/// Joins the node's network to this machine's.
fn connect(stack: &Stack, holder: &Process) -> Result<()> {
    let interface = interface(stack);
    let (host, node) = (stack.host_address(), stack.node_address());
    let ip = |arguments: &str| commands::output(Command::new("ip").args(arguments.split(' ')));
    let inside = |arguments: &str| commands::output(enter(holder, "ip").args(arguments.split(' ')));
    let join = || -> Result<()> {
        ip(&format!("link add {interface} type veth peer name eth0 netns {}", holder.pid))?;
        ip(&format!("addr add {host}/30 dev {interface}"))?;
        ip(&format!("link set {interface} up"))?;
        inside("link set lo up")?;
        inside(&format!("addr add {node}/30 dev eth0"))?;
        inside("link set eth0 up")?;
        inside(&format!("route add default via {host}"))?;
        ip(&format!("route add {} via {node}", stack.pod_subnet()))?;
        // Pods are routed between their interfaces and eth0.
        commands::output(enter(holder, "sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]))?;
        Ok(())
    };
    join().context("failed to set up the node's network; `--nodes kwok` needs none")
}

fn interface(stack: &Stack) -> String {
    format!("colony{}", stack.subnet)
}

/// Removes what survives the holding process: the interface, if the kernel is slow, and the cgroup.
pub fn clean(stack: &Stack) {
    remove_interface(stack);
    // runc leaves its mark in version 2's hierarchy even where that has no controllers.
    let unified = Path::new("/sys/fs/cgroup/unified").join(cgroup(stack).trim_start_matches('/'));
    for folder in cgroup_folders(stack).into_iter().chain([unified]) {
        process::wait_until(CGROUP_LIMIT, || remove_cgroup(&folder));
    }
}

/// The kernel removes the interface with the node's namespace, but in its own time.
fn remove_interface(stack: &Stack) {
    let interface = interface(stack);
    if Path::new("/sys/class/net").join(&interface).exists() {
        commands::succeeds(Command::new("ip").args(["link", "delete", &interface]));
    }
}

/// Name of the node's cgroup, as kubelet's `cgroupRoot` takes it.
pub fn cgroup(stack: &Stack) -> String {
    format!("/colonyos-{}", stack.name)
}

/// Two kubelets under one cgroup would remove each other's pods, so each node has its own.
fn make_cgroup(stack: &Stack) -> Result<()> {
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        // cgroup v2: the controllers that kubelet limits pods with are handed down explicitly.
        let control = Path::new("/sys/fs/cgroup/cgroup.subtree_control");
        let wanted = "+cpu +cpuset +memory +pids";
        fs::write(control, wanted)
            .context("failed to enable the cgroup controllers cpu, cpuset, memory and pids")?;
    }
    for folder in cgroup_folders(stack) {
        fs::create_dir_all(&folder)
            .with_context(|| format!("failed to create the cgroup {}", folder.display()))?;
    }
    Ok(())
}

/// The node's folder in every cgroup hierarchy of this machine.
fn cgroup_folders(stack: &Stack) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let name = cgroup(stack);
    cgroup_mounts(&mounts).map(|mount| Path::new(mount).join(name.trim_start_matches('/'))).collect()
}

/// Mount points of the cgroup hierarchies: all of version 1 where there are any (then version 2 has no controllers).
fn cgroup_mounts(mounts: &str) -> impl Iterator<Item = &str> {
    let of_type = |wanted: &'static str| {
        mounts.lines().filter_map(move |line| {
            let mut fields = line.split(' ');
            let mount = fields.nth(1)?;
            (fields.next()? == wanted).then_some(mount)
        })
    };
    let version_1: Vec<&str> = of_type("cgroup").collect();
    let use_version_2 = version_1.is_empty();
    version_1.into_iter().chain(of_type("cgroup2").filter(move |_| use_version_2))
}

/// Removes a cgroup with those below it; returns whether it is gone.
fn remove_cgroup(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return true };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        remove_cgroup(&entry.path());
    }
    fs::remove_dir(folder).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_hierarchies_win_over_an_empty_version_2() {
        let hybrid =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup_mounts(hybrid).collect::<Vec<_>>(), ["/sys/fs/cgroup/cpu"]);
        let unified = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(cgroup_mounts(unified).collect::<Vec<_>>(), ["/sys/fs/cgroup"]);
    }
}
