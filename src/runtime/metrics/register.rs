//! How metrics are named, and put where a scrape finds them.

use prometheus::{Opts, Registry, core::Collector};

/// Prefix of every metric.
pub(super) const NAMESPACE: &str = "colonyos_operator";

/// Why metrics cannot be kept or shown.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// A metric is described wrongly or twice; a mistake in this program.
    #[error("failed to register a metric")]
    Register {
        /// The error of the registry.
        source: prometheus::Error,
    },
    /// The values cannot be written out.
    #[error("failed to write the metrics out")]
    Encode {
        /// The error of the encoder.
        source: prometheus::Error,
    },
}

pub(super) fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: C,
) -> Result<C, MetricsError> {
    registry.register(Box::new(metric.clone())).map_err(|source| MetricsError::Register { source })?;
    Ok(metric)
}
