//! Several versions of a kind that users make up: objects written in one and read in another, through the endpoint that the
//! operator serves, with certificates of its own.

mod certificates;
mod migration;

use std::{net::TcpListener, time::Duration};

use colonyos_operator::runtime::config::OperatorConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    colony::assigned,
    commands::kubectl,
    conditions::Conditions as _,
    namespace::TestNamespace,
    operator::{Operator, Signal, configuration},
    own_kind::{OwnKind, is_ready},
    stage::{SOON, Stage, with_configured_operator, with_operator},
    wait::{eventually, throughout},
};

const SECRET: &str = "colonyos-operator-conversion";

/// An address of this machine on which no process listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A configuration by which API servers reach the operator at an address of this machine.
fn reachable(address: &str) -> impl Fn(&mut OperatorConfiguration) {
    let address = address.to_owned();
    move |configuration| {
        configuration.conversion.bind_address = address.parse().unwrap();
        configuration.conversion.url = Some(format!("https://{address}"));
    }
}

/// The kind of the shipped example in two versions, and its objects in the old one.
struct TwoVersions {
    kind: OwnKind,
    old: Api<DynamicObject>,
    old_resource: ApiResource,
}

impl TwoVersions {
    fn of(stage: &Stage) -> Self {
        Self::within(&stage.namespace, &stage.colony.name)
    }

    fn within(namespace: &TestNamespace, colony: &str) -> Self {
        let kind = OwnKind::within(namespace, colony, "model-server");
        let gvk = GroupVersionKind::gvk(&kind.resource.group, "v1alpha1", &kind.resource.kind);
        let old_resource = ApiResource::from_gvk_with_plural(&gvk, &kind.resource.plural);
        let client = namespace.kubernetes.calls.clone();
        let old = Api::namespaced_with(client, &namespace.name, &old_resource);
        Self { kind, old, old_resource }
    }

    async fn create_old(&self, name: &str, spec: Value) -> Result<DynamicObject, kube::Error> {
        let object = DynamicObject::new(name, &self.old_resource).data(json!({ "spec": spec }));
        self.old.create(&PostParams::default(), &object).await
    }

    /// The versions in which the API server says that objects may be stored.
    async fn stored_versions(&self) -> Vec<String> {
        let crd = self.kind.crds.get(&self.kind.name).await.unwrap();
        crd.status.unwrap().stored_versions.unwrap_or_default()
    }

    async fn specs(&self, name: &str) -> (Value, Value) {
        let (new, old) = (self.kind.instances.get(name).await.unwrap(), self.old.get(name).await.unwrap());
        (new.data["spec"].clone(), old.data["spec"].clone())
    }
}

async fn merge(api: &Api<DynamicObject>, name: &str, patch: Value) -> DynamicObject {
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap()
}

