//! Processes of a colony as tests wait for them.

use std::time::Duration;

use colonyos_operator::colony::{Process, ProcessId, ProcessState, Session};

use super::wait::eventually;

/// Waits until a process is in a state.
pub async fn until_state(member: &Session, id: &ProcessId, state: ProcessState, limit: Duration) -> Process {
    until(member, id, state.as_str(), limit, |process| process.state == state).await
}

/// Waits until a process has ended.
pub async fn until_ended(member: &Session, id: &ProcessId, limit: Duration) -> Process {
    until(member, id, "ended", limit, |process| process.state.is_final()).await
}

async fn until(
    member: &Session,
    id: &ProcessId,
    what: &str,
    limit: Duration,
    is_reached: impl Fn(&Process) -> bool,
) -> Process {
    eventually(&format!("process {id} is {what}"), limit, async || {
        let process = member.process(id).await.map_err(|error| error.to_string())?;
        // The server writes the reasons after the state.
        let is_whole = process.state != ProcessState::Failed || !process.errors.is_empty();
        if is_reached(&process) && is_whole {
            Ok(process)
        } else {
            Err(format!("it is {}: {:?}", process.state, process.errors))
        }
    })
    .await
}
