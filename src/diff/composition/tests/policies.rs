//! What policies let be done: adoption, drift, management.

use serde_json::json;

use super::*;

/// A Deployment with a policy, in YAML.
fn web_with(policy: &str) -> Composition {
    composition(&format!(
        "- {{id: web, {policy}, readyWhen: [\"${{true}}\"], template: {{apiVersion: apps/v1, kind: Deployment, \
         metadata: {{name: one-web}}, spec: {{replicas: \"${{self.spec.replicas}}\", paused: false}}}}}}"
    ))
}

/// A Deployment of that name that a user created.
fn stranger(owners: &Value) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.put(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "one-web", "uid": "s",
        "resourceVersion": "7", "labels": {"theirs": "x"}, "ownerReferences": owners}, "spec": {"replicas": 9, "paused": false}}));
    cluster
}

#[test]
fn an_object_of_nobody_is_adopted_where_that_is_allowed() {
    let spec = json!({"replicas": 2});
    let (adopt, either) = (web_with("adoptionPolicy: adopt"), web_with("adoptionPolicy: adopt-or-create"));
    let empty = Cluster::default();
    assert_eq!(lines(&empty.plan(&adopt, &spec)), Vec::<String>::new());
    assert_eq!(
        empty.plan(&adopt, &spec).awaiting,
        ["Deployment one-web to be there, for it is only adopted"]
    );
    assert_eq!(lines(&empty.plan(&either, &spec)), ["create Deployment one-web"]);

    let other = json!([{"controller": false, "uid": "u-9", "kind": "Thing", "name": "other"}]);
    for composition in [&adopt, &either] {
        let mut cluster = stranger(&other);
        let plan = cluster.plan(composition, &spec);
        assert_eq!(lines(&plan), ["adopt Deployment one-web"]);
        let KubernetesStep::AdoptChild { patch, .. } = &plan.steps[0] else { panic!("{plan:?}") };
        // An earlier write has changed the version, and wins.
        assert_eq!(
            (&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]),
            (&json!("s"), &json!("7"))
        );
        assert_eq!(patch.len(), 1, "nothing of it changes but whose it is");
        cluster.settle(composition, &spec);
        let object = cluster.object(&web(), "one-web");
        assert_eq!(
            (&object["spec"]["replicas"], &object["metadata"]["labels"]["theirs"]),
            (&json!(2), &json!("x"))
        );
        assert_eq!(object["metadata"]["ownerReferences"].as_array().unwrap().len(), 2);

        let taken = stranger(&json!([{"controller": true, "uid": "u-2", "kind": "Helm", "name": "x"}]));
        let plan = taken.plan(composition, &spec);
        assert_eq!((lines(&plan), plan.report.foreign.len()), (vec![], 1), "it has a controller");
    }
}

/// Permission to create an instance does not imply permission to adopt objects of others: that is for the definition.
#[test]
fn an_instance_may_choose_how_its_objects_are_adopted_where_any_are() {
    let planned = |composition: &Composition, said: &str| {
        let object = json!({"apiVersion": "test.example.com/v1", "kind": "Thing", "spec": {"replicas": 2}, "metadata":
            {"name": "one", "namespace": "team", "uid": "u-1", "annotations": {"colonies.io/adoption-policy": said}}});
        let (cluster, instance) = (stranger(&json!([])), Instance::of(&object).unwrap());
        let desired = composition.desired(&instance, &cluster.0, &BTreeSet::new());
        desired
            .map(|desired| lines(&plan(&desired, &cluster.0, &instance)))
            .map_err(|error| error.to_string())
    };
    let (closed, open) = (web_with("adoptionPolicy: fail"), web_with("adoptionPolicy: adopt"));
    assert_eq!(planned(&closed, "adopt"), Ok(vec![]));
    assert_eq!(planned(&open, "fail"), Ok(vec![]));
    assert_eq!(planned(&open, "adopt-or-create"), Ok(vec!["adopt Deployment one-web".to_owned()]));
    let told = planned(&open, "yes").unwrap_err();
    assert!(
        told.contains("metadata.annotations['colonies.io/adoption-policy']") && told.contains("yes"),
        "{told}"
    );
}

#[test]
fn fields_of_others_are_neither_compared_nor_written() {
    let composition = web_with("drift: {ignoreFields: [spec.replicas]}");
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &json!({"replicas": 2}));
    assert_eq!(cluster.object(&web(), "one-web")["spec"]["replicas"], 2, "it is created with it");
    let spec = &mut cluster.object(&web(), "one-web")["spec"];
    *spec = json!({"replicas": 7, "paused": true});
    assert_eq!(
        lines(&cluster.plan(&composition, &json!({"replicas": 2}))),
        ["update Deployment one-web (spec.paused)"]
    );
    cluster.settle(&composition, &json!({"replicas": 3}));
    assert_eq!(cluster.object(&web(), "one-web")["spec"], json!({"replicas": 7, "paused": false}));
}

