//! The control plane and the fake nodes, both by `kwokctl`: it makes the certificates and starts etcd, the API server,
//! the controller manager, the scheduler and kwok. This module writes its configuration and takes over the process ids.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{
    commands,
    ledger::Ledger,
    process::{self, Process},
    stack::{Nodes, Stack},
};

/// Components that kwokctl runs, in the order in which they start.
pub const COMPONENTS: &[&str] =
    &["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller"];
/// The address of the service `kubernetes`: the first one of the API server's default range.
const SERVICE_ADDRESS: &str = "10.0.0.1";
/// Requests a second that controller manager and scheduler allow themselves: no limit in practice, since what a
/// development cluster should show is the operator's speed, not theirs.
const CLIENT_RATE: &str = "5000";
/// How long the API server may take to be ready.
const LIMIT: Duration = Duration::from_mins(2);
/// Taint of the fake nodes beside a real one, so that pods that run code land on the real one.
pub const FAKE_TAINT: &str = "kwok.x-k8s.io/node";

/// Starts what of the control plane does not run, and waits until it serves.
///
/// # Errors
/// When kwokctl fails or the API server does not get ready; the message has the end of the log.
pub fn up(ledger: &Ledger) -> Result<()> {
    for (component, process) in strays(&ledger.stack()) {
        ledger.record(component, process)?;
    }
    let stack = ledger.stack();
    let missing: Vec<&str> =
        COMPONENTS.iter().copied().filter(|component| stack.alive(component).is_none()).collect();
    if !missing.is_empty() {
        forget_dead(&stack)?;
        let configuration = stack.folder.join("kwokctl.json");
        let text = configuration_text(&stack, ledger)?;
        fs::write(&configuration, text)
            .with_context(|| format!("failed to write {}", configuration.display()))?;
        // On a cluster that exists, `create` only starts what does not run.
        let mut command = Command::new(ledger.tools.path("kwokctl")?);
        command
            .args(["create", "cluster", "--name", &stack.name, "--config"])
            .arg(&configuration)
            .arg("--kubeconfig")
            .arg(stack.kubeconfig())
            .env("KWOK_WORKDIR", workdir(&stack))
            .env("HOME", &stack.folder)
            .envs(process::GARBAGE);
        commands::output(&mut command).context("failed to start the control plane")?;
    }
    adopt(ledger)?;
    let apiserver = ledger.stack().processes.get("kube-apiserver").cloned();
    let apiserver = apiserver.context("failed to find the process of the API server")?;
    process::wait_ready("kube-apiserver", &apiserver, LIMIT, || is_ready(&stack, ledger))?;
    if !missing.is_empty() {
        eprintln!("  control plane ready: {}", missing.join(", "));
    }
    fake_nodes(ledger)
}

/// Whether the API server says that it is ready.
pub fn is_ready(stack: &Stack, ledger: &Ledger) -> bool {
    ledger.tools.path("kubectl").is_ok_and(|kubectl| {
        commands::succeeds(Command::new(kubectl).arg("--kubeconfig").arg(stack.kubeconfig()).args([
            "get",
            "--raw",
            "/readyz",
            "--request-timeout=2s",
        ]))
    })
}

/// A kubectl command against the stack.
///
/// # Errors
/// When kubectl was not asked for.
pub fn kubectl(ledger: &Ledger) -> Result<Command> {
    let mut command = Command::new(ledger.tools.path("kubectl")?);
    command.arg("--kubeconfig").arg(ledger.stack().kubeconfig());
    Ok(command)
}

/// Folder of the certificates that kwokctl made.
pub fn certificates(stack: &Stack) -> PathBuf {
    cluster_folder(stack).join("pki")
}

/// Path of the log of a component that kwokctl runs.
pub fn log(stack: &Stack, component: &str) -> PathBuf {
    cluster_folder(stack).join("logs").join(format!("{component}.log"))
}

fn workdir(stack: &Stack) -> PathBuf {
    stack.folder.join("kwok")
}

fn cluster_folder(stack: &Stack) -> PathBuf {
    workdir(stack).join("clusters").join(&stack.name)
}

fn pid_file(stack: &Stack, component: &str) -> PathBuf {
    cluster_folder(stack).join("pids").join(format!("{component}.pid"))
}

/// Components that run without being written down: an `up` that was interrupted left them.
pub fn strays(stack: &Stack) -> Vec<(&'static str, Process)> {
    let unrecorded = COMPONENTS.iter().filter(|component| stack.alive(component).is_none());
    unrecorded
        .filter_map(|component| {
            let pid: i32 = fs::read_to_string(pid_file(stack, component)).ok()?.trim().parse().ok()?;
            let process = Process::of(pid, &log(stack, component)).ok()?;
            // The id may be another process's by now; all of ours have the cluster's folder in an argument.
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let folder = cluster_folder(stack).display().to_string();
            String::from_utf8_lossy(&arguments).contains(&folder).then_some((*component, process))
        })
        .collect()
}

