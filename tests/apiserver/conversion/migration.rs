//! Objects move on to the version in which they are stored, and the version that nothing is stored in any more leaves.

use std::time::Duration;

use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    core::v1::Namespace,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::{Value, json};

use super::{TwoVersions, free_address, merge, reachable};
use crate::{
    resource_definition::{grant, ordinary_operator},
    support::{
        cluster::connect_with_crds,
        colony::OwnColony,
        commands::kubectl,
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        operator::{Operator, Signal, Turn, configuration},
        stage::{SOON, with_configured_operator},
        wait::{eventually, throughout},
    },
};

/// For what takes longer than usual: many objects, or a watch that could not be begun, since an object cannot be converted,
/// and is begun again after half a minute at most.
const PATIENCE: Duration = Duration::from_secs(90);
/// More than fit into two parts of the list.
const OBJECTS: usize = 120;

impl TwoVersions {
    /// Defines the kind in its old version alone; what its versions are to be later.
    async fn define_old(&mut self, adjust: impl FnOnce(&mut Value)) -> Value {
        let mut versions = self.kind.whole["spec"]["versions"].clone();
        adjust(&mut versions[1]);
        let mut first = versions[1].clone();
        first["storage"] = json!(true);
        first.as_object_mut().unwrap().remove("conversion");
        self.kind.whole["spec"]["versions"] = json!([first]);
        let status = json!({ "endpoint": "${output[0].address}" });
        let later = std::mem::replace(&mut self.kind.whole["spec"]["handler"]["status"], status);
        self.kind.define().await;
        self.kind.until_ready().await;
        json!({ "spec": { "versions": versions, "handler": { "status": { "endpoint": null, "address": later["address"] } } } })
    }

    /// Waits until nothing is to be written for any object, as long as no replica carries it out.
    async fn until_submitted(&self) {
        eventually("all are submitted", PATIENCE, async || {
            let all = self.old.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let waits = |object: &&DynamicObject| !object.data["status"]["mirror"]["processId"].is_string();
            let waiting = all.iter().filter(waits).count();
            if waiting == 0 { Ok(()) } else { Err(format!("{waiting} are not")) }
        })
        .await;
    }

    /// All objects in the new version. An API server that could not have them converted for a while lists them again a little
    /// later.
    async fn all(&self) -> Vec<DynamicObject> {
        eventually("objects are listed", SOON, async || {
            let listed = self.kind.instances.list(&ListParams::default()).await;
            listed.map(|listed| listed.items).map_err(|error| error.to_string())
        })
        .await
    }
}

/// Of the metrics of an operator: how many objects of users' kinds it has patched.
async fn patched(operator: &Operator) -> f64 {
    let (_, metrics) = operator.get("/metrics").await.unwrap();
    let series = r#"colonyos_operator_writes_total{kind="Instance",outcome="ok",verb="patch"} "#;
    metrics.lines().find_map(|line| line.strip_prefix(series)).map_or(0.0, |count| count.parse().unwrap())
}

