//! Work for a processor that takes too long for a thread of the runtime, where other tasks would wait for it.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does it on a thread of its own; right here in a runtime that has no other threads.
pub async fn run(work: Box<dyn FnOnce() + Send>) {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return work();
    }
    if let Err(error) = tokio::task::spawn_blocking(work).await {
        tracing::error!(%error, "work on a thread of its own ended");
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, thread};

    use super::*;

    async fn thread_of_work() -> thread::ThreadId {
        let (sender, receiver) = mpsc::channel();
        run(Box::new(move || sender.send(thread::current().id()).unwrap())).await;
        receiver.recv().unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_thread_of_the_runtime_is_not_held_up() {
        let ids = tokio::spawn(async { (thread::current().id(), thread_of_work().await) }).await.unwrap();
        assert_ne!(ids.0, ids.1);
    }

    #[tokio::test]
    async fn a_runtime_of_one_thread_does_it_at_once() {
        assert_eq!(thread_of_work().await, thread::current().id());
    }
}
