//! A map that forgets what no longer matters, so that it does not grow for ever.

use std::{collections::HashMap, hash::Hash};

/// How many are remembered before the first look for those that no longer matter.
const PRUNED_FROM: usize = 256;

/// Values by key. What they are pruned by is the caller's.
pub(super) struct Pruned<K, V> {
    by_key: HashMap<K, V>,
    prune_at: usize,
}

impl<K, V> Default for Pruned<K, V> {
    fn default() -> Self {
        Self { by_key: HashMap::new(), prune_at: PRUNED_FROM }
    }
}

impl<K: Eq + Hash, V> Pruned<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        self.by_key.get(key)
    }

    pub fn remove(&mut self, key: &K) {
        self.by_key.remove(key);
    }

    /// Sets a value. When there are many, those that do not matter go; each look is paid for by as many insertions.
    pub fn insert(&mut self, key: K, value: V, matters: impl Fn(&V) -> bool) {
        self.by_key.insert(key, value);
        if self.by_key.len() >= self.prune_at {
            self.by_key.retain(|_, value| matters(value));
            self.prune_at = self.by_key.len().saturating_mul(2).max(PRUNED_FROM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matters_stays_and_no_look_is_made_for_each() {
        let (mut numbers, looks) = (Pruned::default(), std::cell::Cell::new(0));
        for number in 0..10_000_u32 {
            let matters = |other: &u32| {
                looks.set(looks.get() + 1);
                number - other < 500
            };
            numbers.insert(number, number, matters);
            assert_eq!(numbers.get(&number), Some(&number));
        }
        assert!(numbers.by_key.len() <= 1_000, "{}", numbers.by_key.len());
        assert_eq!((numbers.get(&9_500), numbers.get(&1)), (Some(&9_500), None));
        assert!(looks.get() < 30_000, "{}", looks.get());
        numbers.remove(&9_500);
        assert_eq!(numbers.get(&9_500), None);
    }
}
