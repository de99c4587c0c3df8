//! Kinds that are made of other objects, from `kubectl apply` of the definition to the end of an instance, on a real API
//! server whose nodes pretend to run pods.

use std::{fs, path::Path, process::Command, time::Duration};

use colonyos_operator::api::{colony_workflow::ColonyWorkflow, resource_definition::ResourceDefinition};
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};

use crate::{
    requester,
    support::{
        cluster::connect_with_crds,
        colony,
        namespace::{TestNamespace, in_namespace},
        operator::{Operator, TEST_LABEL, Turn, configuration},
        stage,
        wait::{eventually, throughout},
    },
};

/// How long the control plane and the operator may take.
const SOON: Duration = Duration::from_mins(1);

/// A kind of the examples, in a group of its own, so that tests do not meet.
struct Kind {
    definitions: Api<ResourceDefinition>,
    instances: Api<DynamicObject>,
    resource: ApiResource,
    name: String,
    whole: Value,
}

impl Kind {
    /// The example in a folder; of all groups of the examples' own the test's namespace makes another.
    fn example(namespace: &TestNamespace, folder: &str) -> Self {
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("examples/kinds/{folder}/definition.yaml"));
        Self::of(namespace, &fs::read_to_string(file).unwrap())
    }

    fn of(namespace: &TestNamespace, definition: &str) -> Self {
        let own = format!("{}.example.com", namespace.name);
        let text = definition
            .replace("app.colonies.io", &own)
            .replace("samplecontroller.example.com", &own)
            .replace("goop.example.com", &own)
            .replace("test.example.com", &own);
        let mut whole: Value = serde_norway::from_str(&text).unwrap();
        for resource in whole["spec"]["handler"]["resources"].as_array_mut().into_iter().flatten() {
            // On nodes that pretend: there may be others, which would have to pull images.
            if let Some(pod) = resource.pointer_mut("/template/spec/template/spec") {
                pod["nodeSelector"] = json!({ "colonies.io/node": "kwok" });
                pod["tolerations"] = json!([{ "operator": "Exists" }]);
            }
        }
        let text = |pointer: &str| whole.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
        let gvk = GroupVersionKind::gvk(&own, &text("/spec/versions/0/name"), &text("/spec/names/kind"));
        let resource = ApiResource::from_gvk_with_plural(&gvk, &text("/spec/names/plural"));
        let client = &namespace.kubernetes.calls;
        Self {
            definitions: Api::all(client.clone()),
            instances: Api::namespaced_with(client.clone(), &namespace.name, &resource),
            name: text("/metadata/name"),
            resource,
            whole,
        }
    }

    async fn define(&self) {
        let mut whole = self.whole.clone();
        whole["spec"]["names"]["shortNames"] = json!([]);
        let namespace = self.resource.group.strip_suffix(".example.com").unwrap();
        whole["metadata"]["labels"] = json!({ TEST_LABEL: namespace });
        let definition: ResourceDefinition = serde_json::from_value(whole).unwrap();
        self.definitions.create(&PostParams::default(), &definition).await.unwrap();
    }

    /// Waits until a condition of the definition is as it should be; its message.
    async fn until(&self, condition: &str, status: &str) -> String {
        eventually(&format!("{} is {condition}={status}", self.name), SOON, async || {
            let object = self.definitions.get(&self.name).await.map_err(|error| error.to_string())?;
            let conditions = object.status.map(|status| status.conditions).unwrap_or_default();
            let found = conditions.iter().find(|one| {
                one.type_ == condition
                    && one.status == status
                    && one.observed_generation == object.metadata.generation
            });
            found.map(|found| found.message.clone()).ok_or_else(|| format!("{conditions:?}"))
        })
        .await
    }

    async fn define_until_ready(&self) {
        self.define().await;
        self.until("Ready", "True").await;
    }

    async fn create(&self, name: &str, spec: Value) -> DynamicObject {
        let object = DynamicObject::new(name, &self.resource).data(json!({ "spec": spec }));
        self.instances.create(&PostParams::default(), &object).await.unwrap()
    }

    async fn change(&self, name: &str, patch: Value) {
        self.instances.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    async fn until_instance(
        &self,
        name: &str,
        what: &str,
        is_reached: impl Fn(&Value) -> bool,
    ) -> DynamicObject {
        eventually(&format!("{name}: {what}"), SOON, async || {
            let object = self.instances.get(name).await.map_err(|error| error.to_string())?;
            let seen = object.data["status"]["observedGeneration"].as_i64();
            let is_current = seen.is_some() && seen == object.metadata.generation;
            if is_current && is_reached(&object.data["status"]) {
                Ok(object)
            } else {
                Err(format!("{:?} {}", object.metadata.generation, object.data["status"]))
            }
        })
        .await
    }

    async fn until_gone(&self, name: &str) {
        eventually(&format!("{name} is gone"), SOON, async || {
            let left = self.instances.get_opt(name).await.map_err(|error| error.to_string())?;
            left.map_or(Ok(()), |left| Err(format!("{:?} {}", left.finalizers(), left.data["status"])))
        })
        .await;
    }

    async fn remove(&self) {
        self.definitions.delete(&self.name, &DeleteParams::default()).await.unwrap();
        eventually(&format!("{} is gone", self.name), SOON, async || {
            let left = self.definitions.get_opt(&self.name).await.map_err(|error| error.to_string())?;
            left.map_or(Ok(()), |left| Err(format!("{:?}", left.status)))
        })
        .await;
    }
}

