//! The blueprints of objects as each colony last described them, so that a pass over an object need not ask; and
//! whether user-defined kinds have handlers there.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use parking_lot::{Mutex, MutexGuard};

use crate::{colony::Blueprint, snapshot::HandlerState};

/// Name of the `Colony`, and kind of the blueprints.
type Listed = (String, String);

/// Blueprints by `Colony`, kind and name. Only kinds that a colony could be asked about are in it: of an absent one nothing
/// is known.
#[derive(Clone, Default)]
pub struct Blueprints {
    listed: Arc<Mutex<HashMap<Listed, BTreeMap<String, Blueprint>>>>,
    /// By name of the definition.
    handler_states: Arc<Mutex<HashMap<String, HandlerState>>>,
    /// Name of the `Colony` that has the definition, by name of the definition.
    homes: Arc<Mutex<HashMap<String, String>>>,
    first_adds: Arc<Mutex<FirstAdds>>,
    /// Why blueprints at the location of a cluster have no object there, by `Colony` and name.
    refused: Arc<Mutex<HashMap<String, BTreeMap<String, String>>>>,
}

#[derive(Default)]
struct FirstAdds {
    /// Kinds of which this process is adding the first blueprint.
    under_way: HashSet<Listed>,
    /// Kinds of which it has added one, and has removed none in that colony since.
    done: HashSet<Listed>,
}

/// Held while a blueprint is added.
pub struct Turn {
    /// The kind, if it is the first of it.
    of: Option<Listed>,
    first_adds: Arc<Mutex<FirstAdds>>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(key) = &self.of {
            self.first_adds.lock().under_way.remove(key);
        }
    }
}

impl Blueprints {
    /// The last read of a blueprint: `None` if it was never asked about the kind, `Some(None)` if it has none of that
    /// kind and name.
    #[must_use]
    pub fn get(&self, colony: &str, kind: &str, name: &str) -> Option<Option<Blueprint>> {
        self.lock().get(&key(colony, kind)).map(|blueprints| blueprints.get(name).cloned())
    }

    /// Notes all blueprints of a kind in a colony; the names of those that are not as they were, gone ones among them.
    #[must_use]
    pub fn put_all(&self, colony: &str, kind: &str, blueprints: Vec<Blueprint>) -> Vec<String> {
        let mut all = self.lock();
        let before = all.remove(&key(colony, kind)).unwrap_or_default();
        let latest = |listed: Blueprint| match before.get(&listed.metadata.name) {
            Some(known) if is_later(known, &listed) => known.clone(),
            _ => listed,
        };
        let now: BTreeMap<String, Blueprint> =
            blueprints.into_iter().map(latest).map(|found| (found.metadata.name.clone(), found)).collect();
        all.insert(key(colony, kind), now.clone());
        let changed = now.iter().filter(|(name, blueprint)| before.get(*name) != Some(*blueprint));
        let gone = before.keys().filter(|name| !now.contains_key(*name)).cloned();
        changed.map(|(name, _)| name.clone()).chain(gone).collect()
    }

    /// Notes one blueprint, read by itself or just written; one that was read before a write that is known stays out.
    pub fn put(&self, colony: &str, blueprint: &Blueprint) {
        // One blueprint carries no information about the others: a kind that a colony was never asked about stays so.
        if let Some(known) = self.lock().get_mut(&key(colony, &blueprint.kind)) {
            let name = &blueprint.metadata.name;
            if known.get(name).is_none_or(|known| !is_later(known, blueprint)) {
                known.insert(name.clone(), blueprint.clone());
            }
        }
    }

    /// Notes the status that was just written to a blueprint, of whatever kind it is.
    pub fn put_status(&self, colony: &str, name: &str, status: &serde_json::Map<String, serde_json::Value>) {
        let mut all = self.lock();
        let of_colony = all.iter_mut().filter(|((listed, _), _)| listed == colony);
        for blueprint in of_colony.filter_map(|(_, known)| known.get_mut(name)) {
            blueprint.status.clone_from(status);
        }
    }

