//! What there is in the cluster and in its colonies, counted at every scrape.

use std::{collections::BTreeMap, fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus::Registry;

use super::{
    label::{Kind, Label as _, ObjectState},
    register::MetricsError,
    scraped::{Scraped, Shown, Together, Values},
};

/// What is known of a colony.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColonyFigures {
    /// Executors by state.
    pub executors: BTreeMap<&'static str, usize>,
    /// Processes by state, as the server counts them.
    pub processes: BTreeMap<&'static str, f64>,
    /// When it was last read without an error, in seconds since 1970.
    pub last_read: Option<f64>,
    /// What waits for executors, by their type: of the processes that were listed, which are the first to be taken.
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

type Colonies = Arc<Mutex<BTreeMap<String, ColonyFigures>>>;

/// The gauges of objects and colonies.
#[derive(Clone)]
pub struct World {
    objects: Scraped,
    /// By name of the `Colony`.
    colonies: Colonies,
    _of_colonies: Arc<Vec<Shown>>,
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").field("colonies", &self.colonies).finish_non_exhaustive()
    }
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
        let colonies = Colonies::default();
        let executors = sum("executors", "Executors of a colony by state.", &["colony", "state"])?;
        let processes = sum(
            "colony_processes",
            "All processes of a colony by state, including those that others submitted.",
            &["colony", "state"],
        )?;
        let last_read = greatest(
            "colony_last_read_timestamp_seconds",
            "When a colony was last read without an error, in seconds since 1970.",
            &["colony"],
        )?;
        let of_queues = &["colony", "executor_type"];
        let waiting = sum(
            "waiting_processes",
            "Processes that wait for executors of a type, of the first hundred that wait in a colony.",
            of_queues,
        )?;
        let oldest = greatest(
            "oldest_waiting_process_age_seconds",
            "How long the oldest of them had waited when the colony was last read.",
            of_queues,
        )?;
        let of_colonies = sources(
            &colonies,
            [
                (&executors, |of| by_state(&of.executors, |count| figure(*count))),
                (&processes, |of| by_state(&of.processes, |count| *count)),
                (&last_read, |of| of.last_read.map(|at| (None, at)).into_iter().collect()),
                (&waiting, |of| by_type(&of.queues, |queue| figure(queue.waiting))),
                (&oldest, |of| by_type(&of.queues, |queue| queue.oldest_age)),
            ],
        );
        let objects = sum("objects", "Objects by kind and state.", &["kind", "state"])?;
        Ok(Self { objects, colonies, _of_colonies: Arc::new(of_colonies) })
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

    /// Shows what was read of a colony, until it is read again or forgotten. One that could not be read keeps the time at
    /// which it last could.
    pub fn note_colony(&self, name: &str, mut figures: ColonyFigures) {
        let mut colonies = self.colonies.lock();
        let before = colonies.get(name).and_then(|before| before.last_read);
        figures.last_read = figures.last_read.or(before);
        colonies.insert(name.to_owned(), figures);
    }

    /// Shows nothing of a colony any more.
    pub fn forget_colony(&self, name: &str) {
        self.colonies.lock().remove(name);
    }
}

/// The values of a gauge for a colony: what stands in its labels beside the colony, and the value.
type Of = fn(&ColonyFigures) -> Vec<(Option<&str>, f64)>;

/// Shows figures of all colonies in gauges, for as long as what is returned is there.
fn sources(colonies: &Colonies, gauges: [(&Scraped, Of); 5]) -> Vec<Shown> {
    let show = |(gauge, values): (&Scraped, Of)| {
        let colonies = colonies.clone();
        gauge.show(move || {
            let mut all = Values::new();
            for (name, figures) in colonies.lock().iter() {
                for (label, value) in values(figures) {
                    let labels = [Some(name.as_str()), label].into_iter().flatten();
                    all.insert(labels.map(str::to_owned).collect(), value);
                }
            }
            all
        })
    };
    gauges.into_iter().map(show).collect()
}

fn by_state<'a, T>(all: &'a BTreeMap<&'static str, T>, value: fn(&T) -> f64) -> Vec<(Option<&'a str>, f64)> {
    all.iter().map(|(state, one)| (Some(*state), value(one))).collect()
}

fn by_type(
    all: &BTreeMap<String, QueueFigures>,
    value: fn(&QueueFigures) -> f64,
) -> Vec<(Option<&str>, f64)> {
    all.iter().map(|(name, one)| (Some(name.as_str()), value(one))).collect()
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
        let read = ColonyFigures {
            executors: BTreeMap::from([("approved", 2)]),
            processes: BTreeMap::from([("running", 5.0)]),
            last_read: Some(7.0),
            queues: BTreeMap::from([("gpu".to_owned(), QueueFigures { waiting: 4, oldest_age: 90.0 })]),
        };
        metrics.world().note_colony("dev", read.clone());
        metrics.world().note_colony("away", read);
        metrics.world().note_colony("away", ColonyFigures::default());
        let text = metrics.encode().unwrap();
        for line in [
            "objects{kind=\"ColonyProcess\",state=\"waiting\"} 3",
            "objects{kind=\"ColonyProcess\",state=\"failed\"} 1",
            "executors{colony=\"dev\",state=\"approved\"} 2",
            "colony_processes{colony=\"dev\",state=\"running\"} 5",
            "colony_last_read_timestamp_seconds{colony=\"dev\"} 7",
            "colony_last_read_timestamp_seconds{colony=\"away\"} 7",
            "waiting_processes{colony=\"dev\",executor_type=\"gpu\"} 4",
            "oldest_waiting_process_age_seconds{colony=\"dev\",executor_type=\"gpu\"} 90",
        ] {
            assert!(text.contains(&format!("colonyos_operator_{line}\n")), "{line} is not in {text}");
        }
        assert!(!text.contains("executors{colony=\"away\""), "what could not be read is not shown");
        drop(shown);
        metrics.world().forget_colony("dev");
        let text = metrics.encode().unwrap();
        assert!(
            !text.contains("_objects{") && !text.contains("\"dev\""),
            "what is gone is not shown: {text}"
        );
        assert!(metrics.encode().unwrap().contains("process_resident_memory_bytes"));
    }
}
