//! One pass over an object, the same for every kind: the five stages, what is published, and when to look again.

use std::{sync::Arc, time::Duration};

use kube::{
    Resource as _, ResourceExt as _,
    core::{DeserializeGuard, object::HasStatus as _},
    runtime::reflector::ObjectRef,
};

use super::{
    compiled::CompiledObjects,
    context::{Requeuer, Services},
    intents,
    repetition::{self, Subject},
    retry::{Retries, jitter},
    stages::{Acted, Passed, Stages, Status},
    traces,
    unwritten::{self, Unwritten},
};
use crate::{
    act::{
        Target,
        kinds::WritableKind as _,
        outcome::{FailureKind, Outcome, StepFailure, not_leading},
    },
    api::{
        condition::Reason,
        kind::{HasConditions as _, Kind},
        names::identity_secret,
        policy::{is_paused, reconcile_at},
    },
    diff::{Plan, Problem, duplicates, orphans},
    memory::writes::{Key, PATIENCE},
    runtime::metrics::{Collected, ReconcileResult},
    snapshot::Snapshot as _,
    status::{
        self,
        event::Note,
        look::{Look, RESYNC},
    },
};

/// How soon a pass follows one that wrote what no watch shows.
const NEXT_STEP: Duration = Duration::from_millis(20);
/// How long a pass waits for the cache unless the watch wakes it before.
const CACHE_WAIT: Duration = Duration::from_secs(1);
/// The controller of a kind, without what wakes it.
pub struct Engine<S: Stages> {
    /// What all controllers share.
    pub services: Arc<Services>,
    /// The stages of the kind.
    pub stages: S,
    retries: Retries,
    compiled: CompiledObjects,
    unwritten: Unwritten<Status<S>>,
    /// Wakes objects; none where passes are called one by one.
    requeuer: Option<Requeuer<DeserializeGuard<S::Object>>>,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When to look again; none for when the object changes.
    pub next: Option<Duration>,
    /// For metrics.
    pub result: ReconcileResult,
}

impl Ended {
    const fn new(next: Duration, result: ReconcileResult) -> Self {
        Self { next: Some(next), result }
    }

    const fn until_changed(result: ReconcileResult) -> Self {
        Self { next: None, result }
    }
}

impl<S: Stages> Engine<S> {
    /// An engine that nothing has failed in yet.
    pub fn new(services: Arc<Services>, stages: S) -> Self {
        Self {
            services,
            stages,
            retries: Retries::default(),
            compiled: CompiledObjects::default(),
            unwritten: Unwritten::default(),
            requeuer: None,
        }
    }

    /// Has objects woken by `requeuer` once the caches show what a pass wrote.
    pub(super) fn waking(mut self, requeuer: Requeuer<DeserializeGuard<S::Object>>) -> Self {
        self.requeuer = Some(requeuer);
        self
    }

    /// One pass. It never fails: what goes wrong stands in status and in the time of the next pass.
    pub async fn pass(&self, object: &S::Object) -> Ended {
        let services = &self.services;
        // What a cache that is still being filled does not show may well exist.
        for cache in self.stages.caches() {
            cache.reached().await;
        }
        if !services.leadership.is_leader() {
            return Ended::until_changed(ReconcileResult::NotLeader);
        }
        let started = services.clock.instant();
        let counted = services.metrics.reconcile_started(S::KIND);
        let name = match object.namespace() {
            Some(namespace) => format!("{namespace}/{}", object.name_any()),
            None => object.name_any(),
        };
        let span = tracing::info_span!(
            "reconcile",
            kind = %S::Object::name_of(self.stages.kind()),
            object = name,
            generation = object.meta().generation
        );
        let ended = tracing::Instrument::instrument(Box::pin(self.stages_of(object)), span).await;
        counted.finish(ended.result, services.clock.instant().saturating_duration_since(started));
        ended
    }

