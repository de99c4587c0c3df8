//! Prometheus metrics of the operator, all prefixed `colonyos_operator_`.
//!
//! Every label value comes from an enum that implements [`Label`], never from a name, a message or a user: the number
//! of series is bounded whatever happens in the cluster.

use std::time::Duration;

use prometheus::{
    Encoder as _, Gauge, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
    TextEncoder,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};
use strum::VariantArray as _;

use self::register::{NAMESPACE, options, register};
use super::lease::Leadership;

pub mod label;
mod register;
mod scraped;
mod world;

pub use label::{
    Collected, ConversionResult, Kind, Label, ObjectState, Outcome, ReconcileResult, SpanResult, WriteKind,
    WriteVerb,
};
pub use register::MetricsError;
pub use scraped::Shown;
pub use world::{ColonyFigures, QueueFigures, World};

/// Upper bounds in seconds. A reconcile without writes takes under a millisecond, one with three writes about 10 ms on
/// an idle API server, and a call is given up after 10 s.
const DURATION_BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Content type of the exposition, version 0.0.4 of the text format.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

/// All metrics of one operator process; clones count into the same series.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: IntCounterVec,
    reconcile_seconds: HistogramVec,
    queue_depth: IntGaugeVec,
    in_flight: IntGaugeVec,
    writes: IntCounterVec,
    stale_skips: IntCounterVec,
    colony_calls: IntCounterVec,
    colony_call_seconds: HistogramVec,
    colony_errors: IntCounterVec,
    conversions: IntCounterVec,
    conversion_seconds: HistogramVec,
    converted_objects: IntCounter,
    collected: IntCounterVec,
    spans: IntCounterVec,
    world: World,
}

