//! Takes, renews and releases the Lease, always by a write that names the version it replaces.
//!
//! Effects only; what to do is decided by [`decide`](super::decide::decide).

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use rand::Rng as _;
use tokio::sync::watch;

use super::{
    decide::{Decision, Observation, Record, decide},
    leadership::{Leadership, Term},
};
use crate::{
    api::names,
    runtime::{
        clock::{Clock, Moment},
        config::LeaderElection,
        kubernetes::is_overtaken,
        shutdown::Shutdown,
    },
};

/// A follower waits up to this share of the retry period longer, so that replicas do not ask in step.
const FOLLOWER_JITTER: f64 = 0.2;

/// A released lease can be taken at once; the API server wants at least one second.
const RELEASED_DURATION_SECONDS: i32 = 1;

/// Why an attempt on the lease failed.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server refused or could not be reached.
    #[error("failed to {verb} lease {name}")]
    Call {
        /// `read`, `create`, `renew`, `take` or `release`.
        verb: &'static str,
        name: String,
        /// What happened.
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("failed to reach a result on lease {name} within {limit:?}")]
    TimedOut {
        name: String,
        /// The time it was given.
        limit: Duration,
    },
}

/// Takes part in the election; [`Elector::run`] is the loop.
pub struct Elector {
    api: Api<Lease>,
    settings: LeaderElection,
    identity: String,
    clock: Clock,
    observed: Option<Observation>,
    /// Since when this process has been the last that held the lease.
    alone_since: Option<Moment>,
    term: watch::Sender<Option<Term>>,
}

/// A name for this process that no other has: host (in a pod, the pod's name) and a random suffix.
///
/// Never the host alone: a restarted process must not mistake the lease of its predecessor for its own.
#[must_use]
pub fn identity(host: &str) -> String {
    format!("{host}_{:016x}", rand::rng().random::<u64>())
}

impl Elector {
    /// A candidate called `identity` for the lease of `settings` in `namespace`, and the handle that reports its
    /// leadership. `client` must not retry by itself and should have a read timeout.
    #[must_use]
    pub fn new(
        client: Client,
        namespace: &str,
        settings: LeaderElection,
        identity: String,
        clock: &Clock,
    ) -> (Self, Leadership) {
        let (sender, receiver) = watch::channel(None);
        let elector = Self {
            api: Api::namespaced(client, namespace),
            settings,
            identity,
            clock: clock.clone(),
            observed: None,
            alone_since: None,
            term: sender,
        };
        let leadership = Leadership::elected(clock.clone(), receiver);
        (elector, leadership)
    }