    /// The five stages.
    async fn stages_of(&self, recorded: &S::Object) -> Ended {
        let (services, stages) = (&self.services, &self.stages);
        let shown = unwritten::shown::<S>(&self.unwritten, services, recorded);
        let object = shown.as_ref().unwrap_or(recorded);
        self.reconcile_requested(object);
        intents::note_seen::<S>(services, recorded, object);
        let Ok(mut snapshot) = stages.snapshot(object).await else {
            services.metrics.count_stale_skip(S::KIND);
            let wait = if self.wakes_when_caught_up(object) { PATIENCE } else { CACHE_WAIT };
            return Ended::new(wait, ReconcileResult::Waiting);
        };
        if let Some(object) = stages.expressions_of(&snapshot) {
            self.compiled.once(object, || stages.compiler(&snapshot)).await;
        }
        if S::KIND.can_be_paused() && is_paused(object.meta()) {
            let status = stages.paused(object, &snapshot);
            let published = self.publish(recorded, status, None, Vec::new()).await;
            return self.reconcile_paused(object, published);
        }
        let uid = object.uid().unwrap_or_default();
        let subject = Subject { uid: &uid, generation: object.meta().generation.unwrap_or_default() };
        let mut held = None;
        let pass = match self.decide(&mut snapshot).await {
            Ok((desired, findings, mut plan)) => {
                let cancelled = self.cancel_duplicates(object, &snapshot, &mut plan);
                if let Some(mirrored) = S::mirrored(object) {
                    orphans::record_left(&mut plan, mirrored.mirror(), &object.uid().unwrap_or_default());
                }
                held =
                    repetition::hold_back(&services.repeats, &subject, &mut plan, services.clock.instant());
                let target = Target {
                    object,
                    kind: stages.kind(),
                    finalizer: S::FINALIZER,
                    connection: stages.connection(&snapshot, services),
                    colony: snapshot.colony_name().map(str::to_owned),
                };
                let outcome = services.actor.execute(plan, &target).await;
                repetition::note(&services.repeats, &subject, &outcome, services.clock.instant());
                services.publisher.each_event(&object.object_ref(stages.kind()), cancelled).await;
                Ok(Acted { desired, findings, outcome })
            }
            Err(problem) => Err(problem),
        };
        let passed = pass.as_ref();
        // Another leads, or did for a moment: what was not written is that one's to write, and no failure to tell of.
        if passed.is_ok_and(|carried| carried.outcome.lost_leadership()) {
            return self.failed(&uid, &not_leading());
        }
        if passed.is_ok_and(|carried| carried.outcome.released_object()) {
            return self.release(object, &snapshot).await;
        }
        stages.after_act(&snapshot, passed).await;
        let status = stages.status(&snapshot, passed);
        if let Some(status) = &status {
            let notes = stages.dropped(&snapshot, passed, status);
            services.publisher.each_event(&object.object_ref(stages.kind()), notes).await;
        }
        let notes = stages.notes(&snapshot, passed);
        if let (Some(status), Ok(acted)) = (&status, passed)
            && notes.is_empty()
            && stages.is_passing(&snapshot, acted, status)
            && let Some(next) = unwritten::put_off::<S>(&self.unwritten, services, recorded, status, acted)
        {
            self.retries.reset(&uid);
            return Ended::new(held.map_or(next, |held| next.min(held)), ReconcileResult::Changed);
        }
        let outcome = passed.ok().map(|carried| &carried.outcome);
        let published = self.publish(recorded, status.clone(), outcome, notes).await;
        let ended = self.next(object, &snapshot, status.as_ref(), passed, published);
        Ended { next: ended.next.map(|next| held.map_or(next, |held| next.min(held))).or(held), ..ended }
    }

    /// Has the colony be asked for the processes and the blueprint of an object whose annotation wishes for that anew, and the
    /// API server for its Secret.
    fn reconcile_requested(&self, object: &S::Object) {
        let Some(mirrored) = S::mirrored(object) else { return };
        let (services, metadata) = (&self.services, object.meta());
        let uid = metadata.uid.as_deref().unwrap_or_default();
        if services.reconcile_requests.is_new(uid, reconcile_at(metadata)) {
            services.invalidate(mirrored);
            if S::KIND == Kind::ExecutorDeployment {
                // Secrets are not watched: this is how a user has one made again.
                let namespace = object.namespace().unwrap_or_default();
                services.identities.forget(&namespace, &identity_secret(&object.name_any()));
            }
        }
    }

    /// Stages 2 and 3.
    async fn decide(&self, snapshot: &mut S::Snapshot) -> Result<(S::Desired, S::Findings, Plan), Problem> {
        let mut desired = self.stages.desired(snapshot)?;
        if self.stages.look_up(snapshot, &desired).await {
            desired = self.stages.desired(snapshot)?;
        }
        let (plan, findings) = self.stages.plan(snapshot, &desired)?;
        Ok((desired, findings, plan))
    }

