//! `cargo xtask layers`: who may import whom, and which words have no place where decisions are made.
//!
//! The flow is only as pure as its imports, and a compiler does not check them inside one crate. This lint reads the
//! words of each file (not its comments, strings or test items), finds every path that begins with `crate`, `self` or
//! `super`, and compares it with the table. `docs/architecture.md` gives the reasons. The same paths show which
//! files import each other in a circle.

mod circles;
mod page;
mod paths;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::repository;
use paths::{File, Homes};
use table::{FOR_ALL, FORBIDDEN, JUDGED_IN, JUDGES, MAY_IMPORT, PURE, ROOTS};

/// Checks every module of the operator.
///
/// # Errors
/// When a rule is broken (all breaches are listed), or when a file cannot be read.
pub fn run() -> Result<()> {
    let files = files()?;
    let homes = paths::homes(files.iter().map(|(_, file)| file));
    let mut breaches = Vec::new();
    for (path, file) in &files {
        for (line, reason) in breaches_in(file, &homes) {
            breaches.push(format!("{}:{line}: {reason}", path.display()));
        }
    }
    breaches.extend(circles::of(&files, &homes));
    breaches.extend(page::missing_modules(&files));
    breaches.extend(page::differences(&repository::read(Path::new(page::PATH))?));
    if !breaches.is_empty() {
        bail!("{}\nThe rules are in {}, \"Who may import whom\".", breaches.join("\n"), page::PATH);
    }
    println!("layers: {} modules, no forbidden import, no circle", files.len());
    Ok(())
}

/// Every file with a module, by its path.
fn files() -> Result<Vec<(PathBuf, File)>> {
    let mut files = Vec::new();
    for (folder, root) in ROOTS {
        for path in repository::files(folder, "rs")? {
            let Some(module) = module_of(&path, folder, root) else { continue };
            let text = repository::read(&path)?;
            files.push((path, File::new(module, root.len(), &text)));
        }
    }
    Ok(files)
}

