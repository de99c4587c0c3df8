//! What the state of a process means for the attempt that it carries out. Pure.

use crate::{
    api::mirror::{MirrorState, MirrorStatus},
    colony::{Process, ProcessState},
    snapshot::Observed,
};

/// State of a process in our words.
#[must_use]
pub(super) const fn state_of(process: &Process) -> MirrorState {
    match process.state {
        ProcessState::Waiting => MirrorState::Waiting,
        ProcessState::Running => MirrorState::Running,
        ProcessState::Successful => MirrorState::Successful,
        ProcessState::Failed => MirrorState::Failed,
        ProcessState::Cancelled => MirrorState::Cancelled,
    }
}

pub(super) const fn is_live(process: &Process) -> bool {
    matches!(process.state, ProcessState::Waiting | ProcessState::Running)
}

/// Whether what is bound is followed: it lives, as far as status knows, or the colony has again what was lost,
/// such as a row that was hidden for a while.
pub(super) fn is_followed(mirror: &MirrorStatus, processes: &Observed<Vec<Process>>) -> bool {
    let is_found = |id: &str| {
        let mut found = processes.known().into_iter().flatten();
        found.any(|process| process.id.as_str() == id || process.graph_id == id)
    };
    mirror.state.is_live()
        || (mirror.state == MirrorState::Lost && mirror.process_id.as_deref().is_some_and(is_found))
}
