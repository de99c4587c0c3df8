//! Every manifest that a page of the documentation prints can be applied as it stands, and every test that a page names exists.

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

/// The words of a text that are written as code.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The tests that the last column of the tables of a page names: the file, and the function if one is named.
fn named_tests(page: &str) -> Vec<(String, Option<String>)> {
    let mut named = Vec::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let last = row.trim_end_matches(['|', ' ']).rsplit('|').next().unwrap_or_default();
        let mut file: Option<String> = None;
        let mut has_function = true;
        for word in code(last) {
            if Path::new(word).extension().is_some_and(|is| is == "rs") {
                named.extend(file.take().filter(|_| !has_function).map(|file| (file, None)));
                (file, has_function) = (Some(word.to_owned()), false);
            } else if let Some(file) = &file {
                named.push((file.clone(), Some(word.to_owned())));
                has_function = true;
            }
        }
        named.extend(file.filter(|_| !has_function).map(|file| (file, None)));
    }
    named
}

#[test]
fn the_tests_that_pages_name_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for (page, least) in [("docs/security.md", 20), ("docs/promise.md", 60)] {
        let named = named_tests(&fs::read_to_string(root.join(page)).unwrap());
        assert!(named.len() >= least, "{page} names {} tests", named.len());
        for (file, function) in named {
            let Ok(source) = fs::read_to_string(root.join(&file)) else {
                missing.push(format!("{page}: {file}"));
                continue;
            };
            let Some(function) = function else { continue };
            // Rungs that share one stage call their tests from a list.
            let mut before =
                source.split_once(&format!("fn {function}(")).into_iter().map(|(before, _)| before);
            let is_test = before.any(|before| {
                let own = before.rsplit("\n\n").next().unwrap_or_default();
                file.starts_with("tests/") || own.contains("test")
            });
            if !is_test {
                missing.push(format!("{page}: {file} has no test {function}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Manifests as they should feel in a user's hands, statuses and all: an API server drops a status on creation, and so does `plan`.
#[test]
fn what_was_intended_can_be_planned() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/intended");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let plans = render(&text, &OperatorConfiguration::default(), NOW.parse().unwrap()).unwrap();
        let refused: Vec<&str> =
            plans.iter().filter(|plan| plan.is_refused).map(|plan| plan.steps.as_str()).collect();
        assert!(refused.is_empty(), "{}: {}", path.display(), refused.join("\n"));
        count += plans.len();
    }
    assert!(count >= 5, "{count} objects");
}

/// With `--reuse-values` alone, Helm leaves out the defaults of keys that a newer chart has, and cannot render it.
#[test]
fn upgrades_take_the_defaults_of_the_newer_chart() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    for page in pages.filter(|path| path.is_file()).chain([root.join("README.md")]) {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains(" --reuse-values"), "{}: use --reset-then-reuse-values", page.display());
    }
}