impl Metrics {
    /// Registers all metrics in a registry of their own.
    ///
    /// # Errors
    ///
    /// When two metrics share a name, which the test below excludes.
    pub fn new() -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let metrics = Self {
            reconciles: counter(
                &registry,
                "reconciles_total",
                "Reconciles by kind and result.",
                &["kind", "result"],
            )?,
            reconcile_seconds: histogram(
                &registry,
                "reconcile_duration_seconds",
                "How long reconciles took, in seconds, by kind.",
                &["kind"],
            )?,
            queue_depth: gauge(
                &registry,
                "queue_depth",
                "Objects that wait to be reconciled, by kind.",
                &["kind"],
            )?,
            in_flight: gauge(&registry, "reconciles_in_flight", "Reconciles under way, by kind.", &["kind"])?,
            writes: counter(
                &registry,
                "writes_total",
                "Writes to the API server by verb, kind of object and outcome.",
                &["verb", "kind", "outcome"],
            )?,
            stale_skips: counter(
                &registry,
                "stale_skips_total",
                "Reconciles put off because the cache had not caught up with an own write, by kind.",
                &["kind"],
            )?,
            colony_calls: counter(
                &registry,
                "colony_calls_total",
                "Calls to ColonyOS servers by payload type.",
                &["payload_type"],
            )?,
            colony_call_seconds: histogram(
                &registry,
                "colony_call_duration_seconds",
                "How long calls to ColonyOS servers took, in seconds, by payload type.",
                &["payload_type"],
            )?,
            colony_errors: counter(
                &registry,
                "colony_errors_total",
                "Failed calls to ColonyOS servers by payload type and kind of error.",
                &["payload_type", "error"],
            )?,
            conversions: counter(
                &registry,
                "conversions_total",
                "Requests of API servers to convert objects of users' kinds, by result.",
                &["result"],
            )?,
            conversion_seconds: histogram(
                &registry,
                "conversion_duration_seconds",
                "How long such requests took, in seconds, by result.",
                &["result"],
            )?,
            converted_objects: plain_counter(
                &registry,
                "converted_objects_total",
                "Objects of users' kinds that were converted to another version.",
            )?,
            collected: counter(
                &registry,
                "collected_total",
                "What colonies had that no object wanted and was taken away, by what it was.",
                &["what"],
            )?,
            spans: counter(&registry, "spans_total", "Spans of traces by what became of them.", &["result"])?,
            world: World::new(&registry)?,
            registry,
        };
        metrics.describe_build()?;
        let process = Box::new(ProcessCollector::for_self());
        metrics.registry.register(process).map_err(|source| MetricsError::Register { source })?;
        metrics.initialize_series();
        Ok(metrics)
    }

    fn describe_build(&self) -> Result<(), MetricsError> {
        let options = Opts::new("build_info", "Always 1; the label is the operator's version.")
            .namespace(NAMESPACE)
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let gauge = Gauge::with_opts(options).map_err(|source| MetricsError::Register { source })?;
        gauge.set(1.0);
        register(&self.registry, gauge).map(drop)
    }

    /// Shows the series of every kind, and of every result of conversions, from the start, so that "no errors yet" differs from "not measured".
    fn initialize_series(&self) {
        for kind in Kind::ALL {
            for result in ReconcileResult::VARIANTS {
                self.reconciles.with_label_values(&[kind.label(), result.label()]).inc_by(0);
            }
            self.queue_depth.with_label_values(&[kind.label()]).set(0);
            self.in_flight.with_label_values(&[kind.label()]).set(0);
            self.stale_skips.with_label_values(&[kind.label()]).inc_by(0);
        }
        for what in Collected::VARIANTS {
            self.count_collected(*what, 0);
        }
        for result in ConversionResult::VARIANTS {
            self.conversions.with_label_values(&[result.label()]).inc_by(0);
        }
    }

    /// Shows whether this process leads, asked at every scrape.
    ///
    /// # Errors
    ///
    /// When called twice.
    pub fn show_leadership(&self, leadership: Leadership) -> Result<(), MetricsError> {
        let options = Opts::new("leader", "1 while this process may write, else 0.").namespace(NAMESPACE);
        let gauge = Gauge::with_opts(options).map_err(|source| MetricsError::Register { source })?;
        let collector = LeaderGauge { leadership, gauge };
        self.registry.register(Box::new(collector)).map_err(|source| MetricsError::Register { source })
    }

    /// Counts a reconcile as under way until the guard is given its result. A guard that is dropped without one counts it as
    /// dropped: its task was cancelled.
    #[must_use]
    pub fn reconcile_started(&self, kind: Kind) -> InFlight {
        self.in_flight.with_label_values(&[kind.label()]).inc();
        InFlight { metrics: self.clone(), kind, result: ReconcileResult::Dropped }
    }

    /// Sets how many objects wait to be reconciled.
    pub fn set_queue_depth(&self, kind: Kind, depth: usize) {
        self.queue_depth.with_label_values(&[kind.label()]).set(i64::try_from(depth).unwrap_or(i64::MAX));
    }

    /// Counts one write to the API server.
    pub fn count_write(&self, verb: WriteVerb, kind: WriteKind, outcome: Outcome) {
        self.writes.with_label_values(&[verb.label(), kind.label(), outcome.label()]).inc();
    }

    /// Counts a reconcile that was put off because the cache had not caught up.
    pub fn count_stale_skip(&self, kind: Kind) {
        self.stale_skips.with_label_values(&[kind.label()]).inc();
    }

    /// Counts one call to a ColonyOS server, and its error if it failed. Payload type and kind of error are constants
    /// of the client, never text of a server.
    pub fn count_colony_call(&self, payload_type: &'static str, took: Duration, error: Option<&'static str>) {
        self.colony_calls.with_label_values(&[payload_type]).inc();
        self.colony_call_seconds.with_label_values(&[payload_type]).observe(took.as_secs_f64());
        if let Some(error) = error {
            self.colony_errors.with_label_values(&[payload_type, error]).inc();
        }
    }

    /// Counts one request of an API server to convert so many objects. An answer has all of them or none.
    pub fn count_conversion(&self, result: ConversionResult, objects: usize, took: Duration) {
        self.conversions.with_label_values(&[result.label()]).inc();
        self.conversion_seconds.with_label_values(&[result.label()]).observe(took.as_secs_f64());
        if result == ConversionResult::Converted {
            self.converted_objects.inc_by(u64::try_from(objects).unwrap_or(u64::MAX));
        }
    }

    /// Counts what was found in a colony that no object wants.
    pub fn count_collected(&self, what: Collected, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.collected.with_label_values(&[what.label()]).inc_by(count);
    }

    /// Counts spans of traces.
    pub fn count_spans(&self, result: SpanResult, count: usize) {
        self.spans.with_label_values(&[result.label()]).inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The gauges of objects and colonies.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    /// All values in the text format of [`CONTENT_TYPE`].
    ///
    /// # Errors
    ///
    /// When a family cannot be encoded.
    pub fn encode(&self) -> Result<String, MetricsError> {
        let mut buffer = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut buffer)
            .map_err(|source| MetricsError::Encode { source })?;
        Ok(String::from_utf8_lossy(&buffer).into_owned())
    }
}

/// A reconcile under way.
#[derive(Debug)]
pub struct InFlight {
    metrics: Metrics,
    kind: Kind,
    result: ReconcileResult,
}

impl InFlight {
    /// Counts the reconcile with its result and how long it took.
    pub fn finish(mut self, result: ReconcileResult, took: Duration) {
        self.result = result;
        self.metrics.reconcile_seconds.with_label_values(&[self.kind.label()]).observe(took.as_secs_f64());
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.metrics.reconciles.with_label_values(&[self.kind.label(), self.result.label()]).inc();
        self.metrics.in_flight.with_label_values(&[self.kind.label()]).dec();
    }
}

/// Asks at every scrape: a flag set at changes would still say "leader" after a deadline passed in silence.
struct LeaderGauge {
    leadership: Leadership,
    gauge: Gauge,
}

