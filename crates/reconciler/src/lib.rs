//! Carries out blueprints of kind ExecutorDeployment without Kubernetes: as containers of a Docker daemon, or as plain processes.
//!
//! ```text
//!  blueprints, executors, what runs here
//!        │
//!        ▼
//!      watch ──Snapshot──▶ plan ──Step──▶ act        status ──▶ the colony
//!      reads only          pure           writes     pure
//! ```
//!
//! | module | what | |
//! |---|---|---|
//! | [`fleet`] | what a blueprint wishes for, parsed and bounded | pure |
//! | [`name`] | names of fleets, replicas and executors | pure |
//! | [`snapshot`] | what one pass knows | pure |
//! | [`plan`] | what is missing, what goes, what is left over | pure |
//! | [`environment`] | the variables of a replica | pure |
//! | [`status`], [`request`] | what the colony is told: status of blueprints, ends of processes | pure |
//! | [`port`] | what a host of replicas can do; [`docker`] and [`local`] do it | |
//! | [`watch`], [`act`] | reading and writing | network |
//! | [`serve`] | the loop around it | network |

pub mod act;
mod clock;
pub mod docker;
pub mod environment;
pub mod fleet;
pub mod folder;
pub mod local;
pub mod name;
pub mod own;
pub mod plan;
pub mod port;
pub mod request;
pub mod serve;
pub mod snapshot;
pub mod status;
pub mod watch;
