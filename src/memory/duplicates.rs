//! Processes of objects that colonies have besides those that the objects are bound to, as the last lists showed them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::colony::Process;

/// By UID of the object.
type Found = BTreeMap<String, Vec<Process>>;

/// By name of the `Colony`.
#[derive(Clone, Default)]
pub struct Duplicates(Arc<Mutex<HashMap<String, Found>>>);

impl Duplicates {
    /// Notes what the lists of a colony have shown; what they showed before is forgotten.
    pub fn listed(&self, colony: &str, found: Found) {
        let mut all = self.0.lock();
        if found.is_empty() {
            all.remove(colony);
        } else {
            all.insert(colony.to_owned(), found);
        }
    }

    /// Takes those of an object: what is not over by then shows in the next lists.
    #[must_use]
    pub fn take(&self, colony: &str, uid: &str) -> Vec<Process> {
        self.0.lock().get_mut(colony).and_then(|found| found.remove(uid)).unwrap_or_default()
    }
}
