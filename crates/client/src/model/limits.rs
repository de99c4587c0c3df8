//! How long and how often something may run, and what it may need, in the only spellings that the server reads right.

use std::num::NonZeroU32;

use serde::{Serialize, Serializer};

/// How long something may take. On the wire -1 or seconds; never 0, which the server takes for a deadline in
/// the year 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeLimit {
    /// As long as it takes.
    #[default]
    Unlimited,
    /// That many seconds. The server looks once a second.
    Seconds(NonZeroU32),
}

impl TimeLimit {
    /// A limit of that many seconds; `None` for 0, which is no limit that the server could keep.
    #[must_use]
    pub fn seconds(seconds: u32) -> Option<Self> {
        NonZeroU32::new(seconds).map(Self::Seconds)
    }
}

impl Serialize for TimeLimit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(match self {
            Self::Unlimited => -1,
            Self::Seconds(seconds) => i64::from(seconds.get()),
        })
    }
}

/// How often a process is run again after its execution time limit has passed. A process that its executor
/// closed as failed is never run again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// Again and again.
    #[default]
    Endless,
    /// At most that often; with 0, the first time limit that passes fails the process.
    AtMost(u32),
}

impl Serialize for Retries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(match self {
            Self::Endless => -1,
            Self::AtMost(times) => i64::from(*times),
        })
    }
}

/// CPU that a process asks for, in thousandths of a core. The server reads every other spelling as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu(u32);

impl Cpu {
    /// That many thousandths of a core.
    #[must_use]
    pub fn millicores(millicores: u32) -> Self {
        Self(millicores)
    }
}

impl Serialize for Cpu {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}m", self.0))
    }
}

/// Memory that a process asks for, in mebibytes. The server refuses most other units, some of them at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(u32);

impl Memory {
    /// That many mebibytes.
    #[must_use]
    pub fn mebibytes(mebibytes: u32) -> Self {
        Self(mebibytes)
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}Mi", self.0))
    }
}

/// GPUs that a process asks for. The server keeps it and does not choose executors by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GpuRequest {
    /// Their name; empty for any.
    pub name: String,
    /// How many.
    pub count: u32,
    /// Memory of each.
    #[serde(rename = "mem", skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}
