//! What each test starts from: a namespace that lets only restricted pods in, and a colony with an owner and a user.

use std::collections::BTreeMap;

use colonyos_operator::{
    api::{
        colony::{Colony, ColonySpec},
        executor_deployment::ExecutorDeployment,
        names::{DEFAULT_COLONY_ANNOTATION, OWNER_KEY},
    },
    colony::{
        Client, ExecutorState, FunctionSpec, NewColony, NewUser, PrivateKey, Process, ProcessId,
        ProcessState, Server, Session, Timeouts, Tls,
    },
    runtime::kubernetes::Kubernetes,
};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::json;

use crate::{
    fleet::{RUN_LIMIT, START_LIMIT},
    installation::{NAMESPACE, TEST_LABEL},
    support::{conditions::Conditions as _, namespace::TestNamespace, process, server, wait::eventually},
};

/// A namespace and a colony of its own.
#[derive(Clone)]
pub struct Stage {
    /// The namespace.
    pub namespace: TestNamespace,
    /// The server on which the colony is.
    pub server: Server,
    /// Name of the colony on the server, and of the `Colony` object.
    pub colony: String,
    /// How the cluster is called in the colony.
    pub location: String,
    /// A type that no other test on the server has, ending in a letter: types that add digits miss wake-ups.
    pub executor_type: String,
    /// Calls as a user.
    pub user: Session,
    /// Keys that have no business in a namespace, by whose they are.
    pub keys: BTreeMap<&'static str, String>,
}

/// How a `Colony` object leads to the server.
pub struct ColonyAddress {
    /// Host, as pods reach it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whether objects that name no colony use it.
    pub is_default: bool,
}

impl Stage {
    /// Makes the namespace and the colony; there is no `Colony` object yet.
    pub async fn new(kubernetes: &Kubernetes, test: &str) -> Self {
        let suffix = server::letters();
        let name = format!("test-{test}-{suffix}");
        let labels = [("pod-security.kubernetes.io/enforce", "restricted"), (TEST_LABEL, "e2e")];
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            ..ObjectMeta::default()
        };
        let namespaces = Api::<Namespace>::all(kubernetes.calls.clone());
        let namespace = Namespace { metadata, ..Namespace::default() };
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();

