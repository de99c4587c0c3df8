//! Does what a plan says, step by step. Decides nothing.

use std::sync::Arc;

use colonyos_client::{Error, InvalidKey, NewExecutor, PrivateKey, Session, Software};

use crate::{
    environment::{Identity, Surroundings, environment},
    name::ReplicaName,
    plan::{Launch, Step},
    port::{Ending, HostError, Runtime},
    snapshot::{Memory, SOFTWARE, Snapshot, State},
};

/// Why a step was not done, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The colony did not do it.
    #[error(transparent)]
    Colony(#[from] Error),
    /// The host did not do it.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

/// Says a line to whoever runs the reconciler.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// What steps are done with.
pub struct Hands<'a> {
    /// The colony's owner, who registers executors.
    pub owner: &'a Session,
    /// Where replicas are.
    pub host: &'a dyn Runtime,
    /// What all replicas have in common.
    pub surroundings: &'a Surroundings,
    /// Where to say what was done.
    pub say: &'a Say,
}

impl Hands<'_> {
    /// Does one step. What it was to change may have changed even if it fails.
    ///
    /// # Errors
    /// When the colony or the host did not do it; the next pass sees how far it came.
    pub async fn carry_out(
        &self,
        step: &Step,
        snapshot: &Snapshot,
        memory: &mut Memory,
    ) -> Result<(), ActError> {
        match step {
            Step::Start(launch) => self.start(launch).await,
            Step::Ask(name, why) => {
                // Noted first: a signal that may have been sent counts as sent.
                memory.asked.insert(name.clone(), snapshot.elapsed);
                self.host.end(name, Ending::Ask).await?;
                (self.say)(&format!("Stopping {} {}: {why}", self.noun(), self.host.name_of(name)));
                Ok(())
            }
            Step::Kill(name, why) => {
                self.host.end(name, Ending::Kill).await?;
                (self.say)(&format!(
                    "Killed {} {}, which did not stop in time: {why}",
                    self.noun(),
                    self.host.name_of(name)
                ));
                Ok(())
            }
            Step::Remove(name) => self.remove(name, snapshot, memory).await,
            Step::Unregister(name) => self.unregister(name).await,
        }
    }

    fn noun(&self) -> &'static str {
        noun(self.surroundings, 1)
    }

    /// Made before it is registered, registered before it starts.
    async fn start(&self, launch: &Launch) -> Result<(), ActError> {
        let key = PrivateKey::generate()?;
        let id = key.id().clone();
        let identity =
            Identity { id: id.to_string(), key: key.to_hex(), host_name: self.host.name_of(&launch.name) };
        let environment = environment(self.surroundings, launch, &identity);
        let Surroundings { colony, location, kind, .. } = self.surroundings;
        let software = Software {
            name: SOFTWARE.to_owned(),
            kind: kind.to_string(),
            version: self.host.host().0.clone(),
        };
        let executor = NewExecutor::new(colony, &launch.name.to_string(), &launch.template.executor_type, id)
            .and_then(|executor| executor.location(location))
            .map_err(Error::Field)?
            .blueprint(&launch.blueprint, launch.generation)
            .software(vec![software]);
        self.host.create(launch, &identity.id, &environment).await?;
        let registered = self.owner.add_executor(&executor).await;
        if let Err(error) = registered {
            // Another reconciler was faster, or the server refuses: what was made is of no use.
            self.host.remove(&launch.name).await?;
            return Err(error.into());
        }
        self.owner.approve_executor(executor.name()).await?;
        let started = self.host.start(launch, &environment).await?;
        (self.say)(&format!("Started {} {} ({started})", self.noun(), identity.host_name));
        Ok(())
    }

    async fn remove(&self, name: &ReplicaName, snapshot: &Snapshot, memory: &Memory) -> Result<(), ActError> {
        let replica = snapshot.replicas.iter().find(|replica| replica.name == *name);
        if let Some(State::Ended(reason)) = replica.map(|replica| &replica.state)
            && !memory.asked.contains_key(name)
        {
            let words = self.host.last_words(name).await.unwrap_or_default();
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let last: String = last.chars().filter(|letter| !letter.is_control()).take(300).collect();
            (self.say)(&format!("{} {name} has ended ({reason}); its last words: {last:?}", self.noun()));
        }
        self.host.remove(name).await?;
        (self.say)(&format!("Removed {} {}", self.noun(), self.host.name_of(name)));
        if snapshot.member(name).is_some_and(|member| !member.is_gone) {
            self.unregister(name).await?;
        }
        Ok(())
    }

    async fn unregister(&self, name: &ReplicaName) -> Result<(), ActError> {
        match self.owner.remove_executor(&name.to_string()).await {
            Ok(()) => {
                (self.say)(&format!("Removed executor {name}"));
                Ok(())
            }
            Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a replica is called here.
#[must_use]
pub fn noun(surroundings: &Surroundings, count: u32) -> &'static str {
    match (surroundings.kind, count) {
        (crate::fleet::Kind::Docker, 1) => "container",
        (crate::fleet::Kind::Docker, _) => "containers",
        (crate::fleet::Kind::Local, 1) => "process",
        (crate::fleet::Kind::Local, _) => "processes",
    }
}
