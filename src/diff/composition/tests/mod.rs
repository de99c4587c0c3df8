//! Plans against what a cluster would have, defaults of its API server included.

mod finished;
mod policies;

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::{
    api::resource_definition::ComposedResource,
    kinds::composition::{Kinds, Source},
};

/// A composition of resources in YAML, for instances whose spec may be anything.
fn composition(resources: &str) -> Composition {
    let resources: Vec<ComposedResource> = serde_norway::from_str(resources).unwrap();
    let source = Source {
        kind: &ObjectKind::new("test.example.com/v1", "Thing"),
        schema: &json!({"type": "object", "properties": {"spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}),
        resources: &resources,
        status: &BTreeMap::new(),
        finished_when: None,
    };
    Composition::compile(&source, &Kinds::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

fn instance(spec: &Value) -> Instance {
    Instance::of(&json!({
        "apiVersion": "test.example.com/v1", "kind": "Thing",
        "metadata": {"name": "one", "namespace": "team", "uid": "u-1"}, "spec": spec,
    }))
    .unwrap()
}

/// A cluster that executes steps.
#[derive(Default)]
struct Cluster(Children);

impl Cluster {
    fn execute(&mut self, steps: &[KubernetesStep]) {
        for step in steps {
            match step {
                KubernetesStep::CreateChild(child) => {
                    let mut object = child.object.clone();
                    object["metadata"]["uid"] = json!(format!("uid-of-{}", child.name));
                    self.put(object);
                }
                KubernetesStep::AdoptChild { kind, name, patch }
                | KubernetesStep::PatchChild { kind, name, patch, .. } => {
                    merge(self.object(kind, name), &Value::Object(patch.clone()));
                }
                KubernetesStep::DeleteChild { kind, name, uid, .. } => {
                    assert_eq!(uid_of(self.object(kind, name)), uid);
                    self.objects(kind).retain(|object| name_of(object) != name);
                }
                other => panic!("{other}"),
            }
        }
    }

    fn put(&mut self, object: Value) {
        let kind = ObjectKind::of(&object).unwrap();
        self.objects(&kind).push(object);
    }

    fn objects(&mut self, kind: &ObjectKind) -> &mut Vec<Value> {
        match self.0.entry(kind.clone()).or_insert_with(|| Observed::Known(Vec::new())) {
            Observed::Known(objects) => objects,
            Observed::Unknown(why) => panic!("{why}"),
        }
    }

    fn object(&mut self, kind: &ObjectKind, name: &str) -> &mut Value {
        self.objects(kind).iter_mut().find(|object| name_of(object) == name).unwrap()
    }

    fn plan(&self, composition: &Composition, spec: &Value) -> CompositionPlan {
        self.plan_for(composition, &instance(spec))
    }

    fn plan_for(&self, composition: &Composition, instance: &Instance) -> CompositionPlan {
        let desired = composition
            .desired(instance, &self.0, &BTreeSet::new())
            .unwrap_or_else(|error| panic!("{error}"));
        plan(&desired, &self.0, instance)
    }

    /// Plans and executes until nothing is left to do.
    fn settle(&mut self, composition: &Composition, spec: &Value) {
        for _ in 0..10 {
            let plan = self.plan(composition, spec);
            if plan.steps.is_empty() {
                return;
            }
            self.execute(&plan.steps);
        }
        panic!("it never settles: {:?}", self.plan(composition, spec));
    }
}

/// RFC 7396, as the API server has it.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

fn lines(plan: &CompositionPlan) -> Vec<String> {
    plan.steps.iter().map(ToString::to_string).collect()
}

const WEB: &str = r#"
- id: web
  readyWhen: ["${true}"]
  template:
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: "${self.metadata.name}-web", labels: "${self.spec.labels}"}
    spec:
      replicas: "${self.spec.replicas}"
      template:
        spec:
          nodeSelector: "${has(self.spec.zone) ? {'zone': self.spec.zone} : null}"
          containers: [{name: web, image: i, resources: {limits: {cpu: 1000m}}, command: "${has(self.spec.command) ? self.spec.command : null}"}]
"#;

fn web() -> ObjectKind {
    ObjectKind::new("apps/v1", "Deployment")
}

#[test]
fn nothing_is_written_when_nothing_differs() {
    let (composition, spec) = (composition(WEB), json!({"replicas": 2, "labels": {"a": "b"}}));
    let mut cluster = Cluster::default();
    assert_eq!(lines(&cluster.plan(&composition, &spec)), ["create Deployment one-web"]);
    cluster.settle(&composition, &spec);
    // What the API server fills in, spells otherwise, or others add, is no difference.
    let object = cluster.object(&web(), "one-web");
    merge(
        object,
        &json!({"metadata": {"resourceVersion": "9", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}},
                "spec": {"progressDeadlineSeconds": 600, "template": {"spec": {"dnsPolicy": "ClusterFirst"}}}, "status": {"replicas": 2}}),
    );
    object["spec"]["template"]["spec"]["containers"] = json!([{"name": "web", "image": "i", "resources": {"limits": {"cpu": "1"}}, "imagePullPolicy": "Always"}]);
    let plan = cluster.plan(&composition, &spec);
    assert_eq!(plan, CompositionPlan::default());
}

#[test]
fn what_differs_is_put_right_and_nothing_else() {
    let (composition, spec) = (composition(WEB), json!({"replicas": 2, "labels": {"a": "b"}}));
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &spec);
    let object = cluster.object(&web(), "one-web");
    object["spec"]["replicas"] = json!(7);
    object["metadata"]["labels"]["theirs"] = json!("x");
    let plan = cluster.plan(&composition, &spec);
    assert_eq!(lines(&plan), ["update Deployment one-web (spec.replicas)"]);
    let KubernetesStep::PatchChild { patch, .. } = &plan.steps[0] else { panic!("{plan:?}") };
    assert_eq!(
        Value::Object(patch.clone()),
        json!({"metadata": {"uid": "uid-of-one-web"}, "spec": {"replicas": 2}})
    );
}

/// A field that is no longer desired is only absent: comparing alone would leave it.
#[test]
fn what_is_no_longer_wished_for_is_taken_away() {
    let composition = composition(WEB);
    let mut cluster = Cluster::default();
    cluster
        .settle(&composition, &json!({"replicas": 2, "labels": {"a": "b"}, "zone": "z", "command": ["sh"]}));
    let object = cluster.object(&web(), "one-web");
    object["metadata"]["labels"]["theirs"] = json!("x");
    object["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("Always");
    let spec = json!({"replicas": 2, "labels": {}});
    let plan = cluster.plan(&composition, &spec);
    let written = lines(&plan);
    assert_eq!(written.len(), 1, "{written:?}");
    for path in ["metadata.labels.a", "spec.template.spec.nodeSelector", "spec.template.spec.containers"] {
        assert!(written[0].contains(path), "{path} is not in {written:?}");
    }
    cluster.settle(&composition, &spec);
    let object = cluster.object(&web(), "one-web").clone();
    assert_eq!(object["metadata"]["labels"]["theirs"], "x");
    assert!(object["metadata"]["labels"].get("a").is_none());
    assert!(object["spec"]["template"]["spec"].get("nodeSelector").is_none());
    assert!(object["spec"]["template"]["spec"]["containers"][0].get("command").is_none());
    assert_eq!(object["metadata"]["name"], "one-web");
}

#[test]
fn a_stranger_s_object_is_reported_and_left_alone() {
    let composition = composition(WEB);
    for owner in [json!([]), json!([{"controller": true, "uid": "u-2", "kind": "Helm", "name": "x"}])] {
        let mut cluster = Cluster::default();
        cluster.put(json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "one-web", "uid": "s", "ownerReferences": owner}, "spec": {"replicas": 9}}));
        let spec = json!({"replicas": 2, "labels": {}});
        let plan = cluster.plan(&composition, &spec);
        assert_eq!(lines(&plan), Vec::<String>::new());
        let told = plan.report.foreign[0].to_string();
        assert!(told.starts_with("Deployment one-web exists and belongs to "), "{told}");
        assert!(!any_left(&cluster.0, &instance(&spec)));
    }
}

