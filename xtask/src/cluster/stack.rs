//! What a stack is: its options once they are decided, its addresses and ports, and the processes that carry it. The
//! record is a file in the stack's folder; every command begins by reading it and ends by writing it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    net::TcpListener,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::process::Process;
use crate::folders;

/// First port of the first stack. Below the range from which Linux takes ports for outgoing connections.
const FIRST_PORT: u16 = 21_000;
/// Ports set aside per stack.
const PORTS: u16 = 100;
/// Stacks that can be told apart by ports and subnets.
const SLOTS: u16 = 64;
/// Second octet of the first stack's subnet, 10.88.0.0/16.
const FIRST_SUBNET: u16 = 88;

/// The file in its folder that says which images the stack was given.
pub const IMAGES: &str = "images.json";

/// What runs the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Nodes {
    /// A kubelet with containerd; needs root.
    Real,
    /// Only kwok nodes, which run no code; needs no rights.
    Kwok,
}

/// Everything that is decided when a stack is first brought up, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stack {
    /// Name of the stack, and of its kwokctl cluster.
    pub name: String,
    /// What runs the pods.
    pub nodes: Nodes,
    /// Number of kwok nodes.
    pub kwok_nodes: u32,
    /// First of the stack's ports.
    pub port_base: u16,
    /// Second octet of the stack's subnet `10.X.0.0/16`.
    pub subnet: u16,
    /// Whether this stack has a control plane of its own (else `KUBECONFIG` names an existing one).
    pub own_cluster: bool,
    /// The kubeconfig of an existing cluster.
    #[serde(default)]
    pub foreign_kubeconfig: Option<PathBuf>,
    /// Whether this stack has a ColonyOS of its own (else the `COLONIES_*` variables name an existing one).
    pub own_colony: bool,
    /// Whether there is a Docker daemon.
    #[serde(default)]
    pub docker: bool,
    /// Environment of the ColonyOS server besides what the stack sets.
    pub colonies_environment: BTreeMap<String, String>,
    /// Processes by component name.
    #[serde(default)]
    pub processes: BTreeMap<String, Process>,
    /// Components that `cluster stop` stopped on purpose.
    #[serde(default)]
    pub stopped: Vec<String>,
    /// The stack's folder.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// The stack's ports, all distinct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    pub apiserver: u16,
    pub etcd: u16,
    pub etcd_peer: u16,
    pub controller_manager: u16,
    pub scheduler: u16,
    pub kwok: u16,
    pub postgresql: u16,
    pub colonies: u16,
    pub colonies_etcd: u16,
    pub colonies_etcd_peer: u16,
    pub colonies_relay: u16,
}

