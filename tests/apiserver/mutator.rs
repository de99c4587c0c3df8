//! Admission that changes what the operator writes, field by field: on a real API server, whose policies set a field of each
//! object. What it wants so is written once, told, and left alone, by the next process as well.

use std::{collections::BTreeMap, time::Duration};

use colonyos_operator::api::{
    executor_deployment::ExecutorDeployment,
    names::{EXECUTOR_DEPLOYMENT_LABEL, INSTANCE_LABEL},
};
use futures::future::join_all;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding},
    apps::v1::Deployment,
    batch::v1::Job,
    core::v1::{ConfigMap, Namespace, Service},
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::support::{
    cluster::connect_with_crds,
    conditions::Conditions as _,
    environment,
    namespace::TestNamespace,
    object,
    operator::Operator,
    own_kind::OwnKind,
    stage::{SOON, Stage, with_operator},
    wait::eventually,
};

/// For how long nothing is written any more: four seconds, or as many as `MUTATOR_REST` says.
fn rest() -> Duration {
    Duration::from_secs(environment::variable("MUTATOR_REST").map_or(4, |text| text.parse().unwrap()))
}

/// Fields of a pod template, below `/spec/template`, and what a policy sets there.
fn template_fields() -> Vec<(&'static str, Value)> {
    vec![
        ("/metadata/annotations/injected", json!("yes")),
        ("/metadata/labels/injected", json!("yes")),
        ("/spec/affinity", json!({ "nodeAffinity": {} })),
        ("/spec/automountServiceAccountToken", json!(true)),
        ("/spec/dnsConfig", json!({ "options": [{ "name": "ndots", "value": "1" }] })),
        ("/spec/dnsPolicy", json!("Default")),
        ("/spec/enableServiceLinks", json!(true)),
        ("/spec/hostAliases", json!([{ "ip": "10.0.0.1", "hostnames": ["a"] }])),
        ("/spec/hostIPC", json!(true)),
        ("/spec/hostNetwork", json!(true)),
        ("/spec/hostPID", json!(true)),
        ("/spec/hostname", json!("other")),
        ("/spec/subdomain", json!("other")),
        ("/spec/imagePullSecrets", json!([{ "name": "mirror" }])),
        ("/spec/initContainers", json!([{ "name": "init", "image": "init" }])),
        ("/spec/nodeSelector", json!({ "colonies.io/node": "kwok", "pool": "x" })),
        ("/spec/os", json!({ "name": "linux" })),
        ("/spec/preemptionPolicy", json!("Never")),
        ("/spec/priorityClassName", json!("high")),
        ("/spec/readinessGates", json!([{ "conditionType": "a.b/c" }])),
        ("/spec/resourceClaims", json!([{ "name": "r", "resourceClaimName": "injected" }])),
        ("/spec/runtimeClassName", json!("gvisor")),
        ("/spec/schedulerName", json!("other")),
        ("/spec/schedulingGates", json!([{ "name": "a.b/c" }])),
        ("/spec/securityContext/fsGroup", json!(7)),
        ("/spec/serviceAccountName", json!("other")),
        ("/spec/setHostnameAsFQDN", json!(true)),
        ("/spec/shareProcessNamespace", json!(true)),
        ("/spec/terminationGracePeriodSeconds", json!(7)),
        ("/spec/tolerations", json!([{ "operator": "Exists" }, { "key": "a", "operator": "Exists" }])),
        (
            "/spec/topologySpreadConstraints",
            json!([{
                "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway",
            }]),
        ),
        ("/spec/volumes", json!([{ "name": "v", "emptyDir": {} }])),
        ("/spec/containers/0/args", json!(["injected"])),
        ("/spec/containers/0/command", json!(["injected"])),
        ("/spec/containers/0/env", json!([{ "name": "INJECTED", "value": "yes" }])),
        ("/spec/containers/0/envFrom", json!([{ "configMapRef": { "name": "injected", "optional": true } }])),
        ("/spec/containers/0/image", json!("mirror.example.com/executor:1")),
        ("/spec/containers/0/imagePullPolicy", json!("Always")),
        ("/spec/containers/0/lifecycle", json!({ "preStop": { "exec": { "command": ["true"] } } })),
        ("/spec/containers/0/livenessProbe", json!({ "exec": { "command": ["true"] } })),
        ("/spec/containers/0/ports", json!([{ "containerPort": 7, "name": "injected" }])),
        ("/spec/containers/0/readinessProbe", json!({ "exec": { "command": ["true"] } })),
        ("/spec/containers/0/resources", json!({ "limits": { "cpu": "7" } })),
        ("/spec/containers/0/securityContext", json!({ "allowPrivilegeEscalation": true })),
        ("/spec/containers/0/startupProbe", json!({ "exec": { "command": ["true"] } })),
        ("/spec/containers/0/stdin", json!(true)),
        ("/spec/containers/0/terminationMessagePath", json!("/injected")),
        ("/spec/containers/0/terminationMessagePolicy", json!("FallbackToLogsOnError")),
        ("/spec/containers/0/tty", json!(true)),
        ("/spec/containers/0/workingDir", json!("/injected")),
        // A sidecar, as injectors add it.
        ("/spec/containers/-", json!({ "name": "sidecar", "image": "sidecar" })),
    ]
}

