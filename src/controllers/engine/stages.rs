//! What makes a controller that of a kind: its five stages. Everything else is the engine's.

use std::sync::Arc;

use kube::{Resource, core::object::HasStatus};

use super::context::Services;
use crate::{
    act::{kinds::StatusKind, outcome::Outcome},
    api::{
        kind::HasConditions,
        mirror::{MirrorStatus, Mirrored},
    },
    diff::{Plan, Problem},
    memory::connections::Connection,
    runtime::metrics::Kind,
    snapshot::Snapshot,
    status::{self, event::Note, look::Look},
    watch::{freshness::CacheBehind, stores::Filled},
};

/// The kind of the objects of a controller, which users may have made up.
pub type DynamicType<S> = <<S as Stages>::Object as Resource>::DynamicType;
/// The status of the objects of a controller.
pub type Status<S> = <<S as Stages>::Object as HasStatus>::Status;

/// The stages of a kind.
pub trait Stages: Send + Sync + Sized + 'static {
    /// Its objects.
    type Object: StatusKind + HasStatus<Status: HasConditions + Default + PartialEq + Clone + Send + Sync>;
    /// What one pass knows of an object.
    type Snapshot: Snapshot;
    /// What should be.
    type Desired: Send + Sync;
    /// What the plan found besides what is to be done.
    type Findings: Send + Sync;
    /// Its name in metrics.
    const KIND: Kind;
    /// What holds an object until its remote side is gone.
    const FINALIZER: Option<&'static str> = None;

    /// The kind.
    fn kind(&self) -> &DynamicType<Self>;
    /// The caches that passes look at: what they do not show before they are filled may well exist.
    fn caches(&self) -> Vec<Filled>;

    /// Stage 1. It reads, and fails only where a pass would stand on what this process itself has changed.
    fn snapshot(
        &self,
        object: &Self::Object,
    ) -> impl Future<Output = Result<Self::Snapshot, CacheBehind>> + Send;
    /// The connection to the colony.
    fn connection(&self, snapshot: &Self::Snapshot, services: &Services) -> Option<Arc<Connection>> {
        services.connections.get(snapshot.colony_name()?)
    }

    /// The object whose expressions the other stages compile, if there are any: its UID and generation.
    fn expressions_of(&self, _snapshot: &Self::Snapshot) -> Option<(String, i64)> {
        None
    }
    /// Compiles them, so that the other stages find them parsed. Once for an object and a generation, and on no thread of
    /// the runtime: with most of them it takes a while.
    fn compiler(&self, _snapshot: &Self::Snapshot) -> Box<dyn FnOnce() + Send> {
        Box::new(|| ())
    }

    /// Stage 2.
    ///
    /// # Errors
    ///
    /// When the spec cannot be carried out.
    fn desired(&self, snapshot: &Self::Snapshot) -> Result<Self::Desired, Problem>;
    /// Reads what only stage 2 could name; whether anything was read, so that stage 2 is to look again.
    fn look_up(
        &self,
        _snapshot: &mut Self::Snapshot,
        _desired: &Self::Desired,
    ) -> impl Future<Output = bool> + Send {
        std::future::ready(false)
    }

    /// Stage 3.
    ///
    /// # Errors
    ///
    /// When there can be no plan.
    fn plan(&self, snapshot: &Self::Snapshot, desired: &Self::Desired) -> Planned<Self>;

    /// What goes on beside the steps once they were carried out, and before status says so.
    fn after_act(
        &self,
        _snapshot: &Self::Snapshot,
        _pass: Passed<'_, Self>,
    ) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
    /// What ends with an object that is released.
    fn released(&self, _object: &Self::Object) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Stage 5; none while it may not be written.
    fn status(&self, snapshot: &Self::Snapshot, pass: Passed<'_, Self>) -> Option<Status<Self>>;
    /// Stage 5 for an object that is paused; none while it may not be written.
    fn paused(&self, object: &Self::Object, snapshot: &Self::Snapshot) -> Option<Status<Self>> {
        Some(status::paused::compute(object.status(), object.meta(), snapshot.now()))
    }
    /// Whether a status says nothing that people wait for, and the next one follows at once if all goes well: it may then wait for
    /// that for a moment.
    fn is_passing(&self, _snapshot: &Self::Snapshot, _pass: &Acted<Self>, _status: &Status<Self>) -> bool {
        false
    }
    /// Whether nothing is left to do after what a pass wrote, until something changes: then none follows to look for it.
    fn is_final(&self, _snapshot: &Self::Snapshot, _pass: &Acted<Self>, _status: &Status<Self>) -> bool {
        false
    }
    /// Whether people want to be told of it by an Event.
    fn is_news(_status: &Status<Self>, _note: &Note) -> bool {
        true
    }
    /// Events that follow a status which was written, besides those of conditions that have changed.
    fn notes(&self, _snapshot: &Self::Snapshot, _pass: Passed<'_, Self>) -> Vec<Note> {
        Vec::new()
    }
    /// What a status leaves out that an earlier one said; published before it is written.
    fn dropped(
        &self,
        _snapshot: &Self::Snapshot,
        _pass: Passed<'_, Self>,
        _status: &Status<Self>,
    ) -> Vec<Note> {
        Vec::new()
    }
    /// What is left of an object that is released, for a person.
    fn remaining_in_colony(_snapshot: &Self::Snapshot) -> Option<String> {
        None
    }
    /// What can be said instead of a status that the API server refused, if anything.
    fn accepted(_before: Option<&Status<Self>>, _refused: Status<Self>, _why: &str) -> Option<Status<Self>> {
        None
    }

    /// Kinds of children that have the name of their object: a pass waits until the caches show what was written to them.
    #[must_use]
    fn also_written() -> &'static [&'static str] {
        &[]
    }

    /// The object as one that a process carries, if it is.
    fn mirrored(_object: &Self::Object) -> Option<&dyn Mirrored> {
        None
    }
    /// The process in a status.
    fn recorded(_status: &Status<Self>) -> Option<&MirrorStatus> {
        None
    }

    /// When to look again after a pass that wrote nothing.
    fn next(&self, snapshot: &Self::Snapshot, status: Option<&Status<Self>>, pass: Passed<'_, Self>) -> Look;
}

/// What came of a pass that got as far as acting.
pub struct Acted<S: Stages> {
    /// What should be.
    pub desired: S::Desired,
    /// What the plan found.
    pub findings: S::Findings,
    /// What was done.
    pub outcome: Outcome,
}

/// What stage 3 gives: the plan, and what it found besides.
pub type Planned<S> = Result<(Plan, <S as Stages>::Findings), Problem>;

/// What came of the first four stages.
pub type Passed<'a, S> = Result<&'a Acted<S>, &'a Problem>;
