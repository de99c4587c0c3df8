//! What this process knows of the attempts of an object: whether something of them may have been submitted before.

use kube::{Resource as _, ResourceExt as _, core::object::HasStatus as _};

use super::{
    context::Services,
    stages::{Stages, Status},
};
use crate::{
    api::{mirror::MirrorState, names::SUBMITTED_AS_ANNOTATION},
    memory::submissions::Intent,
};

/// Notes an object that has nothing of an operator yet.
pub(super) fn note_untouched<S: Stages>(services: &Services, object: &S::Object) {
    let is_held = |finalizer| object.finalizers().iter().any(|other| other == finalizer);
    let is_touched = S::FINALIZER.is_none_or(is_held)
        || object.annotations().contains_key(SUBMITTED_AS_ANNOTATION)
        || object.status().is_some_and(|status| S::recorded(status).is_some());
    let uid = object.meta().uid.as_ref();
    if let (false, Some(uid), Some(since)) = (is_touched, uid, services.leadership.alone_since()) {
        services.submissions.untouched(uid, since.monotonic, services.clock.instant());
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