/// The module a file holds, or nothing for the crate roots and for files that only tests see.
fn module_of(path: &Path, folder: &str, root: &[&str]) -> Option<Vec<String>> {
    let inner = path.strip_prefix(folder).ok()?.with_extension("");
    let mut module: Vec<String> = root.iter().map(|part| (*part).to_owned()).collect();
    module.extend(inner.components().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    let is_root = module.len() == root.len() + 1 && matches!(module[root.len()].as_str(), "lib" | "main");
    if is_root || module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    let is_test = module.iter().any(|part| part == "tests");
    (!module.is_empty() && !is_test).then_some(module)
}

/// Every breach in one module, as line and reason.
fn breaches_in(file: &File, homes: &Homes) -> Vec<(usize, String)> {
    let module = &file.module;
    let name = module.join("::");
    let Some((layer, allowed)) = MAY_IMPORT.iter().find(|(prefix, _)| starts_with(module, prefix)) else {
        return vec![(1, format!("module {name} belongs to no layer: add it to xtask/src/layers/table.rs"))];
    };
    let mentions = file.mentions();
    let imported = file.uses.iter().map(|import| (import.line, &import.path));
    let named: Vec<_> =
        imported.chain(mentions.iter().map(|mention| (mention.line, &mention.path))).collect();
    let mut found = Vec::new();
    for (line, path) in &named {
        let Some(target) = file.resolve(path) else { continue };
        let target = paths::home(target, homes);
        let is_allowed =
            FOR_ALL.iter().chain(*allowed).chain([layer]).any(|prefix| starts_with(&target, prefix))
                || is_one_module(module, &target);
        if !is_allowed {
            found.push((*line, format!("{layer} may not import {}", target.join("::"))));
        }
    }
    if PURE.iter().find(|(prefix, _)| starts_with(module, prefix)).is_some_and(|(_, pure)| *pure) {
        for (line, path) in &named {
            if let Some(word) = FORBIDDEN.iter().find(|word| starts_with(path, word)) {
                found.push((*line, format!("{name} decides, and has no use for {word}")));
            }
        }
    }
    for mention in mentions.iter().filter(|mention| mention.is_member) {
        let rule = JUDGED_IN.iter().find(|(word, _)| mention.path == [*word]);
        let Some((word, judges)) = rule else { continue };
        if !judges.iter().chain(JUDGES).any(|prefix| starts_with(module, prefix)) {
            found.push((
                mention.line,
                format!("{name} judges an answer by {word}: act::failure decides what it means"),
            ));
        }
    }
    found
}

/// Whether `target` is the module itself or one above or below it: `act` may re-export `act::outcome`, and a file may
/// name what its parent defines.
fn is_one_module(module: &[String], target: &[String]) -> bool {
    starts_with(target, &module.join("::"))
}

fn starts_with(path: &[String], prefix: &str) -> bool {
    let mut parts = path.iter();
    prefix.split("::").all(|wanted| parts.next().is_some_and(|part| part == wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(module: &str, root: usize, text: &str) -> File {
        File::new(module.split("::").map(str::to_owned).collect(), root, text)
    }

    fn breaches(module: &str, text: &str) -> Vec<String> {
        breaches_in(&file(module, 0, text), &Homes::new())
            .into_iter()
            .map(|(line, reason)| format!("{line}: {reason}"))
            .collect()
    }

    #[test]
    fn an_import_against_the_flow_is_found_in_a_nested_use() {
        let text = "use std::fmt;\nuse crate::{\n    api::names,\n    act::{self, executor::Executor},\n};\n";
        assert_eq!(
            breaches("diff::plan", text),
            ["4: diff may not import act", "4: diff may not import act::executor::Executor"]
        );
    }

    #[test]
    fn a_path_inside_code_counts_like_an_import() {
        assert_eq!(
            breaches("desired::metadata", "fn a() { crate::runtime::clock::now() }"),
            ["1: desired may not import runtime::clock::now"]
        );
    }

    #[test]
    fn super_is_resolved_before_it_is_judged() {
        assert_eq!(
            breaches("status::colony", "use super::super::act::executor;"),
            ["1: status may not import act::executor"]
        );
        assert!(breaches("status::colony", "use super::condition;").is_empty());
        let visibility = "pub(super) fn a() {} pub(in crate::act) fn b() {}";
        assert!(breaches("status::colony", visibility).is_empty());
    }

    #[test]
    fn a_pure_module_may_not_await_or_ask_the_time() {
        assert_eq!(breaches("api::names", "async fn a() { b().await }").len(), 2);
        assert_eq!(
            breaches("diff::plan", "use std::time::{Duration, Instant};"),
            ["1: diff::plan decides, and has no use for std::time::Instant"]
        );
        assert_eq!(breaches("desired::x", "let now = Timestamp::now();").len(), 1);
        assert!(breaches("status::publish", "async fn a(client: kube::Client) {}").is_empty());
    }

    #[test]
    fn what_an_answer_to_a_write_means_is_decided_in_one_module() {
        let text = "fn a() { match error.status_code() { Some(409) => {} _ => status.code == 404 } }";
        let expected = [
            "1: act::child judges an answer by status_code: act::failure decides what it means",
            "1: act::child judges an answer by code: act::failure decides what it means",
        ];
        assert_eq!(breaches("act::child", text), expected);
        assert_eq!(breaches("controllers::colony::inbound", "fn a() { error.is_conflict() }").len(), 1);
        assert!(breaches("act::failure", "fn a() { error.is_conflict() || error.status_code() }").is_empty());
        assert!(breaches("watch::mirror", "fn a() { error.is_not_found() }").is_empty());
        assert!(breaches("api::x", "fn a(code: u16) { Error { code } }").is_empty());
    }

    #[test]
    fn a_re_export_is_judged_by_where_it_lives() {
        let colony = file(
            "colony",
            1,
            "mod model;\nmod client;\npub use model::{Id, State as S};\npub use client::Client;",
        );
        let found =
            breaches_in(&file("desired", 0, "use crate::colony::{Id, Client};"), &paths::homes([&colony]));
        assert_eq!(found, [(1, "desired may not import colony::client::Client".to_owned())]);
    }

    #[test]
    fn the_root_of_a_crate_is_its_place_in_the_table() {
        let session = file("colony::session", 1, "use crate::client::Client;");
        assert!(breaches_in(&session, &Homes::new()).is_empty());
    }

    #[test]
    fn what_only_tests_see_is_not_judged() {
        assert!(breaches("diff::plan", "#[cfg(test)]\nmod tests { use crate::act::executor; }").is_empty());
    }

    #[test]
    fn a_module_outside_the_layout_is_reported() {
        assert_eq!(breaches("utils", "").len(), 1);
    }

    #[test]
    fn a_file_belongs_to_the_module_that_its_path_names() {
        let name = |folder: &str, root: &[&str], path: &str| {
            module_of(&Path::new(folder).join(path), folder, root).map(|module| module.join("::"))
        };
        assert_eq!(name("src", &[], "api/mod.rs").as_deref(), Some("api"));
        assert_eq!(name("src", &[], "diff/plan.rs").as_deref(), Some("diff::plan"));
        assert_eq!(name("src", &[], "lib.rs"), None);
        assert_eq!(name("src", &[], "diff/tests.rs"), None);
        assert_eq!(name("crates/client/src", &["colony"], "lib.rs").as_deref(), Some("colony"));
        assert_eq!(
            name("crates/client/src", &["colony"], "model/id.rs").as_deref(),
            Some("colony::model::id")
        );
    }
}