        let server = server::server();
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let key = || PrivateKey::generate().unwrap();
        let server_key = server::setting("COLONIES_SERVER_PRVKEY");
        let (owner, user) = (key(), key());
        let keys = BTreeMap::from([
            ("the server's owner", server_key.clone()),
            ("the colony's owner", owner.to_hex().to_string()),
            ("a user", user.to_hex().to_string()),
        ]);
        let server_owner = client.session(&name, PrivateKey::from_hex(&server_key).unwrap());
        let (owner, user) = (client.session(&name, owner), client.session(&name, user));
        server_owner.add_colony(&NewColony::new(&name, owner.id().clone()).unwrap()).await.unwrap();
        owner.add_user(&NewUser::new(&name, "ops", user.id().clone()).unwrap()).await.unwrap();
        Self {
            namespace: TestNamespace { kubernetes: kubernetes.clone(), name: name.clone() },
            server,
            colony: name,
            location: format!("edge-{suffix}"),
            executor_type: format!("type-{suffix}"),
            user,
            keys,
        }
    }

    /// Connects the cluster with the colony, and waits until the operator says that it is.
    pub async fn connect(&self) {
        let address =
            ColonyAddress { host: self.server.host.clone(), port: self.server.port, is_default: false };
        self.connect_by(&address).await;
    }

    /// Connects by an address other than the server's own.
    pub async fn connect_by(&self, address: &ColonyAddress) {
        let secret = Secret {
            metadata: self.metadata(),
            string_data: Some([(OWNER_KEY.to_owned(), self.keys["the colony's owner"].clone())].into()),
            ..Secret::default()
        };
        let client = self.namespace.kubernetes.calls.clone();
        Api::namespaced(client, NAMESPACE).create(&PostParams::default(), &secret).await.unwrap();
        self.create_colony(address).await;
        self.until_connected(true).await;
    }

    /// Creates the `Colony` object, without its Secret.
    pub async fn create_colony(&self, address: &ColonyAddress) {
        let spec: ColonySpec = serde_json::from_value(json!({
            "server": {"host": address.host, "port": address.port, "insecure": self.server.tls == Tls::Insecure},
            "colonyName": self.colony,
            "location": self.location,
            "credentialsSecretName": self.colony,
            "inbound": {"policy": "Accept", "namespaces": [self.namespace.name]},
        }))
        .unwrap();
        let mut colony = Colony::new(&self.colony, spec);
        colony.metadata = self.metadata();
        if address.is_default {
            let annotation = (DEFAULT_COLONY_ANNOTATION.to_owned(), "true".to_owned());
            colony.metadata.annotations = Some([annotation].into());
        }
        self.colonies().create(&PostParams::default(), &colony).await.unwrap();
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.colony.clone()),
            labels: Some([(TEST_LABEL.to_owned(), "e2e".to_owned())].into()),
            ..ObjectMeta::default()
        }
    }

    /// Waits until the operator says that the colony can be reached, or cannot.
    pub async fn until_connected(&self, is_connected: bool) -> Colony {
        let wanted = if is_connected { "True" } else { "False" };
        eventually(&format!("condition Ready of the Colony is {wanted}"), START_LIMIT, async || {
            let colony = self.colonies().get(&self.colony).await.map_err(|error| error.to_string())?;
            let conditions = colony.status.as_ref().map_or(&[][..], |status| &status.conditions);
            match conditions.condition("Ready") {
                Some(ready) if ready.status == wanted => Ok(colony),
                other => Err(format!("it is {other:?}")),
            }
        })
        .await
    }

    /// `Colony` objects.
    pub fn colonies(&self) -> Api<Colony> {
        Api::all(self.namespace.kubernetes.calls.clone())
    }

    /// Something to run for an executor of the stage's type.
    pub fn function(&self, name: &str) -> FunctionSpec {
        FunctionSpec::new(&self.colony, &self.executor_type, name).unwrap()
    }

    /// Submits a process as the user.
    pub async fn submit(&self, spec: &FunctionSpec) -> ProcessId {
        self.user.submit(spec).await.unwrap().id
    }

    /// Waits until a process is in a state.
    pub async fn until_state(&self, id: &ProcessId, state: ProcessState) -> Process {
        process::until_state(&self.user, id, state, RUN_LIMIT).await
    }

    /// Waits until a process has ended.
    pub async fn until_ended(&self, id: &ProcessId) -> Process {
        process::until_ended(&self.user, id, RUN_LIMIT).await
    }

    /// Has everything deleted, without waiting for it.
    pub async fn leave(&self) {
        // A namespace that goes takes its pods first and the rest much later.
        let fleets = self.namespace.api::<ExecutorDeployment>();
        if let Err(error) =
            fleets.delete_collection(&DeleteParams::background(), &ListParams::default()).await
        {
            eprintln!("failed to delete the fleets of {}: {error}", self.namespace.name);
        }
        let namespaces = Api::<Namespace>::all(self.namespace.kubernetes.calls.clone());
        if let Err(error) = namespaces.delete(&self.namespace.name, &DeleteParams::background()).await {
            eprintln!("failed to delete namespace {}: {error}", self.namespace.name);
        }
    }

    /// Executors of a type that the colony has approved, by name.
    pub async fn approved_executors(&self, executor_type: &str) -> Result<Vec<String>, String> {
        let executors = self.user.executors().await.map_err(|error| error.to_string())?;
        Ok(executors
            .into_iter()
            .filter(|executor| executor.executor_type == executor_type)
            .filter(|executor| executor.state == ExecutorState::Approved)
            .map(|executor| executor.name)
            .collect())
    }

    /// Names of the Secrets in the namespace.
    pub async fn secret_names(&self) -> Result<Vec<String>, String> {
        let secrets = self.namespace.api::<Secret>().list(&ListParams::default()).await;
        let secrets = secrets.map_err(|error| error.to_string())?;
        Ok(secrets.iter().map(kube::ResourceExt::name_any).collect())
    }
}
