//! Writes status and Events: the one place that does. Decides only whether the status has changed.

use std::fmt::Debug;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::PostParams,
    core::object::HasStatus,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde::{Serialize, de::DeserializeOwned};

use super::event::{Note, shortened};
use crate::{
    act::{
        counted,
        kinds::StatusKind,
        of_call,
        outcome::{StepFailure, not_leading},
    },
    api::names::OPERATOR,
    memory::writes::{Key, Writes},
    runtime::{
        clock::Clock,
        kubernetes::{CALL_TIME_LIMIT, call},
        lease::Leadership,
        metrics::{Metrics, WriteKind, WriteVerb},
    },
};

/// The actions that Events report.
const ACTION: &str = "Reconcile";

/// Writes status and Events.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    reporter: Reporter,
    recorder: Recorder,
    leadership: Leadership,
    writes: Writes,
    metrics: Metrics,
    clock: Clock,
    manager: String,
}

impl Publisher {
    /// A publisher that reports as `instance`, the name of the operator's pod, and writes as `manager`.
    #[must_use]
    pub fn new(
        client: Client,
        instance: Option<String>,
        leadership: Leadership,
        writes: Writes,
        metrics: Metrics,
        clock: Clock,
        manager: String,
    ) -> Self {
        let reporter = Reporter { controller: OPERATOR.to_owned(), instance };
        let recorder = Recorder::new(client.clone(), reporter.clone());
        Self { client, reporter, recorder, leadership, writes, metrics, clock, manager }
    }

    /// Writes the status of an object if it has changed; whether it did. `resource_version` is that of the object if
    /// this pass has written to it, and a precondition: a status is never computed from one object and written to
    /// another.
    ///
    /// # Errors
    ///
    /// When the object has changed meanwhile, or the API server refuses or does not answer.
    pub async fn status<K>(
        &self,
        kind: &K::DynamicType,
        object: &K,
        status: K::Status,
        resource_version: Option<String>,
    ) -> Result<bool, StepFailure>
    where
        K: StatusKind + HasStatus<Status: PartialEq>,
    {
        if object.status() == Some(&status) {
            return Ok(false);
        }
        let mut changed = object.clone();
        *changed.status_mut() = Some(status);
        if resource_version.is_some() {
            changed.meta_mut().resource_version = resource_version;
        }
        let namespace = object.namespace().unwrap_or_default();
        let api = K::api(self.client.clone(), &namespace, kind);
        let written = self.replace(&api, &changed, K::STATUS).await?;
        let key = Key::new(K::name_of(kind), &namespace, &object.name_any());
        self.writes.wrote_in_pass(key, written.resource_version().as_deref(), self.clock.instant());
        Ok(true)
    }

    /// Publishes Events about an object; those of the same reason that follow soon are counted, not kept. One that cannot
    /// be written is logged: nothing hangs on it.
    pub async fn events(&self, reference: &ObjectReference, notes: Vec<Note>) {
        self.publish(&self.recorder, reference, notes).await;
    }

    /// As [`Publisher::events`], each Event for itself: its content is recorded nowhere else.
    pub async fn each_event(&self, reference: &ObjectReference, notes: Vec<Note>) {
        for note in notes {
            // One that remembers would count them.
            let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
            self.publish(&recorder, reference, vec![note]).await;
        }
    }

    async fn publish(&self, recorder: &Recorder, reference: &ObjectReference, notes: Vec<Note>) {
        for note in notes {
            let Some(left) = self.leadership.remaining() else { return };
            if note.warning {
                tracing::warn!(reason = note.reason, "{}", note.message);
            } else {
                tracing::info!(reason = note.reason, "{}", note.message);
            }
            let event = Event {
                type_: if note.warning { EventType::Warning } else { EventType::Normal },
                reason: note.reason,
                note: (!note.message.is_empty()).then(|| shortened(note.message)),
                action: ACTION.to_owned(),
                secondary: None,
            };
            let result = call(CALL_TIME_LIMIT.min(left), recorder.publish(&event, reference)).await;
            let outcome = counted(&result);
            self.metrics.count_write(WriteVerb::Create, WriteKind::Event, outcome);
            if let Err(error) = result {
                tracing::warn!("{}", error.explain("publish an Event"));
            }
        }
    }

    async fn replace<K>(&self, api: &Api<K>, object: &K, kind: WriteKind) -> Result<K, StepFailure>
    where
        K: Resource + Serialize + DeserializeOwned + Clone + Debug,
    {
        let left = self.leadership.remaining().ok_or_else(not_leading)?;
        let parameters = PostParams { field_manager: Some(self.manager.clone()), ..PostParams::default() };
        let limit = CALL_TIME_LIMIT.min(left);
        let result = call(limit, api.replace_status(&object.name_any(), &parameters, object)).await;
        let outcome = counted(&result);
        self.metrics.count_write(WriteVerb::Replace, kind, outcome);
        result.map_err(|error| of_call("write status", &error))
    }
}
