//! A cache of the operator's that shows what has changed when the test says so, and not before.

use std::{fmt::Debug, hash::Hash};

use colonyos_fake::ApiServer;
use colonyos_operator::watch::{
    index::Index,
    stores::{Changes, Filled, Watched},
};
use futures::{FutureExt as _, StreamExt as _};
use kube::{Resource, runtime::reflector::Store};

/// How often the runtime is given a turn before a watch counts as one that never begins.
const TURNS: usize = 10_000;

/// A cache that is fed by a watch of the API server in memory. Between two calls of [`Cache::catch_up`] it lags behind.
pub struct Cache<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + 'static,
{
    /// What the operator reads.
    pub store: Store<K>,
    /// Finds its objects.
    pub index: Index<K>,
    /// When it is filled: it is.
    pub filled: Filled,
    changes: Changes<K>,
}

impl<K> Cache<K>
where
    K: Resource<DynamicType: Clone + Eq + Hash> + Clone + Debug + 'static,
{
    /// Fills a cache, and returns when it also hears of what changes from then on.
    pub async fn fill(server: &ApiServer, watched: Watched<K>) -> Self {
        let Watched { store, index, filled, changes } = watched;
        let mut cache = Self { store, index, filled, changes };
        let open = server.open_watches();
        for _ in 0..TURNS {
            cache.catch_up();
            if cache.filled.is_reached() && server.open_watches() > open {
                return cache;
            }
            tokio::task::yield_now().await;
        }
        panic!("the watch does not begin");
    }

    /// Shows everything that has changed; what was touched, in order.
    pub fn catch_up(&mut self) -> Vec<K> {
        let mut touched = Vec::new();
        // Without a share of the task's time: a share that is used up would look as if nothing had changed.
        while let Some(Some(change)) = tokio::task::unconstrained(self.changes.next()).now_or_never() {
            touched.push(change.unwrap_or_else(|error| panic!("the watch has failed: {error}")));
        }
        touched
    }
}