/// Fields of the three kinds of workloads besides the template.
fn workload_fields() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("Deployment", "/metadata/annotations/injected", json!("yes")),
        ("Deployment", "/metadata/labels/app.kubernetes.io~1part-of", json!("theirs")),
        ("Deployment", "/spec/minReadySeconds", json!(1)),
        ("Deployment", "/spec/paused", json!(true)),
        ("Deployment", "/spec/progressDeadlineSeconds", json!(700)),
        ("Deployment", "/spec/replicas", json!(2)),
        ("Deployment", "/spec/revisionHistoryLimit", json!(1)),
        ("Deployment", "/spec/strategy", json!({ "type": "Recreate" })),
        ("DaemonSet", "/spec/minReadySeconds", json!(1)),
        ("DaemonSet", "/spec/revisionHistoryLimit", json!(1)),
        ("DaemonSet", "/spec/updateStrategy", json!({ "type": "OnDelete" })),
        ("DaemonSet", "/metadata/annotations/injected", json!("yes")),
        ("DaemonSet", "/metadata/labels/injected", json!("yes")),
        ("Job", "/metadata/labels/kueue.x-k8s.io~1queue-name", json!("team")),
        ("Job", "/spec/activeDeadlineSeconds", json!(7000)),
        ("Job", "/metadata/annotations/injected", json!("yes")),
        ("Job", "/spec/backoffLimit", json!(1)),
        ("Job", "/spec/completions", json!(2)),
        ("Job", "/spec/managedBy", json!("example.com/other")),
        ("Job", "/spec/parallelism", json!(2)),
        ("Job", "/spec/podReplacementPolicy", json!("Failed")),
        ("Job", "/spec/suspend", json!(true)),
        ("Job", "/spec/ttlSecondsAfterFinished", json!(7000)),
    ]
}

