//! The protocol that makes each attempt of an object exactly one process or workflow, for every kind: record the intent, look
//! up what was sent for it, submit, bind, follow, end. Pure.
//!
//! [`super::mirror`] and [`super::graph`] decide what an answer of the colony means for status. This module adds what all kinds
//! share: finalizers, errors of stage 2, and stopping.

use super::{
    KubernetesStep, Mirror, Plan, Step, Terms,
    mirror::{MirrorPlan, ProcessFacts, behind_gate},
    process_state::{is_live, state_of},
    submission::Submission,
    work::{awaits_failure_reasons, of_mirror, stop_message},
};
use crate::{
    api::{
        colony_workflow::NodeStatus,
        mirror::MirrorStatus,
        names::{SUBMITTED_AS_ANNOTATION, submitted_as},
        work::StopReason,
    },
    colony::Process,
    snapshot::{Observed, WorkHeader},
};

/// What stage 2 has made of an attempt. An error counts only where something is to be submitted.
pub(super) type Submittable<'a, S, E> = Result<Option<&'a S>, &'a E>;

/// An object that one attempt at a time carries out.
pub(super) trait Attempts {
    /// What its attempts are submitted as.
    type Submission: Submission;

    /// What is known of it.
    fn header(&self) -> &WorkHeader;
    /// What it says of how it is to be worked on.
    fn terms(&self) -> Terms<'_>;
    /// What status says of the nodes of its workflow; none if it is a process.
    fn nodes(&self) -> Option<&[NodeStatus]> {
        None
    }

    /// Whether its process waits behind a gate at first.
    fn is_gated(&self) -> bool {
        false
    }

