//! A colony of its own on the real ColonyOS server, and the `Colony` and Secret that tell the operator of it.

use std::time::Duration;

use colonyos_operator::{
    api::colony::Colony,
    colony::{
        Blueprint, Client, NewColony, NewExecutor, NewUser, PrivateKey, Process, Server, Session, Timeouts,
        Tls,
    },
    runtime::kubernetes::Kubernetes,
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use rand::Rng as _;
use serde_json::json;

use super::{
    conditions::Conditions as _,
    namespace::TestNamespace,
    object::until,
    operator::TEST_LABEL,
    server::{letters, server, setting},
    wait::eventually,
};

/// A colony of its own, known to the cluster under the same name.
pub struct OwnColony {
    /// Name of the colony and of its `Colony`.
    pub name: String,
    /// A member.
    pub member: Session,
    /// The member's key in hexadecimal, for other programs.
    pub member_key: String,
    /// The owner's key in hexadecimal, to look for where it must not be.
    pub owner_key: String,
    /// The owner.
    pub owner: Session,
    api: Api<Colony>,
}

impl OwnColony {
    /// Makes a colony, and a `Colony` with its Secret in `namespace`, which is the operator's.
    pub async fn create(namespace: &TestNamespace) -> Self {
        let server = server();
        Self::create_by(namespace, &server.host, server.port).await
    }

    /// As [`OwnColony::create`], but the `Colony` says that the server is at `host` and `port`.
    pub async fn create_by(namespace: &TestNamespace, host: &str, port: u16) -> Self {
        let server = server();
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let name = format!("colony-{}", letters());
        let key = || PrivateKey::generate().unwrap();
        let server_key = PrivateKey::from_hex(&setting("COLONIES_SERVER_PRVKEY")).unwrap();
        let owner_key = key();
        let owner_text = owner_key.to_hex().to_string();
        let member_key = key();
        let member_text = member_key.to_hex().to_string();
        let (owner, member) = (client.session(&name, owner_key), client.session(&name, member_key));
        let added = NewColony::new(&name, owner.id().clone()).unwrap();
        client.session(&name, server_key).add_colony(&added).await.unwrap();
        owner.add_user(&NewUser::new(&name, "tester", member.id().clone()).unwrap()).await.unwrap();
        let server = json!({ "host": host, "port": port, "insecure": server.tls == Tls::Insecure });
        let api = apply(namespace, &name, &server, &owner_text).await;
        Self { name, member, member_key: member_text, owner_key: owner_text, owner, api }
    }

    /// Makes a `Colony` whose server does not answer.
    pub async fn create_unreachable(namespace: &TestNamespace) -> Self {
        let name = format!("away-{:08x}", rand::rng().random::<u32>());
        // The discard port: nothing listens there.
        let server = Server { host: "127.0.0.1".to_owned(), port: 9, tls: Tls::Insecure };
        let client = Client::new(&server, Timeouts::default()).unwrap();
        let key = PrivateKey::generate().unwrap();
        let owner_key = key.to_hex().to_string();
        let (owner, member) = (client.session(&name, key.clone()), client.session(&name, key));
        let server = json!({ "host": "127.0.0.1", "port": 9, "insecure": true });
        let api = apply(namespace, &name, &server, &owner_key).await;
        Self { name, member, member_key: owner_key.clone(), owner_key, owner, api }
    }

    /// Runs the colony's own tool as the member; it has to succeed.
    pub async fn colonies(&self, arguments: &[&str]) {
        let server = server();
        let output = tokio::process::Command::new("colonies")
            .args(arguments)
            .env("COLONIES_SERVER_HOST", &server.host)
            .env("COLONIES_SERVER_PORT", server.port.to_string())
            .env("COLONIES_TLS", if server.tls == Tls::Insecure { "false" } else { "true" })
            .env("COLONIES_COLONY_NAME", &self.name)
            .env("COLONIES_PRVKEY", &self.member_key)
            .output()
            .await
            .expect("colonies is on the PATH; `cargo xtask cluster env` puts it there");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "colonies {}: {said}", arguments.join(" "));
    }

    /// An executor of another owner, registered and approved.
    pub async fn executor(&self, name: &str, executor_type: &str) -> Session {
        let executor = self.owner.client().session(&self.name, PrivateKey::generate().unwrap());
        let new = NewExecutor::new(&self.name, name, executor_type, executor.id().clone()).unwrap();
        self.owner.add_executor(&new).await.unwrap();
        self.owner.approve_executor(name).await.unwrap();
        executor
    }

    /// Waits until the operator has connected.
    pub async fn wait_until_ready(&self) {
        let is_ready = |colony: &Colony| colony.status.as_ref().is_some_and(|status| status.is_true("Ready"));
        until(&self.api, &self.name, "is ready", is_ready).await;
    }

    /// Takes the `Colony` away, whatever holds it.
    pub async fn remove(self) {
        let is_done = |error: kube::Error| match error {
            kube::Error::Api(status) if status.code == 404 => {}
            error => panic!("{error}"),
        };
        self.api.delete(&self.name, &DeleteParams::default()).await.map_or_else(is_done, drop);
        // Only now: an operator holds one that is to stay.
        let release = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        let released = self.api.patch(&self.name, &PatchParams::default(), &release).await;
        released.map_or_else(is_done, drop);
    }
}

async fn apply(
    namespace: &TestNamespace,
    name: &str,
    server: &serde_json::Value,
    owner_key: &str,
) -> Api<Colony> {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name },
        "stringData": { "colonyPrvKey": owner_key },
    });
    let secret: Secret = serde_json::from_value(secret).unwrap();
    namespace.api::<Secret>().create(&PostParams::default(), &secret).await.unwrap();
    let colony = json!({
        "apiVersion": "colonies.io/v1", "kind": "Colony",
        "metadata": { "name": name, "labels": { TEST_LABEL: namespace.name } },
        "spec": { "server": server, "colonyName": name, "credentialsSecretName": name },
    });
    let Kubernetes { calls, .. } = &namespace.kubernetes;
    let api: Api<Colony> = Api::all(calls.clone());
    let colony: Colony = serde_json::from_value(colony).unwrap();
    api.create(&PostParams::default(), &colony).await.unwrap();
    api
}

/// Waits until a blueprint is as it should be, as `member` sees it.
pub async fn until_blueprint(
    member: &Session,
    name: &str,
    what: &str,
    limit: Duration,
    is_so: impl Fn(&Blueprint) -> bool,
) -> Blueprint {
    eventually(&format!("blueprint {name} {what}"), limit, async || {
        let found = member.blueprint(name).await.map_err(|error| error.to_string())?;
        if is_so(&found) { Ok(found) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// Work for an executor of a test's own, which is there or on its way. The server tells of new work one executor of the type,
/// in whatever colony: with other tests beside this one, no executor may miss a wake-up in a long question.
pub async fn assigned(executor: &Session) -> Process {
    // An operator that was killed leaves its lease, and a quiet period after what it may have sent.
    const TRIES: usize = 60;
    for _ in 0..TRIES {
        if let Some(process) = executor.assign(Duration::from_secs(1)).await.unwrap() {
            return process;
        }
    }
    panic!("no work within {TRIES} s");
}
