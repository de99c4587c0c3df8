//! What a host of replicas can do: the one port between decisions and Docker, or plain processes.

use std::{future::Future, pin::Pin};

use colonyos_client::Environment;

use crate::{
    name::ReplicaName,
    plan::Launch,
    snapshot::{Host, Replica},
};

/// Why a host did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It did not answer, or not as expected. What it was asked for may have happened.
    #[error("{action}: {detail}")]
    Failed {
        /// What was tried.
        action: String,
        /// What came instead.
        detail: String,
    },
}

impl HostError {
    /// That `action` failed.
    pub fn new(action: impl Into<String>, detail: impl std::fmt::Display) -> Self {
        let detail: String =
            detail.to_string().chars().filter(|letter| !letter.is_control()).take(512).collect();
        Self::Failed { action: action.into(), detail }
    }
}

/// The future of a call.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, HostError>> + Send + 'a>>;

/// How a signal is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Finish, and end.
    Ask,
    /// End at once.
    Kill,
}

/// A host of replicas.
pub trait Runtime: Send + Sync {
    /// Which one it is: another one has other replicas.
    fn host(&self) -> &Host;

    /// How a replica of that name would be called here.
    fn name_of(&self, name: &ReplicaName) -> String;

    /// Everything that bears our labels and is of this colony and location. All of it or an error, never a part.
    fn list(&self) -> Call<'_, Vec<Replica>>;

    /// Makes a replica, without starting it.
    fn create<'a>(
        &'a self,
        launch: &'a Launch,
        executor_id: &'a str,
        environment: &'a Environment,
    ) -> Call<'a, ()>;

    /// Starts a replica that was made, and tells its id.
    fn start<'a>(&'a self, launch: &'a Launch, environment: &'a Environment) -> Call<'a, String>;

    /// Sends a signal to a replica. That it has ended meanwhile is no error.
    fn end<'a>(&'a self, name: &'a ReplicaName, ending: Ending) -> Call<'a, ()>;

    /// Takes away a replica that does not run. That it is gone is no error.
    fn remove<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, ()>;

    /// Keeps what replicas leave on the host within its limits. Called every second or so.
    fn tidy(&self) -> Call<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The last lines that a replica wrote.
    fn last_words<'a>(&'a self, name: &'a ReplicaName) -> Call<'a, String>;
}