    /// Takes the lease when it can be had and renews it until `stop` is requested, then releases it.
    ///
    /// Request `stop` only after whatever writes has ended: the next leader starts at once.
    pub async fn run(mut self, stop: &Shutdown) {
        loop {
            // An attempt under way is bounded and is let finish: if interrupted, the version of the lease to release
            // would be unknown.
            let wait = self.attempt().await;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.requested() => break,
            }
        }
        if let Err(error) = self.release().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "others take over when the lease runs out"
            );
        }
    }

    /// One attempt, whatever comes of it, and how long to wait until the next.
    async fn attempt(&mut self) -> Duration {
        // Half the deadline leaves time for a second attempt when the first one hangs.
        let limit = self.settings.renew_deadline() / 2;
        let result = tokio::time::timeout(limit, self.step())
            .await
            .unwrap_or_else(|_| Err(LeaseError::TimedOut { name: self.settings.lease_name.clone(), limit }));
        if let Err(error) = result {
            // What became of a write that failed is not known: read before the next one.
            self.forget_version();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                leader = self.is_leader(),
                "no hold on the lease"
            );
        }
        self.end_term_if_run_out();
        let retry = self.settings.retry_period();
        if self.is_leader() {
            retry
        } else {
            retry.mul_f64(1.0 + rand::rng().random_range(0.0..FOLLOWER_JITTER))
        }
    }

    fn is_leader(&self) -> bool {
        self.term.borrow().is_some_and(|term| term.is_running(self.clock.moment()))
    }

    /// Keeps what is known of time, but makes the next step read the lease first.
    fn forget_version(&mut self) {
        if let Some(observed) = &mut self.observed
            && observed.record.holder == self.identity
        {
            self.observed = None;
        }
    }

    /// Reads (a leader trusts its last write), decides, and writes at most once.
    async fn step(&mut self) -> Result<(), LeaseError> {
        let holds = self.observed.as_ref().is_some_and(|seen| seen.record.holder == self.identity);
        if !holds {
            self.observe().await?;
        }
        let decision = decide(
            &self.identity,
            self.observed.as_ref(),
            self.clock.instant(),
            self.settings.lease_duration(),
        );
        let written = match decision {
            Decision::Wait { .. } => {
                self.end_term("another replica holds the lease");
                return Ok(());
            }
            Decision::Create => self.write("create").await?,
            Decision::Renew => self.write("renew").await?,
            Decision::Take => self.write("take").await?,
        };
        if !written {
            // Another replica wrote since: whatever we believed of the lease is void, and whether we still hold it is
            // seen now rather than a retry period later.
            self.observed = None;
            self.observe().await?;
            if self.observed.as_ref().is_none_or(|seen| seen.record.holder != self.identity) {
                self.end_term("another replica wrote the lease");
            }
        }
        Ok(())
    }

    async fn observe(&mut self) -> Result<(), LeaseError> {
        let read = self.api.get_opt(&self.settings.lease_name).await;
        let lease = read.map_err(|source| self.call_error("read", source))?;
        let now = self.clock.instant();
        self.observed = lease.map(|lease| Observation::of(record_of(&lease), self.observed.as_ref(), now));
        Ok(())
    }

    /// Writes the lease in the own name; `false` when another replica was faster.
    async fn write(&mut self, verb: &'static str) -> Result<bool, LeaseError> {
        let asked = self.clock.moment();
        let before = self.observed.as_ref().map(|seen| seen.record.clone());
        let lease = self.lease(before.as_ref(), asked.wall);
        let result = match &before {
            None => self.api.create(&PostParams::default(), &lease).await,
            Some(_) => self.api.replace(&self.settings.lease_name, &PostParams::default(), &lease).await,
        };
        match result {
            Ok(lease) => {
                self.observed = Some(Observation { record: record_of(&lease), since: self.clock.instant() });
                // The name is that of this process alone: a lease that still has it was no other's since.
                if before.is_none_or(|record| record.holder != self.identity) {
                    self.alone_since = None;
                }
                self.extend_term(asked);
                Ok(true)
            }
            Err(error) if is_overtaken(&error) => Ok(false),
            Err(source) => Err(self.call_error(verb, source)),
        }
    }

    /// The lease in the own name, to replace `before`.
    fn lease(&self, before: Option<&Record>, now: Timestamp) -> Lease {
        let is_own = before.is_some_and(|record| record.holder == self.identity);
        let transitions =
            before.map_or(
                0,
                |record| {
                    if is_own { record.transitions } else { record.transitions.saturating_add(1) }
                },
            );
        let acquired_at = self.alone_since.filter(|_| is_own).map_or(now, |since| since.wall);
        Lease {
            metadata: self.metadata(before),
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(self.settings.lease_duration_seconds).ok(),
                acquire_time: Some(MicroTime(acquired_at)),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn metadata(&self, before: Option<&Record>) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.settings.lease_name.clone()),
            resource_version: before.map(|record| record.resource_version.clone()),
            labels: Some(BTreeMap::from([(
                names::APP_MANAGED_BY_LABEL.to_owned(),
                names::OPERATOR.to_owned(),
            )])),
            ..ObjectMeta::default()
        }
    }

    /// The term lasts until the renew deadline after the moment the write was *asked for*: others saw it no earlier.
    fn extend_term(&mut self, asked: Moment) {
        let lasts = self.settings.renew_deadline();
        let deadline = Some(Moment {
            wall: asked.wall.checked_add(lasts).unwrap_or(Timestamp::MAX),
            monotonic: asked.monotonic + lasts,
        });
        let now = self.clock.moment();
        let alone_since = *self.alone_since.get_or_insert(now);
        let mut is_new = false;
        self.term.send_modify(|term| match term {
            Some(running) if running.is_running(now) => running.deadline = deadline,
            _ => {
                is_new = true;
                let started = now.monotonic;
                *term = Some(Term { started, started_at: asked.wall, alone_since, deadline });
            }
        });
        if is_new {
            tracing::info!(lease = self.settings.lease_name, identity = self.identity, "leading");
        }
    }

    fn end_term_if_run_out(&self) {
        if !self.is_leader() {
            self.end_term("the lease was not renewed in time");
        }
    }

    fn end_term(&self, why: &str) {
        if self.term.send_replace(None).is_some() {
            tracing::warn!(lease = self.settings.lease_name, why, "no longer leading");
        }
    }

    /// Gives the lease up, if it is held, so that another replica need not wait for it to run out.
    async fn release(&mut self) -> Result<(), LeaseError> {
        let held = self.observed.as_ref().filter(|seen| seen.record.holder == self.identity);
        let record = held.map(|seen| seen.record.clone());
        if self.term.send_replace(None).is_none() {
            return Ok(());
        }
        let Some(record) = record else { return Ok(()) };
        let now = Some(MicroTime(self.clock.now()));
        let lease = Lease {
            metadata: self.metadata(Some(&record)),
            spec: Some(LeaseSpec {
                holder_identity: Some(String::new()),
                lease_duration_seconds: Some(RELEASED_DURATION_SECONDS),
                acquire_time: now.clone(),
                renew_time: now,
                lease_transitions: Some(record.transitions),
                ..LeaseSpec::default()
            }),
        };
        let limit = self.settings.renew_deadline() / 2;
        let parameters = PostParams::default();
        let write = self.api.replace(&self.settings.lease_name, &parameters, &lease);
        match tokio::time::timeout(limit, write).await {
            Ok(Ok(_)) => {
                tracing::info!(lease = self.settings.lease_name, "lease released");
                Ok(())
            }
            Ok(Err(source)) => Err(self.call_error("release", source)),
            Err(_) => Err(LeaseError::TimedOut { name: self.settings.lease_name.clone(), limit }),
        }
    }

    fn call_error(&self, verb: &'static str, source: kube::Error) -> LeaseError {
        LeaseError::Call { verb, name: self.settings.lease_name.clone(), source: Box::new(source) }
    }
}

