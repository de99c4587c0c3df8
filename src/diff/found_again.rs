//! What was lost and is there again, such as a row that was hidden for a while. Pure.

use crate::{
    api::mirror::{MirrorState, MirrorStatus},
    colony::Process,
    snapshot::Observed,
};

/// Whether what is bound is followed: it lives, as far as status knows, or the colony has again what was lost.
pub(super) fn is_followed(mirror: &MirrorStatus, processes: &Observed<Vec<Process>>) -> bool {
    let is_found = |id: &str| {
        let mut found = processes.known().into_iter().flatten();
        found.any(|process| process.id.as_str() == id || process.graph_id == id)
    };
    mirror.state.is_live()
        || (mirror.state == MirrorState::Lost && mirror.process_id.as_deref().is_some_and(is_found))
}