/// Removes the process id files of components that do not run: kwokctl takes any process with that id for its own.
fn forget_dead(stack: &Stack) -> Result<()> {
    for component in COMPONENTS.iter().filter(|component| stack.alive(component).is_none()) {
        let file = pid_file(stack, component);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("failed to remove {}", file.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes down the processes that kwokctl started.
fn adopt(ledger: &Ledger) -> Result<()> {
    let stack = ledger.stack();
    for component in COMPONENTS.iter().filter(|component| stack.alive(component).is_none()) {
        let file = pid_file(&stack, component);
        let text = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let pid = text.trim().parse().with_context(|| format!("failed to understand {}", file.display()))?;
        let log = log(&stack, component);
        let started = Process::of(pid, &log).with_context(|| {
            format!(
                "{component} ended; the log is {}, its last lines:\n{}",
                log.display(),
                crate::folders::last_lines(&log, 15)
            )
        })?;
        ledger.record(component, started)?;
    }
    Ok(())
}

fn configuration_text(stack: &Stack, ledger: &Ledger) -> Result<String> {
    let binary = |name: &str| ledger.tools.path(name);
    let ports = stack.ports();
    let real = stack.nodes == Nodes::Real;
    let pki = certificates(stack);
    let argument = |key: &str, value: &str| json!({"key": key, "value": value});
    let mut apiserver = vec![argument("enable-aggregator-routing", "true")];
    let mut kwok = Vec::new();
    if real {
        let override_of = |key: &str, value: &str| json!({"key": key, "value": value, "override": true});
        apiserver.extend([
            argument("advertise-address", &stack.host_address()),
            argument("kubelet-preferred-address-types", "InternalIP,Hostname"),
            argument("kubelet-client-certificate", &pki.join("admin.crt").to_string_lossy()),
            argument("kubelet-client-key", &pki.join("admin.key").to_string_lossy()),
            override_of("bind-address", "0.0.0.0"), // pods come by another address than the user
        ]);
        kwok.extend([
            override_of("manage-all-nodes", "false"), // else kwok plays the real node too
            argument("manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake"),
        ]);
    }
    let unlimited = [
        argument("leader-elect", "false"),
        argument("kube-api-qps", CLIENT_RATE),
        argument("kube-api-burst", CLIENT_RATE),
    ];
    let controller_manager = [
        &unlimited[..],
        &[
            argument("use-service-account-credentials", "true"),
            argument("concurrent-deployment-syncs", "20"),
            argument("concurrent-replicaset-syncs", "20"),
        ],
    ]
    .concat();
    let configuration = json!({
        "apiVersion": "config.kwok.x-k8s.io/v1alpha1",
        "kind": "KwokctlConfiguration",
        "options": {
            "runtime": "binary",
            "etcdBinary": binary("etcd")?,
            "kubeApiserverBinary": binary("kube-apiserver")?,
            "kubeControllerManagerBinary": binary("kube-controller-manager")?,
            "kubeSchedulerBinary": binary("kube-scheduler")?,
            "kwokControllerBinary": binary("kwok")?,
            "kubectlBinary": binary("kubectl")?,
            "bindAddress": "127.0.0.1",
            "kubeApiserverPort": ports.apiserver,
            "etcdPort": ports.etcd,
            "etcdPeerPort": ports.etcd_peer,
            "kubeControllerManagerPort": ports.controller_manager,
            "kubeSchedulerPort": ports.scheduler,
            "kwokControllerPort": ports.kwok,
            "kubeApiserverCertSANs": [SERVICE_ADDRESS, stack.host_address()],
        },
        "componentsPatches": [
            {"name": "kube-apiserver", "extraArgs": apiserver},
            {"name": "kube-controller-manager", "extraArgs": controller_manager},
            {"name": "kube-scheduler", "extraArgs": unlimited},
            {"name": "kwok-controller", "extraArgs": kwok},
        ],
    });
    serde_json::to_string_pretty(&configuration).context("failed to write kwokctl's configuration")
}

/// Makes the fake nodes as many as asked for.
fn fake_nodes(ledger: &Ledger) -> Result<()> {
    let stack = ledger.stack();
    let list = commands::output(kubectl(ledger)?.args(["get", "nodes", "-l", "type=kwok", "-o", "name"]))
        .context("failed to list the fake nodes")?;
    let present: Vec<&str> = list.lines().collect();
    let wanted: Vec<String> = (0..stack.kwok_nodes).map(|index| format!("node/kwok-{index}")).collect();
    let surplus: Vec<&str> =
        present.iter().copied().filter(|name| !wanted.iter().any(|wanted| wanted == name)).collect();
    if !surplus.is_empty() {
        commands::output(kubectl(ledger)?.arg("delete").args(&surplus))
            .context("failed to delete fake nodes")?;
    }
    let missing: Vec<Value> = (0..stack.kwok_nodes)
        .filter(|index| !present.contains(&format!("node/kwok-{index}").as_str()))
        .map(|index| fake_node(&stack, index))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let count = missing.len();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": missing}).to_string();
    commands::output_with_input(kubectl(ledger)?.args(["create", "-f", "-"]), &list)
        .context("failed to create the fake nodes")?;
    eprintln!("  {count} kwok nodes added");
    Ok(())
}

fn fake_node(stack: &Stack, index: u32) -> Value {
    let name = format!("kwok-{index}");
    let taints = match stack.nodes {
        Nodes::Real => json!([{"key": FAKE_TAINT, "value": "fake", "effect": "NoSchedule"}]),
        Nodes::Kwok => json!([]),
    };
    let resources = json!({"cpu": "32", "memory": "256Gi", "pods": "500"});
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {"kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0"},
            "labels": {
                "type": "kwok",
                "colonies.io/node": "kwok",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {"taints": taints},
        "status": {"allocatable": resources, "capacity": resources},
    })
}