/// A condition in a status, as `status/reason: message`.
fn condition(status: &Value, kind: &str) -> String {
    let found = status["conditions"].as_array().into_iter().flatten().find(|one| one["type"] == kind);
    let text = |found: &Value, name: &str| found[name].as_str().unwrap_or_default().to_owned();
    found.map_or_else(String::new, |found| {
        format!("{}/{}: {}", text(found, "status"), text(found, "reason"), text(found, "message"))
    })
}

fn holds(status: &Value, kind: &str) -> bool {
    condition(status, kind).starts_with("True/")
}

/// Runs a test with an operator, without a colony: none is needed.
async fn with_operator(test: &str, body: impl AsyncFnOnce(&TestNamespace, &mut Operator, &Turn)) {
    let connection = connect_with_crds().await;
    in_namespace(&connection, test, async |namespace| {
        let turn = Turn::take().await;
        let mut operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        body(&namespace, &mut operator, &turn).await;
    })
    .await;
}

async fn names<K>(api: &Api<K>) -> Vec<String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let list = api.list(&ListParams::default().labels("colonies.io/resource")).await.unwrap();
    let mut names: Vec<String> = list.iter().map(kube::ResourceExt::name_any).collect();
    names.sort();
    names
}

/// The whole way of an instance that ends.
#[tokio::test]
async fn a_goop_runs_to_its_end_and_is_left_alone_then() {
    with_operator("goop", async |namespace, _, _| {
        let goops = Kind::example(namespace, "goop");
        goops.define_until_ready().await;
        let jobs: Api<Job> = namespace.api();
        goops.create("greeter", json!({ "jobCount": 3, "cmd": "true" })).await;
        let done = goops.until_instance("greeter", "is finished", |status| holds(status, "Finished")).await;
        assert_eq!(done.data["status"]["completed"], 3, "{}", done.data["status"]);
        assert_eq!(done.data["status"]["state"], "Completed");
        let composed = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet"}, {"apiVersion": "batch/v1", "kind": "Job"}]);
        assert_eq!(done.data["status"]["composedOf"], composed);
        assert!(holds(&done.data["status"], "Ready"), "{}", done.data["status"]);
        assert_eq!(names(&jobs).await, ["greeter-0", "greeter-1", "greeter-2"]);
        let owner = jobs.get("greeter-0").await.unwrap().owner_references().to_vec();
        assert_eq!((owner[0].uid.clone(), owner[0].controller), (done.uid().unwrap(), Some(true)));

        // It has ended: what goes of it now, as finished Jobs do after their time, is not begun anew; nothing is written.
        let background = DeleteParams::background();
        jobs.delete("greeter-1", &background).await.unwrap();
        eventually("the Job is gone", SOON, async || {
            let left = jobs.get_opt("greeter-1").await.map_err(|error| error.to_string())?;
            left.map_or(Ok(()), |_| Err("it is there".to_owned()))
        })
        .await;
        let version = goops.instances.get("greeter").await.unwrap().resource_version();
        throughout("it is left alone", Duration::from_secs(3), async || {
            let now = goops.instances.get("greeter").await.map_err(|error| error.to_string())?;
            let left = jobs.get_opt("greeter-1").await.map_err(|error| error.to_string())?;
            let is_still = now.resource_version() == version && left.is_none();
            is_still.then_some(()).ok_or_else(|| format!("{}", now.data["status"]))
        })
        .await;

        // Another generation begins anew.
        goops.change("greeter", json!({ "spec": { "jobCount": 2, "cmd": "echo again" } })).await;
        goops.until_instance("greeter", "is finished again", |status| {
            holds(status, "Finished") && status["completed"] == 2
        })
        .await;
        assert_eq!(names(&jobs).await, ["greeter-0", "greeter-1"]);
        let command = jobs.get("greeter-0").await.unwrap().spec.unwrap().template.spec.unwrap().containers[0].command.clone();
        assert_eq!(command.unwrap(), ["sh", "-c", "echo again"]);

        goops.instances.delete("greeter", &DeleteParams::default()).await.unwrap();
        goops.until_gone("greeter").await;
        eventually("its Jobs are gone", SOON, async || {
            let left = names(&jobs).await;
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
        goops.remove().await;
    })
    .await;
}

/// What the sample controller of Kubernetes does, and its promise not to touch what is not its own.
#[tokio::test]
async fn a_foo_keeps_its_deployment_and_no_stranger_s() {
    with_operator("foo", async |namespace, _, _| {
        let foos = Kind::example(namespace, "foo");
        foos.define_until_ready().await;
        // Its schema says nothing of status: what its expressions give is known all the same.
        let databases = Kind::example(namespace, "database");
        databases.define_until_ready().await;
        let field = format!("{}.status.host", databases.resource.plural);
        // The API server publishes what there is to explain some time after it serves a kind.
        eventually("kubectl explains the field", SOON, async || {
            let explained = Command::new("kubectl")
                .args(["explain", &field, "--api-version", &databases.resource.api_version])
                .output()
                .map_err(|error| error.to_string())?;
            let told = String::from_utf8_lossy(&explained.stdout).into_owned();
            let why = || format!("{told}{}", String::from_utf8_lossy(&explained.stderr));
            told.contains("FIELD: host <string>").then_some(()).ok_or_else(why)
        })
        .await;
        let deployments: Api<Deployment> = namespace.api();
        foos.create("one", json!({ "deploymentName": "web", "replicas": 2 })).await;
        foos.until_instance("one", "is ready", |status| holds(status, "Ready") && status["availableReplicas"] == 2).await;

        // At rest nothing is written.
        let settled = deployments.get("web").await.unwrap().metadata.generation;
        let version = foos.instances.get("one").await.unwrap().resource_version();
        throughout("nothing is written", Duration::from_secs(5), async || {
            let now = foos.instances.get("one").await.map_err(|error| error.to_string())?.resource_version();
            let generation = deployments.get("web").await.map_err(|error| error.to_string())?.metadata.generation;
            (now == version && generation == settled).then_some(()).ok_or_else(|| format!("{now:?} {generation:?}"))
        })
        .await;

        // Through the scale subresource, as autoscalers do.
        let scale = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
        foos.instances.patch_scale("one", &PatchParams::default(), &scale).await.unwrap();
        foos.until_instance("one", "has three", |status| holds(status, "Ready") && status["availableReplicas"] == 3).await;
        assert_eq!(foos.instances.get_scale("one").await.unwrap().status.unwrap().replicas, 3);

        // Drift is put right, what others add is theirs.
        let drift = json!({ "metadata": { "labels": { "theirs": "x" } }, "spec": { "replicas": 7, "paused": false } });
        deployments.patch("web", &PatchParams::default(), &Patch::Merge(drift)).await.unwrap();
        eventually("it has three again", SOON, async || {
            let found = deployments.get("web").await.map_err(|error| error.to_string())?;
            let replicas = found.spec.as_ref().and_then(|spec| spec.replicas);
            if replicas == Some(3) && found.labels().contains_key("theirs") { Ok(()) } else { Err(format!("{replicas:?}")) }
        })
        .await;
        deployments.delete("web", &DeleteParams::default()).await.unwrap();
        foos.until_instance("one", "it is made again", |status| holds(status, "Ready")).await;

        let mut stranger = eventually("it is there again", SOON, async || {
            deployments.get("web").await.map_err(|error| error.to_string())
        })
        .await;
        stranger.metadata = kube::core::ObjectMeta { name: Some("theirs".to_owned()), ..Default::default() };
        stranger.status = None;
        let made = deployments.create(&PostParams::default(), &stranger).await.unwrap();
        foos.create("two", json!({ "deploymentName": "theirs" })).await;
        let told = foos.until_instance("two", "it says so", |status| holds(status, "Degraded")).await;
        let why = condition(&told.data["status"], "Degraded");
        assert!(why.starts_with("True/ForeignObject: Deployment theirs exists and belongs to nobody"), "{why}");
        let now = deployments.get("theirs").await.unwrap();
        assert_eq!((now.metadata.generation, now.owner_references().len()), (made.metadata.generation, 0));
        // Once it is out of the way, the instance gets on by itself.
        deployments.delete("theirs", &DeleteParams::default()).await.unwrap();
        foos.until_instance("two", "is ready", |status| holds(status, "Ready")).await;
        for name in ["one", "two"] {
            foos.instances.delete(name, &DeleteParams::default()).await.unwrap();
        }
        foos.remove().await;
    })
    .await;
}

/// Kinds made of kinds: a disk for the database, the database before the web server, and the way back.
#[tokio::test]
async fn an_application_comes_and_goes_in_its_order() {
    with_operator("application", async |namespace, operator, turn| {
        let [databases, webs, applications] =
            ["database", "web-service", "application"].map(|folder| Kind::example(namespace, folder));
        // One of its kinds is not there yet: said, and waited for.
        applications.define_until_ready().await;
        let components = json!({ "components": [
            { "kind": "Database", "spec": { "version": "16", "storage": "1Gi" } },
            { "kind": "WebService", "spec": { "image": "localhost/web:dev", "replicas": 2 } },
        ]});
        applications.create("shop", components).await;
        let waiting = applications.until_instance("shop", "it waits", |status| !condition(status, "Ready").is_empty()).await;
        let why = condition(&waiting.data["status"], "Ready");
        assert!(why.contains("the cluster does not serve Database"), "{why}");
        databases.define_until_ready().await;
        webs.define_until_ready().await;

        let claims: Api<PersistentVolumeClaim> = namespace.api();
        eventually("the disk is asked for", SOON, async || {
            claims.get("shop-database-data").await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        let early = webs.instances.get_opt("shop-webservice").await.unwrap();
        assert!(early.is_none(), "the web server does not wait for the database");
        let volumes: Api<PersistentVolume> = Api::all(namespace.kubernetes.calls.clone());
        let volume: PersistentVolume = serde_json::from_value(json!({
            "metadata": { "name": namespace.name }, "spec": {
                "capacity": { "storage": "1Gi" }, "accessModes": ["ReadWriteOnce"], "hostPath": { "path": "/tmp" },
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": { "namespace": namespace.name, "name": "shop-database-data" } },
        }))
        .unwrap();
        volumes.create(&PostParams::default(), &volume).await.unwrap();
        let ready = applications.until_instance("shop", "is ready", |status| holds(status, "Ready")).await;
        assert_eq!((&ready.data["status"]["components"], &ready.data["status"]["ready"]), (&json!(2), &json!(2)));

        // The password was made once, and survives the operator.
        let secrets: Api<Secret> = namespace.api();
        let password = async || {
            let secret = secrets.get("shop-database-credentials").await.unwrap();
            String::from_utf8(secret.data.unwrap()["password"].0.clone()).unwrap()
        };
        let before = password().await;
        assert_eq!(before.len(), 32);
        operator.signal(crate::support::operator::Signal::Kill);
        *operator = Operator::start(configuration(&namespace.name), &namespace.name, turn).await;
        operator.wait_until_ready().await;
        applications.change("shop", json!({ "metadata": { "labels": { "x": "y" } } })).await;
        applications.until_instance("shop", "is ready still", |status| holds(status, "Ready")).await;
        assert_eq!(password().await, before);

        applications.instances.delete("shop", &DeleteParams::default()).await.unwrap();
        let pods: Api<Pod> = namespace.api();
        let of_the_web = ListParams::default().labels("web-service=shop-webservice");
        eventually("the database goes", SOON, async || {
            let database = databases.instances.get_opt("shop-database").await.map_err(|error| error.to_string())?;
            if database.is_some_and(|database| database.metadata.deletion_timestamp.is_none()) {
                return Err("it is there".to_owned());
            }
            let web = webs.instances.get_opt("shop-webservice").await.map_err(|error| error.to_string())?;
            let pods = pods.list(&of_the_web).await.map_err(|error| error.to_string())?;
            assert!(web.is_none() && pods.items.is_empty(), "it goes before the web server, and its pods, are gone");
            Ok(())
        })
        .await;
        applications.until_gone("shop").await;
        let sets: Api<StatefulSet> = namespace.api();
        assert!(databases.instances.get_opt("shop-database").await.unwrap().is_none());
        eventually("everything is gone", SOON, async || {
            let left = (names(&sets).await, names(&claims).await, names(&secrets).await);
            let is_gone = left.0.is_empty() && left.1.is_empty() && left.2.is_empty();
            is_gone.then_some(()).ok_or_else(|| format!("{left:?}"))
        })
        .await;
        volumes.delete(&namespace.name, &DeleteParams::default()).await.unwrap();
        for kind in [applications, webs, databases] {
            kind.remove().await;
        }
    })
    .await;
}

const PLAIN: &str = r#"
apiVersion: colonies.io/v1
kind: ResourceDefinition
metadata: {name: plains.test.example.com}
spec:
  group: test.example.com
  names: {kind: Plain, plural: plains}
  versions:
    - name: v1
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {text: {type: string}, more: {type: boolean, default: true}}}}}}
  handler:
    mode: compose
    resources:
      - id: config
        template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${self.metadata.name}"}, data: {text: "${self.spec.text}", always: here}}
      - id: more
        includeWhen: ["${self.spec.more}"]
        template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${config.metadata.name}-more"}, data: {of: "${config.data.text}"}}
    status: {length: "${config.data.text.size()}"}
"#;

/// A definition with mistakes is told all of them; one that changes changes its instances; a broken change leaves them.
#[tokio::test]
async fn a_definition_can_change_and_a_broken_one_changes_nothing() {
    with_operator("plain", async |namespace, _, _| {
        let wrong = Kind::of(
            namespace,
            &PLAIN
                .replace("${self.spec.text}", "${self.spec.txet}")
                .replace("${config.data.text.size()}", "${cnofig.data}")
                .replace("plain", "wrong")
                .replace("Plain", "Wrong"),
        );
        wrong.define().await;
        let why = wrong.until("Ready", "False").await;
        assert!(
            why.contains("spec.handler.status.length: ${cnofig.data}: there is no variable cnofig"),
            "{why}"
        );
        let mut fixed = wrong.whole.clone();
        fixed["spec"]["handler"]["status"] = json!({ "length": "${config.data.text.size()}" });
        wrong
            .definitions
            .patch(&wrong.name, &PatchParams::default(), &Patch::Merge(json!({ "spec": fixed["spec"] })))
            .await
            .unwrap();
        let why = wrong.until("Ready", "False").await;
        assert!(why.contains("the schema has no field \"txet\" here: did you mean \"text\"?"), "{why}");
        wrong.remove().await;

        let plains = Kind::of(namespace, PLAIN);
        plains.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        plains.create("one", json!({ "text": "hello" })).await;
        plains
            .until_instance("one", "is ready", |status| holds(status, "Ready") && status["length"] == 5)
            .await;
        assert_eq!(names(&maps).await, ["one", "one-more"]);

        // A condition that no longer holds takes its object away; a field that is gone from the template goes.
        plains.change("one", json!({ "spec": { "more": false } })).await;
        plains.until_instance("one", "is ready", |status| holds(status, "Ready")).await;
        eventually("the other is gone", SOON, async || {
            let left = names(&maps).await;
            (left == ["one"]).then_some(()).ok_or_else(|| format!("{left:?}"))
        })
        .await;
        let mine = json!({ "data": { "theirs": "x" } });
        maps.patch("one", &PatchParams::default(), &Patch::Merge(mine)).await.unwrap();
        let mut changed = plains.whole["spec"]["handler"].clone();
        changed["resources"][0]["template"]["data"] = json!({ "text": "${self.spec.text}!" });
        let patch = json!({ "spec": { "handler": changed } });
        plains.definitions.patch(&plains.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        eventually("the instance follows", SOON, async || {
            let data = maps.get("one").await.map_err(|error| error.to_string())?.data.unwrap_or_default();
            let data = serde_json::to_value(data).unwrap();
            (data == json!({ "text": "hello!", "theirs": "x" })).then_some(()).ok_or_else(|| data.to_string())
        })
        .await;

        changed["resources"][0]["template"]["data"] = json!({ "text": "${self.spec.nothing}" });
        let patch = json!({ "spec": { "handler": changed } });
        plains.definitions.patch(&plains.name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let why = plains.until("Ready", "False").await;
        assert!(why.contains("the schema has no field \"nothing\" here"), "{why}");
        plains.change("one", json!({ "spec": { "text": "still" } })).await;
        plains
            .until_instance("one", "goes on", |status| holds(status, "Ready") && status["length"] == 6)
            .await;
        plains.instances.delete("one", &DeleteParams::default()).await.unwrap();
        plains.until_gone("one").await;
        plains.remove().await;
    })
    .await;
}

/// What an instance says cannot be carried out is said with field and remedy, and leaves what is there.
#[tokio::test]
async fn an_instance_that_cannot_be_made_keeps_what_it_has() {
    with_operator("broken", async |namespace, _, _| {
        let plains = Kind::of(namespace, PLAIN);
        plains.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        plains.create("one", json!({ "text": "hello" })).await;
        plains.until_instance("one", "is ready", |status| holds(status, "Ready")).await;
        plains.change("one", json!({ "spec": { "text": null } })).await;
        let told = plains.until_instance("one", "it says so", |status| holds(status, "Degraded")).await;
        let why = condition(&told.data["status"], "Ready");
        assert!(
            why.starts_with("False/InvalidExpression: spec.handler.resources[0].template.data.text: ${self.spec.text}: there is no \"text\""),
            "{why}"
        );
        assert_eq!(names(&maps).await, ["one", "one-more"]);
        plains.instances.delete("one", &DeleteParams::default()).await.unwrap();
        plains.until_gone("one").await;
        plains.remove().await;
    })
    .await;
}

/// The operator writes with its own rights: whoever asks it to must have them.
#[tokio::test]
async fn whoever_creates_an_instance_must_be_allowed_to_create_what_it_is_made_of() {
    with_operator("composer", async |namespace, _, _| {
        let [databases, applications] =
            ["database", "application"].map(|folder| Kind::example(namespace, folder));
        databases.define_until_ready().await;
        applications.define().await;
        applications.until("Established", "True").await;
        let status = applications.definitions.get(&applications.name).await.unwrap().status.unwrap();
        let composed: Vec<String> = status.composes.unwrap().into_iter().map(|name| name.resource).collect();
        for part in ["databases", "statefulsets", "secrets", "persistentvolumeclaims", "services"] {
            assert!(composed.iter().any(|resource| resource == part), "{part} is not in {composed:?}");
        }

        let group = applications.resource.group.as_str();
        let user = format!("ann-of-{}", namespace.name);
        requester::grant(
            namespace,
            &user,
            "kinds",
            json!([{"apiGroups": [group], "resources": ["*"], "verbs": ["create", "update", "patch"]}]),
        )
        .await;
        requester::install_for(&namespace.kubernetes, namespace, &[group]).await;
        let as_user: Api<DynamicObject> = Api::namespaced_with(
            requester::impersonate(&user).await,
            &namespace.name,
            &applications.resource,
        );
        let spec =
            json!({ "components": [{ "kind": "Database", "spec": { "version": "16", "storage": "1Gi" } }] });
        let object = DynamicObject::new("shop", &applications.resource).data(json!({ "spec": spec }));
        let ask = async || {
            let parameters = PostParams { dry_run: true, ..PostParams::default() };
            as_user.create(&parameters, &object).await.map(drop).map_err(|error| error.to_string())
        };
        eventually("it is refused by the policy", SOON, async || match ask().await {
            Err(message) if message.contains(requester::REFUSAL) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        for (index, (group, resources)) in [
            ("apps", json!(["deployments", "statefulsets", "daemonsets"])),
            ("batch", json!(["jobs"])),
            ("compute.colonies.io", json!(["executordeployments"])),
            ("", json!(["secrets", "services"])),
        ]
        .into_iter()
        .enumerate()
        {
            let rule = json!([{"apiGroups": [group], "resources": resources, "verbs": ["create"]}]);
            requester::grant(namespace, &user, &format!("part-{index}"), rule).await;
        }
        eventually("one right is lacking still, and named", SOON, async || match ask().await {
            Err(message)
                if message.contains("may not create persistentvolumeclaims")
                    || message.contains("or persistentvolumeclaims") =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        })
        .await;
        let rule = json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create"]}]);
        requester::grant(namespace, &user, "last", rule).await;
        eventually("who may create the parts may ask for them", SOON, ask).await;
        applications.remove().await;
        databases.remove().await;
    })
    .await;
}

/// A kind that is made of our own kinds: its steps are done by executors of a colony.
#[tokio::test]
async fn steps_are_one_graph_in_a_colony() {
    let connection = connect_with_crds().await;
    stage::with_operator(&connection, "steps", async |stage| {
        let executor = stage.colony.executor("one", "worker").await;
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kinds/workflow/definition.yaml");
        let colony = format!("colony: {}\n            nodes: \"$", stage.colony.name);
        let text = fs::read_to_string(file).unwrap().replace("workflow.colonies.io", "test.example.com");
        let workflows = Kind::of(&stage.namespace, &text.replace("nodes: \"$", &colony));
        workflows.define_until_ready().await;
        let steps = json!([
            { "name": "first", "function": "f", "executorType": "worker", "args": [1] },
            { "name": "second", "function": "g", "executorType": "worker", "needs": ["first"] },
        ]);
        workflows.create("film", json!({ "steps": steps })).await;
        for (step, output) in [("first", "a"), ("second", "b")] {
            let process = colony::assigned(&executor).await;
            assert_eq!(process.spec.node_name, step);
            executor.close_successful(&process.id, &[json!(output)]).await.unwrap();
        }
        let done = workflows.until_instance("film", "is finished", |status| holds(status, "Finished")).await;
        let status = &done.data["status"];
        assert_eq!((&status["state"], &status["progress"]), (&json!("Succeeded"), &json!("2/2")));
        assert_eq!(status["outputs"], json!([{ "step": "second", "output": ["b"] }]));
        let graphs: Api<ColonyWorkflow> = stage.api();
        assert!(graphs.get_opt("film-1").await.unwrap().is_some());
        workflows.instances.delete("film", &DeleteParams::default()).await.unwrap();
        eventually("its graph goes with it", SOON, async || {
            let left = graphs.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            left.items.is_empty().then_some(()).ok_or_else(|| format!("{} are left", left.items.len()))
        })
        .await;
        workflows.remove().await;
    })
    .await;
}

const HELD: &str = r#"
apiVersion: colonies.io/v1
kind: ResourceDefinition
metadata: {name: helds.test.example.com}
spec:
  group: test.example.com
  names: {kind: Held, plural: helds}
  versions:
    - name: v1
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {text: {type: string}}}}}}
  handler:
    mode: compose
    resources:
      - id: taken
        adoptionPolicy: adopt
        managementPolicies: [Observe, Update]
        drift: {ignoreFields: [data.theirs]}
        template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${self.metadata.name}-taken"}, data: {text: "${self.spec.text}", theirs: first}}
      - id: watched
        drift: {policy: DetectOnly}
        template: {apiVersion: v1, kind: ConfigMap, metadata: {name: "${self.metadata.name}-watched"}, data: {text: "${self.spec.text}"}}
"#;

/// What is there already is taken over and stays when its instance goes; what others change is left where that is wanted.
#[tokio::test]
async fn what_was_there_before_is_adopted_and_drift_is_left_where_it_may_be() {
    with_operator("adopt", async |namespace, _, _| {
        let helds = Kind::of(namespace, HELD);
        helds.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        helds.create("one", json!({ "text": "a" })).await;
        let waiting = helds.until_instance("one", "it waits", |status| condition(status, "Ready").contains("one-taken is not there")).await;
        assert!(!holds(&waiting.data["status"], "Degraded"), "{}", waiting.data["status"]);
        let made: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": "one-taken", "labels": { "theirs": "x" } }, "data": { "text": "before", "theirs": "mine", "more": "y" },
        }))
        .unwrap();
        maps.create(&PostParams::default(), &made).await.unwrap();
        let ready = helds.until_instance("one", "is ready", |status| holds(status, "Ready")).await;
        let taken = maps.get("one-taken").await.unwrap();
        assert_eq!(taken.owner_references()[0].uid, ready.uid().unwrap());
        assert_eq!(taken.labels()["theirs"], "x");
        let data = json!(taken.data);
        assert_eq!(data, json!({ "text": "a", "theirs": "mine", "more": "y" }));
        assert!(condition(&ready.data["status"], "Drifted").starts_with("False/InSync"), "{}", ready.data["status"]);

        let drift = Patch::Merge(json!({ "data": { "text": "drifted" } }));
        maps.patch("one-watched", &PatchParams::default(), &drift).await.unwrap();
        let told = helds.until_instance("one", "has drifted", |status| holds(status, "Drifted")).await;
        let why = condition(&told.data["status"], "Drifted");
        assert!(why.contains("ConfigMap one-watched: data.text"), "{why}");
        assert_eq!(json!(maps.get("one-watched").await.unwrap().data), json!({ "text": "drifted" }));
        helds.change("one", json!({ "spec": { "text": "b" } })).await;
        helds.until_instance("one", "is as it should be", |status| condition(status, "Drifted").starts_with("False/")).await;
        assert_eq!(json!(maps.get("one-watched").await.unwrap().data), json!({ "text": "b" }));

        // Paused, it is neither put right nor deleted.
        helds.change("one", json!({ "metadata": { "annotations": { "colonies.io/paused": "true" } } })).await;
        helds.until_instance("one", "is paused", |status| holds(status, "Paused")).await;
        maps.delete("one-watched", &DeleteParams::default()).await.unwrap();
        helds.instances.delete("one", &DeleteParams::default()).await.unwrap();
        throughout("nothing is done", Duration::from_secs(3), async || {
            let there = helds.instances.get_opt("one").await.map_err(|error| error.to_string())?.is_some();
            let made = maps.get_opt("one-watched").await.map_err(|error| error.to_string())?.is_some();
            (there && !made).then_some(()).ok_or_else(|| format!("{there} {made}"))
        })
        .await;
        helds.change("one", json!({ "metadata": { "annotations": { "colonies.io/paused": null } } })).await;
        helds.until_gone("one").await;
        throughout("it stays", Duration::from_secs(3), async || {
            let left = maps.get("one-taken").await.map_err(|error| error.to_string())?;
            left.owner_references().is_empty().then_some(()).ok_or_else(|| format!("{:?}", left.metadata))
        })
        .await;
        helds.remove().await;
    })
    .await;
}
