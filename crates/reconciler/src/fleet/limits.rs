//! What a replica may take, and the ports that the machine has for it. Pure.

use serde_json::{Map, Value};

use super::{
    field::quoted_value,
    kind::{ENTRIES_MAX, Kind},
};
use crate::name::quoted;

/// What a container may take; without a limit where it is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Processors, in thousandths.
    pub millicores: Option<u32>,
    /// Memory, in bytes.
    pub bytes: Option<u64>,
}

/// A port of the container that the machine has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// On the machine; any free one when `None`.
    pub host: Option<u16>,
    /// In the container.
    pub container: u16,
    /// Whether it is UDP.
    pub udp: bool,
}

/// `spec.cpu` and `spec.memory`, or `spec.resources.limits`, as objects of a cluster spell it.
pub(super) fn read(spec: &Map<String, Value>, kind: Kind, reasons: &mut Vec<String>) -> Limits {
    if kind == Kind::Local {
        return Limits::default();
    }
    let in_cluster = |name: &str| {
        spec.get("resources")
            .and_then(|resources| resources.get("limits"))
            .and_then(|limits| limits.get(name))
    };
    let mut value = |name: &str| match spec.get(name).or_else(|| in_cluster(name)) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(other) => {
            reasons.push(format!("spec.{name}: {}: give a quantity", quoted_value(other)));
            None
        }
    };
    let (cpu, memory) = (value("cpu"), value("memory"));
    let millicores = cpu.and_then(|text| {
        let read = millicores(&text);
        if read.is_none() {
            reasons.push(format!("spec.cpu: {}: give processors, such as 2, 0.5 or 500m", quoted(&text)));
        }
        read
    });
    let bytes = memory.and_then(|text| {
        let read = bytes(&text);
        if read.is_none() {
            reasons.push(format!("spec.memory: {}: give 6 MiB or more, such as 512Mi or 2Gi", quoted(&text)));
        }
        read
    });
    Limits { millicores, bytes }
}

fn millicores(text: &str) -> Option<u32> {
    let thousandths = match text.strip_suffix('m') {
        Some(number) => f64::from(number.parse::<u32>().ok()?),
        None => text.parse::<f64>().ok()? * 1000.0,
    };
    // Docker's least is 0.01.
    let rounded = (10.0..=1e7).contains(&thousandths).then(|| thousandths.round())?;
    rounded.to_string().parse().ok()
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "" => 1,
        "k" | "K" | "kB" | "KB" => 1000,
        "Ki" | "KiB" => 1 << 10,
        "M" | "MB" => 1_000_000,
        "Mi" | "MiB" => 1 << 20,
        "G" | "GB" => 1_000_000_000,
        "Gi" | "GiB" => 1 << 30,
        "T" | "TB" => 1_000_000_000_000,
        "Ti" | "TiB" => 1 << 40,
        _ => return None,
    };
    let bytes = number.parse::<u64>().ok()?.checked_mul(factor)?;
    // Docker's least, and its most.
    (6 << 20..=i64::MAX.cast_unsigned()).contains(&bytes).then_some(bytes)
}

/// `spec.ports`: `{host, container, protocol}`, a number, or `HOST:CONTAINER/udp`.
pub(super) fn ports(
    spec: &Map<String, Value>,
    kind: Kind,
    replicas: u32,
    reasons: &mut Vec<String>,
) -> Vec<Port> {
    if kind == Kind::Local {
        return Vec::new();
    }
    let list = match spec.get("ports") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => list,
        Some(other) => {
            reasons
                .push(format!("spec.ports: {}: give a list of at most {ENTRIES_MAX}", quoted_value(other)));
            return Vec::new();
        }
    };
    let mut ports = Vec::new();
    for (index, entry) in list.iter().enumerate() {
        match port(entry) {
            Some(Port { host: Some(host), .. }) if replicas > 1 => reasons.push(format!(
                "spec.ports[{index}]: port {host} of the machine is for one replica, and there are {replicas}: leave host out"
            )),
            Some(port) => ports.push(port),
            None => reasons.push(format!(
                "spec.ports[{index}]: {}: give {{host, container, protocol}}, or a text such as 8080:80 or 53/udp",
                quoted_value(entry)
            )),
        }
    }
    ports
}

fn port(entry: &Value) -> Option<Port> {
    let number = |value: &Value| match value {
        Value::Number(_) => {
            value.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|port| *port > 0)
        }
        Value::String(text) => text.parse().ok().filter(|port| *port > 0),
        _ => None,
    };
    match entry {
        Value::Number(_) => Some(Port { host: None, container: number(entry)?, udp: false }),
        Value::String(text) => {
            let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            let udp = is_udp(protocol)?;
            let text = |part: &str| number(&Value::from(part));
            match ports.split_once(':') {
                Some((host, container)) => {
                    Some(Port { host: Some(text(host)?), container: text(container)?, udp })
                }
                None => Some(Port { host: None, container: text(ports)?, udp }),
            }
        }
        Value::Object(fields) => {
            let first = |names: [&str; 2]| {
                names.iter().find_map(|name| fields.get(*name)).filter(|value| !value.is_null())
            };
            let host = first(["host", "hostPort"]);
            Some(Port {
                host: match host {
                    Some(host) => Some(number(host)?),
                    None => None,
                },
                container: number(first(["container", "containerPort"])?)?,
                udp: is_udp(fields.get("protocol").map_or(Some("tcp"), Value::as_str)?)?,
            })
        }
        _ => None,
    }
}

fn is_udp(protocol: &str) -> Option<bool> {
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => Some(false),
        "udp" => Some(true),
        _ => None,
    }
}
