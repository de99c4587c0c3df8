//! Finds out what a colony has of this installation that no object wants: joins what lists have shown with the caches, and looks
//! once more wherever neither suffices.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use super::processes::{MirroredKinds, ProcessHolders};
use crate::{
    api::names::{
        RECONCILER_EXECUTOR_TYPE, executor_end, identity_secret, parse_executor_origin, pod_identity_secret,
    },
    colony::{Executor, ExecutorState, Process, ProcessQuery, ProcessState, Session},
    controllers::engine::context::Services,
    diff::orphans,
    memory::{absences::Absent, identities::read_identity, neighbours::Neighbour},
    runtime::kubernetes::{CALL_TIME_LIMIT, call},
    snapshot::{ColonySnapshot, Leftovers, Membership, Observed},
    watch::{colony::ColonyReading, holders::HolderLookup as _, orphans::exists},
};

/// How many notes are looked at in one pass.
const NOTES: usize = 2;

/// Looks for leftovers.
pub(super) struct LeftoverReader {
    services: Arc<Services>,
    mirrored_kinds: MirroredKinds,
    holders: ProcessHolders,
}

impl LeftoverReader {
    pub(super) fn new(services: Arc<Services>, mirrored_kinds: MirroredKinds) -> Self {
        let holders = ProcessHolders::new(&mirrored_kinds, &services);
        Self { services, mirrored_kinds, holders }
    }

    /// What was found in a colony that no object wants.
    pub(super) async fn read(&self, reading: &ColonyReading) -> Leftovers {
        let (snapshot, services) = (&reading.snapshot, &self.services);
        let (Some(sessions), Membership::Member(_)) = (&reading.sessions, &snapshot.membership) else {
            return Leftovers::default();
        };
        let Some(executors) = snapshot.executors.known() else { return Leftovers::default() };
        let name = snapshot.object.name_any();
        services.neighbours.heard(&name, last_heard(snapshot, executors), reading.asked_at);
        let mut leftovers = Leftovers {
            withheld: orphans::other_installation(snapshot),
            other_intent: services.neighbours.other_intent(services.clock.instant()),
            ..Leftovers::default()
        };
        leftovers.noted = self.noted(&reading.left, &sessions.member, &mut leftovers.is_open).await;
        let objects = self.processes(&name, &reading.left).await;
        let orphaned = self.executors(executors, &mut leftovers.is_open).await;
        let is_withheld = leftovers.withheld.is_some() || leftovers.other_intent.is_some();
        if objects.is_empty() && orphaned.is_empty() || is_withheld {
            return leftovers;
        }
        let now = services.clock.instant();
        match services.neighbours.of(&name, now) {
            Neighbour::None => {
                let due = objects.iter().flat_map(|uid| services.orphans.of(&name, uid, now));
                leftovers.processes = due.collect();
                leftovers.executors = orphaned;
            }
            Neighbour::Heard => {
                leftovers.withheld = Some(format!(
                    "another installation asks colony {} for work with the keys of this operator, such as a cluster that was restored or cloned elsewhere",
                    snapshot.object.spec.colony_name
                ));
            }
            Neighbour::Unknown => {}
        }
        leftovers.is_open = true;
        leftovers
    }

    /// The UIDs of objects that are gone and of which the colony has processes.
    async fn processes(&self, colony: &str, left: &BTreeMap<String, String>) -> Vec<String> {
        let mut found = Vec::new();
        for (uid, processes) in self.services.orphans.objects(colony) {
            if !left.contains_key(&uid) && self.is_gone(&uid, &processes).await {
                found.push(uid);
            }
        }
        found
    }

    /// Whether an object is gone: no cache has it, and where its process names a kind that is not looked after, it is not there.
    async fn is_gone(&self, uid: &str, processes: &[Process]) -> bool {
        if self.holders.with_uid(uid) != Observed::Known(None) {
            return false;
        }
        for named in processes.iter().filter_map(|process| orphans::named(process, uid)) {
            if self.mirrored_kinds.all().iter().any(|objects| objects.is_of(&named.kind)) {
                continue;
            }
            let calls = &self.services.kubernetes.calls;
            let found = exists(calls, &named.kind, named.namespace.as_deref(), &named.name, uid).await;
            match found {
                Observed::Known(false) => {}
                Observed::Known(true) => return false,
                Observed::Unknown(why) => {
                    tracing::warn!(uid, "its process is left alone: {why}");
                    return false;
                }
            }
        }
        true
    }