    /// Has processes end that the colony has besides the one that the object is bound to; what people are told of it.
    fn cancel_duplicates(&self, object: &S::Object, snapshot: &S::Snapshot, plan: &mut Plan) -> Vec<Note> {
        let (Some(mirrored), Some(colony)) = (S::mirrored(object), snapshot.colony_name()) else {
            return Vec::new();
        };
        let now = self.services.clock.instant();
        let found = self.services.duplicates.of(colony, &object.uid().unwrap_or_default(), now);
        let messages = duplicates::cancel(plan, &found, mirrored.mirror());
        self.services.metrics.count_collected(Collected::DuplicateProcess, messages.len());
        let reason = Reason::DuplicateProcess.as_str();
        let note = |message| Note { warning: true, reason: reason.to_owned(), message };
        messages.into_iter().map(note).collect()
    }

    /// The end of an object that nothing holds any more: there is nothing left to write a status to.
    async fn release(&self, object: &S::Object, snapshot: &S::Snapshot) -> Ended {
        if let Some(message) = S::remaining_in_colony(snapshot) {
            let note = Note { warning: true, reason: Reason::Abandoned.as_str().to_owned(), message };
            let reference = object.object_ref(self.stages.kind());
            self.services.publisher.events(&reference, vec![note]).await;
        }
        self.stages.released(object).await;
        let uid = object.uid().unwrap_or_default();
        self.retries.reset(&uid);
        self.unwritten.forget(&uid);
        self.services.record_release(&uid);
        Ended::until_changed(ReconcileResult::Changed)
    }

    /// Writes a status if it says anything new, and the Events that follow from it; whether it was written.
    async fn publish(
        &self,
        object: &S::Object,
        status: Option<Status<S>>,
        outcome: Option<&Outcome>,
        notes: Vec<Note>,
    ) -> Result<bool, StepFailure> {
        let Some(status) = status else { return Ok(false) };
        let (services, kind) = (&self.services, self.stages.kind());
        let before = object.status();
        let version = outcome.and_then(|outcome| outcome.resource_version.clone());
        let uid = object.uid().unwrap_or_default();
        let subject = Subject { uid: &uid, generation: object.meta().generation.unwrap_or_default() };
        let write = (before != Some(&status)).then(|| repetition::of_status(object, &status));
        let now = services.clock.instant();
        let held = |write| services.repeats.held(subject.uid, subject.generation, write, now);
        if write.as_ref().and_then(held).is_some() {
            return Ok(false);
        }
        intents::note_intending::<S>(services, &status);
        let written = services.publisher.status(kind, object, status.clone(), version.clone()).await;
        if written.is_err() {
            // What was read of the object may be older than what others wrote.
            services.submissions.forget(&uid);
        }
        let (status, written) = match written {
            // Fields of others must not keep the rest from being written.
            Err(failure) if failure.kind == FailureKind::Refused => {
                let accepted = S::accepted(before, status, &failure.message).ok_or(failure)?;
                let written = services.publisher.status(kind, object, accepted.clone(), version).await?;
                (accepted, written)
            }
            written => (status, written?),
        };
        self.unwritten.forget(&uid);
        if let Some(bound) = S::recorded(&status).filter(|mirror| mirror.process_id.is_some()) {
            services.submissions.settled(&bound.label);
        }
        if !written {
            return Ok(false);
        }
        if let Some(write) = &write {
            services.repeats.note(subject.uid, subject.generation, write, now);
        }
        intents::note_intended::<S>(services, object, &status);
        traces::tell::<S>(services, kind, object, &status);
        let conditions = before.map_or(&[][..], |before| before.conditions());
        let mut all = status::event::transitions(conditions, status.conditions());
        all.extend(notes);
        all.retain(|note| S::is_news(&status, note));
        services.publisher.events(&object.object_ref(kind), all).await;
        Ok(true)
    }

    /// When to look again at an object that is paused: only a change of the object itself matters.
    fn reconcile_paused(&self, object: &S::Object, published: Result<bool, StepFailure>) -> Ended {
        let uid = object.uid().unwrap_or_default();
        match published {
            Ok(written) => {
                self.retries.reset(&uid);
                let result = if written { ReconcileResult::Changed } else { ReconcileResult::Unchanged };
                Ended::new(jitter(RESYNC), result)
            }
            Err(failure) => self.failed(&uid, &failure),
        }
    }

    /// When to try again what failed.
    fn failed(&self, uid: &str, failure: &StepFailure) -> Ended {
        tracing::debug!(kind = ?failure.kind, "{}", failure.message);
        match failure.kind {
            FailureKind::NotLeading => Ended::until_changed(ReconcileResult::NotLeader),
            FailureKind::Conflict => Ended::new(self.retries.after_conflict(uid), ReconcileResult::Failed),
            _ => Ended::new(self.retries.after_failure(uid), ReconcileResult::Failed),
        }
    }