/// Fields of the objects that an instance is made of.
fn composed_fields() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("Service", "/metadata/annotations/mine", json!("theirs")),
        ("Service", "/metadata/labels/mine", json!("theirs")),
        ("Service", "/spec/sessionAffinity", json!("ClientIP")),
        ("Service", "/spec/type", json!("NodePort")),
        ("Service", "/spec/ports/0/port", json!(8080)),
        ("Service", "/spec/selector", json!({ "app": "theirs" })),
        ("Ingress", "/spec/ingressClassName", json!("theirs")),
        ("Ingress", "/spec/rules/0/host", json!("theirs.example.com")),
        ("StatefulSet", "/spec/replicas", json!(2)),
        ("StatefulSet", "/spec/podManagementPolicy", json!("Parallel")),
        ("StatefulSet", "/spec/template/spec/containers/0/image", json!("mirror.example.com/web")),
        ("StatefulSet", "/spec/template/spec/containers/-", json!({ "name": "sidecar", "image": "sidecar" })),
        ("StatefulSet", "/spec/template/spec/nodeSelector", json!({ "pool": "x" })),
        ("PersistentVolumeClaim", "/spec/accessModes", json!(["ReadWriteMany"])),
        ("PersistentVolumeClaim", "/spec/storageClassName", json!("theirs")),
        ("PersistentVolumeClaim", "/spec/resources/requests/storage", json!("7Gi")),
        ("ConfigMap", "/data/key", json!("theirs")),
        ("Job", "/spec/suspend", json!(false)),
        ("Job", "/spec/template/spec/containers/0/image", json!("mirror.example.com/job")),
        ("Job", "/spec/template/spec/nodeSelector", json!({ "pool": "x" })),
    ]
}

/// The rule of the API for a kind.
fn rule(kind: &str) -> Value {
    let (group, resource) = match kind {
        "Deployment" => ("apps", "deployments"),
        "DaemonSet" => ("apps", "daemonsets"),
        "StatefulSet" => ("apps", "statefulsets"),
        "Job" => ("batch", "jobs"),
        "Ingress" => ("networking.k8s.io", "ingresses"),
        "Service" => ("", "services"),
        "ConfigMap" => ("", "configmaps"),
        "PersistentVolumeClaim" => ("", "persistentvolumeclaims"),
        other => panic!("{other}"),
    };
    json!({
        "apiGroups": [group], "apiVersions": ["v1"], "resources": [resource], "operations": ["CREATE", "UPDATE"],
    })
}

/// A name for a field, as an object may have it.
fn case(kind: &str, path: &str) -> String {
    let of_template = if path.starts_with("/spec/template") { "-t" } else { "" };
    let segments: Vec<&str> = path.rsplit('/').take(2).collect();
    let name = format!("{kind}{of_template}-{}-{}x", segments[1], segments[0]);
    let letter =
        |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' };
    name.chars().map(letter).collect()
}

/// A value of JSON as CEL has it, of a type that is not looked at.
fn cel(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields =
                fields.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), cel(value)));
            format!("dyn({{{}}})", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => format!("dyn([{}])", items.iter().map(cel).collect::<Vec<_>>().join(", ")),
        value => format!("dyn({value})"),
    }
}

/// The objects of a kind for which policies set fields: so many fields of each.
fn in_turn(kind: &'static str, fields: &[(String, Value)], each: usize) -> Vec<Changed> {
    let changed = fields.chunks(each).map(|fields| Changed {
        kind,
        name: case(kind, &fields[0].0),
        fields: fields.to_vec(),
    });
    changed.collect()
}

/// An object, and what policies set in it.
struct Changed {
    kind: &'static str,
    name: String,
    /// Paths and values.
    fields: Vec<(String, Value)>,
}

/// Sets fields of the object that has its name in a label, whenever it is written.
async fn set(namespace: &TestNamespace, label: &str, changed: &Changed) {
    let client = &namespace.kubernetes.calls;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let owner = namespaces.get(&namespace.name).await.unwrap().owner_ref(&()).unwrap();
    let mutations = changed.fields.iter().map(|(path, value)| {
        let set = format!(
            "[JSONPatch{{op: \"add\", path: {}, value: {}}}]",
            Value::from(path.as_str()),
            cel(value)
        );
        let expression = match path.strip_suffix("/-") {
            Some(_) => {
                format!("object.spec.template.spec.containers.exists(c, c.name == \"sidecar\") ? [] : {set}")
            }
            None => set,
        };
        json!({ "patchType": "JSONPatch", "jsonPatch": { "expression": expression } })
    });
    let mutations: Vec<Value> = mutations.collect();
    let metadata =
        json!({ "name": format!("{}-{}", namespace.name, changed.name), "ownerReferences": [owner] });
    let policy = json!({
        "metadata": metadata,
        "spec": {
            "failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": namespace.name } },
                "objectSelector": { "matchLabels": { label: changed.name } },
                "resourceRules": [rule(changed.kind)],
            },
            "mutations": mutations,
        },
    });
    let binding = json!({ "metadata": metadata, "spec": { "policyName": metadata["name"] } });
    create::<MutatingAdmissionPolicy>(&Api::all(client.clone()), policy).await;
    create::<MutatingAdmissionPolicyBinding>(&Api::all(client.clone()), binding).await;
}