/// The main case: a kind and its objects move on to another version, and nothing is lost.
#[tokio::test]
async fn a_kind_moves_on_and_loses_nothing() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-moves", reachable(&address), async |stage| {
        let executor = stage.colony.executor("controller", "model-server-controller").await;
        let mut two = TwoVersions::of(stage);
        let whole = two.kind.whole.clone();
        let mut first = whole["spec"]["versions"][1].clone();
        first["storage"] = json!(true);
        first.as_object_mut().unwrap().remove("conversion");
        two.kind.whole["spec"]["versions"] = json!([first]);
        two.kind.whole["spec"]["handler"]["status"] = json!({ "endpoint": "${output[0].address}" });
        two.kind.define().await;
        two.kind.until_ready().await;
        let crd = two.kind.crds.get(&two.kind.name).await.unwrap();
        assert_eq!(crd.spec.conversion.unwrap().strategy, "None");

        let spec = json!({ "image": "i:1", "memory": "2Gi", "models": [{ "name": "a" }, { "name": "b" }] });
        let created = two.create_old("whisper", spec.clone()).await.unwrap();
        let process = assigned(&executor).await;
        assert_eq!(process.spec.kwargs["apiVersion"], two.old_resource.api_version.as_str());
        executor.close_successful(&process.id, &[json!({ "address": "http://w" })]).await.unwrap();
        eventually("it is ready", SOON, async || {
            let object = two.old.get("whisper").await.map_err(|error| error.to_string())?;
            if is_ready(&object) { Ok(()) } else { Err(object.data["status"].to_string()) }
        })
        .await;

        // The definition moves on. The object is stored in the old version still.
        two.kind.change(json!({ "spec": { "versions": whole["spec"]["versions"], "handler": { "status": whole["spec"]["handler"]["status"] } } })).await;
        two.kind.until("has moved on", |status| status.accepted_generation == Some(2)).await;
        let crd = two.kind.crds.get(&two.kind.name).await.unwrap();
        assert_eq!(crd.spec.conversion.unwrap().strategy, "Webhook");
        let defaulted = json!({ "image": "i:1", "memory": "2Gi", "replicas": 1, "models": [{ "name": "a" }, { "name": "b" }] });
        let (new, old) = eventually("the API server serves both", SOON, async || {
            let new = two.kind.instances.get("whisper").await.map_err(|error| error.to_string())?;
            let old = two.old.get("whisper").await.map_err(|error| error.to_string())?;
            if new.data["spec"]["container"].is_null() { Err(new.data.to_string()) } else { Ok((new, old)) }
        })
        .await;
        assert_eq!(old.data["spec"], defaulted);
        assert_eq!(
            new.data["spec"],
            json!({ "container": { "image": "i:1", "memoryMi": 2048 }, "replicas": 1, "routing": "RoundRobin",
                    "models": [{ "name": "a" }, { "name": "b" }] })
        );
        assert_eq!(new.data["status"]["address"], "http://w");
        assert_eq!(old.data["status"]["endpoint"], "http://w");
        assert_eq!((new.uid(), new.metadata.generation), (created.uid(), Some(1)));

        // Through the new version, then through the old one: the executor is given objects as they are stored.
        merge(&two.kind.instances, "whisper", json!({ "spec": { "routing": "LeastLoaded", "models": [{ "name": "a", "weight": 3 }, { "name": "b" }] } })).await;
        let process = assigned(&executor).await;
        assert_eq!(process.spec.kwargs["apiVersion"], two.kind.resource.api_version.as_str());
        assert_eq!(process.spec.kwargs["spec"]["container"]["memoryMi"], 2048);
        executor.close_successful(&process.id, &[json!({ "address": "http://w2" })]).await.unwrap();
        two.kind.until_instance("whisper", "is ready again", is_ready).await;
        assert_eq!(two.specs("whisper").await.1, defaulted, "the old version says what it said");
        merge(&two.old, "whisper", json!({ "spec": { "image": "i:2" } })).await;
        let process = assigned(&executor).await;
        assert_eq!(process.spec.kwargs["spec"]["container"]["image"], "i:2");
        executor.close_successful(&process.id, &[json!({ "address": "http://w3" })]).await.unwrap();
        two.kind.until_instance("whisper", "is ready once more", is_ready).await;
        let (new, old) = two.specs("whisper").await;
        assert_eq!(
            new,
            json!({ "container": { "image": "i:2", "memoryMi": 2048 }, "replicas": 1, "routing": "LeastLoaded",
                    "models": [{ "name": "a", "weight": 3 }, { "name": "b" }] })
        );
        assert_eq!((old["memory"].clone(), old["image"].clone()), (json!("2Gi"), json!("i:2")));

        // As users look at it.
        let space = two.kind.namespace.as_str();
        for (version, headings) in [("v1", ["IMAGE", "ADDRESS"]), ("v1alpha1", ["IMAGE", "ENDPOINT"])] {
            let shown = kubectl(&["get", &format!("modelservers.{version}.{}", two.kind.resource.group), "-n", space]);
            let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
            assert_eq!(lines[0][1..3], headings);
            assert_eq!(lines[1][..4], ["whisper", "i:2", "http://w3", "True"]);
        }

        // What is written again as it was read is no change.
        let read = two.old.get("whisper").await.unwrap();
        let first = two.old.replace("whisper", &PostParams::default(), &read).await.unwrap();
        let second = two.old.replace("whisper", &PostParams::default(), &first).await.unwrap();
        assert_eq!(first.resource_version(), second.resource_version());
        assert_eq!(second.metadata.generation, read.metadata.generation);

        // Everything is stored in the new version by now, and the API server knows.
        two.kind.until("is migrated", |status| status.is_true("StorageMigrated")).await;
        assert_eq!(two.stored_versions().await, ["v1"]);

        // At rest nothing is written.
        let versions = async || {
            let definition = two.kind.definitions.get(&two.kind.name).await.unwrap().resource_version();
            let crd = two.kind.crds.get(&two.kind.name).await.unwrap().resource_version();
            (definition, crd, two.kind.instances.get("whisper").await.unwrap().resource_version())
        };
        two.kind.until("counts", |status| status.instances.is_some_and(|counts| counts.ready == 1)).await;
        let settled = versions().await;
        throughout("nothing is written at rest", Duration::from_secs(4), async || {
            let now = versions().await;
            (now == settled).then_some(()).ok_or_else(|| format!("{settled:?} became {now:?}"))
        })
        .await;

        // Deletion through the old version runs the clean-up as it is stored.
        two.old.delete("whisper", &DeleteParams::default()).await.unwrap();
        let cleanup = assigned(&executor).await;
        assert_eq!(cleanup.spec.function, "delete_model_server");
        executor.close_successful(&cleanup.id, &[]).await.unwrap();
        two.kind.until_gone("whisper").await;
    })
    .await;
}

