//! The reconciler's own executor: as which it reads the colony and is given processes.

use std::io;

use colonyos_client::{Error, NewExecutor, Session};

use crate::folder::StateFolder;

/// Why the reconciler has no executor.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// The colony does not have it.
    #[error(transparent)]
    Colony(#[from] Error),
    /// The state folder does not give it.
    #[error("failed to read or write the reconciler's own key: {0}")]
    Folder(#[from] io::Error),
}

/// Registers and approves the reconciler's own executor, unless it is already. One that the colony does not take back gets a new
/// name and a new key.
///
/// # Errors
/// When colony or folder do not play along.
pub async fn register(
    folder: &StateFolder,
    owner: &Session,
    executor_type: &str,
    location: &str,
) -> Result<Session, OwnError> {
    let prefix = format!("{executor_type}-{location}");
    for _ in 0..2 {
        let (name, key) = folder.executor(&prefix)?;
        let session = owner.client().session(owner.colony(), key);
        if accepted(&session).await? {
            return Ok(session);
        }
        let executor = NewExecutor::new(owner.colony(), &name, executor_type, session.id().clone())
            .and_then(|executor| executor.location(location))
            .map_err(Error::Field)?;
        match owner.add_executor(&executor).await {
            // Its own, from before a crash, or one that was held for stale while the reconciler was away.
            Ok(_) | Err(Error::AlreadyExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        owner.approve_executor(&name).await?;
        if accepted(&session).await? {
            return Ok(session);
        }
        // The name is another's by now.
        folder.forget_executor()?;
    }
    Err(io::Error::other("the colony does not accept it under two names").into())
}

async fn accepted(session: &Session) -> Result<bool, Error> {
    match session.executor_by_id(session.id()).await {
        Ok(executor) => Ok(executor.state == colonyos_client::ExecutorState::Approved),
        Err(Error::Forbidden(_) | Error::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}
