//! Of which objects the expressions were compiled, so that it is done once for each generation.

use std::collections::HashMap;

use tokio::sync::Mutex;

use crate::runtime::blocking;

/// Of how many objects that is remembered.
const REMEMBERED: usize = 4096;

/// The generation of each object whose expressions were compiled last, by UID.
#[derive(Default)]
pub(super) struct CompiledObjects(Mutex<HashMap<String, i64>>);

impl CompiledObjects {
    /// Does the work unless it was done for this generation; others that stand on the same expressions wait for it.
    pub async fn once(
        &self,
        (uid, generation): (String, i64),
        work: impl FnOnce() -> Box<dyn FnOnce() + Send>,
    ) {
        let mut compiled = self.0.lock().await;
        if compiled.get(&uid) == Some(&generation) {
            return;
        }
        blocking::run(work()).await;
        if compiled.len() >= REMEMBERED {
            compiled.clear();
        }
        compiled.insert(uid, generation);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_generation_is_compiled_once() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let compiled = CompiledObjects::default();
        for (uid, generation, count) in [("a", 1, 1), ("a", 1, 1), ("b", 1, 2), ("a", 2, 3), ("a", 2, 3)] {
            let work = || -> Box<dyn FnOnce() + Send> {
                Box::new(|| {
                    COUNT.fetch_add(1, Ordering::Relaxed);
                })
            };
            compiled.once((uid.to_owned(), generation), work).await;
            assert_eq!(COUNT.load(Ordering::Relaxed), count, "{uid} {generation}");
        }
    }
}