    /// The turn to add a blueprint; None while the first of its kind is being added. With the first blueprint of a kind the
    /// server adds a cron, whose name is unique: of two first ones that arrive at once it removes one again, after it had
    /// added it (`HandleAddBlueprint`, "failed to create reconciliation cron").
    #[must_use]
    pub fn turn_to_add(&self, colony: &str, kind: &str) -> Option<Turn> {
        let key = key(colony, kind);
        let is_first = self.lock().get(&key).is_none_or(BTreeMap::is_empty);
        let mut first = self.first_adds.lock();
        if !is_first || first.done.contains(&key) {
            return Some(Turn { of: None, first_adds: self.first_adds.clone() });
        }
        let is_free = first.under_way.insert(key.clone());
        is_free.then(|| Turn { of: Some(key), first_adds: self.first_adds.clone() })
    }

    /// Notes one blueprint that was just added.
    pub fn added(&self, colony: &str, blueprint: &Blueprint) {
        self.put(colony, blueprint);
        self.first_adds.lock().done.insert(key(colony, &blueprint.kind));
    }

    /// Notes that there is no blueprint of a name, of whatever kind.
    pub fn remove(&self, colony: &str, name: &str) {
        self.first_adds.lock().done.retain(|(listed, _)| listed != colony);
        for (_, known) in self.lock().iter_mut().filter(|((listed, _), _)| listed == colony) {
            known.remove(name);
        }
    }

    /// Has the next pass ask for the blueprint of a name.
    pub fn invalidate(&self, name: &str) {
        for known in self.lock().values_mut() {
            known.remove(name);
        }
    }

    pub fn forget(&self, colony: &str) {
        self.lock().retain(|(listed, _), _| listed != colony);
        self.first_adds.lock().done.retain(|(listed, _)| listed != colony);
        self.refused.lock().remove(colony);
    }

    /// Whether blueprints of a definition are handled as it declares; none if that was not read.
    #[must_use]
    pub fn handler_state(&self, definition: &str) -> Option<HandlerState> {
        self.handler_states.lock().get(definition).cloned()
    }

    /// Records whether blueprints of a definition are handled as it declares; whether that is news.
    #[must_use]
    pub fn record_handler_state(&self, definition: &str, handler_state: &HandlerState) -> bool {
        let mut handler_states = self.handler_states.lock();
        handler_states.insert(definition.to_owned(), handler_state.clone()).as_ref() != Some(handler_state)
    }

    /// Name of the `Colony` that has a definition, in which new instances become blueprints; none if that is not known yet.
    #[must_use]
    pub fn home(&self, definition: &str) -> Option<String> {
        self.homes.lock().get(definition).cloned()
    }

    /// Notes the `Colony` that has a definition.
    pub fn record_home(&self, definition: &str, colony: &str) {
        self.homes.lock().insert(definition.to_owned(), colony.to_owned());
    }

    /// Records which blueprints of a colony get no object, and why; whether that is news.
    #[must_use]
    pub fn record_refused(&self, colony: &str, refused: &BTreeMap<String, String>) -> bool {
        let mut all = self.refused.lock();
        let before = if refused.is_empty() {
            all.remove(colony)
        } else {
            all.insert(colony.to_owned(), refused.clone())
        };
        before.unwrap_or_default() != *refused
    }

    /// Which blueprints of a colony get no object, and why.
    #[must_use]
    pub fn refused(&self, colony: &str) -> BTreeMap<String, String> {
        self.refused.lock().get(colony).cloned().unwrap_or_default()
    }