impl Collector for LeaderGauge {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set(if self.leadership.is_leader() { 1.0 } else { 0.0 });
        self.gauge.collect()
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, MetricsError> {
    let metric = IntCounterVec::new(options(name, help), labels)
        .map_err(|source| MetricsError::Register { source })?;
    register(registry, metric)
}

fn plain_counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter, MetricsError> {
    let metric =
        IntCounter::with_opts(options(name, help)).map_err(|source| MetricsError::Register { source })?;
    register(registry, metric)
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, MetricsError> {
    let metric =
        IntGaugeVec::new(options(name, help), labels).map_err(|source| MetricsError::Register { source })?;
    register(registry, metric)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<HistogramVec, MetricsError> {
    let options = HistogramOpts::from(options(name, help)).buckets(DURATION_BUCKETS.to_vec());
    let metric = HistogramVec::new(options, labels).map_err(|source| MetricsError::Register { source })?;
    register(registry, metric)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock::Clock;

    fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let text = metrics.encode().unwrap();
        let line =
            text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    #[test]
    fn a_reconcile_is_under_way_until_it_has_a_result() {
        let metrics = Metrics::new().unwrap();
        let in_flight = "colonyos_operator_reconciles_in_flight{kind=\"ExecutorDeployment\"}";
        let guard = metrics.reconcile_started(Kind::ExecutorDeployment);
        let cancelled = metrics.reconcile_started(Kind::ExecutorDeployment);
        assert_eq!(value(&metrics, in_flight), Some(2.0));
        guard.finish(ReconcileResult::Failed, Duration::from_millis(3));
        drop(cancelled);
        assert_eq!(value(&metrics, in_flight), Some(0.0));
        let results = "colonyos_operator_reconciles_total{kind=\"ExecutorDeployment\",result=\"failed\"}";
        assert_eq!(value(&metrics, results), Some(1.0));
        let dropped = "colonyos_operator_reconciles_total{kind=\"ExecutorDeployment\",result=\"dropped\"}";
        assert_eq!(value(&metrics, dropped), Some(1.0));
        let count = "colonyos_operator_reconcile_duration_seconds_count{kind=\"ExecutorDeployment\"}";
        assert_eq!(
            value(&metrics, count),
            Some(1.0),
            "nothing is known of how long the other would have taken"
        );
    }

    #[test]
    fn writes_and_colony_calls_are_counted_by_what_happened() {
        let metrics = Metrics::new().unwrap();
        metrics.count_write(WriteVerb::Apply, WriteKind::Deployment, Outcome::Conflict);
        metrics.count_colony_call("submitfuncspecmsg", Duration::from_millis(4), None);
        metrics.count_colony_call("submitfuncspecmsg", Duration::from_millis(4), Some("Ambiguous"));
        let written =
            "colonyos_operator_writes_total{kind=\"Deployment\",outcome=\"conflict\",verb=\"apply\"}";
        assert_eq!(value(&metrics, written), Some(1.0));
        let calls = "colonyos_operator_colony_calls_total{payload_type=\"submitfuncspecmsg\"}";
        assert_eq!(value(&metrics, calls), Some(2.0));
        let errors =
            "colonyos_operator_colony_errors_total{error=\"Ambiguous\",payload_type=\"submitfuncspecmsg\"}";
        assert_eq!(value(&metrics, errors), Some(1.0));
    }

    #[test]
    fn conversions_are_counted_by_result_and_objects_only_if_they_were_converted() {
        let metrics = Metrics::new().unwrap();
        let refused = "colonyos_operator_conversions_total{result=\"refused\"}";
        assert_eq!(value(&metrics, refused), Some(0.0), "an alert needs it before the first");
        metrics.count_conversion(ConversionResult::Refused, 7, Duration::from_millis(1));
        metrics.count_conversion(ConversionResult::Converted, 3, Duration::from_millis(1));
        assert_eq!(value(&metrics, refused), Some(1.0));
        assert_eq!(value(&metrics, "colonyos_operator_converted_objects_total"), Some(3.0));
        let timed = "colonyos_operator_conversion_duration_seconds_count{result=\"converted\"}";
        assert_eq!(value(&metrics, timed), Some(1.0));
    }

    /// The gauge must follow time, not announcements.
    #[test]
    fn the_leader_gauge_is_asked_at_every_scrape() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(value(&metrics, "colonyos_operator_leader"), None);
        metrics.show_leadership(Leadership::always(&Clock::system())).unwrap();
        assert_eq!(value(&metrics, "colonyos_operator_leader"), Some(1.0));
    }

    /// An alert on errors needs the series before the first error.
    #[test]
    fn every_kind_has_its_series_from_the_start() {
        let metrics = Metrics::new().unwrap();
        for kind in Kind::ALL {
            let series =
                format!("colonyos_operator_reconciles_total{{kind=\"{}\",result=\"failed\"}}", kind.label());
            assert_eq!(value(&metrics, &series), Some(0.0));
        }
    }
}
