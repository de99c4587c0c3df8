//! The real node: containerd, kubelet and kube-proxy inside the [`sandbox`]. Pods get addresses by the CNI plugin `ptp`,
//! so that everything between two pods, too, passes the node's routing and with it kube-proxy's rules.

use std::{fs, os::unix::net::UnixStream, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    commands, control_plane, http,
    ledger::Ledger,
    process::{self, Process},
    sandbox,
    stack::Stack,
};
use crate::images;

/// Name of the real node.
pub const NAME: &str = "node1";
/// Components of the node, in the order in which they start.
pub const COMPONENTS: &[&str] = &[sandbox::COMPONENT, "containerd", "kubelet", "kube-proxy"];
/// Programs that the node needs from the distribution, with the Debian package of each.
pub const PACKAGES: &[(&str, &str)] = &[
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("iptables", "iptables"),
    ("ip", "iproute2"),
    ("conntrack", "conntrack"),
    ("mount", "mount"),
    ("nsenter", "util-linux"),
];
/// Where Debian puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";
/// How long one component may take to be ready.
const LIMIT: Duration = Duration::from_mins(1);

/// Starts containerd and gives it the pause image; needs no API server.
///
/// # Errors
/// When the namespaces cannot be made or containerd does not get ready.
pub fn container_runtime(ledger: &Ledger) -> Result<()> {
    let lacked = ledger.lacks(sandbox::COMPONENT);
    let holder = sandbox::up(ledger)?;
    if lacked {
        eprintln!("  namespaces of the real node made");
    }
    if !ledger.lacks("containerd") {
        return Ok(());
    }
    let stack = ledger.stack();
    let folder = folder(&stack);
    for name in ["cni", "containerd", "kubelet", "pod-logs", "volume-plugins"] {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    write(&folder.join("cni/10-pods.conflist"), &cni_configuration(&stack))?;
    let snapshotter = working_snapshotter(&stack, &holder);
    write(&snapshotter_file(&stack), snapshotter)?;
    write(&folder.join("containerd.toml"), &containerd_configuration(&stack, snapshotter))?;
    let mut command = sandbox::enter(&holder, ledger.tools.path("containerd")?);
    command.arg("--config").arg(folder.join("containerd.toml")).env("PATH", path(ledger)?);
    let started = start(ledger, "containerd", &mut command)?;
    let socket = socket(&stack);
    process::wait_ready("containerd", &started, LIMIT, || UnixStream::connect(&socket).is_ok())?;
    images::import_pause(&stack, &ledger.tools)?;
    eprintln!("  containerd ready");
    Ok(())
}

/// Starts kubelet and kube-proxy and waits until the node is ready; needs the API server and containerd.
///
/// # Errors
/// When one of them does not get ready.
pub fn join(ledger: &Ledger) -> Result<()> {
    let stack = ledger.stack();
    let holder = sandbox::up(ledger)?;
    let folder = folder(&stack);
    let mut started = Vec::new();
    if ledger.lacks("kubelet") {
        // On many machines /etc/resolv.conf is a link to where the sandbox has nothing.
        let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        write(&folder.join("resolv.conf"), &resolver)?;
        write(&folder.join("kubelet.json"), &kubelet_configuration(&stack))?;
        let node = format!("system:node:{NAME}");
        write(&folder.join("kubelet.kubeconfig"), &kubeconfig(&stack, Some((&node, "system:nodes"))))?;
        let mut command = sandbox::enter(&holder, ledger.tools.path("kubelet")?);
        command
            .arg("--config")
            .arg(folder.join("kubelet.json"))
            .arg("--kubeconfig")
            .arg(folder.join("kubelet.kubeconfig"))
            .arg("--root-dir")
            .arg(folder.join("kubelet"))
            .arg("--cert-dir")
            .arg(folder.join("kubelet/pki"))
            .args(["--hostname-override", NAME, "--node-labels", "colonies.io/node=real", "--node-ip"])
            .arg(stack.node_address())
            .env("PATH", path(ledger)?);
        started.push(("kubelet", start(ledger, "kubelet", &mut command)?));
    }
    if ledger.lacks("kube-proxy") {
        write(&folder.join("kube-proxy.json"), &proxy_configuration(&stack))?;
        write(&folder.join("kube-proxy.kubeconfig"), &kubeconfig(&stack, None))?;
        let mut command = sandbox::enter(&holder, ledger.tools.path("kube-proxy")?);
        command.arg("--config").arg(folder.join("kube-proxy.json")).env("PATH", path(ledger)?);
        started.push(("kube-proxy", start(ledger, "kube-proxy", &mut command)?));
    }
    for (component, process) in &started {
        process::wait_ready(component, process, LIMIT, || is_healthy(&stack, component))?;
    }
    if let Some((_, kubelet)) = started.first() {
        process::wait_ready("the real node", kubelet, LIMIT, || is_ready(ledger))?;
        eprintln!("  real node ready: {NAME}");
    }
    Ok(())
}

/// Whether the component answers its health check.
pub fn is_healthy(stack: &Stack, component: &str) -> bool {
    let node = stack.node_address();
    match component {
        "containerd" => UnixStream::connect(socket(stack)).is_ok(),
        "kubelet" => http::is_ok(&node, 10248, "/healthz"),
        "kube-proxy" => http::is_ok(&node, 10256, "/healthz"),
        _ => true,
    }
}

/// Whether the API server calls the node ready.
fn is_ready(ledger: &Ledger) -> bool {
    let query = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status}"#;
    control_plane::kubectl(ledger)
        .and_then(|mut kubectl| commands::output(kubectl.args(["get", "node", NAME, "-o", query])))
        .is_ok_and(|status| status.trim() == "True")
}

