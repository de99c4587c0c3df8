//! Calls of owners: of the colony, and of the server.

use super::{
    super::{
        error::Error,
        model::{Colony, Executor, NewColony, NewExecutor, NewUser, ProcessState, User},
        wire::{
            AddColony, AddExecutor, AddUser, ApproveExecutor, GetColonies, PauseAssignments, RejectExecutor,
            RemoveAllProcesses, RemoveColony, RemoveExecutor, RemoveUser, ResumeAssignments,
        },
    },
    Session,
};

impl Session {
    /// Adds an executor, which then waits for approval. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name was ever used in the colony, or the identity is in use;
    /// [`Error::Forbidden`] when the key is not the owner's; else as any call.
    pub async fn add_executor(&self, executor: &NewExecutor) -> Result<Executor, Error> {
        self.call(&AddExecutor { executor }).await
    }

    /// Lets an executor take processes. Approving again is no error; approving one that was removed, or that
    /// the server held for stale, **brings it back** under its old key. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; else as any call.
    pub async fn approve_executor(&self, name: &str) -> Result<(), Error> {
        self.call(&ApproveExecutor { colonyname: &self.colony, executorname: name }).await.map(|_| ())
    }

    /// Removes an executor; its name stays used up. Removing again is no error. **A process that it is
    /// running goes back into the queue at once**, so let it finish first. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; else as any call.
    pub async fn remove_executor(&self, name: &str) -> Result<(), Error> {
        self.call(&RemoveExecutor { colonyname: &self.colony, executorname: name }).await.map(|_| ())
    }

    /// Rejects an executor: it can close, log and set nothing any more. **Neither fence nor drain**: a long-poll
    /// that already waits may still be given a process, and one that is running stays with it. Undone by
    /// [`Session::approve_executor`]. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; else as any call.
    pub async fn reject_executor(&self, name: &str) -> Result<(), Error> {
        self.call(&RejectExecutor { colonyname: &self.colony, executorname: name }).await.map(|_| ())
    }

    /// Stops the assignment of processes in the **whole colony** until it is resumed; also over a restart of the
    /// server, and **over the removal of the colony**. Takes effect at the next turn of each long-poll: read what
    /// runs once more afterwards. Pausing again is no error. For the colony's owner.
    ///
    /// # Errors
    /// As any call.
    pub async fn pause_assignments(&self) -> Result<(), Error> {
        self.call(&PauseAssignments { colonyname: &self.colony }).await.map(|_| ())
    }

    /// Resumes the assignment of processes, paused by any caller. Resuming what is not paused is no error. For the
    /// colony's owner.
    ///
    /// # Errors
    /// As any call.
    pub async fn resume_assignments(&self) -> Result<(), Error> {
        self.call(&ResumeAssignments { colonyname: &self.colony }).await.map(|_| ())
    }

    /// Removes all processes of that state, but for those of workflows; with `None` those of every state, **the
    /// running ones too**, whose executors then find nothing to close. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::Invalid`] for [`ProcessState::Running`], which the server refuses; else as any call.
    pub async fn remove_all_processes(&self, state: Option<ProcessState>) -> Result<(), Error> {
        let state = state.and_then(|state| i8::try_from(state.number()).ok()).unwrap_or(-1);
        self.call(&RemoveAllProcesses { colonyname: &self.colony, state }).await.map(|_| ())
    }

    /// Removes a user. The name and the identity may be used again. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; else as any call.
    pub async fn remove_user(&self, name: &str) -> Result<(), Error> {
        self.call(&RemoveUser { colonyname: &self.colony, name }).await.map(|_| ())
    }

    /// Adds a user. For the colony's owner.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is in use (the same identity under a second name is accepted);
    /// else as any call.
    pub async fn add_user(&self, user: &NewUser) -> Result<User, Error> {
        self.call(&AddUser { user }).await
    }

    /// Adds a colony. For the server's owner, whatever colony this session is for.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is in use; [`Error::Forbidden`] when the key is not the
    /// server's; else as any call.
    pub async fn add_colony(&self, colony: &NewColony) -> Result<Colony, Error> {
        self.call(&AddColony { colony }).await
    }

    /// Removes a colony with all its users, executors, processes, workflows, crons and logs. **Its blueprints,
    /// their definitions and a pause stay**, and are those of the next colony of that name. For the server's
    /// owner, whatever colony this session is for.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none of that name; [`Error::Forbidden`] when the key is not the
    /// server's; else as any call.
    pub async fn remove_colony(&self, name: &str) -> Result<(), Error> {
        self.call(&RemoveColony { colonyname: name }).await.map(|_| ())
    }

    /// Lists the colonies of the server. For the server's owner.
    ///
    /// # Errors
    /// As [`Session::add_colony`]. A list that cannot be read is an error, never empty.
    pub async fn colonies(&self) -> Result<Vec<Colony>, Error> {
        Ok(self.call(&GetColonies {}).await?.0)
    }
}
