//! The machine room: what every stage of the flow stands on and none of them decides with.
//!
//! Configuration, the clock, leadership, metrics, probes, logs, orderly shutdown and the connection to the API
//! server. Nothing here knows a custom resource; [`config::model`] is pure data that the deciding stages may take
//! parts of.

pub mod blocking;
pub mod causes;
pub mod clock;
pub mod config;
pub mod http;
pub mod kubernetes;
pub mod lease;
pub mod metrics;
pub mod serving;
pub mod shutdown;
pub mod telemetry;
pub mod traces;
