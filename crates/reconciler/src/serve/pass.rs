//! One pass: read, decide, act, tell.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use colonyos_client::{Error, Process, ProcessId, Session};

use super::{settings::Settings, words::chain};
use crate::{
    act::{ActError, Hands, Say, noun},
    clock::Stopwatch,
    name::{FleetName, ReplicaName},
    plan::{self, Plan, Progress, Step},
    port::Runtime,
    request::{Answer, Request, answer},
    snapshot::{Memory, Snapshot, State, Wish},
    status::status,
    watch::{self, WatchError},
};

/// A process that waits for its answer.
pub(super) struct Pending {
    id: ProcessId,
    request: Result<Request, String>,
    since: Stopwatch,
    /// The generation of its blueprint when it was first looked at, if it asks for new replicas.
    forced: Option<i64>,
}

impl Pending {
    fn force(&self) -> Option<(FleetName, i64)> {
        match &self.request {
            Ok(Request::One(name, true)) => Some((FleetName::parse(name).ok()?, self.forced?)),
            _ => None,
        }
    }

    pub(super) fn new(process: Process) -> Self {
        Self {
            request: Request::parse(&process.spec),
            id: process.id,
            since: Stopwatch::start(),
            forced: None,
        }
    }
}

/// What one reconciler remembers from pass to pass.
pub(super) struct Reconciler<'a> {
    settings: &'a Settings,
    host: Arc<dyn Runtime>,
    say: Say,
    started: Stopwatch,
    memory: Memory,
    pending: Vec<Pending>,
    /// What was said last of each fleet: its generation, its size, and whether it was complete.
    said: HashMap<FleetName, (i64, u32, bool)>,
    /// What was complained about last.
    complaint: String,
    seen: BTreeMap<ReplicaName, State>,
}

impl<'a> Reconciler<'a> {
    pub(super) fn new(settings: &'a Settings, host: Arc<dyn Runtime>, say: Say) -> Self {
        Self {
            settings,
            host,
            say,
            started: Stopwatch::start(),
            memory: Memory::default(),
            pending: Vec::new(),
            said: HashMap::new(),
            complaint: String::new(),
            seen: BTreeMap::new(),
        }
    }

    pub(super) fn host_id(&self) -> &str {
        &self.host.host().0
    }

    /// Takes over processes that this reconciler has to answer, and drops those that it has no more.
    pub(super) fn adopt(&mut self, running: impl Iterator<Item = Pending>) {
        let mut known = std::mem::take(&mut self.pending);
        self.pending = running
            .map(|pending| {
                let at = known.iter().position(|known| known.id == pending.id);
                at.map_or(pending, |at| known.swap_remove(at))
            })
            .collect();
    }

    /// Says what is wrong, once until it changes.
    pub(super) fn complain(&mut self, text: &str) {
        if self.complaint != text {
            (self.say)(text);
            text.clone_into(&mut self.complaint);
        }
    }

    /// Keeps what replicas leave here within its limits.
    pub(super) async fn tidy(&mut self) {
        if let Err(error) = self.host.clone().tidy().await {
            self.complain(&error.to_string());
        }
    }

    /// Whether what runs here is not what it was in the last pass.
    pub(super) async fn has_changed(&self) -> bool {
        match self.host.list().await {
            Ok(replicas) => {
                replicas.into_iter().map(|replica| (replica.name, replica.state)).collect::<BTreeMap<_, _>>()
                    != self.seen
            }
            // The next pass says why.
            Err(_) => true,
        }
    }

    /// Makes a pass, and tells whether another one should follow soon.
    pub(super) async fn pass(&mut self, session: &Session) -> Result<bool, WatchError> {
        let forced = self.pending.iter().filter_map(Pending::force).collect();
        let (host, elapsed) = (self.host.clone(), self.started.elapsed());
        let snapshot = watch::read(&self.settings.seat, session, host.as_ref(), elapsed, forced).await?;
        let is_news = self.force(&snapshot);
        self.seen =
            snapshot.replicas.iter().map(|replica| (replica.name.clone(), replica.state.clone())).collect();
        let plan = plan::plan(&snapshot, &mut self.memory);
        self.announce(&snapshot, &plan);
        let failed = self.carry_out(&plan, &snapshot).await;
        if !failed {
            self.complaint.clear();
        }
        self.tell(session, &snapshot, &plan.progress).await;
        self.answer(session, &snapshot, &plan.progress).await;
        let waits = plan.progress.iter().any(|progress| !progress.waits.is_empty());
        Ok(is_news
            || !plan.steps.is_empty()
            || waits
            || !self.memory.absent.is_empty()
            || !self.memory.asked.is_empty())
    }

    /// Notes for which generations new replicas are asked for, and tells whether the next pass has to know.
    fn force(&mut self, snapshot: &Snapshot) -> bool {
        let mut is_news = false;
        for pending in &mut self.pending {
            let Ok(Request::One(name, true)) = &pending.request else { continue };
            let fleet = FleetName::parse(name).ok().and_then(|name| snapshot.fleet(&name));
            if let (None, Some(fleet)) = (pending.forced, fleet) {
                pending.forced = Some(fleet.generation);
                is_news = true;
            }
        }
        is_news
    }

