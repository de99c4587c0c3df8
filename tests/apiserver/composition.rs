//! Kinds that are made of other objects, from `kubectl apply` of the definition to the end of an instance, on a real API
//! server whose nodes pretend to run pods.

use std::{fs, path::Path, process::Command, time::Duration};

use colonyos_operator::api::colony_workflow::ColonyWorkflow;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    batch::v1::Job,
    core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    core::DynamicObject,
};
use serde_json::json;

use crate::{
    requester,
    support::{
        cluster::connect_with_crds,
        colony,
        conditions::Conditions as _,
        namespace::{TestNamespace, in_namespace},
        operator::{Operator, Turn, configuration},
        own_kind::OwnKind,
        stage::{self, SOON},
        wait::{eventually, throughout},
    },
};

/// Runs a test with an operator, without a colony: none is needed.
async fn with_operator(test: &str, body: impl AsyncFnOnce(&TestNamespace, &mut Operator, &Turn)) {
    let connection = connect_with_crds().await;
    in_namespace(&connection, test, async |namespace| {
        let turn = Turn::take().await;
        let mut operator = Operator::start(configuration(&namespace.name), &namespace.name, &turn).await;
        Box::pin(body(&namespace, &mut operator, &turn)).await;
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
        let goops = OwnKind::example(namespace, "goop");
        goops.define_until_ready().await;
        let jobs: Api<Job> = namespace.api();
        goops.create("greeter", json!({ "jobCount": 3, "cmd": "true" })).await;
        let done = goops.until_settled("greeter", "is finished", |status| status.is_true("Finished")).await;
        assert_eq!(done.data["status"]["completed"], 3, "{}", done.data["status"]);
        assert_eq!(done.data["status"]["state"], "Completed");
        let composed = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet"}, {"apiVersion": "batch/v1", "kind": "Job"}]);
        assert_eq!(done.data["status"]["composedOf"], composed);
        assert!(done.is_true("Ready"), "{}", done.data["status"]);
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
        throughout("it is left unchanged", Duration::from_secs(3), async || {
            let now = goops.instances.get("greeter").await.map_err(|error| error.to_string())?;
            let left = jobs.get_opt("greeter-1").await.map_err(|error| error.to_string())?;
            let is_still = now.resource_version() == version && left.is_none();
            is_still.then_some(()).ok_or_else(|| format!("{}", now.data["status"]))
        })
        .await;

        // Another generation begins anew.
        goops.change_instance("greeter", json!({ "spec": { "jobCount": 2, "cmd": "echo again" } })).await;
        goops.until_settled("greeter", "is finished again", |status| {
            status.is_true("Finished") && status["completed"] == 2
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
        let foos = OwnKind::example(namespace, "foo");
        foos.define_until_ready().await;
        // Its schema says nothing of status: what its expressions give is known all the same.
        let databases = OwnKind::example(namespace, "database");
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
        foos.until_settled("one", "is ready", |status| status.is_true("Ready") && status["availableReplicas"] == 2).await;

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
        foos.until_settled("one", "has three", |status| status.is_true("Ready") && status["availableReplicas"] == 3).await;
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
        foos.until_settled("one", "it is made again", |status| status.is_true("Ready")).await;

        let mut stranger = eventually("it is there again", SOON, async || {
            deployments.get("web").await.map_err(|error| error.to_string())
        })
        .await;
        stranger.metadata = kube::core::ObjectMeta { name: Some("theirs".to_owned()), ..Default::default() };
        stranger.status = None;
        let made = deployments.create(&PostParams::default(), &stranger).await.unwrap();
        foos.create("two", json!({ "deploymentName": "theirs" })).await;
        let told = foos.until_settled("two", "it says so", |status| status.is_true("Degraded")).await;
        let why = told.line("Degraded");
        assert!(why.starts_with("True/ForeignObject: Deployment theirs exists and belongs to an unknown owner"), "{why}");
        let now = deployments.get("theirs").await.unwrap();
        assert_eq!((now.metadata.generation, now.owner_references().len()), (made.metadata.generation, 0));
        // Once it is out of the way, the instance gets on by itself.
        deployments.delete("theirs", &DeleteParams::default()).await.unwrap();
        foos.until_settled("two", "is ready", |status| status.is_true("Ready")).await;
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
            ["database", "web-service", "application"].map(|folder| OwnKind::example(namespace, folder));
        // One of its kinds is not there yet: said, and waited for.
        applications.define_until_ready().await;
        let components = json!({ "components": [
            { "kind": "Database", "spec": { "version": "16", "storage": "1Gi" } },
            { "kind": "WebService", "spec": { "image": "localhost/web:dev", "replicas": 2 } },
        ]});
        applications.create("shop", components).await;
        let waiting = applications.until_settled("shop", "it waits", |status| !status.line("Ready").is_empty()).await;
        let why = waiting.line("Ready");
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
        let ready = applications.until_settled("shop", "is ready", |status| status.is_true("Ready")).await;
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
        applications.change_instance("shop", json!({ "metadata": { "labels": { "x": "y" } } })).await;
        applications.until_settled("shop", "is ready still", |status| status.is_true("Ready")).await;
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
        let wrong = OwnKind::new(
            namespace,
            &PLAIN
                .replace("${self.spec.text}", "${self.spec.txet}")
                .replace("${config.data.text.size()}", "${cnofig.data}")
                .replace("plain", "wrong")
                .replace("Plain", "Wrong"),
        );
        wrong.define().await;
        let why = wrong.until_refused().await;
        assert!(
            why.contains("spec.handler.status.length: ${cnofig.data}: there is no variable cnofig"),
            "{why}"
        );
        let mut fixed = wrong.whole.clone();
        fixed["spec"]["handler"]["status"] = json!({ "length": "${config.data.text.size()}" });
        wrong.change(json!({ "spec": fixed["spec"] })).await;
        let why = wrong.until_refused().await;
        assert!(why.contains("the schema has no field \"txet\" here: did you mean \"text\"?"), "{why}");
        wrong.remove().await;

        let plains = OwnKind::new(namespace, PLAIN);
        plains.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        plains.create("one", json!({ "text": "hello" })).await;
        plains
            .until_settled("one", "is ready", |status| status.is_true("Ready") && status["length"] == 5)
            .await;
        assert_eq!(names(&maps).await, ["one", "one-more"]);

        // A condition that no longer holds takes its object away; a field that is gone from the template goes.
        plains.change_instance("one", json!({ "spec": { "more": false } })).await;
        plains.until_settled("one", "is ready", |status| status.is_true("Ready")).await;
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
        plains.change(patch).await;
        eventually("the instance follows", SOON, async || {
            let data = maps.get("one").await.map_err(|error| error.to_string())?.data.unwrap_or_default();
            let data = serde_json::to_value(data).unwrap();
            (data == json!({ "text": "hello!", "theirs": "x" })).then_some(()).ok_or_else(|| data.to_string())
        })
        .await;

        changed["resources"][0]["template"]["data"] = json!({ "text": "${self.spec.nothing}" });
        let patch = json!({ "spec": { "handler": changed } });
        plains.change(patch).await;
        let why = plains.until_refused().await;
        assert!(why.contains("the schema has no field \"nothing\" here"), "{why}");
        plains.change_instance("one", json!({ "spec": { "text": "still" } })).await;
        plains
            .until_settled("one", "goes on", |status| status.is_true("Ready") && status["length"] == 6)
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
        let plains = OwnKind::new(namespace, PLAIN);
        plains.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        plains.create("one", json!({ "text": "hello" })).await;
        plains.until_settled("one", "is ready", |status| status.is_true("Ready")).await;
        plains.change_instance("one", json!({ "spec": { "text": null } })).await;
        let told = plains.until_settled("one", "it says so", |status| status.is_true("Degraded")).await;
        let why = told.line("Ready");
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

/// The operator writes with its own rights: the requester must have them.
#[tokio::test]
async fn the_creator_of_an_instance_must_be_allowed_to_create_what_it_is_made_of() {
    with_operator("composer", async |namespace, _, _| {
        let [databases, applications] =
            ["database", "application"].map(|folder| OwnKind::example(namespace, folder));
        databases.define_until_ready().await;
        applications.define().await;
        applications.until("is served", |status| status.is_true("Established")).await;
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

        // Templates read labels: who may not create the parts may not change what they read.
        let admin: Api<DynamicObject> =
            Api::namespaced_with(namespace.kubernetes.calls.clone(), &namespace.name, &applications.resource);
        admin.create(&PostParams::default(), &object).await.unwrap();
        let lesser = format!("bob-of-{}", namespace.name);
        let rule = json!([{"apiGroups": [group], "resources": ["*"], "verbs": ["patch"]}]);
        requester::grant(namespace, &lesser, "lesser", rule).await;
        let as_lesser: Api<DynamicObject> = Api::namespaced_with(
            requester::impersonate(&lesser).await,
            &namespace.name,
            &applications.resource,
        );
        for kind in ["labels", "annotations"] {
            let change = Patch::Merge(json!({"metadata": {kind: {"note": "a"}}}));
            eventually(&format!("a change of {kind} is refused"), SOON, async || {
                match as_lesser.patch("shop", &PatchParams::default(), &change).await {
                    Err(error) if error.to_string().contains(requester::REFUSAL) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
            as_user.patch("shop", &PatchParams::default(), &change).await.unwrap();
        }
        let finalizers = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/keep"]}}));
        as_lesser
            .patch("shop", &PatchParams { dry_run: true, ..PatchParams::default() }, &finalizers)
            .await
            .unwrap();
        admin.delete("shop", &DeleteParams::default()).await.unwrap();
        applications.until_gone("shop").await;
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
        let workflows = OwnKind::new(&stage.namespace, &text.replace("nodes: \"$", &colony));
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
        let done = workflows.until_settled("film", "is finished", |status| status.is_true("Finished")).await;
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
        let helds = OwnKind::of_text(namespace, "Held", HELD);
        helds.define_until_ready().await;
        let maps: Api<ConfigMap> = namespace.api();
        helds.create("one", json!({ "text": "a" })).await;
        let waiting = helds.until_settled("one", "it waits", |status| status.line("Ready").contains("one-taken is not there")).await;
        assert!(!waiting.is_true("Degraded"), "{}", waiting.data["status"]);
        let made: ConfigMap = serde_json::from_value(json!({
            "metadata": { "name": "one-taken", "labels": { "theirs": "x" } }, "data": { "text": "before", "theirs": "mine", "more": "y" },
        }))
        .unwrap();
        maps.create(&PostParams::default(), &made).await.unwrap();
        let ready = helds.until_settled("one", "is ready", |status| status.is_true("Ready")).await;
        let taken = maps.get("one-taken").await.unwrap();
        assert_eq!(taken.owner_references()[0].uid, ready.uid().unwrap());
        assert_eq!(taken.labels()["theirs"], "x");
        let data = json!(taken.data);
        assert_eq!(data, json!({ "text": "a", "theirs": "mine", "more": "y" }));
        assert!(ready.line("Drifted").starts_with("False/InSync"), "{}", ready.data["status"]);

        let drift = Patch::Merge(json!({ "data": { "text": "drifted" } }));
        maps.patch("one-watched", &PatchParams::default(), &drift).await.unwrap();
        let told = helds.until_settled("one", "has drifted", |status| status.is_true("Drifted")).await;
        let why = told.line("Drifted");
        assert!(why.contains("ConfigMap one-watched: data.text"), "{why}");
        assert_eq!(json!(maps.get("one-watched").await.unwrap().data), json!({ "text": "drifted" }));
        helds.change_instance("one", json!({ "spec": { "text": "b" } })).await;
        helds.until_settled("one", "is as it should be", |status| status.line("Drifted").starts_with("False/")).await;
        assert_eq!(json!(maps.get("one-watched").await.unwrap().data), json!({ "text": "b" }));

        // Paused, it is neither put right nor deleted.
        helds.change_instance("one", json!({ "metadata": { "annotations": { "colonies.io/paused": "true" } } })).await;
        helds.until_settled("one", "is paused", |status| status.is_true("Paused")).await;
        maps.delete("one-watched", &DeleteParams::default()).await.unwrap();
        helds.instances.delete("one", &DeleteParams::default()).await.unwrap();
        throughout("nothing is done", Duration::from_secs(3), async || {
            let there = helds.instances.get_opt("one").await.map_err(|error| error.to_string())?.is_some();
            let made = maps.get_opt("one-watched").await.map_err(|error| error.to_string())?.is_some();
            (there && !made).then_some(()).ok_or_else(|| format!("{there} {made}"))
        })
        .await;
        helds.change_instance("one", json!({ "metadata": { "annotations": { "colonies.io/paused": null } } })).await;
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
