//! The golden rung: what is decided for a world that is written down, as a person would read it. No server.
//!
//! Each folder below `cases` holds `given.yaml`, the world, `plan.txt`, the passes that follow, and `status.yaml`, the
//! status that the first pass would write. `UPDATE_EXPECT=1` writes the last two anew; read the diff before committing it.
//!
//! In `given.yaml` a document of kind `AsDesired` stands for the workload exactly as the operator would make it for the
//! first object of the file, with `with` merged over it: what an API server made of it, or what a user did to it. The
//! Secret of the identity says what the operator would write to it.

#![cfg(test)]

mod commands;
mod docs;
mod explain;
mod inputs;
mod kinds;
mod own;
mod pods;
mod releases;

use std::{fs, path::PathBuf};

use colonyos_operator::{
    api::names::CONTENT_HASH_ANNOTATION,
    cli::plan::{Manifests, render},
    desired::{self, DesiredWorkload},
    runtime::config,
};
use jiff::Timestamp;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// When everything happens.
const NOW: &str = "2026-11-21T10:00:00Z";

fn check(case: &str) {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "cases", "executor_deployment", case]
            .iter()
            .collect();
    let text = fs::read_to_string(folder.join("given.yaml")).unwrap();
    let now: Timestamp = NOW.parse().unwrap();
    let mut documents: Vec<Value> = serde_norway::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect();
    let configuration = documents
        .iter()
        .position(|document| document["kind"] == "OperatorConfiguration")
        .map(|at| documents.remove(at)["configuration"].to_string())
        .map_or_else(config::OperatorConfiguration::default, |text| config::parse(&text, &folder).unwrap());
    let stand_in = documents
        .iter()
        .position(|document| document["kind"] == "AsDesired")
        .map(|at| documents.remove(at)["with"].clone());
    let world = Manifests::read(&stream(&documents));
    let snapshot = world.snapshot(&world.objects[0], &configuration, now);
    let colony = snapshot.colony.resolved();
    let desired = colony.and_then(|colony| desired::executor_deployment::build(&snapshot, colony).ok());
    if let Some(here) = desired.and_then(|desired| desired.here) {
        let hash = &here.identity.metadata.annotations.unwrap()[CONTENT_HASH_ANNOTATION];
        for secret in documents.iter_mut().filter(|document| document["kind"] == "Secret") {
            secret["metadata"]["annotations"][CONTENT_HASH_ANNOTATION] = json!(hash);
        }
        if let (Some(workload), Some(with)) = (here.workload, &stand_in) {
            let mut workload = match workload {
                DesiredWorkload::Deployment(workload) => with_kind("Deployment", &workload),
                DesiredWorkload::DaemonSet(workload) => with_kind("DaemonSet", &workload),
                DesiredWorkload::Job(workload) => with_kind("Job", &workload),
            };
            json_patch(&mut workload, with);
            documents.push(workload);
        }
    }
    let mut rendered = render(&stream(&documents), &configuration, now).unwrap();
    // That of its colony is a case of its own.
    rendered.retain(|plan| plan.steps.starts_with("ExecutorDeployment "));
    let steps: String = rendered.iter().map(|plan| plan.steps.as_str()).collect();
    // A problem takes the place of a pass.
    let has_problem = steps.lines().any(|line| {
        line.split_once(": ").is_some_and(|(reason, _)| reason.chars().all(char::is_alphanumeric))
    });
    let is_refused = rendered.iter().any(|plan| plan.is_refused);
    assert_eq!(is_refused, has_problem, "what scripts go by");
    let status: Vec<&str> = rendered.iter().map(|plan| plan.status.as_str()).collect();
    expect_test::expect_file![folder.join("plan.txt")].assert_eq(&steps);
    expect_test::expect_file![folder.join("status.yaml")].assert_eq(&status.join("---\n"));
}

fn stream(documents: &[Value]) -> String {
    documents
        .iter()
        .map(|document| serde_norway::to_string(document).unwrap())
        .collect::<Vec<_>>()
        .join("---\n")
}

fn with_kind(kind: &str, workload: &impl serde::Serialize) -> Value {
    let mut value = serde_json::to_value(workload).unwrap();
    value["kind"] = json!(kind);
    value["metadata"]["uid"] = json!("11111111-workload");
    value["metadata"]["resourceVersion"] = json!("41");
    value["metadata"]["generation"] = json!(1);
    value
}

/// RFC 7386.
fn json_patch(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.remove(key);
                } else {
                    json_patch(base.entry(key.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (base, over) if !over.is_null() => *base = over.clone(),
        _ => {}
    }
}

/// The folders of cases of a kind are those that tests name.
fn every_folder_is_named(cases: &str, mut named: Vec<&str>) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases").join(cases);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut found: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    found.sort();
    named.sort_unstable();
    assert_eq!(found, named);
}

