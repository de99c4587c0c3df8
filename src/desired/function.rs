//! The call of a function as a colony takes it, from what a user wrote. Pure.

use super::{process::refused, quantity};
use crate::{
    api::{
        self,
        duration::Duration,
        filesystem::FileSystem,
        function::{ExecutorConditions, FunctionCall, Variable},
    },
    colony::{
        Cpu, Filesystem, FunctionSpec, GpuRequest, Memory, OnConflicts, Retries, SnapshotMount,
        SyncDirectory, TimeLimit, Winner,
    },
    kinds::SpecError,
    snapshot::{Observed, ValueSource, Values},
};

/// Where a call stands in the object, for messages.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its fields, such as `spec`.
    pub call: String,
    /// Those of its conditions, such as `spec.conditions`.
    pub conditions: String,
}

impl Place {
    /// A call with its conditions in a field of their own.
    #[must_use]
    pub fn of(path: &str) -> Self {
        Self { call: path.to_owned(), conditions: format!("{path}.conditions") }
    }
}

/// Makes the call. `values` is what its environment refers to.
///
/// # Errors
///
/// When a field holds what no colony can keep, or a value that it refers to is not there.
pub fn build(
    place: &Place,
    call: &FunctionCall,
    colony: &str,
    label: &str,
    values: &Values,
) -> Result<FunctionSpec, SpecError> {
    let path = &place.call;
    let field = |name: &str| format!("{path}.{name}");
    let conditions = &call.conditions;
    let mut spec = FunctionSpec::new(colony, &conditions.executor_type, &call.function)
        .and_then(|spec| spec.label(label))
        .map_err(|error| refused(&error))?;
    spec = call.args.iter().cloned().fold(spec, FunctionSpec::arg);
    spec = call.kwargs.iter().fold(spec, |spec, (name, value)| spec.kwarg(name, value.clone()));
    for (index, variable) in call.env.iter().enumerate() {
        if let Some(value) = value(&format!("{path}.env[{index}]"), variable, values)? {
            spec = spec.env(&variable.name, &value).map_err(|error| refused(&error))?;
        }
    }
    if let Some(priority) = call.priority {
        spec = spec.priority(priority).map_err(|error| refused(&error))?;
    }
    if let Some(limit) = &call.max_wait_time {
        spec = spec.max_wait(time_limit(&field("maxWaitTime"), limit)?);
    }
    if let Some(limit) = &call.max_exec_time {
        spec = spec.max_exec(time_limit(&field("maxExecTime"), limit)?);
    }
    // As the colony's own tool has it; retrying without limit was not requested.
    let times = call.max_retries.map(|times| whole(&field("maxRetries"), times)).transpose()?;
    spec = spec.max_retries(Retries::AtMost(times.unwrap_or(0)));
    if let Some(files) = &call.fs {
        spec = spec.filesystem(filesystem(files));
    }
    for name in &call.channels {
        spec = spec.channel(name).map_err(|error| refused(&error))?;
    }
    with_conditions(&place.conditions, spec, conditions)
}

fn with_conditions(
    path: &str,
    mut spec: FunctionSpec,
    conditions: &ExecutorConditions,
) -> Result<FunctionSpec, SpecError> {
    for name in &conditions.executor_names {
        spec = spec.executor_name(name).map_err(|error| refused(&error))?;
    }
    if let Some(location) = &conditions.location {
        spec = spec.location(location).map_err(|error| refused(&error))?;
    }
    if conditions.nodes.is_some() || conditions.processes_per_node.is_some() {
        let nodes = whole(&format!("{path}.nodes"), conditions.nodes.unwrap_or(1))?;
        let each = whole(&format!("{path}.processesPerNode"), conditions.processes_per_node.unwrap_or(1))?;
        spec = spec.nodes(nodes, each).map_err(|error| refused(&error))?;
    }
    if let Some(resources) = &conditions.resources {
        let field = |name: &str| format!("{path}.resources.{name}");
        if let Some(cpu) = &resources.cpu {
            spec = spec.cpu(Cpu::millicores(quantity::millicores(&field("cpu"), cpu)?));
        }
        if let Some(memory) = &resources.memory {
            spec = spec.memory(Memory::mebibytes(quantity::mebibytes(&field("memory"), memory)?));
        }
        if let Some(storage) = &resources.storage {
            spec = spec.storage(Memory::mebibytes(quantity::mebibytes(&field("storage"), storage)?));
        }
    }
    if let Some(gpu) = &conditions.gpu {
        let memory = gpu.memory.as_ref();
        let memory =
            memory.map(|memory| quantity::mebibytes(&format!("{path}.gpu.memory"), memory)).transpose()?;
        spec = spec.gpu(GpuRequest {
            name: gpu.name.clone().unwrap_or_default(),
            count: whole(&format!("{path}.gpu.count"), gpu.count)?,
            memory: memory.map(Memory::mebibytes),
        });
    }
    if let Some(time) = &conditions.wall_time {
        let seconds = seconds(&format!("{path}.wallTime"), time)?;
        spec = spec.wall_time(seconds);
    }
    Ok(spec)
}

