//! What a cache shows: objects that may not be readable, changes, and whether it has shown everything once.

use kube::{core::DeserializeGuard, runtime::watcher};

use crate::api::executor_deployment::ExecutorDeployment;

/// An `ExecutorDeployment` that may turn out not to be readable: one broken object must not stop the watch of all.
pub type GuardedExecutorDeployment = DeserializeGuard<ExecutorDeployment>;

/// Objects that have changed.
pub type Changes<K> = futures::stream::BoxStream<'static, Result<K, watcher::Error>>;

/// Resolves when a cache has completed its initial list. Before that, what it does not show may well exist.
///
/// `Store::wait_until_ready` is not used: of several tasks that wait for it, only the last is woken, and the controller
/// itself is one of them.
#[derive(Clone)]
pub struct Filled(tokio::sync::watch::Receiver<bool>);

impl Filled {
    /// Waits until the cache is filled; at once if it is.
    pub async fn reached(&self) {
        // An error means that the watch has ended, which happens only with the process.
        let _ = self.0.clone().wait_for(|filled| *filled).await;
    }

    /// Whether the cache is filled.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        *self.0.borrow()
    }

    /// One that is reached once the sender says so.
    #[must_use]
    pub fn pair() -> (tokio::sync::watch::Sender<bool>, Self) {
        let (sender, receiver) = tokio::sync::watch::channel(false);
        (sender, Self(receiver))
    }
}
