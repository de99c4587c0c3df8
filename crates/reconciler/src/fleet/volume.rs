//! Folders of the machine that a replica gets. Pure.

use serde_json::{Map, Value};

use super::{
    field::quoted_value,
    kind::{ENTRIES_MAX, Kind},
};
use crate::name::quoted;

/// A folder of the machine, and where a container has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// On the machine.
    pub host: String,
    /// In the container.
    pub container: String,
    /// Whether it cannot be written there.
    pub read_only: bool,
}

/// `spec.volumes[{host, container, readOnly}]`, or `spec.config.volumes[{source, target, readOnly}]`, as objects of a
/// cluster spell it.
pub(super) fn read(
    spec: &Map<String, Value>,
    config: &Map<String, Value>,
    kind: Kind,
    allowed: &[String],
    reasons: &mut Vec<String>,
) -> Vec<Volume> {
    let mut volumes = Vec::new();
    for (path, value) in
        [("spec.volumes", spec.get("volumes")), ("spec.config.volumes", config.get("volumes"))]
    {
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Array(list)) if list.len() <= ENTRIES_MAX => {
                for (index, entry) in list.iter().enumerate() {
                    match volume(entry, kind, allowed) {
                        Ok(volume) => volumes.push(volume),
                        Err(reason) => reasons.push(format!("{path}[{index}]: {reason}")),
                    }
                }
            }
            Some(other) => {
                reasons
                    .push(format!("{path}: {}: give a list of at most {ENTRIES_MAX}", quoted_value(other)));
            }
        }
    }
    volumes
}

fn volume(entry: &Value, kind: Kind, allowed: &[String]) -> Result<Volume, String> {
    let Value::Object(fields) = entry else {
        return Err(format!("{}: give an object with host and container", quoted_value(entry)));
    };
    let known = ["host", "source", "container", "target", "readOnly", "readonly"];
    if let Some((name, _)) =
        fields.iter().find(|(name, value)| !known.contains(&name.as_str()) && !value.is_null())
    {
        return Err(format!(
            "{}: only folders of the machine can be mounted: give host and container",
            quoted(name)
        ));
    }
    let path = |names: [&str; 2]| {
        let value = names.iter().find_map(|name| fields.get(*name)).unwrap_or(&Value::Null);
        let path = value.as_str().unwrap_or_default();
        // A colon would begin another part of what Docker is told.
        let is_path = path.starts_with('/')
            && path.len() <= 1024
            && !path.contains(|letter: char| letter == ':' || letter.is_control())
            && path.split('/').all(|part| part != ".." && part != ".");
        if is_path {
            Ok(path.to_owned())
        } else {
            Err(format!("{} {}: give an absolute path without `:` and `..`", names[0], quoted_value(value)))
        }
    };
    let read_only = match fields.get("readOnly").or_else(|| fields.get("readonly")) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(other) => return Err(format!("readOnly {}: give true or false", quoted_value(other))),
    };
    let volume =
        Volume { host: path(["host", "source"])?, container: path(["container", "target"])?, read_only };
    match kind {
        Kind::Local if volume.host == volume.container && !read_only => Ok(volume),
        Kind::Local => Err(
            "a local process has the folders of the machine: give host and container the same path, not read-only"
                .to_owned(),
        ),
        Kind::Docker if allowed.iter().any(|folder| is_below(&volume.host, folder)) => Ok(volume),
        Kind::Docker => Err(format!(
            "host {}: not allowed here: start the reconciler with --allow-volume {}",
            quoted(&volume.host),
            volume.host
        )),
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