#[test]
fn drift_that_is_only_detected_is_told_and_left() {
    let composition = web_with("drift: {policy: DetectOnly}");
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &json!({"replicas": 2}));
    assert_eq!(cluster.plan(&composition, &json!({"replicas": 2})), CompositionPlan::default());
    cluster.object(&web(), "one-web")["spec"]["replicas"] = json!(7);
    let plan = cluster.plan(&composition, &json!({"replicas": 2}));
    assert_eq!(
        (lines(&plan), plan.report.drifted),
        (vec![], vec!["Deployment one-web: spec.replicas".to_owned()])
    );
    // A new desired state is no drift.
    cluster.settle(&composition, &json!({"replicas": 3}));
    assert_eq!(cluster.object(&web(), "one-web")["spec"]["replicas"], 3);

    let composition = web_with("adoptionPolicy: adopt, drift: {policy: DetectOnly}");
    let mut cluster = stranger(&json!([]));
    cluster.settle(&composition, &json!({"replicas": 2}));
    assert_eq!(cluster.object(&web(), "one-web")["spec"]["replicas"], 9, "it is taken as it is");
    assert!(cluster.plan(&composition, &json!({"replicas": 2})).report.drifted[0].contains("spec.replicas"));
}

#[test]
fn what_is_not_listed_is_not_done_and_told() {
    let spec = json!({"replicas": 2});
    let plan_without_workload =
        Cluster::default().plan(&web_with("managementPolicies: [Observe, Update, Delete]"), &spec);
    assert_eq!((lines(&plan_without_workload), plan_without_workload.report.left.len()), (vec![], 1));
    assert!(plan_without_workload.report.left[0].contains("do not list Create"), "{plan_without_workload:?}");

    let composition = web_with("managementPolicies: [Observe, Create]");
    let mut cluster = Cluster::default();
    cluster.settle(&composition, &spec);
    cluster.object(&web(), "one-web")["spec"]["replicas"] = json!(7);
    let plan = cluster.plan(&composition, &spec);
    assert_eq!(
        (lines(&plan), plan.report.drifted),
        (vec![], vec!["Deployment one-web: spec.replicas".to_owned()])
    );

    // It stays when it is no longer wanted, and when its instance goes.
    let excluded = web_with("includeWhen: [\"${false}\"], managementPolicies: [Observe, Create]");
    let plan = cluster.plan(&excluded, &spec);
    assert_eq!(lines(&plan), Vec::<String>::new());
    assert!(plan.report.left[0].contains("do not list Delete"), "{plan:?}");
    let (owner, staying) = (instance(&spec), BTreeSet::from(["web"]));
    let end = plan_deletion(None, &cluster.0, &owner, &staying);
    assert_eq!(lines(&end), ["update Deployment one-web (metadata.ownerReferences)"]);
    cluster.execute(&end.steps);
    assert!(!any_left(&cluster.0, &owner));
    assert_eq!(cluster.objects(&web()).len(), 1);
}

#[test]
fn what_is_only_observed_may_be_anybodys() {
    let composition = composition(
        "[{id: web, managementPolicies: [Observe], readyWhen: ['${true}'], template: {apiVersion: apps/v1, kind: Deployment, metadata: {name: one-web}}},
          {id: copy, template: {apiVersion: v1, kind: ConfigMap, metadata: {name: copy}, data: {replicas: '${string(web.spec.replicas)}'}}}]",
    );
    let spec = json!({});
    let owner = instance(&spec);
    let empty = Children::new();
    let desired = composition.desired(&owner, &empty, &BTreeSet::new()).unwrap();
    assert_eq!(desired.unseen(&empty), [(web(), "one-web".to_owned())]);
    assert_eq!(lines(&plan(&desired, &empty, &owner)), Vec::<String>::new());

    let mut cluster = stranger(&json!([{"controller": true, "uid": "u-2", "kind": "Helm", "name": "x"}]));
    let plan = cluster.plan(&composition, &spec);
    assert_eq!((lines(&plan), plan.report), (vec!["create ConfigMap copy".to_owned()], Report::default()));
    cluster.settle(&composition, &spec);
    assert_eq!(cluster.object(&ObjectKind::new("v1", "ConfigMap"), "copy")["data"]["replicas"], "9");
    assert_eq!(cluster.object(&web(), "one-web")["metadata"]["labels"], json!({"theirs": "x"}));
}

/// Admission has changed it when it was created: another Job would be changed as well, for ever.
#[test]
fn a_job_is_not_made_anew_for_what_admission_changed() {
    let composition = composition(
        "[{id: job, template: {apiVersion: batch/v1, kind: Job, metadata: {name: job}, spec: {suspend: false, template: {spec: {containers: [{name: a, image: \"${self.spec.image}\"}]}}}}}]",
    );
    let (mut cluster, spec) = (Cluster::default(), json!({"image": "a"}));
    cluster.settle(&composition, &spec);
    let job = ObjectKind::new("batch/v1", "Job");
    cluster.object(&job, "job")["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mirror/a");
    let plan = cluster.plan(&composition, &spec);
    assert!(plan.steps.is_empty(), "{plan:?}");
    assert_eq!(plan.report.admitted, ["Job job: spec.template.spec.containers[0].image"]);
    // What can change is put right, and another wish is carried out.
    cluster.object(&job, "job")["spec"]["suspend"] = json!(true);
    assert_eq!(lines(&cluster.plan(&composition, &spec)), ["update Job job (spec.suspend)"]);
    let other = lines(&cluster.plan(&composition, &json!({"image": "b"})));
    assert_eq!(other, ["delete Job job (a Job cannot change spec.template.spec.containers[0].image)"]);
}