fn record_of(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    Record {
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration: seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        resource_version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.and_then(|spec| spec.lease_transitions).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two starts on one host must never be taken for the same holder.
    #[test]
    fn identities_are_never_the_same() {
        let (first, second) = (identity("node-a"), identity("node-a"));
        assert!(first.starts_with("node-a_") && second.starts_with("node-a_"));
        assert_ne!(first, second);
    }

    /// A lease that ran out and that no other took leaves nothing in doubt: what was sent before is known.
    #[tokio::test]
    async fn who_regains_the_lease_that_none_other_held_is_alone_since_before() {
        let clock = Clock::manual(Timestamp::UNIX_EPOCH);
        let client = colonyos_fake::ApiServer::new(|| Timestamp::UNIX_EPOCH).client();
        let candidate = |name: &str| {
            let settings = LeaderElection::default();
            Elector::new(client.clone(), "default", settings, name.to_owned(), &clock)
        };
        let (mut first, leads) = candidate("first");
        first.attempt().await;
        let began = leads.alone_since().unwrap();
        clock.advance(Duration::from_mins(1));
        assert!(!leads.is_leader());
        first.attempt().await;
        assert_ne!(leads.term_started(), Some(began.monotonic), "a term of its own");
        assert_eq!(leads.alone_since(), Some(began));

        let (mut second, takes) = candidate("second");
        second.attempt().await;
        clock.advance(Duration::from_mins(1));
        second.attempt().await;
        assert!(takes.is_leader());
        first.attempt().await;
        assert!(!leads.is_leader());
        clock.advance(Duration::from_mins(1));
        first.attempt().await;
        assert_eq!(leads.alone_since(), Some(clock.moment()), "another was there in between");
    }

    /// A lease written by hand or by another program may lack anything; it must read as released or as alive.
    #[test]
    fn a_record_reads_from_an_incomplete_lease() {
        let record = record_of(&Lease::default());
        assert_eq!((record.holder.as_str(), record.duration, record.transitions), ("", None, 0));
        let spec = LeaseSpec { lease_duration_seconds: Some(-5), ..LeaseSpec::default() };
        assert_eq!(record_of(&Lease { spec: Some(spec), ..Lease::default() }).duration, None);
    }
}
