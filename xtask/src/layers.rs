//! `cargo xtask layers`: who may import whom, and which words have no place where decisions are made.
//!
//! The flow is only as pure as its imports, and a compiler does not check them inside one crate. This lint reads the
//! words of each file (not its comments, strings or test items), finds every path that begins with `crate`, `self` or
//! `super`, and compares it with the table below. `docs/architecture.md` gives the reasons.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Result, bail};

use crate::{
    repository,
    source::{self, Token},
};

/// What a layer may import besides itself and [`EVERYBODY`]; the first row whose prefix fits the module counts. A stage
/// knows those before it, never one after it: what it says is handed over, not fetched.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("colony::model", &[]),
    ("runtime::config::model", &["runtime::config::check"]),
    // Below the flow: templates, users' kinds, and what one pass knows.
    ("expression", &[]),
    ("kinds", &["expression", "snapshot"]),
    ("snapshot", &[]),
    ("watch", &["snapshot", "kinds", "colony", "memory", "runtime"]),
    ("desired", &["snapshot", "kinds", "expression"]),
    ("diff", &["snapshot", "kinds", "desired"]),
    ("act::outcome", &["diff"]),
    // Steps hold parts of what is desired, hence `act` writes them without looking at who asked for them.
    ("act", &["kinds", "desired", "diff", "colony", "memory", "runtime"]),
    // The one writer of status fails like `act` does.
    ("status::publish", &["act", "status", "memory", "runtime"]),
    ("status", &["snapshot", "kinds", "desired", "diff", "act::outcome"]),
    (
        "controllers",
        &["watch", "snapshot", "kinds", "desired", "diff", "act", "status", "colony", "memory", "runtime"],
    ),
    ("colony", &[]),
    ("fake", &["colony"]),
    // What was seen and written last, kept from one pass to the next.
    ("memory", &["snapshot", "colony", "runtime"]),
    // The endpoint that every replica serves: it reads, converts as `kinds` says, and keeps its certificates in a Secret.
    ("webhook", &["snapshot", "kinds", "act", "memory", "runtime"]),
    ("runtime", &[]),
    (
        "cli",
        &[
            "watch",
            "snapshot",
            "kinds",
            "expression",
            "desired",
            "diff",
            "act",
            "status",
            "controllers",
            "webhook",
            "colony",
            "memory",
            "runtime",
        ],
    ),
];

/// Folders with modules, and what the crate in each is called in the table. That no crate imports the operator is for the
/// compiler; what decides in them is held to the same words.
const ROOTS: &[(&str, &[&str])] = &[
    ("src", &[]),
    ("crates/client/src", &["colony"]),
    ("crates/expression/src", &["expression"]),
    ("crates/fake/src", &["fake"]),
];

/// What every layer may import: the words of both worlds, and what the administrator has set.
const EVERYBODY: &[&str] = &["api", "colony::model", "runtime::config::model"];

/// Modules that decide. They get no client, no clock, no chance and no environment; the first prefix that fits counts.
const PURE: &[(&str, bool)] = &[
    ("status::publish", false),
    ("api", true),
    ("expression", true),
    ("kinds", true),
    ("snapshot", true),
    ("desired", true),
    ("diff", true),
    ("status", true),
    ("act::outcome", true),
    ("colony::model", true),
    ("fake::front", false),
    ("fake::memory", false),
    ("fake::network", false),
    ("fake::cluster::front", false),
    ("fake::cluster::watch", false),
    ("fake", true),
    ("runtime::config::model", true),
];

/// Words that a pure module may not contain, as paths. A span of time is a value, a clock is not: hence
/// `std::time::Duration` is not in this list.
const FORBIDDEN: &[&str] = &[
    "async",
    "await",
    "tokio",
    "reqwest",
    "sqlx",
    "rand",
    "kube::Client",
    "kube::client",
    "kube::Api",
    "kube::api::Api",
    "std::env",
    "std::time::SystemTime",
    "std::time::Instant",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
];

/// A path that a file names, with the line it stands on.
#[derive(Debug, PartialEq, Eq)]
struct Mention {
    path: Vec<String>,
    line: usize,
}

/// Where what is re-exported lives: `colony::Id` in `colony::model::Id`.
type Homes = BTreeMap<Vec<String>, Vec<String>>;