async fn create<K>(api: &Api<K>, object: Value)
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap_or_else(|error| panic!("{error}"));
}

/// Waits until the last policy, and with it all before it, is heeded.
async fn heeded(namespace: &TestNamespace) {
    let fields = vec![("/data/key".to_owned(), json!("theirs"))];
    set(namespace, "last", &Changed { kind: "ConfigMap", name: "policy".to_owned(), fields }).await;
    let maps: Api<ConfigMap> = namespace.api();
    eventually("the policies are heeded", SOON, async || {
        let probe = json!({ "metadata": { "generateName": "probe-", "labels": { "last": "policy" } }, "data": { "key": "mine" } });
        let probe: ConfigMap = serde_json::from_value(probe).unwrap();
        let made = maps.create(&PostParams::default(), &probe).await.map_err(|error| error.to_string())?;
        let data = made.data.unwrap_or_default();
        (data["key"] == "theirs").then_some(()).ok_or_else(|| format!("{data:?}"))
    })
    .await;
}

/// The writes to kinds of objects so far, by kind.
async fn writes(operator: &Operator, kinds: &[&str]) -> Result<BTreeMap<String, f64>, String> {
    let (_, text) = operator.get("/metrics").await?;
    let mut writes = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("colonyos_operator_writes_total{")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        if let Some(kind) = kinds.iter().find(|kind| series.contains(&format!("kind=\"{kind}\""))) {
            *writes.entry((*kind).to_owned()).or_insert(0.0) += value.parse::<f64>().unwrap();
        }
    }
    Ok(writes)
}

/// Waits until nothing is written for a while; what was written until then.
async fn until_rest(operator: &Operator, kinds: &[&str]) -> BTreeMap<String, f64> {
    eventually("nothing is written any more", Duration::from_mins(1) + 3 * rest(), async || {
        let before = writes(operator, kinds).await?;
        // It is the time in which nothing may be written.
        tokio::time::sleep(rest()).await;
        let after = writes(operator, kinds).await?;
        (before == after).then_some(after.clone()).ok_or_else(|| format!("{before:?}, then {after:?}"))
    })
    .await
}

#[expect(clippy::cast_precision_loss, reason = "a handful")]
fn assert_at_most(written: &BTreeMap<String, f64>, kind: &str, objects: usize, each: usize) {
    let count = written.get(kind).copied().unwrap_or_default();
    println!("{count} writes to {objects} objects of kind {kind}");
    assert!(count >= objects as f64, "not all were written: {written:?}");
    assert!(count <= (objects * each) as f64, "more than {each} writes each: {written:?}");
}

async fn uids<K>(api: &Api<K>) -> BTreeMap<String, Option<String>>
where
    K: Resource + Clone + std::fmt::Debug + DeserializeOwned,
{
    let list = api.list(&ListParams::default()).await.unwrap();
    list.iter().map(|object| (object.name_any(), object.uid())).collect()
}

const WORKLOADS: [&str; 3] = ["Deployment", "DaemonSet", "Job"];

