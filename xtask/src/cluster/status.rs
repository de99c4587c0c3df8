//! `cargo xtask cluster status`: how each component of a stack is, by looking, not by remembering.

use serde::Serialize;

use super::{
    colony, control_plane, docker, http, node,
    stack::{Ports, Stack},
};

/// How a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Runs and answers.
    Healthy,
    /// Runs and does not answer.
    Unhealthy,
    /// Was started and is gone.
    Crashed,
    /// Was stopped on purpose by `cluster stop`.
    Stopped,
}

/// One line of the report.
#[derive(Debug, Clone, Serialize)]
pub struct Component {
    /// Name, as `cluster stop` takes it.
    pub name: &'static str,
    /// How it is.
    pub state: State,
    /// Its process id, if it runs.
    pub pid: Option<i32>,
    /// The port that clients use.
    pub port: Option<u16>,
    /// Its log.
    pub log: std::path::PathBuf,
}

/// Names of the components that a stack should have, in the order in which they start.
pub fn expected(stack: &Stack) -> Vec<&'static str> {
    let mut names = Vec::new();
    if stack.own_colony {
        names.extend(colony::COMPONENTS);
    }
    if stack.docker {
        names.push(docker::COMPONENT);
    }
    if stack.own_cluster {
        names.extend(control_plane::COMPONENTS);
    }
    if stack.has_real_node() {
        names.extend(node::COMPONENTS);
    }
    names
}

/// Looks at every component.
pub fn look(stack: &Stack) -> Vec<Component> {
    let ports = stack.ports();
    expected(stack)
        .into_iter()
        .map(|name| {
            let process = stack.alive(name);
            let state = match process {
                Some(_) if is_healthy(stack, name, ports) => State::Healthy,
                Some(_) => State::Unhealthy,
                None if stack.stopped.iter().any(|stopped| stopped == name) => State::Stopped,
                None => State::Crashed,
            };
            let log =
                stack.processes.get(name).map_or_else(|| stack.log(name), |recorded| recorded.log.clone());
            Component { name, state, pid: process.map(|process| process.pid), port: port(name, ports), log }
        })
        .collect()
}

fn is_healthy(stack: &Stack, name: &str, ports: Ports) -> bool {
    match name {
        "etcd" => http::is_ok("127.0.0.1", ports.etcd, "/health"),
        "kwok-controller" => http::is_ok("127.0.0.1", ports.kwok, "/healthz"),
        // These serve TLS, with certificates of their own making in two cases: that they listen is enough here.
        "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" => {
            port(name, ports).is_some_and(|port| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok())
        }
        "postgresql" | "colonyos" => colony::is_healthy(stack, name),
        docker::COMPONENT => docker::is_healthy(stack),
        _ => node::is_healthy(stack, name),
    }
}

fn port(name: &str, ports: Ports) -> Option<u16> {
    Some(match name {
        "etcd" => ports.etcd,
        "kube-apiserver" => ports.apiserver,
        "kube-controller-manager" => ports.controller_manager,
        "kube-scheduler" => ports.scheduler,
        "kwok-controller" => ports.kwok,
        "postgresql" => ports.postgresql,
        "colonyos" => ports.colonies,
        "kubelet" => 10250,
        "kube-proxy" => 10256,
        _ => return None,
    })
}

/// The report as a table for people.
pub fn table(components: &[Component]) -> String {
    let mut lines = vec![format!("{:<24} {:<10} {:>8} {:>6}  LOG", "COMPONENT", "STATE", "PID", "PORT")];
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    lines.extend(components.iter().map(|component| {
        let state = match component.state {
            State::Healthy => "healthy",
            State::Unhealthy => "UNHEALTHY",
            State::Crashed => "CRASHED",
            State::Stopped => "stopped",
        };
        format!(
            "{:<24} {state:<10} {:>8} {:>6}  {}",
            component.name,
            text(component.pid.map(|pid| pid.to_string())),
            text(component.port.map(|port| port.to_string())),
            component.log.display()
        )
    }));
    lines.join("\n")
}