    /// The executors that were registered for objects that are gone, as are their Secrets.
    async fn executors(&self, executors: &[Executor], is_open: &mut bool) -> Vec<String> {
        let mut found = Vec::new();
        for executor in executors {
            let Some((cluster, uid, namespace, name)) = parse_executor_origin(&executor.blueprint_id) else {
                continue;
            };
            let is_there = matches!(executor.state, ExecutorState::Approved | ExecutorState::Pending);
            if !is_there || cluster != self.services.cluster {
                continue;
            }
            let absent = Absent::Object(uid.to_owned());
            match self.holders.with_uid(uid) {
                Observed::Known(None) => {}
                Observed::Known(Some(_)) => {
                    self.services.absences.present(&absent);
                    continue;
                }
                Observed::Unknown(_) => continue,
            }
            if !self.services.absences.seen(absent, self.services.clock.instant()) {
                *is_open = true;
            } else if self.is_unused(namespace, name, &executor.name).await {
                found.push(executor.name.clone());
            }
        }
        found
    }

    /// Whether no Secret has the key of an executor: where one does, pods that outlive their object may serve as it.
    async fn is_unused(&self, namespace: &str, fleet: &str, executor: &str) -> bool {
        let secrets = Api::<Secret>::namespaced(self.services.kubernetes.calls.clone(), namespace);
        let is_others = |secret: &Secret| read_identity(secret).executor_name != executor;
        let of_pod = executor_end(executor, namespace, fleet).map(|end| pod_identity_secret(fleet, end));
        for name in [identity_secret(fleet)].into_iter().chain(of_pod) {
            match call(CALL_TIME_LIMIT, secrets.get_opt(&name)).await {
                Ok(found) if found.as_ref().is_none_or(is_others) => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::warn!(executor, "is left alone: {}", error.explain("get its Secret"));
                    return false;
                }
            }
        }
        true
    }

    /// Notes whose process is over, some at a time.
    async fn noted(
        &self,
        left: &BTreeMap<String, String>,
        member: &Session,
        is_open: &mut bool,
    ) -> Vec<String> {
        let (absences, now) = (&self.services.absences, self.services.clock.instant());
        let is_due = |uid: &str| absences.is_due(&Absent::Left(uid.to_owned()), now);
        let mut notes: Vec<_> = left.iter().filter(|(uid, _)| is_due(uid) != Some(false)).collect();
        let second = usize::try_from(self.services.clock.now().as_second()).unwrap_or_default();
        let offset = second.checked_rem(notes.len()).unwrap_or_default();
        notes.rotate_left(offset);
        notes.sort_by_key(|(uid, _)| is_due(uid).is_none());
        let mut over = Vec::new();
        for (uid, label) in notes.into_iter().take(NOTES) {
            let absent = Absent::Left(uid.clone());
            match lives(member, label).await {
                None | Some(true) => absences.present(&absent),
                Some(false) if absences.seen(absent, now) => over.push(uid.clone()),
                Some(false) => *is_open = true,
            }
        }
        over
    }
}

/// Whether something lives under a label; none if that is not known.
async fn lives(member: &Session, label: &str) -> Option<bool> {
    // One may step back from running to waiting between two lists.
    for state in [ProcessState::Waiting, ProcessState::Running, ProcessState::Waiting] {
        let query = ProcessQuery::new(state).labelled(label).ok()?;
        if !member.processes(&query).await.ok()?.is_empty() {
            return Some(true);
        }
    }
    Some(false)
}

/// When the operator's executor that falls silent for a test last asked for work.
fn last_heard(snapshot: &ColonySnapshot, executors: &[Executor]) -> Option<Timestamp> {
    let mut own = snapshot.operator_executors.iter();
    let own = own.find(|own| own.executor_type == RECONCILER_EXECUTOR_TYPE)?;
    executors.iter().find(|executor| executor.name == own.name)?.last_heard_at
}