#[tokio::test]
async fn a_field_of_a_workload_that_admission_sets_is_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "mutator", async |stage: &mut Stage| {
        let all = WORKLOADS.into_iter().flat_map(|kind| {
            let template = template_fields().into_iter();
            let template = template.map(|(path, value)| (format!("/spec/template{path}"), value));
            let own = workload_fields().into_iter().filter(|(of, ..)| *of == kind);
            let own = own.map(|(_, path, value)| (path.to_owned(), value));
            // One by one where that is told apart; the template is the same for all.
            let each = if kind == "Deployment" { 1 } else { 6 };
            in_turn(kind, &template.chain(own).collect::<Vec<_>>(), each)
        });
        let all: Vec<Changed> = all.collect();
        join_all(all.iter().map(async |changed| set(&stage.namespace, EXECUTOR_DEPLOYMENT_LABEL, changed).await)).await;
        heeded(&stage.namespace).await;
        join_all(all.iter().map(async |Changed { kind, name, .. }| {
            let spec = json!({ "workload": kind, "replicas": 1, "template": { "spec": { "hostNetwork": false } } });
            stage.apply(name, &spec).await;
        }))
        .await;
        let objects = |kind: &str| all.iter().filter(|changed| changed.kind == kind).count();
        let fleets: Api<ExecutorDeployment> = stage.api();
        eventually("all are mirrored", Duration::from_mins(2), async || {
            let list = fleets.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
            let is_done = |fleet: &&ExecutorDeployment| {
                fleet.status.as_ref().is_some_and(|status| !status.line("Ready").is_empty())
            };
            let done = list.iter().filter(is_done).count();
            (done == all.len()).then_some(()).ok_or_else(|| format!("{done} of {}", all.len()))
        })
        .await;
        let written = until_rest(&stage.operator, &WORKLOADS).await;
        for kind in WORKLOADS {
            assert_at_most(&written, kind, objects(kind), 2);
        }

        // It is told.
        let image = case("Deployment", "/spec/template/spec/containers/0/image");
        let told = fleets.get(&image).await.unwrap().status.unwrap().line("Drifted");
        let expected = format!("True/ChangedOnAdmission: changed on admission and left so: Deployment {image}: spec.template.spec.containers[0].image");
        assert_eq!(told, expected);
        // What the API server merely drops is not.
        let annotated = case("Deployment", "/metadata/annotations/injected");
        assert_eq!(fleets.get(&annotated).await.unwrap().status.unwrap().line("Drifted"), "");

        // What comes later is drift, and undone: also of a field that admission has set.
        let deployments: Api<Deployment> = stage.api();
        let pod_of = |deployment: &Deployment| {
            deployment.spec.as_ref().and_then(|spec| spec.template.spec.clone()).unwrap()
        };
        let edited = case("Deployment", "/spec/template/spec/hostNetwork");
        let edit = json!({ "spec": { "template": { "spec": { "hostPID": true, "tolerations": null } } } });
        deployments.patch(&edited, &PatchParams::default(), &Patch::Merge(edit)).await.unwrap();
        object::until(&deployments, &edited, "the edit is undone", |deployment| {
            let pod = pod_of(deployment);
            pod.host_pid != Some(true) && pod.tolerations.is_some() && pod.host_network == Some(true)
        })
        .await;

        // Another process knows it as well.
        let jobs: Api<Job> = stage.api();
        let before = (uids(&jobs).await, uids(&deployments).await);
        stage.restart().await;
        stage.operator.wait_until_ready().await;
        let written = until_rest(&stage.operator, &WORKLOADS).await;
        assert_eq!(written, BTreeMap::new(), "the next process writes again");
        assert_eq!((uids(&jobs).await, uids(&deployments).await), before);
    })
    .await;
}