    pub fn forget_handler_state(&self, definition: &str) {
        self.handler_states.lock().remove(definition);
        self.homes.lock().remove(definition);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Listed, BTreeMap<String, Blueprint>>> {
        self.listed.lock()
    }
}

fn key(colony: &str, kind: &str) -> Listed {
    (colony.to_owned(), kind.to_owned())
}

/// Whether what is known is of a later generation than a list that was read before it was written.
fn is_later(known: &Blueprint, listed: &Blueprint) -> bool {
    known.id == listed.id && known.metadata.generation > listed.metadata.generation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blueprint(name: &str, generation: i64) -> Blueprint {
        let mut blueprint = Blueprint { kind: "K".to_owned(), ..Blueprint::default() };
        blueprint.metadata.name = name.to_owned();
        blueprint.metadata.generation = generation;
        blueprint
    }

    /// What was never read is unknown, not absent: an object would be deleted on the strength of it.
    #[test]
    fn a_colony_that_was_never_asked_is_unknown() {
        let blueprints = Blueprints::default();
        assert_eq!(blueprints.get("dev", "K", "a"), None);
        blueprints.put("dev", &blueprint("b", 1));
        assert_eq!(blueprints.get("dev", "K", "a"), None);
        assert_eq!(blueprints.put_all("dev", "K", vec![blueprint("a", 1)]), ["a"]);
        assert_eq!(blueprints.get("dev", "K", "b"), Some(None));
        assert_eq!(blueprints.get("dev", "Other", "a"), None, "that kind was not asked about");
    }

    /// A list of one kind carries no information about another.
    #[test]
    fn kinds_do_not_take_each_others_blueprints_away() {
        let blueprints = Blueprints::default();
        let mut other = blueprint("b", 1);
        "Other".clone_into(&mut other.kind);
        let _ = blueprints.put_all("dev", "Other", vec![other.clone()]);
        assert_eq!(blueprints.put_all("dev", "K", vec![blueprint("a", 1)]), ["a"]);
        assert_eq!(blueprints.get("dev", "Other", "b"), Some(Some(other)));
        blueprints.remove("dev", "b");
        assert_eq!(blueprints.get("dev", "Other", "b"), Some(None));
        blueprints.forget("dev");
        assert_eq!(blueprints.get("dev", "K", "a"), None);
    }

    /// Of two first ones at once the server takes one away again.
    #[test]
    fn the_first_blueprints_of_a_kind_are_added_one_after_the_other() {
        let blueprints = Blueprints::default();
        let turn = |kind: &str| blueprints.turn_to_add("dev", kind);
        let first = turn("K");
        assert!(first.is_some() && turn("K").is_none());
        assert!(turn("Other").is_some(), "another kind has a cron of its own");
        drop(first);
        let second = turn("K");
        assert!(second.is_some() && turn("K").is_none(), "the first one was not added");
        drop(second);
        blueprints.added("dev", &blueprint("a", 1));
        let (one, other) = (turn("K"), turn("K"));
        assert!(one.is_some() && other.is_some(), "the cron is there by now");
        blueprints.remove("dev", "a");
        let (one, other) = (turn("K"), turn("K"));
        assert!(one.is_some() && other.is_none(), "and goes with the last one");
    }

    #[test]
    fn what_is_refused_as_before_is_no_news() {
        let blueprints = Blueprints::default();
        let refused = |why: &str| BTreeMap::from([("a".to_owned(), why.to_owned())]);
        assert!(
            blueprints.record_refused("dev", &refused("x"))
                && !blueprints.record_refused("dev", &refused("x"))
        );
        assert!(blueprints.record_refused("dev", &refused("y")));
        assert_eq!((blueprints.refused("dev"), blueprints.refused("other")), (refused("y"), BTreeMap::new()));
        assert!(blueprints.record_refused("dev", &BTreeMap::new()));
        assert!(!blueprints.record_refused("dev", &BTreeMap::new()));
    }

    #[test]
    fn only_what_has_changed_is_news() {
        let blueprints = Blueprints::default();
        let all = ["a", "b", "c"].map(|name| blueprint(name, 1)).into();
        assert_eq!(blueprints.put_all("dev", "K", all).len(), 3);
        let changed = blueprints.put_all("dev", "K", vec![blueprint("a", 1), blueprint("b", 2)]);
        assert_eq!(changed, ["b", "c"]);
        assert_eq!(
            blueprints.put_all("dev", "K", vec![blueprint("a", 1), blueprint("b", 1)]),
            Vec::<String>::new()
        );
        blueprints.put("dev", &blueprint("a", 2));
        blueprints.put("dev", &blueprint("a", 1));
        assert_eq!(
            blueprints.get("dev", "K", "a"),
            Some(Some(blueprint("a", 2))),
            "it was read before the write"
        );
        blueprints.remove("dev", "a");
        assert_eq!(blueprints.get("dev", "K", "a"), Some(None));
        assert!(
            blueprints.record_handler_state("d", &HandlerState::Missing)
                && !blueprints.record_handler_state("d", &HandlerState::Missing)
        );
    }
}