/// The main way: a kind moves on, the operator is killed in the middle of it, and the old version can go.
#[tokio::test]
async fn objects_are_stored_anew_and_the_old_version_leaves() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-stored", reachable(&address), async |stage| {
        let mut two = TwoVersions::of(stage);
        let later = two.define_old(|_| {}).await;
        for number in 0..OBJECTS {
            let spec = json!({ "image": format!("i:{number}"), "memory": "2Gi" });
            two.create_old(&format!("m-{number:03}"), spec).await.unwrap();
        }
        two.kind.until("counts", |status| status.instances.is_some_and(|counts| counts.total == 120)).await;
        two.until_submitted().await;
        two.kind.change(later).await;
        two.kind.until("has moved on", |status| status.accepted_generation == Some(2)).await;
        assert_eq!(two.stored_versions().await, ["v1alpha1", "v1"]);
        let said = two.kind.until("says so", |status| status.is_false("StorageMigrated")).await;
        assert_eq!(said.reason("StorageMigrated"), "StorageMigrating");
        assert!(said.is_true("Ready"), "the kind is served meanwhile: {said:?}");

        // Killed in the middle, it goes on from there.
        let migrated = |status: &colonyos_operator::api::resource_definition::ResourceDefinitionStatus| {
            status.storage_migration.as_ref().map_or(0, |migration| migration.migrated)
        };
        two.kind.until("is in the middle", |status| migrated(status) >= 50).await;
        stage.operator.signal(Signal::Kill);
        let definition = two.kind.definitions.get(&two.kind.name).await.unwrap();
        assert!(migrated(&definition.status.unwrap()) < 120, "it was over before it was killed");
        assert_eq!(two.stored_versions().await, ["v1alpha1", "v1"]);
        let mut again = configuration(&stage.namespace.name);
        reachable(&address)(&mut again);
        stage.operator = Operator::start(again, &stage.namespace.name, &stage.turn).await;
        kubectl(&["wait", "--for=condition=StorageMigrated", &format!("rd/{}", two.kind.name), "--timeout=5m"]);
        let status = two.kind.until("is migrated", |status| status.is_true("StorageMigrated")).await;
        assert_eq!(two.stored_versions().await, ["v1"]);
        let migration = status.storage_migration.unwrap();
        assert_eq!((migration.migrated, migration.failed), (120, 0));
        assert!(migration.completed_at.is_some() && migration.continue_token.is_none());
        let patched = patched(&stage.operator).await;
        assert!(patched < 120.0, "{patched} were written after the restart: it did not go on from where it was");
        for object in two.all().await {
            assert_eq!(object.metadata.generation, Some(1), "nothing of it has changed");
        }

        // Done is done: nothing is written any more, once each object has said after half a minute what it waits for.
        eventually("all say why they wait", PATIENCE, async || {
            let says = |object: &DynamicObject| object.data["status"]["conditions"].to_string().contains("NoExecutor");
            let silent = two.all().await.iter().filter(|object| !says(object)).count();
            if silent == 0 { Ok(()) } else { Err(format!("{silent} do not")) }
        })
        .await;
        let stored = async || {
            let definition = json!(two.kind.definitions.get(&two.kind.name).await.unwrap());
            let crd = json!(two.kind.crds.get(&two.kind.name).await.unwrap());
            let objects = two.all().await.into_iter().map(|object| json!(object));
            [definition, crd].into_iter().chain(objects).collect::<Vec<Value>>()
        };
        let settled = stored().await;
        throughout("nothing is written", Duration::from_secs(4), async || {
            let now = stored().await;
            let written = settled.iter().zip(&now).find(|(before, after)| before != after);
            written.map_or(Ok(()), |(before, after)| Err(format!("from {before} to {after}")))
        })
        .await;

        // An object that was stored in a version that is gone could not be read.
        two.kind.change(json!({ "spec": { "versions": [two.kind.definitions.get(&two.kind.name).await.unwrap().spec.versions[0]] } })).await;
        two.kind.until("is without the old version", |status| status.accepted_generation == Some(3)).await;
        let crd = two.kind.crds.get(&two.kind.name).await.unwrap();
        let left: Vec<&str> = crd.spec.versions.iter().map(|version| version.name.as_str()).collect();
        assert_eq!((left, crd.spec.conversion.unwrap().strategy.as_str()), (vec!["v1"], "None"));
        eventually("the old version is not served", SOON, async || match two.old.get("m-000").await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        let all = two.all().await;
        assert_eq!(all.len(), OBJECTS);
        for (number, object) in all.iter().enumerate() {
            assert_eq!(object.data["spec"]["container"], json!({ "image": format!("i:{number}"), "memoryMi": 2048 }));
        }
        let written = merge(&two.kind.instances, "m-007", json!({ "spec": { "routing": "LeastLoaded" } })).await;
        assert_eq!(written.data["spec"]["container"]["image"], "i:7");
    })
    .await;
}