/// Checks every module of the operator.
///
/// # Errors
/// When a rule is broken (all breaches are listed), or when a file cannot be read.
pub fn run() -> Result<()> {
    let mut sources = Vec::new();
    let mut homes = Homes::new();
    for (folder, root) in ROOTS {
        for path in repository::files(folder, "rs")? {
            let Some(module) = module_of(&path, folder, root) else { continue };
            let text = repository::read(&path)?;
            homes.extend(re_exports(&module, root.len(), &text));
            sources.push((path, root.len(), module, text));
        }
    }
    let mut breaches = Vec::new();
    for (path, root, module, text) in &sources {
        for (line, reason) in breaches_in(module, *root, text, &homes) {
            breaches.push(format!("{}:{line}: {reason}", path.display()));
        }
    }
    if !breaches.is_empty() {
        bail!("{}\nThe rules stand in docs/architecture.md, \"Who may import whom\".", breaches.join("\n"));
    }
    println!("layers: {} modules, no forbidden import", sources.len());
    Ok(())
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
fn breaches_in(module: &[String], root: usize, text: &str, homes: &Homes) -> Vec<(usize, String)> {
    let (tokens, _) = source::without_tests(&source::tokens(text));
    let mentions = mentions(&tokens);
    let name = module.join("::");
    let Some((layer, allowed)) = MAY_IMPORT.iter().find(|(prefix, _)| starts_with(module, prefix)) else {
        return vec![(1, format!("module {name} belongs to no layer: add it to xtask/src/layers.rs"))];
    };
    let mut found = Vec::new();
    for mention in &mentions {
        let Some(target) = resolve(module, root, &mention.path) else { continue };
        let target = home(target, homes);
        let is_allowed =
            EVERYBODY.iter().chain(*allowed).chain([layer]).any(|prefix| starts_with(&target, prefix))
                || is_one_module(module, &target);
        if !is_allowed {
            found.push((mention.line, format!("{layer} may not import {}", target.join("::"))));
        }
    }
    if PURE.iter().find(|(prefix, _)| starts_with(module, prefix)).is_some_and(|(_, pure)| *pure) {
        for mention in &mentions {
            if let Some(word) = FORBIDDEN.iter().find(|word| starts_with(&mention.path, word)) {
                found.push((mention.line, format!("{name} decides, and has no use for {word}")));
            }
        }
    }
    found
}

/// What a module re-exports from below itself (`pub use model::Id`), and where it lives.
fn re_exports(module: &[String], root: usize, text: &str) -> Homes {
    let (tokens, _) = source::without_tests(&source::tokens(text));
    let mut homes = Homes::new();
    for index in 0..tokens.len() {
        if !(is(&tokens, index, "pub") && is(&tokens, index + 1, "use") && index + 2 < tokens.len()) {
            continue;
        }
        let mut found = Vec::new();
        read_path(&tokens, index + 2, &[], &mut found);
        for Mention { path, .. } in found {
            let Some(name) = path.last().cloned() else { continue };
            let absolute = resolve(module, root, &path).unwrap_or_else(|| [module, &path].concat());
            homes.insert([module, &[name]].concat(), absolute);
        }
    }
    homes
}

/// Where the named item lives, through every re-export.
fn home(mut target: Vec<String>, homes: &Homes) -> Vec<String> {
    // A chain of re-exports is as long as the tree is deep; a circle does not compile, but must not hang this lint.
    for _ in 0..8 {
        let found = (1..=target.len()).find_map(|end| Some((end, homes.get(&target[..end])?)));
        match found {
            Some((end, home)) if *home != target[..end] => target = [home, &target[end..]].concat(),
            _ => break,
        }
    }
    target
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

/// The path from the root of the table, or nothing when it leads out of the crate, whose own root has `root` parts.
fn resolve(module: &[String], root: usize, path: &[String]) -> Option<Vec<String>> {
    // `pub(super)` says who may look, and imports nothing.
    if matches!(path.last()?.as_str(), "crate" | "super") {
        return None;
    }
    let mut absolute = match path.first()?.as_str() {
        "crate" => module[..root].to_vec(),
        "self" | "super" => module.to_vec(),
        _ => return None,
    };
    for part in path {
        match part.as_str() {
            "crate" | "self" => {}
            "super" => {
                absolute.pop();
            }
            other => absolute.push(other.to_owned()),
        }
    }
    // A bare `crate` or `self` names no layer.
    (!absolute.is_empty()).then_some(absolute)
}

/// Every path in the source: `a::b::c`, and each leaf of `a::{b, c::d}`. A single word is a path too.
fn mentions(tokens: &[Token]) -> Vec<Mention> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        if is(tokens, index, "(") && is(tokens, index + 1, "in") {
            // `pub(in crate::colony)` says who may look, and imports nothing.
            index += tokens[index..].iter().take_while(|token| token.text != ")").count();
        } else if is_word(&tokens[index]) {
            index = read_path(tokens, index, &[], &mut found);
        } else {
            index += 1;
        }
    }
    found
}

/// Reads the path that begins at `index`, adds its leaves to `found`, and returns the index behind it.
fn read_path(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    let line = tokens[index].line;
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(index) {
            Some(token) if is_word(token) => path.push(token.text.clone()),
            Some(token) if token.text == "{" => return read_group(tokens, index + 1, &path, found),
            _ => break,
        }
        index += 1;
        if !(is(tokens, index, ":") && is(tokens, index + 1, ":")) {
            break;
        }
        index += 2;
    }
    found.push(Mention { path, line });
    index
}

/// Reads the leaves of `{a, b::c}`, from behind its opening brace.
fn read_group(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            "}" => return index + 1,
            "as" => index += 2,
            _ if is_word(token) => index = read_path(tokens, index, prefix, found),
            _ => index += 1,
        }
    }
    index
}

fn is(tokens: &[Token], index: usize, text: &str) -> bool {
    tokens.get(index).is_some_and(|token| token.text == text)
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches(module: &str, text: &str) -> Vec<String> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        breaches_in(&module, 0, text, &Homes::new())
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
    fn a_re_export_is_judged_by_where_it_lives() {
        let module = |name: &str| vec![name.to_owned()];
        let homes =
            re_exports(&module("colony"), 1, "pub use model::{Id, State as S};\npub use client::Client;");
        let text = "use crate::colony::{Id, Client};";
        let found = breaches_in(&module("desired"), 0, text, &homes);
        assert_eq!(found, [(1, "desired may not import colony::client::Client".to_owned())]);
    }

    #[test]
    fn the_root_of_a_crate_is_its_place_in_the_table() {
        let module: Vec<String> = ["colony", "session"].map(str::to_owned).into();
        assert!(breaches_in(&module, 1, "use crate::client::Client;", &Homes::new()).is_empty());
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