    /// What is known of its attempt.
    fn known(&self) -> ProcessFacts<'_> {
        let header = self.header();
        ProcessFacts {
            recorded: self.terms().mirror,
            processes: &header.processes,
            submit_not_before: header.submit_not_before,
            now: header.now,
        }
    }

    /// The plan that adds the finalizer, if it is missing, or came with a backup.
    fn hold(&self) -> Option<Plan> {
        let is_held = |said: Option<&String>, own: &String| said.is_none_or(|said| said == own);
        Some(Plan { steps: vec![self.hold_unless(is_held)?], ..Plan::default() })
    }

    /// The step that holds the object, unless it has the finalizer, and `is_held` by what its annotation says and should say.
    fn hold_unless(&self, is_held: impl Fn(Option<&String>, &String) -> bool) -> Option<Step> {
        let (terms, cluster) = (self.terms(), &self.header().cluster);
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let metadata = terms.metadata;
        let (uid, namespace, name) = (text(&metadata.uid), text(&metadata.namespace), text(&metadata.name));
        let submitted_as = submitted_as(cluster, &uid, &namespace, &name);
        let said = metadata.annotations.as_ref().and_then(|all| all.get(SUBMITTED_AS_ANNOTATION));
        if terms.has_finalizer() && is_held(said, &submitted_as) {
            return None;
        }
        Some(Step::Kubernetes(KubernetesStep::Hold { submitted_as }))
    }

    /// Holds the object and records what is about to be submitted. Nothing is until both have been seen.
    fn intend(&self, desired: &Self::Submission) -> Plan {
        let mut mirror = MirrorPlan::default();
        mirror.intend(&self.header().colony, desired.label(), desired.generation());
        let mut plan = of_mirror(mirror);
        plan.steps.extend(self.hold_unless(|said, own| said == Some(own)));
        plan
    }

    /// Begins the next attempt, if one may be submitted. What was created for an owner that is gone goes with it.
    ///
    /// # Errors
    ///
    /// When it cannot be.
    fn begin<E: Clone>(&self, desired: Submittable<'_, Self::Submission, E>) -> Result<Plan, E> {
        let desired = desired.map_err(Clone::clone)?;
        let awaited = match &self.header().is_owner_gone {
            Observed::Known(false) => None,
            Observed::Known(true) => {
                Some("the garbage collector: the owner of the object is deleted".to_owned())
            }
            Observed::Unknown(why) => {
                Some(format!("the API server to report the owner of the object: {why}"))
            }
        };
        if let Some(awaited) = awaited {
            return Ok(Plan { awaiting: vec![awaited], ..Plan::default() });
        }
        Ok(desired.map_or_else(Plan::default, |desired| self.intend(desired)))
    }

    /// An intent is on record. Where nothing may be submitted any more, what was sent for it is looked for all the same.
    ///
    /// # Errors
    ///
    /// When it was not submitted and cannot be.
    fn submit<E: Clone>(
        &self,
        mirror: &MirrorStatus,
        desired: Submittable<'_, Self::Submission, E>,
    ) -> Result<Plan, E> {
        let plan = self.look_up(mirror, desired.ok().flatten());
        match desired {
            // An attempt stays the same attempt: what hinders its submit is waited for, and its intent stays on record.
            Err(error) if plan.mirror == Mirror::Forget => Err(error.clone()),
            _ => Ok(of_mirror(plan)),
        }
    }

    /// Follows a bound process. `next` adds to the plan once the reasons of a failure are known.
    fn follow(&self, mirror: &MirrorStatus, next: impl FnOnce(&mut MirrorPlan, &Process)) -> Plan {
        let mut plan = MirrorPlan::default();
        let process = plan.look(&self.known(), mirror);
        if let Some((due, awaited)) =
            process.and_then(|process| awaits_failure_reasons(process, self.header().now))
        {
            return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
        }
        if let Some(process) = process {
            next(&mut plan, process);
        }
        of_mirror(plan)
    }

    /// The plan for the last process of an object before it was restored: once it is over it is the object's again, and nothing is
    /// submitted. While it is alive it may be that of an object of another cluster, of which this one is a copy.
    fn take_up(&self, earlier: &Process, generation: i64) -> Plan {
        if is_live(earlier) {
            let id = &earlier.id;
            let awaited =
                format!("process {id}, which was submitted before the object was restored, to be over");
            return Plan { awaiting: vec![awaited], ..Plan::default() };
        }
        if let Some((due, awaited)) = awaits_failure_reasons(earlier, self.header().now) {
            return Plan { due: Some(due), awaiting: vec![awaited], ..Plan::default() };
        }
        // The annotation by which the process is the object's stays.
        let hold = (!self.terms().has_finalizer()).then_some(Step::Kubernetes(KubernetesStep::AddFinalizer));
        let mirror = Mirror::Found {
            label: earlier.spec.label.clone(),
            generation,
            process_id: earlier.id.to_string(),
            state: state_of(earlier),
            submitted_at: earlier.submitted_at,
        };
        Plan { steps: hold.into_iter().collect(), mirror, ..Plan::default() }
    }

    /// Looks for what was sent for an intent, and submits `desired` if nothing was.
    fn look_up(&self, mirror: &MirrorStatus, desired: Option<&Self::Submission>) -> MirrorPlan {
        let mut plan = MirrorPlan::default();
        match self.nodes() {
            None => plan.intended(&self.known(), mirror, desired),
            Some(nodes) => plan.intended_graph(&self.known(), nodes, mirror, desired),
        }
        plan
    }

    /// Removes the finalizer of a deleted object once nothing is left to do; `end` ends what runs of it.
    fn finalize(&self, end: impl FnOnce() -> Plan) -> Plan {
        self.terms().finalize(|| self.orphan(), end)
    }

    /// What outlives the object is one process, too: what was sent for an intent is looked up, and all but the oldest are cancelled.
    /// That one does not wait behind a gate that would never be opened.
    fn orphan(&self) -> Plan {
        let terms = self.terms();
        let Some(mirror) = terms.mirror.filter(|mirror| mirror.may_live()) else { return Plan::default() };
        let mut plan = if mirror.is_unbound() { self.look_up(mirror, None) } else { MirrorPlan::default() };
        if plan.steps.is_empty() && plan.awaiting.is_empty() && self.nodes().is_none() {
            match &self.header().processes {
                Observed::Known(found) => {
                    if let Some(run) = behind_gate(found, mirror) {
                        plan.open_gate(&self.header().colony, run, found);
                    }
                }
                Observed::Unknown(why) if self.is_gated() => {
                    plan.awaiting.push(format!("the colony to report whether the gate is open: {why}"));
                }
                Observed::Unknown(_) => {}
            }
        }
        of_mirror(plan)
    }

    /// Ends what runs of it.
    fn end(&self, why: &str) -> Plan {
        let mut plan = MirrorPlan::default();
        match self.nodes() {
            None => plan.end(&self.known(), why),
            Some(nodes) => plan.end_graph(&self.known(), nodes, why),
        }
        of_mirror(plan)
    }

    /// The plan for an object that is finished or to be stopped, if it is either. `stopping` is the reason that status has for
    /// an end under way.
    fn stop(&self, stopping: Option<StopReason>) -> Option<Plan> {
        let terms = self.terms();
        if terms.is_finished() {
            return Some(terms.expire());
        }
        let live = terms.mirror.filter(|mirror| mirror.may_live());
        if let (Some(reason), Some(_), true) = (stopping, live, terms.may_update) {
            return Some(self.end(stop_message(reason)));
        }
        let reason = terms.wanted_stop().filter(|_| live.is_none() || terms.may_update)?;
        // On record before anything is cancelled: an observer of the end can attribute it.
        Some(Plan { stop: live.map(|_| reason), ..Plan::default() })
    }
}