impl Stack {
    /// Reads the record in `folder`; `None` when there is none.
    ///
    /// # Errors
    /// When it is there but cannot be read.
    pub fn load(folder: &Path) -> Result<Option<Self>> {
        let file = folder.join("stack.json");
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", file.display()));
            }
        };
        let mut stack: Self = serde_json::from_slice(&text)
            .with_context(|| format!("failed to understand {}", file.display()))?;
        stack.folder = folder.to_path_buf();
        Ok(Some(stack))
    }

    /// Writes the record in one step.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("failed to write the stack's record")?;
        write_private(&self.folder.join("stack.json"), &text)
    }

    /// The stack's ports.
    pub fn ports(&self) -> Ports {
        let at = |offset: u16| self.port_base + offset;
        Ports {
            apiserver: at(1),
            etcd: at(2),
            etcd_peer: at(3),
            controller_manager: at(4),
            scheduler: at(5),
            kwok: at(6),
            postgresql: at(7),
            colonies: at(8),
            colonies_etcd: at(9),
            colonies_etcd_peer: at(10),
            colonies_relay: at(11),
        }
    }

    /// Whether there is a cluster, of this stack or an existing one.
    pub fn has_cluster(&self) -> bool {
        self.own_cluster || self.foreign_kubeconfig.is_some()
    }

    /// Whether there is a real node.
    pub fn has_real_node(&self) -> bool {
        self.own_cluster && self.nodes == Nodes::Real
    }

    /// Address of this machine that every client reaches: pods too when there is a real node.
    pub fn host_address(&self) -> String {
        if self.has_real_node() { format!("10.{}.0.1", self.subnet) } else { "127.0.0.1".to_owned() }
    }

    /// Address of the real node.
    pub fn node_address(&self) -> String {
        format!("10.{}.0.2", self.subnet)
    }

    /// Addresses of pods on the real node, in CIDR form.
    pub fn pod_subnet(&self) -> String {
        format!("10.{}.128.0/17", self.subnet)
    }

    /// Path of the administrator's kubeconfig: the stack's, or the one of an existing cluster.
    pub fn kubeconfig(&self) -> PathBuf {
        self.foreign_kubeconfig.clone().unwrap_or_else(|| self.folder.join("kubeconfig"))
    }

    /// Path of a component's log.
    pub fn log(&self, component: &str) -> PathBuf {
        self.folder.join("logs").join(format!("{component}.log"))
    }

    /// Whether a component should run: not when it was stopped on purpose.
    pub fn wants(&self, component: &str) -> bool {
        !self.stopped.iter().any(|stopped| stopped == component)
    }

    /// The process of a component, if it still runs.
    pub fn alive(&self, component: &str) -> Option<&Process> {
        self.processes.get(component).filter(|process| process.runs())
    }
}

/// Holds a stack's folder for one command at a time.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "the lock is released when the file is closed")] File);

/// Creates the folder if needed and waits until no other command works on it.
///
/// # Errors
/// When the folder cannot be created or locked.
pub fn hold(folder: &Path) -> Result<Held> {
    // Others may pass through (PostgreSQL runs as another user) but not look around.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o711))
        .with_context(|| format!("failed to protect {}", folder.display()))?;
    lock(&folder.with_extension("lock"))
}

/// Waits until no other command chooses ports beside `folder`: two stacks that are made at the same time would choose the
/// same.
///
/// # Errors
/// When the lock cannot be had.
pub fn hold_choice(folder: &Path) -> Result<Held> {
    lock(&folder.with_file_name("choice.lock"))
}

fn lock(path: &Path) -> Result<Held> {
    let file = File::create(path).with_context(|| format!("failed to create {}", path.display()))?;
    file.lock().with_context(|| format!("failed to lock {}", path.display()))?;
    Ok(Held(file))
}

/// Writes a file that only its owner can read, in one step.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let half = path.with_extension("half");
    let write = || -> std::io::Result<()> {
        let mut file =
            fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&half)?;
        file.write_all(content)?;
        fs::rename(&half, path)
    };
    write().with_context(|| format!("failed to write {}", path.display()))
}

/// Port base and subnet that no other stack and nothing on this machine uses.
///
/// # Errors
/// When the wanted ports are taken, or none are left.
pub fn free_slot(folder: &Path, wanted: Option<u16>) -> Result<(u16, u16)> {
    let others = recorded(folder)?;
    let routes = routed_subnets();
    let subnet = (0..SLOTS)
        .map(|slot| FIRST_SUBNET + slot)
        .find(|subnet| others.iter().all(|other| other.subnet != *subnet) && !routes.contains(subnet))
        .context("failed to find a free subnet between 10.88.0.0/16 and 10.151.0.0/16")?;
    if let Some(base) = wanted {
        if let Some(port) = taken_port(base) {
            bail!("port {port} is taken: choose another --port-base");
        }
        return Ok((base, subnet));
    }
    let base = (0..SLOTS)
        .map(|slot| FIRST_PORT + slot * PORTS)
        .find(|base| others.iter().all(|other| other.port_base != *base) && taken_port(*base).is_none())
        .context("failed to find free ports: give some with --port-base")?;
    Ok((base, subnet))
}

