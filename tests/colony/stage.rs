//! What each test starts from: a colony of its own on a server, with an owner and a user.

use std::{future::Future, time::Duration};

use colonyos_operator::colony::{
    Client, FunctionSpec, NewColony, NewExecutor, NewUser, PrivateKey, Process, ProcessId, ProcessState,
    Server, Session, Timeouts,
};

use crate::support::{
    process,
    server::{letters, server, setting},
    wait::eventually,
};

/// How long a condition may take to come true. Nothing here takes more than a few seconds.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// A colony of its own.
pub struct Stage {
    pub server: Server,
    pub client: Client,
    pub colony: String,
    pub server_owner: Session,
    pub owner: Session,
    pub owner_key: PrivateKey,
    pub user: Session,
    /// A type that no other test, and no other run on the same server, has: the server wakes one executor of
    /// a type in whatever colony. It ends in a letter, since types that differ by digits at the end lose
    /// wake-ups too.
    pub executor_type: String,
}

impl Stage {
    /// On the server that the environment names.
    pub async fn new() -> Self {
        Self::at(server(), PrivateKey::from_hex(&setting("COLONIES_SERVER_PRVKEY")).unwrap()).await
    }

    pub async fn at(server: Server, owner_of_server: PrivateKey) -> Self {
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let colony = format!("test-{}", letters());
        let key = || PrivateKey::generate().unwrap();
        let server_owner = client.session(&colony, owner_of_server);
        let owner_key = key();
        let (owner, user) = (client.session(&colony, owner_key.clone()), client.session(&colony, key()));
        server_owner.add_colony(&NewColony::new(&colony, owner.id().clone()).unwrap()).await.unwrap();
        owner.add_user(&NewUser::new(&colony, "ops", user.id().clone()).unwrap()).await.unwrap();
        let executor_type = format!("type-{}", letters());
        Self { server, client, colony, server_owner, owner, owner_key, user, executor_type }
    }

    /// An approved executor of the stage's type.
    pub async fn executor(&self) -> Session {
        self.named_executor(&format!("executor-{}", letters()), PrivateKey::generate().unwrap()).await
    }

    pub async fn named_executor(&self, name: &str, key: PrivateKey) -> Session {
        let session = self.client.session(&self.colony, key);
        self.owner.add_executor(&self.new_executor(name, &session)).await.unwrap();
        self.owner.approve_executor(name).await.unwrap();
        session
    }

    pub fn new_executor(&self, name: &str, session: &Session) -> NewExecutor {
        NewExecutor::new(&self.colony, name, &self.executor_type, session.id().clone()).unwrap()
    }

    pub fn spec(&self, function: &str) -> FunctionSpec {
        FunctionSpec::new(&self.colony, &self.executor_type, function).unwrap()
    }

    /// Submits a process and has `executor` take it.
    pub async fn running(&self, executor: &Session, spec: &FunctionSpec) -> Process {
        let submitted = self.user.submit(spec).await.unwrap();
        let assigned =
            executor.assign(Duration::from_secs(5)).await.unwrap().expect("there is a process to take");
        assert_eq!(assigned.id, submitted.id);
        assigned
    }

    /// Waits until a process is in a state.
    pub async fn until_state(&self, id: &ProcessId, state: ProcessState) -> Process {
        process::until_state(&self.user, id, state, DEADLINE).await
    }

    /// Waits until a process has ended.
    pub async fn until_ended(&self, id: &ProcessId) -> Process {
        process::until_ended(&self.user, id, DEADLINE).await
    }
}

/// Waits until `look` gives something.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    eventually(what, DEADLINE, async || look().await.ok_or_else(|| "not yet".to_owned())).await
}
