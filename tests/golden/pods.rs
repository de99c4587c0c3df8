//! The pods of fleets as earlier versions of the operator render them: a difference replaces every such pod when the operator is
//! upgraded. Files below `cases/pods` are never written anew: a release that must change them says so in CHANGELOG.md, and has
//! files of its own beside these.

use std::{fs, path::Path};

use colonyos_operator::{
    api::names::CONTENT_HASH_ANNOTATION,
    cli::plan::Manifests,
    desired::{self, DesiredWorkload},
    runtime::config::OperatorConfiguration,
};
use serde_json::{Value, json};

use super::{NOW, with_kind};

fn rendered(given: &str) -> Value {
    let world = Manifests::read(given);
    let snapshot = world.snapshot(&world.objects[0], &OperatorConfiguration::default(), NOW.parse().unwrap());
    let colony = snapshot.colony.resolved().unwrap();
    let desired = desired::executor_deployment::build(&snapshot, colony).unwrap();
    let workload = match desired.here.unwrap().workload.unwrap() {
        DesiredWorkload::Deployment(workload) => with_kind("Deployment", &workload),
        DesiredWorkload::DaemonSet(workload) => with_kind("DaemonSet", &workload),
        DesiredWorkload::Job(workload) => with_kind("Job", &workload),
    };
    let hash = &workload["metadata"]["annotations"][CONTENT_HASH_ANNOTATION];
    json!({ "hash": hash, "selector": workload["spec"]["selector"],
            "template": workload["spec"]["template"] })
}

#[test]
fn an_upgrade_renders_the_pods_of_fleets_as_before() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cases/pods");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_dir() {
            continue;
        }
        count += 1;
        let given = fs::read_to_string(path.join("given.yaml")).unwrap();
        let found = rendered(&given);
        let file = path.join("0.1.0.yaml");
        let before: Value = serde_norway::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let [before, found] = [before, found].map(|value| serde_norway::to_string(&value).unwrap());
        assert_eq!(before, found, "{}", file.display());
    }
    assert!(count >= 4, "{count} fleets");
}
