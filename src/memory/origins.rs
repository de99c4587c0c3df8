//! Executors by their type and by the fleets for which they were registered: who looks for those of a fleet does not look through all
//! others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::{api::names::parse_executor_origin, colony::Executor};

/// Cluster and namespace.
type Place = (String, String);
/// Names of executors, by the name of their fleet.
type Fleets = BTreeMap<String, BTreeSet<String>>;

/// Names of executors, by type and origin. Those that were not registered for a fleet are not among them.
#[derive(Debug, Default)]
pub(super) struct Origins {
    by_type: HashMap<String, BTreeMap<Place, Fleets>>,
}

impl Origins {
    /// Those of `executors`.
    pub fn of<'a>(executors: impl IntoIterator<Item = &'a Executor>) -> Self {
        let mut origins = Self::default();
        for executor in executors {
            origins.add(executor);
        }
        origins
    }

    /// Adds an executor.
    pub fn add(&mut self, executor: &Executor) {
        let Some((cluster, _, namespace, fleet)) = parse_executor_origin(&executor.blueprint_id) else {
            return;
        };
        let of_type = self.by_type.entry(executor.executor_type.clone()).or_default();
        let fleets = of_type.entry((cluster.to_owned(), namespace.to_owned())).or_default();
        fleets.entry(fleet.to_owned()).or_default().insert(executor.name.clone());
    }

    /// Takes an executor out.
    pub fn remove(&mut self, executor: &Executor) {
        let Some((cluster, _, namespace, fleet)) = parse_executor_origin(&executor.blueprint_id) else {
            return;
        };
        let Some(of_type) = self.by_type.get_mut(&executor.executor_type) else { return };
        let place = (cluster.to_owned(), namespace.to_owned());
        if let Some(fleets) = of_type.get_mut(&place) {
            if let Some(names) = fleets.get_mut(fleet) {
                names.remove(&executor.name);
            }
            if fleets.get(fleet).is_some_and(BTreeSet::is_empty) {
                fleets.remove(fleet);
            }
            if fleets.is_empty() {
                of_type.remove(&place);
            }
        }
        if of_type.is_empty() {
            self.by_type.remove(&executor.executor_type);
        }
    }

    /// Those of a type that were registered for a fleet of that name.
    pub fn of_fleet<'a>(
        &'a self,
        executor_type: &str,
        place: &Place,
        fleet: &str,
    ) -> impl Iterator<Item = &'a String> + use<'a> {
        let fleets = self.by_type.get(executor_type).and_then(|of_type| of_type.get(place));
        fleets.and_then(|fleets| fleets.get(fleet)).into_iter().flatten()
    }

    /// Those of all types that were registered for a fleet of that name.
    pub fn of_all_types<'a>(&'a self, place: &'a Place, fleet: &'a str) -> impl Iterator<Item = &'a String> {
        let fleets = self.by_type.values().filter_map(move |of_type| of_type.get(place)?.get(fleet));
        fleets.flatten()
    }

    /// Those of a type that were registered for fleets of other namespaces of the cluster.
    pub fn elsewhere<'a>(
        &'a self,
        executor_type: &str,
        place: &'a Place,
    ) -> impl Iterator<Item = &'a String> {
        let of_type = self.by_type.get(executor_type).into_iter().flatten();
        let others = of_type.filter(move |(other, _)| other.0 == place.0 && other.1 != place.1);
        others.flat_map(|(_, fleets)| fleets.values().flatten())
    }
}
