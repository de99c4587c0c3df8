//! What this process knows of the attempts of an object: whether something of them may have been submitted before.

use jiff::SignedDuration;
use kube::{Resource as _, ResourceExt as _, core::object::HasStatus as _};

use super::{
    context::Services,
    stages::{Stages, Status},
};
use crate::{
    api::{mirror::MirrorState, names::SUBMITTED_AS_ANNOTATION},
    memory::submissions::Intent,
};

/// Notes what the record of an object says of its attempts, and `shown`, the object with the status that waits to be written.
pub(super) fn note_seen<S: Stages>(services: &Services, recorded: &S::Object, shown: &S::Object) {
    note_untouched::<S>(services, shown);
    note_foreign::<S>(services, recorded);
}

/// Notes an object that has nothing of an operator yet.
fn note_untouched<S: Stages>(services: &Services, object: &S::Object) {
    let is_held = |finalizer| object.finalizers().iter().any(|other| other == finalizer);
    let is_touched = S::FINALIZER.is_none_or(is_held)
        || object.annotations().contains_key(SUBMITTED_AS_ANNOTATION)
        || object.status().is_some_and(|status| S::recorded(status).is_some());
    let uid = object.meta().uid.as_ref();
    if let (false, Some(uid), Some(since)) = (is_touched, uid, services.leadership.alone_since()) {
        services.submissions.untouched(uid, since.monotonic, services.clock.instant());
    }
}

/// How much later than the begin of the term an intent has to be, so that it is none of an earlier leader whose clock was ahead.
const MARGIN: SignedDuration = SignedDuration::from_mins(2);

/// Notes an intent that another operator has recorded since this one leads. What this one recorded an hour ago it may have forgotten.
fn note_foreign<S: Stages>(services: &Services, object: &S::Object) {
    let recorded = object.status().and_then(S::recorded);
    let Some(mirror) = recorded.filter(|mirror| mirror.state == MirrorState::Intended) else { return };
    let (now, moment) = (services.clock.instant(), services.clock.moment());
    let Some(begun) = services.leadership.term_started() else { return };
    let (begun, at) = (moment.wall_of(begun), mirror.intended_at.0);
    let is_of_this_term = at.duration_since(begun) > MARGIN && moment.wall.duration_since(at) < MARGIN;
    if is_of_this_term
        && services.submissions.is_of_another(&mirror.label)
        && services.neighbours.saw_intent(&mirror.label, now)
    {
        tracing::warn!(
            label = mirror.label,
            "another operator works on objects of this cluster: two on one object can do its work twice"
        );
    }
}

/// Notes an intent that is about to be recorded.
pub(super) fn note_intending<S: Stages>(services: &Services, status: &Status<S>) {
    if let Some(mirror) = S::recorded(status).filter(|mirror| mirror.state == MirrorState::Intended) {
        services.submissions.intends(&mirror.label, services.clock.instant());
    }
}

/// Notes an intent that is on record since `written`: this process knows that it has sent nothing for it yet.
pub(super) fn note_intended<S: Stages>(services: &Services, object: &S::Object, written: &Status<S>) {
    let recorded = object.status().and_then(S::recorded);
    let intended = S::recorded(written)
        .filter(|mirror| mirror.state == MirrorState::Intended && recorded != Some(*mirror));
    if let (Some(mirror), Some(since)) = (intended, services.leadership.alone_since()) {
        let uid = object.uid().unwrap_or_default();
        let (label, number, had_record) = (&mirror.label, mirror.generation, recorded.is_some());
        let intent = Intent { label, uid: &uid, number, had_record };
        services.submissions.intended(&intent, since.monotonic, services.clock.instant());
    }
}
