//! What there is in the cluster and in its colonies, counted at every scrape.

use std::{collections::BTreeMap, sync::Arc};

use prometheus::Registry;

use super::{
    Kind, Label as _, MetricsError, ObjectState,
    scraped::{Scraped, Shown, Together, Values},
};

/// What is known of a colony.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColonyFigures {
    /// Name of its `Colony`.
    pub colony: String,
    /// Executors by state.
    pub executors: BTreeMap<&'static str, usize>,
    /// When it was last read without an error, in seconds since 1970.
    pub last_read: Option<f64>,
    /// What waits for executors, by their type.
    pub queues: BTreeMap<String, QueueFigures>,
}

/// What waits for executors of one type.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QueueFigures {
    /// How many processes.
    pub waiting: usize,
    /// How long the oldest of them has waited, in seconds.
    pub oldest_age: f64,
}

/// The gauges of objects and colonies.
#[derive(Clone, Debug)]
pub struct World {
    objects: Scraped,
    executors: Scraped,
    last_read: Scraped,
    waiting: Scraped,
    oldest: Scraped,
}

impl World {
    /// Registers the gauges.
    ///
    /// # Errors
    ///
    /// When two metrics share a name.
    pub(super) fn new(registry: &Registry) -> Result<Self, MetricsError> {
        let sum = |name, help, labels| Scraped::new(registry, name, help, labels, Together::Sum);
        let greatest = |name, help, labels| Scraped::new(registry, name, help, labels, Together::Greatest);
        Ok(Self {
            objects: sum("objects", "Objects by kind and state.", &["kind", "state"])?,
            executors: sum("executors", "Executors of a colony by state.", &["colony", "state"])?,
            last_read: greatest(
                "colony_last_read_timestamp_seconds",
                "When a colony was last read without an error, in seconds since 1970.",
                &["colony"],
            )?,
            waiting: sum(
                "waiting_processes",
                "Processes that wait in a colony, by the type of the executors that they wait for.",
                &["colony", "executor_type"],
            )?,
            oldest: greatest(
                "oldest_waiting_process_age_seconds",
                "How long the oldest of them has waited.",
                &["colony", "executor_type"],
            )?,
        })
    }

    /// Shows the objects of a kind, of one cache, until what is returned is dropped.
    pub fn show_objects(
        &self,
        kind: Kind,
        count: impl Fn() -> BTreeMap<ObjectState, usize> + Send + Sync + 'static,
    ) -> Shown {
        self.objects.show(move || {
            let labels = |state: ObjectState| vec![kind.label().to_owned(), state.label().to_owned()];
            count().into_iter().map(|(state, count)| (labels(state), figure(count))).collect()
        })
    }

    /// Shows the colonies, until what is returned is dropped.
    #[must_use]
    pub fn show_colonies(
        &self,
        read: impl Fn() -> Vec<ColonyFigures> + Send + Sync + 'static,
    ) -> Vec<Shown> {
        let read = Arc::new(read);
        let each = |gauge: &Scraped, values: fn(ColonyFigures) -> Vec<(Vec<String>, f64)>| {
            let read = read.clone();
            gauge.show(move || read().into_iter().flat_map(values).collect::<Values>())
        };
        vec![
            each(&self.executors, |of| {
                let labels = |state: &str| vec![of.colony.clone(), state.to_owned()];
                of.executors.iter().map(|(state, count)| (labels(state), figure(*count))).collect()
            }),
            each(&self.last_read, |of| of.last_read.map(|at| (vec![of.colony], at)).into_iter().collect()),
            each(&self.waiting, |of| {
                let labels = |executor_type: &String| vec![of.colony.clone(), executor_type.clone()];
                of.queues.iter().map(|(name, queue)| (labels(name), figure(queue.waiting))).collect()
            }),
            each(&self.oldest, |of| {
                let labels = |executor_type: &String| vec![of.colony.clone(), executor_type.clone()];
                of.queues.iter().map(|(name, queue)| (labels(name), queue.oldest_age)).collect()
            }),
        ]
    }
}

#[expect(clippy::cast_precision_loss, reason = "nothing here is counted beyond 2^53")]
fn figure(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::metrics::Metrics;

    #[test]
    fn the_world_is_counted_at_every_scrape() {
        let metrics = Metrics::new().unwrap();
        let shown = metrics.world().show_objects(Kind::ColonyProcess, || {
            BTreeMap::from([(ObjectState::Waiting, 3), (ObjectState::Failed, 1)])
        });
        let colonies = metrics.world().show_colonies(|| {
            vec![ColonyFigures {
                colony: "dev".to_owned(),
                executors: BTreeMap::from([("approved", 2)]),
                last_read: Some(7.0),
                queues: BTreeMap::from([("gpu".to_owned(), QueueFigures { waiting: 4, oldest_age: 90.0 })]),
            }]
        });
        let text = metrics.encode().unwrap();
        for line in [
            "objects{kind=\"ColonyProcess\",state=\"waiting\"} 3",
            "objects{kind=\"ColonyProcess\",state=\"failed\"} 1",
            "executors{colony=\"dev\",state=\"approved\"} 2",
            "colony_last_read_timestamp_seconds{colony=\"dev\"} 7",
            "waiting_processes{colony=\"dev\",executor_type=\"gpu\"} 4",
            "oldest_waiting_process_age_seconds{colony=\"dev\",executor_type=\"gpu\"} 90",
        ] {
            assert!(text.contains(&format!("colonyos_operator_{line}\n")), "{line} is not in {text}");
        }
        drop((shown, colonies));
        assert!(!metrics.encode().unwrap().contains("_objects{"), "what is gone is not shown");
        assert!(metrics.encode().unwrap().contains("process_resident_memory_bytes"));
    }
}