/// Path of containerd's socket.
pub fn socket(stack: &Stack) -> PathBuf {
    folder(stack).join("containerd.sock")
}

fn folder(stack: &Stack) -> PathBuf {
    stack.folder.join("node")
}

/// Starts a program in the sandbox and writes down the process that does the work, not `nsenter` in front of it.
fn start(ledger: &Ledger, component: &str, command: &mut Command) -> Result<Process> {
    let entering = process::start(command, &ledger.stack().log(component))?;
    let process = process::only_child(&entering)?;
    ledger.record(component, process.clone())?;
    Ok(process)
}

/// `PATH` of the node's programs: the built ones first (containerd looks for its shim there), then where root's programs
/// are.
fn path(ledger: &Ledger) -> Result<String> {
    let shim = ledger.tools.path("containerd-shim-runc-v2")?;
    let folder = shim.parent().context("a tool has a folder")?;
    Ok(format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", folder.display()))
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("failed to write {}", path.display()))
}

/// The snapshotter that containerd was configured with.
///
/// # Errors
/// When there is no real node yet.
pub fn snapshotter(stack: &Stack) -> Result<String> {
    let file = snapshotter_file(stack);
    fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
}

fn snapshotter_file(stack: &Stack) -> PathBuf {
    folder(stack).join("snapshotter")
}

/// overlayfs where it works; it does not where the stack's folder lies on an overlay itself, as in most CI containers.
fn working_snapshotter(stack: &Stack, holder: &Process) -> &'static str {
    let probe = folder(stack).join("overlay-probe");
    let part = |name: &str| probe.join(name);
    let made = ["lower", "upper", "work", "merged"].iter().all(|name| fs::create_dir_all(part(name)).is_ok());
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        part("lower").display(),
        part("upper").display(),
        part("work").display()
    );
    let works = made
        && commands::succeeds(
            sandbox::enter(holder, "mount")
                .args(["-t", "overlay", "overlay", "-o", &options])
                .arg(part("merged")),
        );
    if works {
        commands::succeeds(sandbox::enter(holder, "umount").arg(part("merged")));
        "overlayfs"
    } else {
        "native"
    }
}

fn containerd_configuration(stack: &Stack, snapshotter: &str) -> String {
    let folder = folder(stack);
    let folder = folder.display();
    format!(
        r#"version = 3
root = "{folder}/containerd/root"
state = "{folder}/containerd/state"

[grpc]
address = "{folder}/containerd.sock"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "{snapshotter}"

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{pause}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
disable_apparmor = true
tolerate_missing_hugetlb_controller = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PLUGINS}"]
conf_dir = "{folder}/cni"
"#,
        pause = images::PAUSE
    )
}

fn cni_configuration(stack: &Stack) -> String {
    let data = stack.folder.join("node/cni/addresses");
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipam": {
                    "type": "host-local",
                    "dataDir": data,
                    "ranges": [[{"subnet": stack.pod_subnet()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    })
    .to_string()
}

fn kubelet_configuration(stack: &Stack) -> String {
    let folder = folder(stack);
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": stack.node_address(),
        "healthzBindAddress": stack.node_address(),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": control_plane::certificates(stack).join("ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": sandbox::cgroup(stack),
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": format!("unix://{}", socket(stack).display()),
        // A disk that others fill must neither evict the stack's pods nor delete its images, which no registry has.
        "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
        "imageGCHighThresholdPercent": 100,
        "failCgroupV1": false,
        "failSwapOn": false,
        "localStorageCapacityIsolation": false,
        "resolvConf": folder.join("resolv.conf"),
        "podLogsDir": folder.join("pod-logs"),
        "volumePluginDir": folder.join("volume-plugins"),
        "serializeImagePulls": false,
    })
    .to_string()
}

fn proxy_configuration(stack: &Stack) -> String {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": folder(stack).join("kube-proxy.kubeconfig")},
        "clusterCIDR": stack.pod_subnet(),
        // Zero leaves the kernel's own limits alone: they belong to the whole machine.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
        "healthzBindAddress": format!("{}:10256", stack.node_address()),
        "hostnameOverride": NAME,
        "mode": "iptables",
    })
    .to_string()
}

/// A kubeconfig for a program on the node, which reaches the API server at this machine's end of the pair. The kubelet
/// acts as its node by impersonation: the API server then holds it to what a node may do, and no certificate has to be
/// signed for it.
fn kubeconfig(stack: &Stack, acts_as: Option<(&str, &str)>) -> String {
    let pki = control_plane::certificates(stack);
    let mut user = json!({"client-certificate": pki.join("admin.crt"), "client-key": pki.join("admin.key")});
    if let Some((name, group)) = acts_as {
        user["as"] = json!(name);
        user["as-groups"] = json!([group]);
    }
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "stack", "cluster": {
            "server": format!("https://{}:{}", stack.host_address(), stack.ports().apiserver),
            "certificate-authority": pki.join("ca.crt"),
        }}],
        "users": [{"name": "node", "user": user}],
        "contexts": [{"name": "node", "context": {"cluster": "stack", "user": "node"}}],
        "current-context": "node",
    })
    .to_string()
}
