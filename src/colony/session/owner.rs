//! Calls of owners: of the colony, and of the server.

use super::super::{
    error::Error,
    model::{Colony, Executor, NewColony, NewExecutor, NewUser, User},
    wire::{AddColony, AddExecutor, AddUser, ApproveExecutor, RemoveExecutor},
};
use super::Session;

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
}
