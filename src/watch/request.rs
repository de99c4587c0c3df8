//! Puts together what one pass knows of a `RequestState`.

use kube::{ResourceExt as _, core::DeserializeGuard, runtime::reflector::ObjectRef};

use super::{
    colonies::ColonyClaim,
    freshness::CacheBehind,
    work::{WorkReader, executor},
};
use crate::{
    api::{
        function::Variable,
        kind::HasKind as _,
        mirror::Mirrored as _,
        names::{COLONY_ANNOTATION, FLOW_ANNOTATION, RESTORE_ANNOTATION},
        policy::RestorePolicy,
        request_state::{RequestState, State},
    },
    snapshot::{Belonging, FlowSource, Observed, RequestSnapshot, Values, WorkHeader},
};

/// The environment of the job that a request is at, while it may have to be submitted.
fn env<'a>(object: &RequestState, flow: &'a FlowSource) -> &'a [Variable] {
    let is_submitted = object.mirror().is_some_and(|mirror| mirror.state.is_live());
    match flow {
        FlowSource::Named(flow) if object.spec.state == State::Requested && !is_submitted => {
            let job = flow.spec.jobs.iter().find(|job| job.name == object.spec.job);
            job.map_or(&[], |job| &job.function.env)
        }
        _ => &[],
    }
}

fn restore_policy(object: &RequestState) -> RestorePolicy {
    let said = object.annotations().get(RESTORE_ANNOTATION);
    if said.is_some_and(|said| said == "Resubmit") { RestorePolicy::Resubmit } else { RestorePolicy::Keep }
}

impl WorkReader {
    /// Builds a snapshot.
    ///
    /// # Errors
    ///
    /// When the cache does not show what this process last wrote.
    pub async fn request(&self, object: &RequestState) -> Result<RequestSnapshot, CacheBehind> {
        let namespace = object.namespace().unwrap_or_default();
        self.ensure_cache_fresh(RequestState::KIND.name(), &namespace, &object.name_any())?;
        // Before anything is asked: what was not there is known to have been absent then.
        let now = self.clock.now();
        let belonging = Belonging::new(&self.cluster, &object.metadata);
        let object = &mut belonging.believed(object);
        let flow = self.flow(object, &namespace);
        let named = match &flow {
            FlowSource::Named(flow) => flow.spec.colony.as_ref(),
            FlowSource::Default | FlowSource::Listed(_) | FlowSource::NotFound(_) => {
                object.annotations().get(COLONY_ANNOTATION)
            }
        };
        let is_to_end = object.spec.state == State::Cancelled;
        let claim = ColonyClaim::of_work(object, named.map(String::as_str), is_to_end);
        let (colony, connection) = self.colonies.find(claim, &namespace);
        self.ensure_colony_read(&colony)?;
        let is_over = object.metadata.deletion_timestamp.is_some() || object.is_finished();
        let position_log = if is_over {
            self.requests.position_log.forget(&object.uid().unwrap_or_default());
            Vec::new()
        } else {
            self.requests.position_log.see(object, now)
        };
        let processes = self.processes.own(object, &belonging, connection.as_deref()).await;
        let mirror = object.mirror();
        let requested_at = object.requested_at().filter(|_| !is_over);
        let earlier = match requested_at {
            Some(requested_at) if mirror.is_none_or(|mirror| mirror.generation != requested_at) => {
                self.earlier(&object.metadata, restore_policy(object), connection.as_deref()).await
            }
            _ => Observed::Known(Vec::new()),
        };
        let values =
            if is_over { Values::default() } else { self.values(&namespace, env(object, &flow)).await };
        Ok(RequestSnapshot {
            object: object.clone(),
            roles: self.requests.roles.clone(),
            flow,
            executor: executor(
                &processes,
                mirror.and_then(|mirror| mirror.process_id.as_deref()),
                connection.as_ref(),
            )
            .await,
            values,
            position_log,
            header: WorkHeader { earlier, ..self.header(colony, processes, mirror, now) },
        })
    }

    fn flow(&self, object: &RequestState, namespace: &str) -> FlowSource {
        let Some(name) = object.annotations().get(FLOW_ANNOTATION) else { return FlowSource::Default };
        if name.contains(',') {
            return FlowSource::Listed(name.clone());
        }
        let found = self.requests.flows.get(&ObjectRef::new(name).within(namespace));
        match found.as_deref() {
            Some(DeserializeGuard(Ok(flow))) => FlowSource::Named(Box::new(flow.clone())),
            Some(DeserializeGuard(Err(error))) => {
                FlowSource::NotFound(format!("RequestFlow {name} cannot be read: {error}"))
            }
            None => FlowSource::NotFound(format!(
                "there is no RequestFlow {name} in namespace {namespace}: create it, or name another"
            )),
        }
    }
}
