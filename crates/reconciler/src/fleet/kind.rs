//! What carries replicas out, and how long a list of a spec may be. Pure.

/// Most entries of a list or map of a spec.
pub(super) const ENTRIES_MAX: usize = 256;

/// What carries replicas out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Kind {
    /// Containers of a Docker daemon.
    Docker,
    /// Plain processes of this machine.
    Local,
}
