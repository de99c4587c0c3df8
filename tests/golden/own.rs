//! The operator's own kinds besides fleets and definitions. Each folder below `cases/own` holds `plan.txt`, and `given.yaml`
//! unless it has the name of a file in `examples`, which is then what is planned.

use std::{fs, path::Path};

use colonyos_operator::{
    cli::plan::{Rendered, render},
    runtime::config::OperatorConfiguration,
};

use super::NOW;

fn plan(text: &str) -> Vec<Rendered> {
    render(text, &OperatorConfiguration::default(), NOW.parse().unwrap()).unwrap()
}

fn check(case: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/golden/cases/own").join(case);
    let example = root.join("examples").join(format!("{case}.yaml"));
    let given = if example.exists() { example } else { folder.join("given.yaml") };
    let plans = plan(&fs::read_to_string(given).unwrap());
    let steps: String = plans.iter().map(|plan| plan.steps.as_str()).collect();
    expect_test::expect_file![folder.join("plan.txt")].assert_eq(&steps);
    let is_refused = plans.iter().any(|plan| plan.is_refused);
    assert_eq!(is_refused, ["refused", "broken"].contains(&case), "what scripts go by");
}

macro_rules! cases {
    ($($(#[$why:meta])* $name:ident $folder:literal)*) => {
        $($(#[$why])* #[test] fn $name() { check($folder); })*

        /// A folder that no test names would be green for ever.
        #[test]
        fn every_folder_is_a_case() {
            super::every_folder_is_named("own", vec![$($folder),*]);
        }
    };
}

cases! {
    colony "colony"
    colony_cron "colony-cron"
    colony_process "colony-process"
    colony_workflow "colony-workflow"
    request_flow "request-flow"
    request_state "request-state"
    /// A process, a flow, and a request that follows it.
    work "work"
    /// What is refused names field, value and remedy, whatever else stands in the files.
    refused "refused"
    /// An object that cannot be read is reported with field, value and remedy, and stops none of the others.
    broken "broken"
    /// A process that exists is bound, not submitted.
    adopted "adopted"
    /// Runs that there are already: waited for, replaced, counted, and left alone where they belong to another.
    runs "runs"
    /// Colonies that are connected already, or say why not.
    connected "connected"
    /// An instance with handler mode `blueprint`, and its deletion.
    blueprint "blueprint"
}

/// It used to be "nothing to plan" alone, and exit code 0 beside another object.
#[test]
fn an_object_of_an_own_kind_is_checked_alone_too() {
    let nonsense =
        "apiVersion: colonies.io/v1\nkind: ColonyProcess\nmetadata: {name: x}\nspec: {nonsense: true}\n";
    let plans = plan(nonsense);
    assert!(plans[0].is_refused && plans[0].steps.contains("spec."), "{}", plans[0].steps);
}

/// An example that the operator refuses would be a bad one.
#[test]
fn every_example_is_planned() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            let text = fs::read_to_string(&path).unwrap();
            for plan in plan(&text) {
                assert!(!plan.is_refused, "{}: {}", path.display(), plan.steps);
            }
        }
    }
    // The kind and its object are in files of their own.
    let tour = ["workflow", "cron", "kind", "greeting", "waiting"]
        .map(|name| fs::read_to_string(format!("{folder}/tour/{name}.yaml")).unwrap());
    let plans = plan(&tour.join("---\n"));
    assert_eq!(plans.len(), tour.len());
    for plan in plans {
        assert!(!plan.is_refused, "{}", plan.steps);
    }
}