/// What cannot be followed or converted is refused with field, value and remedy, and affects no other object.
#[tokio::test]
async fn what_cannot_be_converted_is_refused_with_its_field() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-refused", reachable(&address), async |stage| {
        let mut two = TwoVersions::of(stage);
        let mut whole = two.kind.whole.clone();
        whole["spec"]["versions"][0]["conversion"] = json!({ "moves": [] });
        two.kind.whole = whole;
        let refusal = two.kind.definitions.create(&PostParams::default(), &two.kind.definition()).await;
        let refusal = refusal.unwrap_err().to_string();
        assert!(refusal.contains("conversion is not allowed in the version with storage"), "{refusal}");
        two.kind.whole["spec"]["versions"][0].as_object_mut().unwrap().remove("conversion");
        // Takes what cannot be converted, unlike the shipped one.
        let memory = "/spec/versions/1/schema/openAPIV3Schema/properties/spec/properties/memory";
        *two.kind.whole.pointer_mut(memory).unwrap() = json!({ "type": "string" });
        two.kind.define().await;
        two.kind.until_ready().await;
        let served = two.kind.crds.get(&two.kind.name).await.unwrap();

        let mut versions = two.kind.whole["spec"]["versions"].clone();
        versions[1]["conversion"]["moves"][0]["from"] = json!("spec.picture");
        two.kind.change(json!({ "spec": { "versions": versions } })).await;
        let status = two.kind.until("is refused", |status| status.is_false("Ready")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "InvalidSpec");
        let expected = "spec.versions[1].conversion.moves[0].from: spec.picture: is no field of v1alpha1";
        assert!(said.contains(expected) && said.contains("stay as generation 1"), "{said}");
        assert_eq!(
            two.kind.crds.get(&two.kind.name).await.unwrap().spec,
            served.spec,
            "instances stay as they were"
        );

        let refusal =
            two.create_old("bad", json!({ "image": "i", "memory": "much" })).await.unwrap_err().to_string();
        for expected in
            ["ModelServer", "/bad: spec.container.memoryMi: ", r#"spec.memory is "much""#, "toStorage"]
        {
            assert!(refusal.contains(expected), "{refusal}\nlacks {expected}");
        }
        two.create_old("good", json!({ "image": "i", "memory": "3Mi" })).await.unwrap();
        assert_eq!(two.specs("good").await.0["container"]["memoryMi"], 3);
    })
    .await;
}

