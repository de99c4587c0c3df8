//! `Colonies`: the operator makes keys, becomes a member, registers its executors and keeps a definition of blueprints.

use std::{collections::BTreeSet, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use colonyos_fake::cluster::Place;
use colonyos_operator::{
    api::names::{
        CONTROLLER_EXECUTOR_TYPE, EXECUTOR_DEPLOYMENT_KIND, MEMBER_KEY, OPERATOR_EXECUTOR_KEY, OWNER_KEY,
        RECONCILER_EXECUTOR_TYPE, RECONCILER_KEY, operator_secret,
    },
    colony::{PrivateKey, Server, Tls},
    controllers::{Clients, ColonyStages, ServeColony},
    snapshot::Observed,
    watch::{colony::ColonyReading, stores},
};
use serde_json::{Value, json};

use crate::{
    engines::{Caches, Controller},
    kind::{Engines, Kind, holds},
    memory::{COLONY, OPERATOR_NAMESPACE, Servers, key},
    outside::Outside,
};

const HOST: &str = "colonies.example.com";
const RESOURCE: &str = "colonies.colonies.io";

/// The `Colony` of everything else, from its beginning.
pub fn colony() -> Kind {
    Kind {
        name: "Colony".to_owned(),
        resource: RESOURCE,
        names: &[COLONY],
        namespace: "",
        object: json!({
            "apiVersion": "colonies.io/v1", "kind": "Colony", "metadata": {"name": "NAME"},
            "spec": {
                "server": {"host": HOST, "port": 443}, "colonyName": COLONY, "credentialsSecretName": "keys",
                "location": "here", "inbound": {"policy": "Accept", "namespaces": ["space"], "definition": "Keep"},
            },
        }),
        edit: |number| json!({"spec": {"inbound": {"maxObjects": number}}}),
        settled: |_, object| holds(object, "Ready", "True"),
        registered: Some(registered_once),
        ..Kind::of(Engines::Colonies)
    }
}

/// There are the owner's key and no `Colony`.
pub fn prepare(servers: &Servers) {
    servers.cluster.delete(Place { resource: RESOURCE, namespace: "", name: COLONY }).unwrap();
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "keys", "namespace": OPERATOR_NAMESPACE},
        "stringData": {OWNER_KEY: key(2).to_hex().to_string()},
    });
    servers.cluster.create(&secret).unwrap();
}

/// The controller of `Colonies`, whose client of the server calls the one in memory.
pub async fn start(caches: Caches<'_>, servers: &Servers) -> Box<dyn Controller> {
    let services = caches.services;
    let objects = caches.objects(stores::colonies(&services.kubernetes.watches, &[].into())).await;
    let server = Server { host: HOST.to_owned(), port: 443, tls: Tls::Webpki };
    let clients = Clients::from([(COLONY.to_owned(), Some((server, servers.colony.client())))]);
    let stages = ColonyStages::new(Arc::clone(services), objects.filled.clone(), clients, NothingBeside);
    caches.controller(objects, stages)
}

/// What the operator is assigned is the matter of other kinds.
struct NothingBeside;

impl ServeColony for NothingBeside {
    async fn serve(&self, _: &str, _: &ColonyReading) {}

    async fn complete(&self, reading: &mut ColonyReading) {
        reading.snapshot.users = Observed::Known(Vec::new());
    }

    fn end(&self, _: &str) {}
}

/// What the operator has registered in the colony is what its Secret holds keys of, each of it once.
fn registered_once(outside: &Outside) -> Result<(), String> {
    let (cluster, colony) = (&outside.servers.cluster, &outside.servers.colony);
    let name = operator_secret(COLONY);
    let secret = cluster.get(Place { resource: "secrets", namespace: OPERATOR_NAMESPACE, name: &name });
    let is_there = cluster.get(outside.place(COLONY)).is_some();
    if secret.is_some() != is_there {
        return Err(format!("the Colony is there: {is_there}, its keys: {secret:?}"));
    }
    let id_of = |name: &str| {
        let encoded = secret.as_ref()?["data"][name].as_str()?;
        let text = String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap();
        Some(PrivateKey::from_hex(&text).unwrap().id().to_string())
    };
    let listed = |payload_type: &str| {
        let listed = colony.call(key(3).id(), payload_type, json!({"colonyname": COLONY})).unwrap();
        listed.as_array().cloned().unwrap_or_default()
    };
    // Before the `Colony` there were a user, and executors that have the names of their types.
    let users: Vec<Value> = listed("getusersmsg").into_iter().filter(|one| one["name"] != "ops").collect();
    let executors: Vec<Value> = listed("getexecutorsmsg")
        .into_iter()
        .filter(|one| one["executorname"] != one["executortype"] && one["executorname"] != "worker")
        .collect();
    if users.len() > 1 || executors.len() > 2 {
        return Err(format!("registered more than once: {users:?}, {executors:?}"));
    }
    if !is_there {
        return Ok(());
    }
    if users.len() != 1 || users[0]["userid"] != json!(id_of(MEMBER_KEY)) {
        return Err(format!("not the member of the Secret: {users:?}"));
    }
    for (executor_type, key) in
        [(CONTROLLER_EXECUTOR_TYPE, OPERATOR_EXECUTOR_KEY), (RECONCILER_EXECUTOR_TYPE, RECONCILER_KEY)]
    {
        let id = json!(id_of(key));
        let found = executors.iter().find(|one| one["executortype"] == executor_type);
        if found.is_none_or(|found| found["executorid"] != id || found["state"] != 1) {
            return Err(format!("not the executor of the Secret: {found:?}, {id}"));
        }
    }
    let definitions: BTreeSet<String> = listed("getblueprintdefinitionsmsg")
        .iter()
        .filter(|one| one["spec"]["names"]["kind"] == EXECUTOR_DEPLOYMENT_KIND)
        .map(|one| one["metadata"]["name"].to_string())
        .collect();
    if definitions.len() == 1 { Ok(()) } else { Err(format!("definitions of fleets: {definitions:?}")) }
}