    async fn carry_out(&mut self, plan: &Plan, snapshot: &Snapshot) -> bool {
        let settings = self.settings;
        let (host, say) = (self.host.clone(), self.say.clone());
        let hands = Hands {
            owner: &settings.owner,
            host: host.as_ref(),
            surroundings: &settings.surroundings,
            say: &say,
        };
        let mut failed = false;
        for step in &plan.steps {
            let Err(error) = hands.carry_out(step, snapshot, &mut self.memory).await else { continue };
            // Another reconciler of the location was faster: the next pass sees its executor.
            if matches!(error, ActError::Colony(Error::AlreadyExists(_))) {
                continue;
            }
            failed = true;
            let reason = chain(&error);
            self.complain(&format!("Failed to {step}: {reason}"));
            if let Step::Start(launch) = step {
                let slot = (launch.name.fleet.clone(), launch.name.slot);
                let failures = self.memory.failures.entry(slot).or_default();
                failures.count += 1;
                failures.last = self.started.elapsed();
                failures.reason = reason.chars().take(300).collect();
            }
            // No use in asking for the rest.
            if matches!(error, ActError::Colony(Error::Unavailable { .. })) {
                break;
            }
        }
        failed
    }

    /// Says what is about to be done, and what has been.
    fn announce(&mut self, snapshot: &Snapshot, plan: &Plan) {
        for progress in &plan.progress {
            let Some(fleet) = snapshot.fleet(&progress.fleet) else { continue };
            let of_fleet = |name: &ReplicaName| name.fleet == progress.fleet;
            let count = |is: &dyn Fn(&Step) -> bool| {
                u32::try_from(plan.steps.iter().filter(|step| is(step)).count()).unwrap_or(u32::MAX)
            };
            let starts = count(&|step| matches!(step, Step::Start(launch) if of_fleet(&launch.name)));
            let stops = count(&|step| matches!(step, Step::Ask(name, _) if of_fleet(name)));
            let complete = progress.waits.is_empty();
            let now = (fleet.generation, fleet.replicas, complete);
            let before = self.said.insert(progress.fleet.clone(), now);
            let is_new = before.is_none_or(|before| (before.0, before.1) != (now.0, now.1));
            if is_new || starts > 0 {
                (self.say)(&format!(
                    "{}: Current replicas: {}, Desired: {}",
                    fleet.name, progress.current, progress.desired
                ));
            }
            let surroundings = &self.settings.surroundings;
            if starts > 0 {
                (self.say)(&format!("Scaling up: starting {starts} {}", noun(surroundings, starts)));
            }
            if stops > 0 {
                (self.say)(&format!("Scaling down: stopping {stops} {}", noun(surroundings, stops)));
            }
            if complete && before != Some(now) {
                (self.say)(&format!("Reconciliation complete: {} replicas running", progress.current));
            }
        }
        self.said.retain(|name, _| snapshot.fleet(name).is_some());
    }

    /// Writes the statuses that have changed.
    async fn tell(&mut self, session: &Session, snapshot: &Snapshot, progress: &[Progress]) {
        for wish in &snapshot.wishes {
            let of_wish = progress.iter().find(|progress| progress.fleet.as_str() == wish.name());
            let Some(status) = status(snapshot, wish, of_wish, self.settings.seat.kind) else { continue };
            if let Wish::Refused(refused) = wish {
                self.complain(&format!(
                    "{} cannot be carried out: {}",
                    refused.name,
                    refused.reasons.join("; ")
                ));
            }
            match session.update_blueprint_status(wish.name(), &status).await {
                // Removed meanwhile.
                Ok(()) | Err(Error::NotFound(_)) => {}
                Err(error) => self.complain(&chain(&error)),
            }
        }
    }

    async fn answer(&mut self, session: &Session, snapshot: &Snapshot, progress: &[Progress]) {
        let settings = self.settings;
        let place = format!(
            "location {}, executor type {}, runtime {}",
            settings.seat.location, settings.seat.executor_type, settings.seat.kind
        );
        let patience: Duration = settings.settle;
        for pending in std::mem::take(&mut self.pending) {
            let due = match &pending.request {
                Err(reason) => Some(Answer::Failed(vec![reason.clone()])),
                // The plan of this pass did not know of it yet.
                Ok(Request::One(name, true)) if is_unknown(pending.forced, name, snapshot) => None,
                Ok(request) => answer(request, snapshot, progress, &place, pending.since.elapsed(), patience),
            };
            let closed = match due {
                None => {
                    self.pending.push(pending);
                    continue;
                }
                Some(Answer::Done(output)) => session.close_successful(&pending.id, &[output]).await,
                Some(Answer::Failed(reasons)) => session.close_failed(&pending.id, &reasons).await,
            };
            match closed {
                // Cancelled, or another's by now.
                Ok(()) | Err(Error::NotFound(_) | Error::Conflict(_)) => {}
                // It is among those that run in the next pass.
                Err(error) => self.complain(&chain(&error)),
            }
        }
    }
}

/// Whether new replicas are asked for of a fleet that is there, and the plan was made without that.
fn is_unknown(forced: Option<i64>, name: &str, snapshot: &Snapshot) -> bool {
    let Ok(fleet) = FleetName::parse(name) else { return false };
    snapshot.fleet(&fleet).is_some() && snapshot.forced.get(&fleet).copied() < forced
}