const JOBS: &str = r#"
- id: worker
  forEach: {index: "${range(self.spec.count)}"}
  readyWhen: ["${worker.status.succeeded == 1}"]
  template:
    apiVersion: batch/v1
    kind: Job
    metadata: {name: "${self.metadata.name}-${index}"}
    spec:
      parallelism: "${self.spec.parallelism}"
      template: {spec: {containers: [{name: w, image: i, command: [sh, -c, "${self.spec.cmd}"]}]}}
- id: report
  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: report}, data: {of: "${worker[0].metadata.name}"}}
"#;

#[test]
fn a_number_of_objects_grows_and_shrinks() {
    let composition = composition(JOBS);
    let mut cluster = Cluster::default();
    let spec = |count: i64| json!({"count": count, "parallelism": 1, "cmd": "a"});
    let first = cluster.plan(&composition, &spec(2));
    assert_eq!(lines(&first), ["create Job one-0", "create Job one-1"]);
    assert_eq!(first.awaiting, ["report waits for ${worker[0].metadata.name}: there is no \"metadata\" yet"]);
    cluster.settle(&composition, &spec(2));
    assert_eq!(
        cluster.plan(&composition, &spec(2)).awaiting,
        [
            "report waits for worker to be ready: 0 of 2 are ready; ${worker.status.succeeded == 1} does not hold"
        ]
    );
    assert_eq!(lines(&cluster.plan(&composition, &spec(1))), ["delete Job one-1 (it is no longer wanted)"]);
    assert_eq!(lines(&cluster.plan(&composition, &spec(3))), ["create Job one-2"]);
}

