//! Every manifest that a page of the documentation prints can be applied as it stands.

use std::{
    fs,
    path::{Path, PathBuf},
};

use colonyos_operator::{cli::plan::render, runtime::config::OperatorConfiguration};

use crate::NOW;

/// The manifests of a page: fenced blocks of YAML, and what its commands hand to `kubectl apply -f -`. Those that are no
/// whole object, such as values of the chart, are passed over.
fn manifests(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        // In a list, blocks are indented.
        let indent = line.len() - line.trim_start().len();
        let text = |lines: &mut std::str::Lines<'_>, end: &str| -> String {
            let taken = lines.take_while(|line| line.trim() != end);
            taken.map(|line| line.get(indent..).unwrap_or_default()).collect::<Vec<_>>().join("\n") + "\n"
        };
        if line.trim() == "```yaml" {
            found.push(text(&mut lines, "```"));
        } else if line.contains("kubectl apply -f - <<EOT") {
            found.push(text(&mut lines, "EOT"));
        }
    }
    found.retain(|text| text.lines().any(|line| line.starts_with("apiVersion:")));
    found
}

#[test]
fn what_pages_print_can_be_applied() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages: Vec<PathBuf> = pages
        .filter(|path| path.extension().is_some_and(|is| is == "md"))
        .chain([root.join("README.md")])
        .collect();
    let (mut count, mut wrong) = (0, Vec::new());
    for page in pages {
        for manifest in manifests(&fs::read_to_string(&page).unwrap()) {
            count += 1;
            let configuration = OperatorConfiguration::default();
            let plans = render(&manifest, &configuration, NOW.parse().unwrap()).unwrap();
            let refused = plans.iter().filter(|plan| plan.is_refused);
            wrong.extend(refused.map(|plan| format!("{}: {}", page.display(), plan.steps)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 8, "{count}");
}