    /// Has the next pass over an object begin as soon as the caches show what this process wrote of it; whether they do not
    /// yet.
    fn wakes_when_caught_up(&self, object: &S::Object) -> bool {
        let Some(requeuer) = self.requeuer.clone() else { return false };
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let kind = S::Object::name_of(self.stages.kind());
        let own = Key::new(kind, &namespace, &name);
        let also = S::also_written().iter().map(|kind| Key::new(*kind, &namespace, &name));
        let keys: Vec<Key> = std::iter::once(own.clone()).chain(also).collect();
        let reference = ObjectRef::new_with(&name, self.stages.kind().clone());
        let reference = if namespace.is_empty() { reference } else { reference.within(&namespace) };
        let now = self.services.clock.instant();
        self.services.writes.when_caught_up(&own, &keys, now, move || requeuer.wake(&reference))
    }

    /// When to look again, and how the pass ended.
    fn next(
        &self,
        object: &S::Object,
        snapshot: &S::Snapshot,
        status: Option<&Status<S>>,
        passed: Passed<'_, S>,
        published: Result<bool, StepFailure>,
    ) -> Ended {
        let uid = object.uid().unwrap_or_default();
        let outcome = passed.ok().map(|carried| &carried.outcome);
        let written = match published {
            Err(failure) => return self.failed(&uid, &failure),
            Ok(written) => written,
        };
        if let Some(failure) = outcome.and_then(Outcome::holding_failure) {
            return self.failed(&uid, failure);
        }
        let is_waiting = outcome.is_none_or(|outcome| !outcome.plan.awaiting.is_empty());
        let mut result = if is_waiting { ReconcileResult::Waiting } else { ReconcileResult::Unchanged };
        let wrote = outcome.is_some_and(Outcome::wrote);
        if written || wrote {
            result = ReconcileResult::Changed;
        }
        let look = self.stages.next(snapshot, status, passed);
        if look != Look::Backoff {
            self.retries.reset(&uid);
        }
        let next = match look {
            Look::About(delay) => Some(jitter(delay)),
            Look::After(delay) => Some(delay),
            Look::Backoff => Some(self.retries.after_failure(&uid)),
            Look::Never => None,
        };
        let is_final = |(status, pass)| self.stages.is_final(snapshot, pass, status);
        // What follows needs what was written: it begins when the caches show that, and not before.
        let soon = if !(written || wrote) || passed.is_err() || status.zip(passed.ok()).is_some_and(is_final)
        {
            None
        } else if self.wakes_when_caught_up(object) {
            Some(PATIENCE)
        } else {
            Some(NEXT_STEP)
        };
        let next = match (next, soon) {
            (Some(next), Some(soon)) => Some(next.min(soon)),
            (next, soon) => next.or(soon),
        };
        Ended { next, result }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt as _;
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{
        api::request_flow::{RequestFlow, RequestFlowStatus},
        diff::Plan,
        runtime::{
            clock::Clock,
            config::OperatorConfiguration,
            kubernetes::Kubernetes,
            lease::Leadership,
            metrics::{Kind, Metrics},
        },
        watch::{freshness::CacheBehind, stores::Filled},
    };

    /// Stages of which the first never ends.
    struct Endless;

    impl Stages for Endless {
        type Object = RequestFlow;
        type Snapshot = (RequestFlow, Timestamp);
        type Desired = ();
        type Findings = ();

        const KIND: Kind = Kind::RequestFlow;

        fn kind(&self) -> &() {
            &()
        }

        fn caches(&self) -> Vec<Filled> {
            Vec::new()
        }

        async fn snapshot(&self, _: &RequestFlow) -> Result<Self::Snapshot, CacheBehind> {
            std::future::pending().await
        }

        fn desired(&self, _: &Self::Snapshot) -> Result<(), Problem> {
            Ok(())
        }

        fn plan(&self, _: &Self::Snapshot, (): &()) -> Result<(Plan, ()), Problem> {
            Ok((Plan::default(), ()))
        }

        fn status(&self, _: &Self::Snapshot, _: Passed<'_, Self>) -> Option<RequestFlowStatus> {
            None
        }

        fn next(&self, _: &Self::Snapshot, _: Option<&RequestFlowStatus>, _: Passed<'_, Self>) -> Look {
            Look::Never
        }
    }

    /// Stages that delete their object, and count how often they are asked what to tell of it.
    #[derive(Default)]
    struct Deleting {
        told: AtomicUsize,
    }

    impl Stages for Deleting {
        type Object = RequestFlow;
        type Snapshot = (RequestFlow, Timestamp);
        type Desired = ();
        type Findings = ();

        const KIND: Kind = Kind::RequestFlow;

        fn kind(&self) -> &() {
            &()
        }

        fn caches(&self) -> Vec<Filled> {
            Vec::new()
        }

        async fn snapshot(&self, object: &RequestFlow) -> Result<Self::Snapshot, CacheBehind> {
            Ok((object.clone(), Timestamp::UNIX_EPOCH))
        }

        fn desired(&self, _: &Self::Snapshot) -> Result<(), Problem> {
            Ok(())
        }

        fn plan(&self, _: &Self::Snapshot, (): &()) -> Result<(Plan, ()), Problem> {
            Ok((deletion(), ()))
        }

        fn status(&self, _: &Self::Snapshot, _: Passed<'_, Self>) -> Option<RequestFlowStatus> {
            self.told.fetch_add(1, Ordering::Relaxed);
            None
        }

        fn next(&self, _: &Self::Snapshot, _: Option<&RequestFlowStatus>, _: Passed<'_, Self>) -> Look {
            Look::Never
        }
    }

    fn deletion() -> Plan {
        let delete = crate::diff::KubernetesStep::DeleteObject { why: String::new() };
        Plan { steps: vec![crate::diff::Step::Kubernetes(delete)], ..Plan::default() }
    }

    fn object() -> RequestFlow {
        let object = json!({ "metadata": { "name": "n", "namespace": "ns" }, "spec": { "jobs": [] } });
        serde_json::from_value(object).unwrap()
    }

    /// Services of a process that leads for a moment, on an API server that never answers.
    fn unanswered(listener: &tokio::net::TcpListener) -> Services {
        let address = format!("http://{}", listener.local_addr().unwrap());
        let config = kube::Config::new(address.parse().unwrap());
        let client = crate::runtime::kubernetes::connect_with(config).unwrap().calls;
        let clock = Clock::system();
        let leadership = Leadership::limited(&clock, Duration::from_millis(200));
        services_on(client, leadership, clock)
    }

    /// Services on an API server in memory.
    pub(in crate::controllers) fn services() -> Services {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let client = colonyos_fake::ApiServer::new(|| Timestamp::UNIX_EPOCH).client();
        services_on(client, Leadership::always(&clock), clock)
    }

    fn services_on(client: kube::Client, leadership: Leadership, clock: Clock) -> Services {
        let kubernetes = Kubernetes {
            watches: client.clone(),
            calls: client,
            namespace: "operators".to_owned(),
            server: "memory".to_owned(),
        };
        let (configuration, metrics) = (OperatorConfiguration::default(), Metrics::new().unwrap());
        Services::new(kubernetes, configuration, leadership, clock, metrics, "c".to_owned(), None)
    }

    /// Another replica may write by then.
    #[tokio::test]
    async fn a_write_without_an_answer_ends_with_leadership() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (services, object) = (unanswered(&listener), object());
        let target = Target { object: &object, kind: &(), finalizer: None, connection: None, colony: None };
        let outcome = services.actor.execute(deletion(), &target).await;
        assert_eq!(outcome.failure().map(|failure| failure.kind), Some(FailureKind::NotLeading));
    }