#[test]
fn a_job_that_cannot_change_is_made_anew() {
    let composition = composition(JOBS);
    let mut cluster = Cluster::default();
    let spec = |parallelism: i64, cmd: &str| json!({"count": 1, "parallelism": parallelism, "cmd": cmd});
    cluster.settle(&composition, &spec(1, "a"));
    let hash = "metadata.annotations.compute.colonies.io/content-hash";
    assert_eq!(
        lines(&cluster.plan(&composition, &spec(2, "a"))),
        [format!("update Job one-0 ({hash}, spec.parallelism)")]
    );
    let plan = cluster.plan(&composition, &spec(1, "b"));
    assert_eq!(
        lines(&plan),
        ["delete Job one-0 (a Job cannot change spec.template.spec.containers[0].command[2])"]
    );
    assert_eq!(plan.awaiting[0], "the old Job one-0 to be gone");
    cluster.object(&ObjectKind::new("batch/v1", "Job"), "one-0")["metadata"]["deletionTimestamp"] =
        json!("now");
    let plan = cluster.plan(&composition, &spec(1, "b"));
    assert_eq!((lines(&plan), plan.awaiting[0].as_str()), (vec![], "the old Job one-0 to be gone"));
}

/// What schedules and runs a pod adds volumes and tolerations to its lists. That is no reason to create it again.
#[test]
fn a_pod_is_made_anew_only_for_another_wish() {
    let composition = composition(
        r#"[{id: pod, template: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {tolerations: [{key: a}], containers: [{name: c, image: "${self.spec.image}"}]}}}]"#,
    );
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &json!({"image": "i"}));
    let pod = cluster.object(&ObjectKind::new("v1", "Pod"), "pod");
    pod["spec"]["tolerations"] = json!([{"key": "a"}, {"key": "node.kubernetes.io/not-ready"}]);
    assert_eq!(lines(&cluster.plan(&composition, &json!({"image": "i"}))), Vec::<String>::new());
    let again = lines(&cluster.plan(&composition, &json!({"image": "j"})));
    assert!(again[0].starts_with("delete Pod pod (a Pod cannot change spec"), "{again:?}");
}

const CHAIN: &str = r#"
- {id: app, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: app}, data: {db: "${db.metadata.name}"}}}
- {id: db, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: db}, data: {disk: "${disk.metadata.name}"}}}
- {id: disk, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: disk}}}
- {id: extra, includeWhen: ["${self.spec.extra}"], template: {apiVersion: v1, kind: Secret, metadata: {name: extra}}}
"#;

#[test]
fn what_is_not_wanted_any_more_goes_in_reverse_order() {
    let composition = composition(CHAIN);
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &json!({"extra": true}));
    assert_eq!(cluster.objects(&ObjectKind::new("v1", "ConfigMap")).len(), 3);
    let plan = cluster.plan(&composition, &json!({"extra": false}));
    assert_eq!(lines(&plan), ["delete Secret extra (it is no longer wanted)"]);
    // The definition has changed: what it no longer speaks of goes first.
    let smaller = self::composition(
        "[{id: disk, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: disk}}}]",
    );
    let gone = lines(&cluster.plan(&smaller, &json!({})));
    assert_eq!(gone.len(), 3, "{gone:?}");
}