/// An instance with a part of each kind, whose template sets what policies change.
const DEFINITION: &str = r#"
apiVersion: colonies.io/v1
kind: ResourceDefinition
metadata: {name: things.mutator.example.com}
spec:
  group: mutator.example.com
  names: {kind: Thing, plural: things}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties: {spec: {type: object, properties: {text: {type: string, default: ""}}}}
  handler:
    mode: compose
    resources:
      - id: service
        template:
          apiVersion: v1
          kind: Service
          metadata: {name: "${self.metadata.name}", annotations: {mine: a}, labels: {mine: a, empty: ""}}
          spec: {type: ClusterIP, clusterIP: "", sessionAffinity: None, publishNotReadyAddresses: false, selector: {app: a}, ports: [{port: 80}]}
      - id: ingress
        template:
          apiVersion: networking.k8s.io/v1
          kind: Ingress
          metadata: {name: "${self.metadata.name}"}
          spec:
            ingressClassName: mine
            rules: [{host: mine.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}}]
      - id: set
        template:
          apiVersion: apps/v1
          kind: StatefulSet
          metadata: {name: "${self.metadata.name}"}
          spec:
            replicas: 0
            serviceName: a
            podManagementPolicy: OrderedReady
            minReadySeconds: 0
            selector: {matchLabels: {app: a}}
            template:
              metadata: {labels: {app: a}}
              spec:
                hostNetwork: false
                tolerations: []
                containers: [{name: a, image: a, resources: {limits: {cpu: 1, memory: 1024Mi}}, livenessProbe: {initialDelaySeconds: 0, tcpSocket: {port: 80}}}]
      - id: claim
        template:
          apiVersion: v1
          kind: PersistentVolumeClaim
          metadata: {name: "${self.metadata.name}"}
          spec: {accessModes: [ReadWriteOnce], storageClassName: mine, resources: {requests: {storage: 1024Mi}}}
      - id: map
        template:
          apiVersion: v1
          kind: ConfigMap
          metadata: {name: "${self.metadata.name}"}
          data: {key: mine, text: "${self.spec.text}"}
          binaryData: {folded: "aGVs\nbG8=\n"}
      - id: job
        template:
          apiVersion: batch/v1
          kind: Job
          metadata: {name: "${self.metadata.name}"}
          spec:
            suspend: true
            template:
              spec: {hostNetwork: false, restartPolicy: Never, nodeSelector: {}, containers: [{name: a, image: a}]}
"#;

#[tokio::test]
async fn a_field_of_a_composed_object_that_admission_sets_is_left_alone() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "composed", async |stage: &mut Stage| {
        let things = OwnKind::new(&stage.namespace, DEFINITION);
        let fields = composed_fields();
        join_all(fields.iter().map(async |(kind, path, value)| {
            let fields = vec![((*path).to_owned(), value.clone())];
            set(&stage.namespace, INSTANCE_LABEL, &Changed { kind, name: case(kind, path), fields }).await;
        }))
        .await;
        things.define_until_ready().await;
        heeded(&stage.namespace).await;
        join_all(
            fields.iter().map(async |(kind, path, _)| things.create(&case(kind, path), json!({})).await),
        )
        .await;
        things.create("plain", json!({})).await;
        let objects = (fields.len() + 1) * 6;
        eventually("all are made", Duration::from_mins(2), async || {
            let written = writes(&stage.operator, &["Child"]).await?;
            let count = written.get("Child").copied().unwrap_or_default();
            #[expect(clippy::cast_precision_loss, reason = "a handful")]
            (count >= objects as f64).then_some(()).ok_or_else(|| format!("{count} of {objects}"))
        })
        .await;
        let written = until_rest(&stage.operator, &["Child"]).await;
        assert_at_most(&written, "Child", objects, 2);
        let told = async |name: &str| things.instances.get(name).await.unwrap().line("Drifted");
        assert_eq!(told("plain").await, "", "the API server's own words are no drift");
        for (kind, path, _) in &fields {
            let name = case(kind, path);
            let line = told(&name).await;
            let expected =
                format!("True/ChangedOnAdmission: changed on admission and left so: {kind} {name}: ");
            assert!(line.starts_with(&expected), "{path}: {line:?}");
        }

        // An empty text is a value: it is there, and is put back.
        let maps: Api<ConfigMap> = stage.api();
        let text = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("text").cloned());
        assert_eq!(text(&maps.get("plain").await.unwrap()).as_deref(), Some(""));
        let removed = Patch::Merge(json!({ "data": { "text": null } }));
        maps.patch("plain", &PatchParams::default(), &removed).await.unwrap();
        object::until(&maps, "plain", "has its empty text again", |map| text(map).as_deref() == Some(""))
            .await;
        let services: Api<Service> = stage.api();
        let removed = Patch::Merge(json!({ "metadata": { "labels": { "empty": null } } }));
        services.patch("plain", &PatchParams::default(), &removed).await.unwrap();
        let is_labelled = |service: &Service| service.labels().get("empty").is_some_and(String::is_empty);
        object::until(&services, "plain", "has its empty label again", is_labelled).await;

        stage.restart().await;
        stage.operator.wait_until_ready().await;
        let written = until_rest(&stage.operator, &["Child"]).await;
        assert_eq!(written, BTreeMap::new(), "the next process writes again");
    })
    .await;
}