macro_rules! cases {
    ($($(#[$why:meta])* $name:ident)*) => {
        $($(#[$why])* #[test] fn $name() { check(stringify!($name)); })*

        /// A folder that no test names would be green for ever.
        #[test]
        fn every_folder_is_a_case() {
            every_folder_is_named("executor_deployment", vec![$(stringify!($name)),*]);
        }
    };
}

cases! {
    /// From nothing: the intent is on record before anything is sent.
    new_object
    /// The identity is there: registered before it starts, submitted once.
    identity_made
    /// The workload is as wanted and ready: the process is closed with the status as output.
    ready_closes_process
    /// Nothing to write: the most common pass of all.
    converged
    /// The child was edited: it is written back, and only what differs is named.
    child_edited
    /// A new generation: the child follows at once, the mirror after the intent.
    scaled
    /// A newer generation takes the place of one whose process still runs.
    superseded_cancels
    /// The same with `WaitForRunning`: the old process is let finish.
    superseded_waits
    /// Another workload was asked for: the new one first, then the end of the old one.
    workload_changed
    /// A DaemonSet cannot be told to run nothing: it goes while suspended.
    suspended_daemon_set
    suspended_deployment
    /// A Job is done when it has run to its end.
    job_running
    job_completed
    job_failed
    /// A Job cannot change its template: it is made anew.
    job_image_changed
    /// What has begun, or ended, is not run again because an operator renders it in another way or the Colony moves.
    job_running_is_left
    job_finished_is_left
    /// An operator that did not name runs made it.
    job_of_an_older_operator
    /// What has ended is not run again when its Job is gone, here in a generation that changes a policy.
    job_finished_and_deleted
    /// What belongs to another owner is reported and left unchanged.
    foreign_deployment
    foreign_secret
    /// Folders of nodes are not for the asking.
    host_path_refused
    host_path_allowed
    /// The right to create the kind must not give access to a node.
    privileged_template_refused
    template_merged
    service_account_refused
    /// Pods first, so that no executor is taken from under its process.
    deleting_with_pods
    /// Then the executor leaves the colony.
    deleting_without_pods
    /// Then the object is let go.
    deleting_at_last
    /// The colony is gone for good, as an annotation says.
    deleting_abandoned
    /// Another controller with a finalizer may need the executors: its finalizer goes first.
    deleting_waits_for_others
    /// The garbage collector takes the children by itself; the Secret is gone, and status knows the executor's name.
    deleting_in_foreground
    /// Until the garbage collector is done, the children look as if they were to go with the object.
    deleting_orphaning
    /// The children stay and so does their executor, or they would lose it while they work.
    deleting_orphaned
    deleting_orphaned_with_process
    /// The process is left to others, the executors are not.
    deleting_keeps_process
    /// It was over before it was cancelled, and status did not show that yet.
    deleting_closed_meanwhile
    /// It is not known which of them is the one: all of them end.
    deleting_unbound
    /// Nothing was ever made for it, and nothing could be.
    deleting_never_submitted
    /// Two processes of one label: the oldest is adopted, the others are cancelled.
    /// A gate in each pod, and a grace period that follows.
    drained
    /// An executor that goes past the gate would lose work.
    drain_bypassed
    duplicates_collapse
    /// The server no longer has the process: it is not submitted again.
    process_lost
    /// The server dropped the executor while its pods live: a new key, a new name.
    executor_dropped
    /// What a new key replaces leaves the colony.
    predecessor_removed
    /// The server fixes an executor's type when it is registered: another type is another executor.
    type_changed
    /// The rollout is stuck: the process fails with the reason, and status says what keeps the pod from running.
    image_cannot_be_pulled
    /// Carried out elsewhere: a blueprint carries it there, and its status comes back.
    runtime_docker
    docker_blueprint_reports
    /// Said in words that its reconciler does not read: it is written anew, and what that one cannot do is named.
    docker_words
    /// What another client made in the colony is left unchanged there, too.
    docker_blueprint_name_taken
    /// The blueprint goes before the object does.
    docker_blueprint_removed
    /// Whichever side owns the spec: the first version is the object's, since there is no other.
    docker_colony_wins
    /// The blueprint was removed in the colony, which owns it: not made anew, and the object, born here, stays.
    docker_blueprint_lost
    /// Both sides say the same, and nothing is submitted: the blueprint carries it.
    blueprint_agreed
    /// The colony owns the spec: its edit becomes the object's, and nothing else happens before.
    blueprint_changed_in_colony
    /// An edit of the object is replaced, and shown with both values; the workload does not follow it for a moment.
    blueprint_edit_here_is_overruled
    /// A member of the colony has the blueprint ask for a Secret of the namespace.
    blueprint_uses_secrets
    /// The Colony no longer lists the namespace.
    blueprint_beyond_reach
    /// The annotation names the blueprint of another object.
    blueprint_of_another
    /// The object owns the spec: its edit becomes the blueprint's.
    blueprint_kubernetes_wins
    /// An edit of the blueprint is replaced, and shown with both values.
    blueprint_edit_there_is_overruled
    /// What is asked for here is done at once; the edit there is on record before it is undone.
    blueprint_edits_on_both_sides
    /// No side owns the spec: the difference is shown, and both sides stay as they are.
    blueprint_observed
    /// The colony owned it and removed it.
    /// Every member of the colony reads blueprints; at rest there is nothing to write.
    blueprint_hides_variables
    blueprint_shows_variables
    blueprint_gone
    /// What the colony says cannot be followed: what runs keeps running.
    blueprint_invalid
    /// Pods are told to the colony without what others wrote there being lost.
    blueprint_pods_reported
    /// The process of which it was born carries it: no other is submitted.
    born_of_process
    /// Without Create nothing is made, in the cluster or in the colony, and the object is not even held.
    create_withheld
    /// Without Update a change of the spec is told and left, and no process carries what is not done.
    update_withheld
    /// Without Delete the pods, their key and their executor stay: the object lets go of them before it goes.
    delete_withheld
    /// A Deployment of another owner, of which only the counts are taken.
    only_observed
    /// The namespace enforces a stricter standard than the configuration of the operator.
    pods_refused
    /// Each is at another point of its way, and one executor has lost its pod.
    pods_with_identities
    /// Idle pods go first, and busy ones are not evicted.
    busy_pods
    colony_not_found
}
