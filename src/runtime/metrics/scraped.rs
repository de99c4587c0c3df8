//! Gauges that are counted anew at every scrape, where what they count lies: in caches, and in what colonies last said.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, Registry,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::register::{MetricsError, options, register};

/// Most series of one gauge. Some labels are names that users choose: beyond so many, the rest is one series.
const MOST_SERIES: usize = 500;
/// What stands in the labels of that one.
const OTHER: &str = "other";

/// Values by labels.
pub type Values = BTreeMap<Vec<String>, f64>;
type Read = Box<dyn Fn() -> Values + Send + Sync>;

/// How values with the same labels, of several sources or of the rest, are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Together {
    /// They are counts.
    Sum,
    /// They are ages.
    Greatest,
}

impl Together {
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => one + other,
            Self::Greatest => one.max(other),
        }
    }
}

/// A gauge whose sources are asked at every scrape.
#[derive(Clone)]
pub struct Scraped {
    gauge: GaugeVec,
    together: Together,
    sources: Arc<Mutex<BTreeMap<u64, Read>>>,
    next: Arc<AtomicU64>,
}

impl fmt::Debug for Scraped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Scraped").field("gauge", &self.gauge).finish_non_exhaustive()
    }
}

impl Scraped {
    /// A gauge in a registry, without sources yet.
    ///
    /// # Errors
    ///
    /// When it is described wrongly or twice.
    pub fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
        together: Together,
    ) -> Result<Self, MetricsError> {
        let gauge =
            GaugeVec::new(options(name, help), labels).map_err(|source| MetricsError::Register { source })?;
        register(registry, Self { gauge, together, sources: Arc::default(), next: Arc::default() })
    }

    /// Adds a source, until what is returned is dropped.
    pub fn show(&self, read: impl Fn() -> Values + Send + Sync + 'static) -> Shown {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.sources.lock().insert(number, Box::new(read));
        Shown { sources: self.sources.clone(), number }
    }

    fn values(&self) -> Values {
        let mut values = Values::new();
        for (labels, value) in self.sources.lock().values().flat_map(|read| read()) {
            let labels = if values.len() < MOST_SERIES || values.contains_key(&labels) {
                labels
            } else {
                vec![OTHER.to_owned(); labels.len()]
            };
            values.entry(labels).and_modify(|sum| *sum = self.together.of(*sum, value)).or_insert(value);
        }
        values
    }
}

impl Collector for Scraped {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.reset();
        for (labels, value) in self.values() {
            self.gauge.with_label_values(&labels).set(value);
        }
        self.gauge.collect()
    }
}

/// A source of a gauge; it is asked no more once this is dropped.
#[must_use]
pub struct Shown {
    sources: Arc<Mutex<BTreeMap<u64, Read>>>,
    number: u64,
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.sources.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gauge(together: Together) -> Scraped {
        Scraped::new(&Registry::new(), "things", "Things.", &["name"], together).unwrap()
    }

    fn of(name: &str, value: f64) -> Values {
        Values::from([(vec![name.to_owned()], value)])
    }

    #[test]
    fn sources_are_one_until_they_end() {
        for (together, expected) in [(Together::Sum, 4.0), (Together::Greatest, 2.0)] {
            let gauge = gauge(together);
            let first = gauge.show(|| of("a", 2.0));
            let second = gauge.show(|| of("a", 2.0));
            assert_eq!(gauge.values(), of("a", expected));
            drop(first);
            assert_eq!(gauge.values(), of("a", 2.0));
            drop(second);
            assert_eq!(gauge.values(), Values::new());
            assert!(gauge.collect()[0].get_metric().is_empty(), "what is gone leaves no series behind");
        }
    }

    #[test]
    fn names_of_users_make_no_series_without_end() {
        let gauge = gauge(Together::Sum);
        let _shown = gauge.show(|| (0..MOST_SERIES + 7).map(|n| (vec![format!("{n:04}")], 1.0)).collect());
        let values = gauge.values();
        assert_eq!(values.len(), MOST_SERIES + 1);
        assert!((values[&vec![OTHER.to_owned()]] - 7.0).abs() < f64::EPSILON);
    }
}