/// An autoscaler that undoes each write at once must not be fought a hundred times a second.
#[tokio::test]
async fn a_write_that_others_undo_is_delayed() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "undone", async |stage: &mut Stage| {
        stage.apply("fought", &json!({ "replicas": 0 })).await;
        stage.wait_until_ready("fought", 0).await;
        let before = writes(&stage.operator, &["Deployment"]).await.unwrap();
        let deployments: Api<Deployment> = stage.api();
        let scaled = Patch::Merge(json!({ "spec": { "replicas": 1 } }));
        let fleets: Api<ExecutorDeployment> = stage.api();
        eventually("it is fought until it is told", SOON, async || {
            let found = deployments.get("fought").await.map_err(|error| error.to_string())?;
            if found.spec.as_ref().and_then(|spec| spec.replicas) == Some(0) {
                let patched = deployments.patch("fought", &PatchParams::default(), &scaled).await;
                patched.map_err(|error| error.to_string())?;
            }
            let fleet = fleets.get("fought").await.map_err(|error| error.to_string())?;
            let status = fleet.status.ok_or("no status")?;
            let line = status.line("Drifted");
            line.contains("does not last").then_some(()).ok_or(line)
        })
        .await;
        let after = writes(&stage.operator, &["Deployment"]).await.unwrap();
        let count = after["Deployment"] - before["Deployment"];
        assert!(count <= 6.0, "{count} writes until it is told");
        // A new wish is written at once.
        stage.change("fought", &json!({ "replicas": 2 })).await;
        stage.wait_until_ready("fought", 2).await;
    })
    .await;
}

/// `kubectl rollout restart` is an annotation of the template, which the next change of anything else must not take away.
#[tokio::test]
async fn a_restart_outlasts_an_unrelated_change() {
    let connection = connect_with_crds().await;
    with_operator(&connection, "restarted", async |stage: &mut Stage| {
        let annotated =
            |value: Value| json!({ "replicas": 0, "template": { "metadata": { "annotations": value } } });
        stage.apply("restarted", &annotated(json!({ "mine": "a", "old": "a" }))).await;
        stage.wait_until_ready("restarted", 0).await;
        let deployments: Api<Deployment> = stage.api();
        let restart =
            json!({ "metadata": { "annotations": { "kubectl.kubernetes.io/restartedAt": "2026-11-30" } } });
        let restart = Patch::Strategic(json!({ "spec": { "template": restart } }));
        deployments.patch("restarted", &PatchParams::default(), &restart).await.unwrap();
        stage.change("restarted", &annotated(json!({ "mine": "b", "old": null }))).await;
        let annotations = |deployment: &Deployment| {
            let metadata = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.clone());
            metadata.and_then(|metadata| metadata.annotations).unwrap_or_default()
        };
        let changed = object::until(&deployments, "restarted", "has changed", |deployment| {
            annotations(deployment).get("mine").is_some_and(|mine| mine == "b")
        })
        .await;
        let left = annotations(&changed);
        assert!(left.contains_key("kubectl.kubernetes.io/restartedAt"), "{left:?}");
        assert!(!left.contains_key("old"), "what is no longer wanted goes: {left:?}");
    })
    .await;
}