fn filesystem(files: &FileSystem) -> Filesystem {
    let winner = |winner: &api::filesystem::Winner| Winner { keep_local: winner.keep_local };
    Filesystem {
        mount: files.mount.clone(),
        snapshots: files
            .snapshots
            .iter()
            .map(|snapshot| SnapshotMount {
                snapshot_id: snapshot.snapshot_id.clone().unwrap_or_default(),
                label: snapshot.label.clone(),
                dir: snapshot.dir.clone(),
                keep_files: snapshot.keep_files,
                keep_snapshot: snapshot.keep_snapshot,
            })
            .collect(),
        dirs: files
            .dirs
            .iter()
            .map(|directory| SyncDirectory {
                label: directory.label.clone(),
                dir: directory.dir.clone(),
                keep_files: directory.keep_files,
                on_conflicts: directory.on_conflicts.as_ref().map_or_else(
                    OnConflicts::default,
                    |conflicts| OnConflicts {
                        on_start: winner(&conflicts.on_start),
                        on_close: winner(&conflicts.on_close),
                    },
                ),
            })
            .collect(),
    }
}

/// A number of which the schema has seen to it that it fits.
fn whole<T: TryFrom<i32>>(field: &str, number: i32) -> Result<T, SpecError> {
    T::try_from(number).map_err(|_| {
        SpecError::invalid(field, number.to_string(), "give a whole number within the schema's bounds")
    })
}

/// The value of a variable; none when it may be left out and is not there.
fn value(path: &str, variable: &Variable, values: &Values) -> Result<Option<String>, SpecError> {
    let Some(from) = &variable.value_from else {
        return Ok(Some(variable.value.clone().unwrap_or_default()));
    };
    let Some((source, optional)) = ValueSource::of(from) else {
        return Err(SpecError::invalid(
            format!("{path}.valueFrom"),
            "nothing",
            "give secretKeyRef or configMapKeyRef",
        ));
    };
    match values.get(&source) {
        Some(Observed::Known(Some(value))) => Ok(Some(value.clone())),
        Some(Observed::Known(None)) if optional => Ok(None),
        Some(Observed::Known(None)) => Err(SpecError::Missing {
            field: path.to_owned(),
            what: source.to_string(),
            why: "there is none".to_owned(),
        }),
        Some(Observed::Unknown(why)) => {
            Err(SpecError::Missing { field: path.to_owned(), what: source.to_string(), why: why.clone() })
        }
        None => Err(SpecError::Missing {
            field: path.to_owned(),
            what: source.to_string(),
            why: "it has not been read yet".to_owned(),
        }),
    }
}

fn time_limit(field: &str, limit: &Duration) -> Result<TimeLimit, SpecError> {
    let refused = || SpecError::invalid(field, limit.as_str(), "give a time above 0, such as 60s");
    TimeLimit::seconds(seconds(field, limit)?).ok_or_else(refused)
}

fn seconds(field: &str, time: &Duration) -> Result<u32, SpecError> {
    let refused = || {
        SpecError::invalid(field, time.as_str(), "give a time such as 60s, 10m or 1h30m, of 68 years at most")
    };
    let seconds = time.to_seconds().map_err(|_| refused())?;
    // The server's column is one of four signed bytes.
    i32::try_from(seconds).ok().and_then(|seconds| u32::try_from(seconds).ok()).ok_or_else(refused)
}
