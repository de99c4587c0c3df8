//! The gate in the pod of an executor: its ports, and by which words it is spoken to.

/// Port of the pod alone, by which the executor reaches the server of its colony.
pub const EXECUTOR_PORT: u16 = 50_088;
/// Port for the kubelet.
pub const CONTROL_PORT: u16 = 50_089;
/// Name of its container, and of the volume in which it keeps what its executor has in hand.
pub const GATE: &str = "colonyos-gate";
/// Where that volume is mounted.
pub const DIRECTORY: &str = "/var/run/colonyos-gate";
/// Header with the token without which no drain begins.
pub const TOKEN_HEADER: &str = "x-colonyos-gate-token";
/// Path at which a drain begins: the answer comes when it has ended.
pub const DRAIN_PATH: &str = "/drain";
/// Path at which it is told that the executor has been started.
pub const STARTED_PATH: &str = "/started";
/// Path at which it says that it serves.
pub const HEALTH_PATH: &str = "/healthz";
