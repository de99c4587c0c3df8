//! The blueprints of fleets as each colony last described them, so that a pass over an object need not ask.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use crate::colony::Blueprint;

/// Blueprints by `Colony` and name. Only colonies that could be asked are in it: an absent colony is one of which nothing
/// is known.
#[derive(Clone, Default)]
pub struct Blueprints {
    by_colony: Arc<Mutex<HashMap<String, BTreeMap<String, Blueprint>>>>,
}

impl Blueprints {
    /// What a colony last said of a blueprint: `None` if it was never asked, `Some(None)` if it has none of that name.
    #[must_use]
    pub fn get(&self, colony: &str, name: &str) -> Option<Option<Blueprint>> {
        self.lock().get(colony).map(|blueprints| blueprints.get(name).cloned())
    }

    /// Notes all blueprints of a colony; the names of those that are not as they were, gone ones among them.
    #[must_use]
    pub fn put_all(&self, colony: &str, blueprints: Vec<Blueprint>) -> Vec<String> {
        let mut all = self.lock();
        let before = all.remove(colony).unwrap_or_default();
        let latest = |listed: Blueprint| match before.get(&listed.metadata.name) {
            Some(known) if is_later(known, &listed) => known.clone(),
            _ => listed,
        };
        let now: BTreeMap<String, Blueprint> =
            blueprints.into_iter().map(latest).map(|found| (found.metadata.name.clone(), found)).collect();
        all.insert(colony.to_owned(), now.clone());
        let changed = now.iter().filter(|(name, blueprint)| before.get(*name) != Some(*blueprint));
        let gone = before.keys().filter(|name| !now.contains_key(*name)).cloned();
        changed.map(|(name, _)| name.clone()).chain(gone).collect()
    }

    /// Notes one blueprint, read by itself or just written; `None` when it is gone.
    pub fn put(&self, colony: &str, name: &str, blueprint: Option<&Blueprint>) {
        let mut all = self.lock();
        // One blueprint does not tell of the others: a colony that was never asked stays so.
        let Some(known) = all.get_mut(colony) else { return };
        match blueprint {
            Some(blueprint) => known.insert(name.to_owned(), blueprint.clone()),
            None => known.remove(name),
        };
    }

    /// Forgets a colony.
    pub fn forget(&self, colony: &str) {
        self.lock().remove(colony);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, BTreeMap<String, Blueprint>>> {
        self.by_colony.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what is known is of a later generation than a list that was read before it was written.
fn is_later(known: &Blueprint, listed: &Blueprint) -> bool {
    known.id == listed.id && known.metadata.generation > listed.metadata.generation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(name: &str, generation: i64) -> Blueprint {
        let mut blueprint = Blueprint::default();
        blueprint.metadata.name = name.to_owned();
        blueprint.metadata.generation = generation;
        blueprint
    }

    /// What was never read is unknown, not absent: an object would be deleted on the strength of it.
    #[test]
    fn a_colony_that_was_never_asked_is_unknown() {
        let blueprints = Blueprints::default();
        assert_eq!(blueprints.get("dev", "a"), None);
        blueprints.put("dev", "b", Some(&blueprint("b", 1)));
        assert_eq!(blueprints.get("dev", "a"), None);
        assert_eq!(blueprints.put_all("dev", vec![blueprint("a", 1)]), ["a"]);
        assert_eq!(blueprints.get("dev", "b"), Some(None));
    }

    #[test]
    fn only_what_has_changed_is_news() {
        let blueprints = Blueprints::default();
        assert_eq!(blueprints.put_all("dev", ["a", "b", "c"].map(|name| blueprint(name, 1)).into()).len(), 3);
        let changed = blueprints.put_all("dev", vec![blueprint("a", 1), blueprint("b", 2)]);
        assert_eq!(changed, ["b", "c"]);
        assert_eq!(
            blueprints.put_all("dev", vec![blueprint("a", 1), blueprint("b", 1)]),
            Vec::<String>::new()
        );
        blueprints.put("dev", "a", None);
        assert_eq!(blueprints.get("dev", "a"), Some(None));
    }
}