/// A policy of a user by which objects of a kind that are called `odd` must not be changed.
async fn forbid(two: &TwoVersions, namespace: &TestNamespace) -> Api<ValidatingAdmissionPolicyBinding> {
    let client = &namespace.kubernetes.calls;
    let owner = Api::<Namespace>::all(client.clone()).get(&namespace.name).await.unwrap();
    let metadata = json!({ "name": namespace.name, "ownerReferences": [{
        "apiVersion": "v1", "kind": "Namespace", "name": namespace.name, "uid": owner.uid() }] });
    let policy = json!({ "metadata": metadata, "spec": {
        "matchConstraints": { "resourceRules": [{ "apiGroups": [two.kind.resource.group], "apiVersions": ["*"],
            "operations": ["UPDATE"], "resources": ["modelservers"] }] },
        "validations": [{ "expression": "object.metadata.name != 'odd'", "message": "odd stays as it is" }],
    }});
    let binding = json!({ "metadata": metadata,
        "spec": { "policyName": namespace.name, "validationActions": ["Deny"] } });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy).unwrap()).await.unwrap();
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    eventually("the policy is in force", SOON, async || {
        let patch = Patch::Merge(json!({ "metadata": { "labels": { "changed": "yes" } } }));
        match two.old.patch("odd", &PatchParams { dry_run: true, ..PatchParams::default() }, &patch).await {
            Err(error) if error.to_string().contains("odd stays as it is") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    bindings
}

/// An object that cannot be written is named and keeps the old version; the others move on.
#[tokio::test]
async fn an_object_that_cannot_be_stored_anew_is_named() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-unstored", reachable(&address), async |stage| {
        let mut two = TwoVersions::of(stage);
        let later = two.define_old(|_| {}).await;
        for (name, memory) in [("fits", "64Mi"), ("odd", "2Mi"), ("too", "1Gi")] {
            two.create_old(name, json!({ "image": "i", "memory": memory })).await.unwrap();
        }
        two.until_submitted().await;
        let bindings = forbid(&two, &stage.namespace).await;
        let new = later["spec"]["versions"][0].clone();
        two.kind.change(later).await;
        let status = two
            .kind
            .until("names it", |status| {
                let conditions = &status.conditions;
                conditions.iter().any(|condition| condition.reason == "StorageMigrationFailed")
            })
            .await;
        let said = status.message("StorageMigrated");
        for expected in ["1 of 3 objects", "/odd", "odd stays as it is"] {
            assert!(said.contains(expected), "{said}\nlacks {expected}");
        }
        let migration = status.storage_migration.unwrap();
        assert_eq!((migration.migrated, migration.failed, migration.failures.len()), (2, 1, 1));
        assert_eq!(two.stored_versions().await, ["v1alpha1", "v1"]);
        two.kind.change(json!({ "spec": { "versions": [new] } })).await;
        let status = two.kind.until("stays", |status| status.reason("Ready") == "VersionInUse").await;
        assert!(status.message("Ready").contains("StorageMigrated"), "{status:?}");

        // Once it can be written it is, and the version leaves.
        bindings.delete(&stage.namespace.name, &DeleteParams::default()).await.unwrap();
        eventually("the kind is without the old version", PATIENCE, async || {
            let definition =
                two.kind.definitions.get(&two.kind.name).await.map_err(|error| error.to_string())?;
            let status = definition.status.unwrap_or_default();
            let is_done = status.accepted_generation == Some(3) && status.is_true("StorageMigrated");
            if is_done { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
        assert_eq!(two.stored_versions().await, ["v1"]);
        let memory: Vec<Value> = two
            .all()
            .await
            .iter()
            .map(|object| object.data["spec"]["container"]["memoryMi"].clone())
            .collect();
        assert_eq!(memory, [64, 2, 1024]);
    })
    .await;
}

/// Gives the operator's account rights in its namespace alone, as the chart does with `watchNamespaces`.
async fn grant_here(namespace: &TestNamespace, rules: Value) {
    let metadata = json!({ "name": "instances" });
    let role = json!({ "metadata": metadata, "rules": rules });
    let binding = json!({
        "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "instances" },
        "subjects": [{ "kind": "ServiceAccount", "name": "operator", "namespace": namespace.name }],
    });
    let (local, bindings): (Api<Role>, Api<RoleBinding>) = (namespace.api(), namespace.api());
    local.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.unwrap();
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// Where the operator looks after some namespaces only, objects of others may be stored in the old version. With the rights
/// of the chart it says what it lacks, and goes on by itself once it has that.
#[tokio::test]
async fn objects_of_other_namespaces_need_rights_of_their_own() {
    let connection = connect_with_crds().await;
    in_namespace(&connection, "conv-rights", async |namespace| {
        let turn = Turn::take().await;
        let colony = OwnColony::create(&namespace).await;
        let kubeconfig = ordinary_operator(&connection, &namespace).await;
        let (name, mut two) = (namespace.name.as_str(), TwoVersions::within(&namespace, &colony.name));
        let groups = json!([two.kind.resource.group]);
        grant(&namespace, &format!("{name}-kinds"), json!([
            { "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"],
              "verbs": ["get", "list", "watch", "create", "update", "delete"] },
            { "apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions/status"], "verbs": ["update"] },
        ]))
        .await;
        grant_here(&namespace, json!([
            { "apiGroups": groups, "resources": ["*"], "verbs": ["get", "list", "watch", "patch"] },
            { "apiGroups": groups, "resources": ["*/status"], "verbs": ["update"] },
        ]))
        .await;
        let mut settings = configuration(name);
        reachable(&free_address())(&mut settings);
        let operator =
            Operator::start_in(settings, name, &[("KUBECONFIG", kubeconfig.path().to_str().unwrap())]).await;
        colony.wait_until_ready().await;
        let later = two.define_old(|_| {}).await;
        two.create_old("whisper", json!({ "image": "i", "memory": "1Gi" })).await.unwrap();
        two.kind.until("counts", |status| status.instances.is_some_and(|counts| counts.total == 1)).await;
        two.kind.change(later).await;
        let status = two
            .kind
            .until("says what it lacks", |status| {
                status.accepted_generation == Some(2) && status.reason("StorageMigrated") == "RightsMissing"
            })
            .await;
        let said = status.message("StorageMigrated");
        for expected in ["list modelservers in group", "patch modelservers in group", r#"{"storedVersions":["v1"]}"#] {
            assert!(said.contains(expected), "{said}\nlacks {expected}");
        }
        assert!(status.is_true("Ready"), "{status:?}");

        grant(&namespace, &format!("{name}-all"), json!([
            { "apiGroups": groups, "resources": ["modelservers"], "verbs": ["list", "patch"] },
        ]))
        .await;
        two.kind.until("is migrated", |status| status.is_true("StorageMigrated")).await;
        assert_eq!(two.stored_versions().await, ["v1"]);
        drop(operator);
        drop(turn);
        colony.remove().await;
    })
    .await;
}