/// Records of all stacks beside `folder`.
fn recorded(folder: &Path) -> Result<Vec<Stack>> {
    let mut stacks = Vec::new();
    for parent in [folder.parent().map(Path::to_path_buf), Some(folders::stacks()?)].into_iter().flatten() {
        let Ok(entries) = fs::read_dir(&parent) else { continue };
        for entry in entries.flatten().filter(|entry| entry.path() != folder) {
            // A record that cannot be read belongs to an older form: its ports are found by trying them.
            stacks.extend(Stack::load(&entry.path()).ok().flatten());
        }
    }
    Ok(stacks)
}

fn taken_port(base: u16) -> Option<u16> {
    (base + 1..base + 12).find(|port| TcpListener::bind(("0.0.0.0", *port)).is_err())
}

/// Second octets of the networks under 10.0.0.0/8 that this machine has a route to.
fn routed_subnets() -> Vec<u16> {
    let Ok(output) = Command::new("ip").args(["-4", "route", "show", "table", "all"]).output() else {
        return Vec::new();
    };
    parse_routes(&String::from_utf8_lossy(&output.stdout))
}

fn parse_routes(routes: &str) -> Vec<u16> {
    let words = routes.split_whitespace();
    words.filter_map(|word| word.strip_prefix("10.")?.split('.').next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_to_private_networks_are_found() {
        let routes =
            "default via 10.1.0.1 dev eth0\n10.90.0.0/30 dev veth0 src 10.90.0.1\n172.17.0.0/16 dev x\n";
        assert_eq!(parse_routes(routes), [1, 90, 90]);
    }

    fn stack(port_base: u16, nodes: Nodes) -> Stack {
        Stack {
            name: "blue".to_owned(),
            nodes,
            kwok_nodes: 0,
            port_base,
            subnet: 90,
            own_cluster: true,
            foreign_kubeconfig: None,
            own_colony: true,
            docker: false,
            colonies_environment: BTreeMap::new(),
            processes: BTreeMap::new(),
            stopped: Vec::new(),
            folder: PathBuf::from("/s/blue"),
        }
    }

    #[test]
    fn neighbouring_stacks_share_no_port_and_every_port_is_tried_before_it_is_taken() {
        let all = |base| {
            let Ports {
                apiserver,
                etcd,
                etcd_peer,
                controller_manager,
                scheduler,
                kwok,
                postgresql,
                colonies,
                colonies_etcd,
                colonies_etcd_peer,
                colonies_relay,
            } = stack(base, Nodes::Kwok).ports();
            std::collections::BTreeSet::from([
                apiserver,
                etcd,
                etcd_peer,
                controller_manager,
                scheduler,
                kwok,
                postgresql,
                colonies,
                colonies_etcd,
                colonies_etcd_peer,
                colonies_relay,
            ])
        };
        let (first, second) = (all(FIRST_PORT), all(FIRST_PORT + PORTS));
        assert_eq!(first.len(), 11, "two components share a port");
        assert!(first.is_disjoint(&second));
        assert!(first.iter().all(|port| (FIRST_PORT + 1..FIRST_PORT + 12).contains(port)));
    }

    #[test]
    fn pods_reach_the_host_only_where_there_is_a_real_node() {
        assert_eq!(stack(1, Nodes::Real).host_address(), "10.90.0.1");
        assert_eq!(stack(1, Nodes::Kwok).host_address(), "127.0.0.1");
        let foreign = Stack { own_cluster: false, ..stack(1, Nodes::Real) };
        assert_eq!(foreign.host_address(), "127.0.0.1");
        assert!(!foreign.has_real_node());
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("xtask-stack-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let written =
            Stack { folder: folder.clone(), stopped: vec!["etcd".to_owned()], ..stack(7, Nodes::Real) };
        written.save().unwrap();
        let mode = fs::metadata(folder.join("stack.json")).unwrap().permissions().mode();
        let read = Stack::load(&folder).unwrap().unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!((read.port_base, read.nodes, &read.folder), (7, Nodes::Real, &folder));
        assert!(!read.wants("etcd") && read.wants("kwok-controller"));
    }

    #[test]
    fn a_taken_port_is_seen() {
        let listener = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(taken_port(port - 1), Some(port));
    }
}