    /// What was not written is the next leader's to write, and nothing has failed.
    #[tokio::test]
    async fn a_pass_that_loses_leadership_half_way_tells_nothing() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let engine = Engine::new(Arc::new(unanswered(&listener)), Deleting::default());
        let ended = engine.pass(&object()).await;
        assert_eq!(ended, Ended { next: None, result: ReconcileResult::NotLeader });
        assert_eq!(engine.stages.told.load(Ordering::Relaxed), 0, "what came of it is told");
    }

    /// The controllers of user-defined kinds are stopped in the middle of passes.
    #[tokio::test]
    async fn a_pass_that_is_dropped_half_way_is_counted_as_dropped() {
        let engine = Engine::new(Arc::new(services()), Endless);
        let object = object();
        let shows = |series: &str| engine.services.metrics.encode().unwrap().contains(series);
        let mut pass = Box::pin(engine.pass(&object));
        assert_eq!(pass.as_mut().now_or_never(), None);
        assert!(shows("colonyos_operator_reconciles_in_flight{kind=\"RequestFlow\"} 1"));
        drop(pass);
        assert!(shows("colonyos_operator_reconciles_in_flight{kind=\"RequestFlow\"} 0"));
        assert!(shows("colonyos_operator_reconciles_total{kind=\"RequestFlow\",result=\"dropped\"} 1"));
    }
}
