//! Parts that end by themselves, and are gone then.

use serde_json::json;

use super::*;
use crate::{
    api::instance::FinishedPart,
    kinds::composition::{Readiness, finished_parts},
};

const TRAIN: &str = r#"
- id: train
  template:
    apiVersion: batch/v1
    kind: Job
    metadata: {name: train, labels: {team: "${self.spec.team}"}}
    spec:
      ttlSecondsAfterFinished: "${self.spec.ttl}"
      template: {spec: {containers: [{name: t, image: "${self.spec.image}"}]}}
- id: report
  template: {apiVersion: v1, kind: ConfigMap, metadata: {name: report}, data: {runs: "${string(train.status.succeeded)}"}}
"#;

fn jobs() -> ObjectKind {
    ObjectKind::new("batch/v1", "Job")
}

fn spec(image: &str) -> Value {
    json!({"image": image, "ttl": 0, "team": "a"})
}

fn done() -> Value {
    json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]})
}

fn failed() -> Value {
    json!({"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]})
}

/// An instance and what its status remembers.
struct Remembering {
    composition: Composition,
    cluster: Cluster,
    finished: Vec<FinishedPart>,
}

impl Remembering {
    fn new(resources: &str) -> Self {
        let composition = composition(resources);
        Self { composition, cluster: Cluster::default(), finished: Vec::new() }
    }

    fn instance(&self, spec: &Value) -> Instance {
        let mut instance = instance(spec);
        instance.finished.clone_from(&self.finished);
        instance
    }

    fn desired(&self, spec: &Value) -> Desired {
        self.composition.desired(&self.instance(spec), &self.cluster.0, &BTreeSet::new()).unwrap()
    }

    /// One pass: what it writes.
    fn pass(&mut self, spec: &Value) -> Vec<String> {
        let (desired, instance) = (self.desired(spec), self.instance(spec));
        let plan = self.cluster.plan_for(&self.composition, &instance);
        self.finished = finished_parts(&desired, &self.cluster.0, &instance);
        self.cluster.execute(&plan.steps);
        lines(&plan)
    }

    /// What controllers of a kind say of an object.
    fn say(&mut self, kind: &ObjectKind, name: &str, status: Value) {
        self.cluster.object(kind, name)["status"] = status;
    }

    fn remove(&mut self, kind: &ObjectKind, name: &str) {
        self.cluster.objects(kind).retain(|object| name_of(object) != name);
    }
}

#[test]
fn a_job_that_ended_is_not_made_again_and_what_refers_to_it_goes_on() {
    let mut of = Remembering::new(TRAIN);
    assert_eq!(of.pass(&spec("i")), ["create Job train"]);
    of.say(&jobs(), "train", done());
    assert_eq!(of.pass(&spec("i")), ["create ConfigMap report"]);
    of.cluster.object(&jobs(), "train")["metadata"]["deletionTimestamp"] = json!("now");
    assert_eq!(of.cluster.plan_for(&of.composition, &of.instance(&spec("i"))), CompositionPlan::default());
    assert!(of.desired(&spec("i")).is_ready(), "also while the Job is being deleted");
    of.remove(&jobs(), "train");
    for _ in 0..3 {
        assert_eq!(of.pass(&spec("i")), [""; 0]);
        assert!(of.desired(&spec("i")).is_ready());
    }
    // What read its status can still be made.
    of.remove(&ObjectKind::new("v1", "ConfigMap"), "report");
    assert_eq!(of.pass(&spec("i")), ["create ConfigMap report"]);
    // Neither its labels nor how long it is kept is what it does.
    let renamed = json!({"image": "i", "ttl": 60, "team": "b"});
    assert_eq!(of.pass(&renamed), [""; 0]);
    assert_eq!(of.pass(&spec("j")), ["create Job train"], "another wish is another run");
    assert_eq!(of.finished, []);
}

/// Absence alone says nothing: a user may have deleted a Job that runs.
#[test]
fn a_job_that_was_not_seen_to_end_is_made_again() {
    let mut of = Remembering::new(TRAIN);
    of.pass(&spec("i"));
    of.say(&jobs(), "train", json!({"active": 1}));
    of.pass(&spec("i"));
    of.remove(&jobs(), "train");
    assert_eq!(of.pass(&spec("i")), ["create Job train"]);
    // The end of what carried out another wish is not the end of this one.
    of.say(&jobs(), "train", done());
    assert!(of.pass(&spec("j"))[0].starts_with("delete Job train"));
    assert_eq!(of.pass(&spec("j")), ["create Job train"]);
}

#[test]
fn a_job_that_failed_stays_failed() {
    let mut of = Remembering::new(TRAIN);
    of.pass(&spec("i"));
    of.say(&jobs(), "train", failed());
    of.pass(&spec("i"));
    of.remove(&jobs(), "train");
    assert_eq!(of.pass(&spec("i")), [""; 0]);
    let readiness = of.desired(&spec("i")).resources.remove(0).readiness;
    assert_eq!(readiness, Readiness::Failed("BackoffLimitExceeded: m".to_owned()));
}

/// What cannot be read, and what is not known yet, is no reason to forget.
#[test]
fn the_memory_outlasts_what_cannot_be_looked_at() {
    let mut of = Remembering::new(TRAIN);
    of.pass(&spec("i"));
    of.say(&jobs(), "train", done());
    of.pass(&spec("i"));
    let known = of.cluster.0.insert(jobs(), Observed::Unknown("they are being read".to_owned()));
    assert!(known.is_some());
    of.pass(&spec("i"));
    assert_eq!(of.finished.len(), 1);
    of.cluster.0.insert(jobs(), Observed::Known(Vec::new()));
    assert_eq!(of.pass(&spec("i")), [""; 0]);
}

#[test]
fn work_in_a_colony_is_not_done_again_either() {
    let text = r"[{id: work, template: {apiVersion: colonies.io/v1, kind: ColonyProcess, metadata: {name: w}, spec: {function: f, ttlSecondsAfterFinished: 1}}}]";
    let mut of = Remembering::new(text);
    let kind = ObjectKind::new("colonies.io/v1", "ColonyProcess");
    let says = |name: &str, value: &str| json!({"type": name, "status": value, "observedGeneration": 1});
    of.pass(&json!({}));
    of.say(&kind, "w", json!({"state": "Running", "conditions": [says("Finished", "False")]}));
    assert_eq!(of.pass(&json!({})), [""; 0]);
    assert_eq!(of.finished, []);
    let ended = json!({"state": "Successful", "output": ["x".repeat(20_000)], "conditions": [says("Succeeded", "True"), says("Finished", "True")]});
    of.say(&kind, "w", ended);
    of.pass(&json!({}));
    of.remove(&kind, "w");
    assert_eq!(of.pass(&json!({})), [""; 0]);
    assert!(of.desired(&json!({})).is_ready());
    let part = &of.finished[0];
    assert!((part.succeeded, part.is_abridged) == (true, true), "{part:?}");
    assert_eq!(part.status.as_ref().unwrap()["state"], "Successful", "what is small is kept");
}

/// A pod that was evicted has failed: what it was to do is not done.
#[test]
fn a_pod_that_failed_is_made_again() {
    let mut of = Remembering::new(
        "[{id: pod, template: {apiVersion: v1, kind: Pod, metadata: {name: pod}, spec: {containers: [{name: c, image: i}]}}}]",
    );
    let pods = ObjectKind::new("v1", "Pod");
    for (phase, again) in [("Failed", true), ("Succeeded", false)] {
        of.pass(&json!({}));
        of.say(&pods, "pod", json!({"phase": phase}));
        of.pass(&json!({}));
        of.remove(&pods, "pod");
        assert_eq!(!of.pass(&json!({})).is_empty(), again, "{phase}");
    }
}

/// One status is small beside what an object may have.
#[test]
fn what_is_remembered_of_many_parts_is_bounded() {
    let mut of = Remembering::new(
        r#"[{id: w, forEach: {i: "${range(1000)}"}, template: {apiVersion: batch/v1, kind: Job, metadata: {name: "w-${i}"}, spec: {template: {}}}}]"#,
    );
    of.pass(&json!({}));
    let mut status = done();
    status["uncounted"] = json!("x".repeat(3_000));
    for index in 0..1000 {
        of.say(&jobs(), &format!("w-{index}"), status.clone());
    }
    of.pass(&json!({}));
    of.cluster.objects(&jobs()).clear();
    assert_eq!(of.pass(&json!({})), [""; 0]);
    assert!(of.desired(&json!({})).is_ready());
    assert_eq!(of.finished.len(), 1000);
    assert!(serde_json::to_string(&of.finished).unwrap().len() < 300 << 10);
}
