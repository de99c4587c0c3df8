//! Calling Helm.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::environment;

/// The operator's chart.
pub const OPERATOR: &str = "charts/colonyos-operator";
/// The chart of the kinds.
pub const DEFINITIONS: &str = "charts/colonyos-operator-crds";
/// Namespace that the charts are rendered for; it differs from the release's name to catch one used as the other.
pub const NAMESPACE: &str = "operators";
/// Name of the release; not the product's, to catch names that ignore it.
pub const RELEASE: &str = "blue";

/// Runs Helm in the root of the repository: what it prints, or what it complains about.
pub fn helm(arguments: &[&str]) -> Result<String, String> {
    run(&environment::variable("HELM").unwrap_or_else(|| "helm".to_owned()), arguments)
}

/// Runs one of several versions of Helm, as [`helm`] does.
pub fn run(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .output()
        .unwrap_or_else(|error| {
            panic!("failed to start {program}: {error}; `cargo xtask test --rung chart` provides it")
        });
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Renders a chart with values given as JSON, and parses what comes out but for what `helm test` runs.
pub fn render(chart: &str, values: &Value) -> Result<Vec<Value>, String> {
    render_as(RELEASE, NAMESPACE, chart, values)
}

/// As [`render`], for a release and a namespace.
pub fn render_as(release: &str, namespace: &str, chart: &str, values: &Value) -> Result<Vec<Value>, String> {
    let all = render_all(release, namespace, chart, values)?;
    Ok(all.into_iter().filter(|object| object.pointer(HOOK).is_none()).collect())
}

/// What `helm test` runs.
pub fn tests(chart: &str, values: &Value) -> Result<Vec<Value>, String> {
    let all = render_all(RELEASE, NAMESPACE, chart, values)?;
    Ok(all.into_iter().filter(|object| object.pointer(HOOK) == Some(&Value::from("test"))).collect())
}

/// Where an object says that it is a hook.
const HOOK: &str = "/metadata/annotations/helm.sh~1hook";

fn render_all(release: &str, namespace: &str, chart: &str, values: &Value) -> Result<Vec<Value>, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, values).unwrap();
    let path = file.path().to_str().unwrap();
    let text = helm(&[
        "template",
        release,
        chart,
        "--namespace",
        namespace,
        "--kube-version",
        "1.30.0",
        "--values",
        path,
    ])?;
    Ok(parse(&text))
}

/// The objects of a YAML stream.
pub fn parse(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").filter(|document| {
        document.lines().any(|line| !line.is_empty() && !line.starts_with('#') && line != "---")
    });
    // The end of the last line belongs to it: a text in literal style ends with that.
    documents.map(|document| serde_norway::from_str(&format!("{document}\n")).unwrap()).collect()
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The one object of a kind.
pub fn only<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    let found = of_kind(objects, kind);
    assert_eq!(found.len(), 1, "objects of kind {kind}");
    found[0]
}
