//! Both servers in memory, the network to them, a clock that a test sets, and an operator's machinery on all of it.

mod cache;

use std::{sync::LazyLock, time::Duration};

use colonyos_fake::{ApiServer, ColonyServer, InMemory, Network};
use colonyos_operator::{
    api::{
        self,
        names::{CONTROLLER_EXECUTOR_TYPE, RECONCILER_EXECUTOR_TYPE},
    },
    colony::{PrivateKey, Session},
    controllers::Services,
    memory::connections::{Connection, OperatorIdentity},
    runtime::{
        clock::Clock, config::OperatorConfiguration, kubernetes::Kubernetes, lease::Leadership,
        metrics::Metrics,
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use cache::Cache;

/// The name of the colony, on the server as in the cluster.
pub const COLONY: &str = "hive";

/// The namespace of users' objects.
pub const NAMESPACE: &str = "media";

/// The operator's own namespace.
pub const OPERATOR_NAMESPACE: &str = "colonyos-system";

/// The operator's executors: their type and the number of their key.
const EXECUTORS: [(&str, u8); 2] = [(CONTROLLER_EXECUTOR_TYPE, 4), (RECONCILER_EXECUTOR_TYPE, 5)];

/// A cluster and a colony, and nothing else: an operator comes with [`Servers::services`].
pub struct Servers {
    /// What time it is, for everyone. Move it with [`Servers::pass`].
    pub clock: Clock,
    /// Between the operator and both servers.
    pub network: Network,
    /// The API server, with the operator's definitions and a `Colony`, the default one.
    pub cluster: ApiServer,
    /// The ColonyOS server, with the colony in it, a user and the operator's executors.
    pub colony: InMemory,
}

/// A key that is the same in every run.
pub fn key(number: u8) -> PrivateKey {
    static KEYS: LazyLock<Vec<PrivateKey>> = LazyLock::new(|| {
        let key = |number: u8| PrivateKey::from_hex(&format!("{number:064x}")).unwrap();
        (1..=EXECUTORS[1].1).map(key).collect()
    });
    KEYS[usize::from(number) - 1].clone()
}

/// What every cluster and every colony begins with, made once.
static BEGINNING: LazyLock<(ApiServer, ColonyServer)> = LazyLock::new(|| {
    let cluster = ApiServer::new(|| Timestamp::UNIX_EPOCH);
    let definitions = api::custom_resource_definitions();
    cluster.install(definitions.iter().map(|one| serde_json::to_value(one).unwrap())).unwrap();
    cluster.keep_managed_fields("requeststates");
    cluster.create_namespace(NAMESPACE, &json!({}));
    cluster.create_namespace(OPERATOR_NAMESPACE, &json!({}));
    let colony = json!({
        "apiVersion": "colonies.io/v1", "kind": "Colony",
        "metadata": {"name": COLONY, "annotations": {"colonies.io/default": "true"}},
        "spec": {"server": {"host": "colonies.example.com", "port": 443}, "colonyName": COLONY,
                 "credentialsSecretName": "keys"},
    });
    cluster.create(&colony).unwrap();
    let mut server = ColonyServer::new(key(1).id().clone(), 7).stale_after(None);
    let mut call = |caller: u8, payload_type: &str, mut inner: Value| {
        inner["msgtype"] = payload_type.into();
        server.handle(Timestamp::UNIX_EPOCH, Some(key(caller).id()), payload_type, &inner).unwrap();
    };
    call(1, "addcolonymsg", json!({"colony": {"colonyid": key(2).id().as_str(), "name": COLONY}}));
    let user = json!({"colonyname": COLONY, "userid": key(3).id().as_str(), "name": "ops"});
    call(2, "addusermsg", json!({ "user": user }));
    for (executor_type, number) in EXECUTORS {
        let executor = json!({
            "executorid": key(number).id().as_str(), "executorname": executor_type,
            "executortype": executor_type, "colonyname": COLONY,
        });
        call(2, "addexecutormsg", json!({ "executor": executor }));
        call(2, "approveexecutormsg", json!({"colonyname": COLONY, "executorname": executor_type}));
    }
    (cluster, server)
});

impl Servers {
    pub fn new(now: Timestamp) -> Self {
        let clock = Clock::manual(now);
        let read = |clock: &Clock| {
            let clock = clock.clone();
            move || clock.now()
        };
        let network = Network::new(read(&clock));
        let (cluster, server) = &*BEGINNING;
        let cluster = cluster.fork(read(&clock));
        let colony = InMemory::new(server.clone(), &network, read(&clock));
        Self { clock, network, cluster, colony }
    }

    /// The machinery of an operator that leads from now on and knows nothing but what is on record. Its calls go through the
    /// network, its watches do not.
    pub fn services(&self, configuration: OperatorConfiguration) -> Services {
        let kubernetes = Kubernetes {
            watches: self.cluster.client(),
            calls: self.cluster.client_over(&self.network),
            namespace: OPERATOR_NAMESPACE.to_owned(),
            server: "memory".to_owned(),
        };
        let leadership = Leadership::always(&self.clock);
        let metrics = Metrics::new().unwrap();
        let services = Services::new(
            kubernetes,
            configuration,
            leadership,
            self.clock.clone(),
            metrics,
            "simulated".to_owned(),
            None,
        );
        services.connections.put(COLONY, self.connection(), self.clock.instant());
        services
    }

    /// What an operator works in the colony with; the executors are those that the colony has now.
    pub fn connection(&self) -> Connection {
        let client = self.colony.client();
        let session = |number: u8| -> Session { client.session(COLONY, key(number)) };
        let listed =
            self.colony.call(key(3).id(), "getexecutorsmsg", json!({ "colonyname": COLONY })).unwrap();
        let executors: Vec<_> = serde_json::from_value(listed).unwrap();
        let operator = EXECUTORS.into_iter().map(|(executor_type, number)| OperatorIdentity {
            session: session(number),
            name: executor_type.to_owned(),
            id: key(number).id().to_string(),
            executor_type,
        });
        Connection::new(session(3), session(2), operator.collect(), None, Some(&executors))
    }

    /// Lets time pass, second by second: what is late arrives, and the colony's loop turns.
    pub fn pass(&self, seconds: u32) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.network.deliver();
            self.colony.tick();
        }
    }
}
