//! Kinds that users define, and their instances. Each folder below `cases/kinds` holds `plan.txt`, and `given.yaml` unless it has
//! the name of a folder of `examples/kinds`, whose definition and instance are then what is planned.

use std::{
    fs,
    path::{Path, PathBuf},
};

use colonyos_operator::{cli::plan::render, runtime::config::OperatorConfiguration};

use super::NOW;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of an example; of one that is made of others, their definitions too.
fn example(folder: &str) -> Vec<PathBuf> {
    let parts: &[&str] = match folder {
        "application" => &["database", "web-service", "worker-pool"],
        _ => &[],
    };
    let folder = root().join("examples/kinds").join(folder);
    let definitions =
        parts.iter().map(|part| root().join("examples/kinds").join(part).join("definition.yaml"));
    let instance = ["instance.yaml", "instance.json"].map(|name| folder.join(name));
    let instance = instance.into_iter().filter(|path| path.exists());
    definitions.chain([folder.join("definition.yaml")]).chain(instance).collect()
}

fn check(case: &str) {
    let folder = root().join("tests/golden/cases/kinds").join(case);
    let files = if root().join("examples/kinds").join(case).exists() {
        example(case)
    } else {
        vec![folder.join("given.yaml")]
    };
    let texts: Vec<String> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    let plans =
        render(&texts.join("\n---\n"), &OperatorConfiguration::default(), NOW.parse().unwrap()).unwrap();
    let steps: String = plans.iter().map(|plan| plan.steps.as_str()).collect();
    expect_test::expect_file![folder.join("plan.txt")].assert_eq(&steps);
    let is_refused = plans.iter().any(|plan| plan.is_refused);
    let is_expected = ["refused", "mistakes", "change"].iter().any(|part| case.contains(part));
    assert_eq!(is_refused, is_expected, "what scripts go by");
}

macro_rules! cases {
    ($($(#[$why:meta])* $name:ident $folder:literal)*) => {
        $($(#[$why])* #[test] fn $name() { check($folder); })*

        /// A folder that no test names would be green for ever, and every example has a plan.
        #[test]
        fn every_folder_is_a_case() {
            let folders = |path: &str| -> Vec<String> {
                let entries = fs::read_dir(root().join(path)).unwrap().map(|entry| entry.unwrap());
                entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
            };
            let mut named = vec![$($folder.to_owned()),*];
            let mut found = folders("tests/golden/cases/kinds");
            found.sort();
            named.sort();
            assert_eq!(found, named);
            let examples = folders("examples/kinds");
            assert_eq!(examples.iter().find(|example| !named.contains(example)), None);
        }
    };
}

cases! {
    ai_job "ai-job"
    app "app"
    /// Its parts are of kinds that are defined too: they are planned with it.
    application "application"
    database "database"
    docker_deployment "docker-deployment"
    foo "foo"
    goop "goop"
    hpc_job "hpc-job"
    ml_model "ml-model"
    model_server "model-server"
    web_application "web-application"
    web_service "web-service"
    worker_pool "worker-pool"
    workflow "workflow"
    /// All that is wrong with definitions is told at once, whatever else stands in the files; instances say what they wait for.
    mistakes "mistakes"
    /// An instance that the schema does not take: the field, by type, limit, rule, or because it is not described.
    instances_refused "instances_refused"
    /// The value of a field that `readyWhen` asks for is not known in advance: it is awaited, and so is what refers to it.
    awaited "awaited"
    /// The CRD that there is already, with its instances: what a change of the schema would break.
    change "change"
    /// Objects that are there already: a stranger's is left, the instance's own are brought in line.
    half_made "half_made"
    /// A part that its own kind's schema does not take.
    part_refused "part_refused"
    /// Each takes the next one's place, after its clean-up.
    over "over"
    /// Nothing is held: what is left of its process stays in the colony.
    orphaned "orphaned"
}
