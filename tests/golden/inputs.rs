//! Small inputs after public bug reports of other projects, named in the first line of each: `plan` takes them as an API server does,
//! or says what helps.

use std::{collections::BTreeSet, fs, path::Path};

use colonyos_operator::{cli::plan::render, runtime::config::OperatorConfiguration};

use super::NOW;

/// What is said of those that have a mistake.
const SAID: [(&str, &str); 9] = [
    ("28-shell", "or $${ for a plain ${"),
    ("28b-grafana", "or write $${ for a plain ${"),
    ("29-float", "convert one side with int(), double() or string()"),
    ("29b-number-int", "convert one side with int(), double() or string()"),
    ("30-has", "guard each field before it too"),
    ("30b-optsyntax", "guard with has() in place of it"),
    ("31b-dash", "write ['my-field'] for a field with a dash"),
    ("50-args", "env: X: give a name without `=` and NUL"),
    ("70-yaml11", "spec.replicas: \"010\": is not of type integer"),
];
/// More than one thing at a time, of which some must be refused.
const MIXED: [&str; 1] = ["71-merge"];

#[test]
fn inputs_after_bug_reports_are_planned_or_told_what_helps() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/inputs");
    let names = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names: BTreeSet<String> = names.map(|name| name.trim_end_matches(".yaml").to_owned()).collect();
    let mut wrong = Vec::new();
    for name in names.iter().filter(|name| !name.ends_with("-i")) {
        let read = |name: &str| fs::read_to_string(folder.join(format!("{name}.yaml"))).unwrap_or_default();
        let text = format!("{}\n---\n{}", read(name), read(&format!("{name}-i")));
        let plans = render(&text, &OperatorConfiguration::default(), NOW.parse().unwrap()).unwrap();
        let is_refused = plans.iter().any(|plan| plan.is_refused);
        let steps: String = plans.iter().map(|plan| plan.steps.as_str()).collect();
        let said = SAID.iter().find(|(of, _)| of == name);
        let is_right = match said {
            Some((_, words)) => is_refused && steps.contains(words),
            None => MIXED.contains(&name.as_str()) || !is_refused,
        };
        if !is_right {
            wrong.push(format!("{name}:\n{steps}"));
        }
    }
    assert!(names.len() >= 50, "{}", names.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
