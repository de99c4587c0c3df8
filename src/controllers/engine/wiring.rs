//! What wakes the passes of a kind, and how its controller runs until the shutdown.

use std::{convert::Infallible, sync::Arc};

use futures::{
    Stream, StreamExt as _, TryStreamExt as _,
    channel::mpsc::UnboundedReceiver,
    stream::{BoxStream, SelectAll, select_all},
};
use kube::{
    Resource, ResourceExt as _,
    core::DeserializeGuard,
    runtime::{
        Controller,
        controller::{Action, Config},
        reflector::ObjectRef,
    },
};

use super::{
    census,
    context::Requeuer,
    pass::Engine,
    queue::{Queue, Waiting},
    stages::{DynamicType, Stages},
};
use crate::{
    act::kinds::WritableKind as _,
    runtime::shutdown::Shutdown,
    status::look::RESYNC,
    watch::{
        relevance,
        stores::{Changes, Filled, Watched},
    },
};

/// An object as caches have it: one that cannot be read does not stop the others.
pub type Guarded<S> = DeserializeGuard<<S as Stages>::Object>;
/// References to objects that something has woken.
pub type Woken<S> = BoxStream<'static, ObjectRef<Guarded<S>>>;

/// What wakes the objects of a kind in one scope.
pub struct Wiring<S: Stages> {
    /// The cache, and what changes in it.
    pub objects: Watched<Guarded<S>>,
    /// Counts those that wait.
    pub waiting: Waiting<Guarded<S>>,
    /// Single objects.
    pub woken: SelectAll<Woken<S>>,
    /// All of them.
    pub all: Vec<BoxStream<'static, ()>>,
    /// How many passes go on at the same time.
    pub concurrency: u16,
}

impl<S: Stages> Wiring<S> {
    /// Objects that are woken by their own changes and by `requeuer`.
    pub fn new(
        objects: Watched<Guarded<S>>,
        requeuer: UnboundedReceiver<ObjectRef<Guarded<S>>>,
        concurrency: u16,
    ) -> Self {
        let woken = select_all([requeuer.boxed()]);
        Self { objects, waiting: Waiting::default(), woken, all: Vec::new(), concurrency }
    }

    /// Has changes wake objects as well.
    #[must_use]
    pub fn on<K: Send + 'static, I>(
        mut self,
        changes: Changes<K>,
        objects: impl Fn(&K) -> I + Send + 'static,
    ) -> Self
    where
        I: IntoIterator<Item = ObjectRef<Guarded<S>>>,
        I::IntoIter: Send + 'static,
    {
        // An interrupted watch resumes by itself.
        let readable = changes.filter_map(|changed| std::future::ready(changed.ok()));
        let woken = readable.flat_map(move |changed| futures::stream::iter(objects(&changed)));
        self.woken.push(woken.boxed());
        self
    }

    /// Has changes of children wake their owners.
    #[must_use]
    pub fn on_children<K>(self, changes: Changes<K>, kind: DynamicType<S>) -> Self
    where
        K: Resource<DynamicType = ()> + Send + 'static,
    {
        self.on(changes, move |child: &K| {
            let namespace = child.namespace();
            let owners = child.meta().owner_references.iter().flatten();
            let owners = owners
                .filter_map(|owner| ObjectRef::from_owner_ref(namespace.as_deref(), owner, kind.clone()));
            owners.collect::<Vec<_>>()
        })
    }

    /// Has something wake all objects. The end of the stream is none.
    #[must_use]
    pub fn on_all(mut self, changes: impl Stream<Item = ()> + Send + 'static) -> Self {
        self.all.push(changes.chain(futures::stream::pending()).boxed());
        self
    }
}

/// Runs the controller of a kind for one scope until the shutdown.
pub async fn run<S: Stages>(engine: Engine<S>, wiring: Wiring<S>, shutdown: Shutdown) {
    let kind = engine.stages.kind().clone();
    tracing::debug!(kind = %S::Object::name_of(&kind), "looking after");
    let services = engine.services.clone();
    let Wiring { objects, waiting, woken, all, concurrency } = wiring;
    let metrics = services.metrics.clone();
    let queue = Queue::among(waiting, objects.store.clone(), kind.clone(), S::KIND, metrics);
    let counted = objects.store.clone();
    let shown = services.metrics.world().show_objects(S::KIND, move || census::count(S::KIND, &counted));
    let caches = [engine.stages.caches(), vec![objects.filled.clone()]].concat();
    let all_changes = services.object_changes.clone();
    let changes = objects.changes.inspect_ok(move |_| {
        all_changes.send_replace(());
    });
    // Its own pass has seen to what follows from a write of this process.
    let name = S::Object::name_of(&kind).into_owned();
    let changes = relevance::of_others(changes.boxed(), objects.filled, name, services.writes.clone());
    let changes = {
        let queue = queue.clone();
        changes.inspect_ok(move |object| queue.changed(object))
    };
    let (waker, ensure_cache_fresh) = futures::channel::mpsc::unbounded();
    let mut woken = woken;
    woken.push(ensure_cache_fresh.boxed());
    let engine = engine.waking(Requeuer::new(vec![waker]));
    let woken = {
        let queue = queue.clone();
        woken.inspect(move |object| queue.woken(object))
    };
    let stop = shutdown.clone();
    let mut controller = Controller::for_stream_with(changes, objects.store, kind)
        .with_config(Config::default().concurrency(concurrency))
        .reconcile_on(woken)
        .reconcile_all_on(services.leadership.changes().map(drop))
        .graceful_shutdown_on(async move { stop.requested().await });
    for all in all {
        controller = controller.reconcile_all_on(all);
    }
    let context = Arc::new((engine, queue.clone()));
    let controller = controller
        .run(reconcile, |_, _, _| Action::requeue(RESYNC), context)
        .for_each(|_| std::future::ready(()));
    run_until_shutdown(controller, caches, shutdown).await;
    queue.ended();
    drop(shown);
}

async fn reconcile<S: Stages>(
    guarded: Arc<Guarded<S>>,
    context: Arc<(Engine<S>, Queue<Guarded<S>>)>,
) -> Result<Action, Infallible> {
    let (engine, queue) = context.as_ref();
    queue.begun(&guarded);
    let object = match &guarded.0 {
        Ok(object) => object,
        Err(error) => {
            let namespace = error.metadata.namespace.as_deref().unwrap_or_default();
            let name = error.metadata.name.as_deref().unwrap_or_default();
            tracing::error!(kind = %S::Object::name_of(engine.stages.kind()), object = format!("{namespace}/{name}"), %error, "cannot be read: correct it with kubectl edit");
            return Ok(Action::requeue(RESYNC));
        }
    };
    let ended = engine.pass(object).await;
    Ok(ended.next.map_or_else(Action::await_change, Action::requeue))
}

/// Runs a controller to its end. One that is stopped before its caches are filled never ends by itself: it waits for
/// them, and nothing fills them any more. It has not written anything by then.
async fn run_until_shutdown(controller: impl Future<Output = ()>, caches: Vec<Filled>, shutdown: Shutdown) {
    let stuck = async {
        shutdown.requested().await;
        if caches.iter().all(Filled::is_reached) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = controller => {}
        () = stuck => {}
    }
}
