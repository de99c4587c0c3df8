//! What is submitted for the next attempt of an object of any kind of work. Pure.

use kube::ResourceExt as _;

use super::{Problem, process::submittable, resolved};
use crate::{
    api::{names, work::WorkObject as _},
    kinds::SpecError,
    snapshot::{ResolvedColony, WorkSnapshot},
};

/// A snapshot of work from which an attempt can be made.
pub trait DesiredWork: WorkSnapshot {
    /// What is submitted.
    type Submission: Send + Sync;

    /// Makes an attempt.
    ///
    /// # Errors
    ///
    /// When a field holds what no colony can keep, or a value that it refers to is not there.
    fn build(
        &self,
        colony: &ResolvedColony,
        label: String,
        attempt: i64,
    ) -> Result<Self::Submission, SpecError>;
}

/// What stage 2 makes of an object. An error counts only where something is to be submitted.
pub type Attempt<W> = Result<Option<<W as DesiredWork>::Submission>, SpecError>;

/// Stage 2.
///
/// # Errors
///
/// When there is no colony to submit to.
pub fn desired<W: DesiredWork>(snapshot: &W) -> Result<Attempt<W>, Problem> {
    let object = snapshot.object();
    // A deleted or finished object needs none.
    if object.is_terminating() || object.is_over() {
        return Ok(Ok(None));
    }
    Ok(attempt(snapshot, resolved(&snapshot.header().colony)?))
}

/// Makes the attempt that may be submitted now, if one may: that whose intent is on record, or the one after the last.
///
/// # Errors
///
/// When it cannot be made.
pub fn attempt<W: DesiredWork>(snapshot: &W, colony: &ResolvedColony) -> Attempt<W> {
    let (object, record) = (snapshot.object(), snapshot.record());
    if !object.policies().may_submit() {
        return Ok(None);
    }
    let Some(attempt) = submittable(record.mirror, record.attempts + 1) else { return Ok(None) };
    let uid = object.uid().ok_or(SpecError::Incomplete("metadata.uid"))?;
    let label = names::process_label(&snapshot.header().cluster, &uid, attempt);
    snapshot.build(colony, label, attempt).map(Some)
}