/// Without an address, conversions are not promised; with a stranger's Secret, the operator does not serve and says why.
#[tokio::test]
async fn a_kind_is_not_converted_before_the_endpoint_serves() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "conv-absent", async |stage| {
        let two = TwoVersions::of(stage);
        two.kind.define().await;
        let status = two.kind.until("says what is missing", |status| status.is_false("Ready")).await;
        let (_, reason, said) = status.told("Ready");
        assert_eq!(reason, "ConversionUnavailable", "{said}");
        assert!(said.contains("conversion.url"), "{said}");
        assert!(two.kind.crds.get_opt(&two.kind.name).await.unwrap().is_none());

        // The name is taken already.
        let stranger: Secret = serde_json::from_value(json!({ "metadata": { "name": SECRET } })).unwrap();
        let secrets: Api<Secret> = stage.api();
        let stranger = secrets.create(&PostParams::default(), &stranger).await.unwrap();
        stage.operator.signal(Signal::Kill);
        let mut with = configuration(&stage.namespace.name);
        reachable(&free_address())(&mut with);
        stage.operator = Operator::start(with, &stage.namespace.name, &stage.turn).await;
        let status = two
            .kind
            .until("says whose the Secret is", |status| status.message("Ready").contains(SECRET))
            .await;
        assert_eq!(status.reason("Ready"), "ConversionUnavailable");
        assert_eq!(secrets.get(SECRET).await.unwrap().data, stranger.data, "it is left unchanged");
        let (code, text) = stage.operator.get("/readyz").await.unwrap();
        assert!(code == 503 && text.contains(SECRET), "{code} {text}");

        // Once it is gone, it goes on by itself.
        secrets.delete(SECRET, &DeleteParams::default()).await.unwrap();
        two.kind.until_ready().await;
        two.create_old("whisper", json!({ "image": "i", "memory": "1Gi" })).await.unwrap();
        assert_eq!(two.specs("whisper").await.0["container"]["memoryMi"], 1024);
    })
    .await;
}

/// Another version to store in is held against every object as it would be in it.
#[tokio::test]
async fn objects_are_held_against_the_new_version_as_they_would_be_in_it() {
    let connection = connect_with_crds().await;
    let address = free_address();
    with_configured_operator(&connection, "conv-impact", reachable(&address), async |stage| {
        let mut two = TwoVersions::of(stage);
        let whole = two.kind.whole.clone();
        let mut first = whole["spec"]["versions"][1].clone();
        first["storage"] = json!(true);
        first.as_object_mut().unwrap().remove("conversion");
        first["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["memory"] =
            json!({ "type": "string" });
        two.kind.whole["spec"]["versions"] = json!([first]);
        two.kind.define().await;
        two.kind.until_ready().await;
        for (name, memory) in [("fits", "64Mi"), ("none", "0Mi"), ("odd", "much")] {
            two.create_old(name, json!({ "image": "i", "memory": memory })).await.unwrap();
        }
        let mut versions = whole["spec"]["versions"].clone();
        versions[1]["schema"] = two.kind.whole["spec"]["versions"][0]["schema"].clone();
        eventually("all are known", SOON, async || {
            let status = two.kind.definitions.get(&two.kind.name).await.unwrap().status.unwrap_or_default();
            status
                .instances
                .is_some_and(|counts| counts.total == 3)
                .then_some(())
                .ok_or_else(|| format!("{status:?}"))
        })
        .await;
        two.kind.change(json!({ "spec": { "versions": versions } })).await;
        let status = two.kind.until("is held back", |status| status.impact.is_some()).await;
        assert_eq!(status.reason("Ready"), "BreaksInstances");
        let impact = status.impact.clone().unwrap();
        assert_eq!((impact.breaking, impact.checked), (2, 3));
        let said = status.message("Ready");
        assert!(said.contains("cannot be converted") && !said.contains("accept-impact"), "{said}");
        let why = |name: &str| impact.instances.iter().find(|one| one.name == name).unwrap().why.clone();
        assert!(why("none").contains("v1: spec.container.memoryMi: 0"), "{}", why("none"));
        assert!(why("odd").contains("cannot be converted") && why("odd").contains("much"), "{}", why("odd"));

        for name in ["none", "odd"] {
            merge(&two.old, name, json!({ "spec": { "memory": "2Mi" } })).await;
        }
        two.kind.until("moves on by itself", |status| status.accepted_generation == Some(2)).await;
        eventually("they are read in both", SOON, async || {
            for name in ["fits", "none", "odd"] {
                let new = two.kind.instances.get(name).await.map_err(|error| error.to_string())?;
                if new.data["spec"]["container"]["image"] != "i" {
                    return Err(new.data.to_string());
                }
            }
            Ok(())
        })
        .await;
        // The old version leaves by itself once nothing is stored in it.
        two.kind.change(json!({ "spec": { "versions": [whole["spec"]["versions"][0]] } })).await;
        two.kind.until("is without the old version", |status| status.accepted_generation == Some(3)).await;
        assert_eq!(two.stored_versions().await, ["v1"]);
        two.kind.instances.get("fits").await.unwrap();
    })
    .await;
}