/// Nothing is deleted because it is not known what is wanted, and nothing is made where it cannot be seen what there is.
#[test]
fn what_is_not_known_is_left_as_it_is() {
    let composition = composition(CHAIN);
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &json!({"extra": true}));
    let disk = ObjectKind::new("v1", "ConfigMap");
    cluster.objects(&disk).retain(|object| name_of(object) != "disk");
    let plan = cluster.plan(&composition, &json!({"extra": true}));
    assert_eq!(lines(&plan), ["create ConfigMap disk"]);

    cluster.0.insert(disk, Observed::Unknown("no rights".to_owned()));
    let plan = cluster.plan(&composition, &json!({"extra": false}));
    assert_eq!(lines(&plan), ["delete Secret extra (it is no longer wanted)"]);
    assert_eq!(
        plan.awaiting,
        [
            "disk: ConfigMap (v1) cannot be read: no rights",
            "db waits for disk to be known",
            "app waits for db to be known"
        ]
    );
    assert!(any_left(&cluster.0, &instance(&json!({}))));
}

#[test]
fn an_instance_ends_with_what_others_need_last() {
    let composition = composition(CHAIN);
    let mut cluster = Cluster::default();
    let spec = json!({"extra": true});
    cluster.settle(&composition, &spec);
    let (owner, mut order) = (instance(&spec), Vec::new());
    while any_left(&cluster.0, &owner) {
        let plan = plan_deletion(Some(&composition), &cluster.0, &owner, &BTreeSet::new());
        assert!(!plan.steps.is_empty());
        order.push(lines(&plan).join(", "));
        cluster.execute(&plan.steps);
    }
    assert_eq!(
        order,
        [
            "delete ConfigMap app (the instance is deleted), delete Secret extra (the instance is deleted)",
            "delete ConfigMap db (the instance is deleted)",
            "delete ConfigMap disk (the instance is deleted)",
        ]
    );
}

/// Right after a start, the cache of a kind is still being filled: what is needed by others would go before them.
#[test]
fn what_others_need_is_not_deleted_while_a_kind_cannot_be_read() {
    let composition = composition(CHAIN);
    let mut cluster = Cluster::default();
    let spec = json!({"extra": false});
    cluster.settle(&composition, &spec);
    let (owner, services) = (instance(&spec), ObjectKind::new("v1", "Service"));
    cluster.objects(&ObjectKind::new("v1", "ConfigMap")).retain(|object| name_of(object) != "app");
    cluster.0.insert(services.clone(), Observed::Unknown("not listed yet".to_owned()));
    let plan = plan_deletion(Some(&composition), &cluster.0, &owner, &BTreeSet::new());
    assert_eq!(lines(&plan), [""; 0]);
    assert!(plan.awaiting.contains(&"ConfigMap db goes after app".to_owned()), "{:?}", plan.awaiting);
    cluster.0.insert(services, Observed::Known(Vec::new()));
    let plan = plan_deletion(Some(&composition), &cluster.0, &owner, &BTreeSet::new());
    assert_eq!(lines(&plan), ["delete ConfigMap db (the instance is deleted)"]);
}

#[test]
fn the_end_of_an_instance_needs_no_definition() {
    let composition = composition(CHAIN);
    let mut cluster = Cluster::default();
    let spec = json!({"extra": false});
    cluster.settle(&composition, &spec);
    let owner = instance(&spec);
    let plan = plan_deletion(None, &cluster.0, &owner, &BTreeSet::new());
    assert_eq!(plan.steps.len(), 3);
    cluster.object(&ObjectKind::new("v1", "ConfigMap"), "app")["metadata"]["deletionTimestamp"] =
        json!("now");
    let plan = plan_deletion(Some(&composition), &cluster.0, &owner, &BTreeSet::new());
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert_eq!(
        plan.awaiting,
        ["ConfigMap disk goes after db", "ConfigMap db goes after app", "ConfigMap app to be gone"]
    );
}
