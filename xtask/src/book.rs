//! `cargo xtask book`: the pages of the repository as a site. They are staged as they lie in the repository, so that a link is
//! right in both places.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{cargo, folders, repository};

/// The release of mdbook that the site is made with.
const MDBOOK: &str = "0.5.4";
/// The configuration and the table of contents.
const FOLDER: &str = "docs/book";
/// Where pages are, and single pages.
const PAGES: [&str; 2] = ["docs", "examples"];
const SINGLE: [&str; 4] = ["README.md", "CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"];
/// What pages link to beside other pages, which is staged too.
const FILES: [&str; 2] = ["examples", "charts/colonyos-operator/values.yaml"];

/// How the site is made.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Check links and the table of contents, and make nothing
    #[arg(long)]
    check: bool,
    /// Build mdbook into the cache when it is not there (several minutes, once)
    #[arg(long)]
    install: bool,
}

/// Checks the pages, and makes the site in `target/book`.
///
/// # Errors
/// When a link leads nowhere, a page is in no table of contents, or mdbook fails.
pub fn run(options: &Options) -> Result<()> {
    let count = check()?;
    println!("book: {count} pages, every link leads somewhere");
    if options.check {
        return Ok(());
    }
    let program = match find() {
        Some(program) => program,
        None if options.install => install()?,
        None => bail!("mdbook {MDBOOK} is not installed: `cargo xtask book --install` builds it"),
    };
    let staged = stage()?;
    let made = Command::new(&program).arg("build").arg(&staged).status().context("failed to start mdbook")?;
    if !made.success() {
        bail!("mdbook fails on {}", staged.display());
    }
    println!("book: {}", staged.join("book/index.html").display());
    Ok(())
}

/// Whether every page is in the table of contents, and every link of a page leads somewhere; how many pages there are.
///
/// # Errors
/// What is wrong, line by line.
pub fn check() -> Result<usize> {
    let pages = pages()?;
    let summary = repository::read(&Path::new(FOLDER).join("SUMMARY.md"))?;
    let listed: BTreeSet<PathBuf> = links(&summary).into_iter().map(PathBuf::from).collect();
    let mut wrong: Vec<String> = pages
        .keys()
        .filter(|page| !listed.contains(*page))
        .map(|page| format!("{} is missing in {FOLDER}/SUMMARY.md", page.display()))
        .collect();
    let gone = listed.iter().filter(|page| !pages.contains_key(*page));
    wrong.extend(gone.map(|page| format!("{FOLDER}/SUMMARY.md lists {}, which is no page", page.display())));
    for (page, text) in &pages {
        let broken = links(text).into_iter().filter_map(|link| broken(page, link, &pages));
        wrong.extend(broken.map(|why| format!("{}: {why}", page.display())));
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(pages.len())
}

/// All pages, by path.
fn pages() -> Result<BTreeMap<PathBuf, String>> {
    let mut paths: Vec<PathBuf> = SINGLE.iter().map(PathBuf::from).collect();
    for folder in PAGES {
        paths.extend(repository::files(folder, "md")?);
    }
    paths.retain(|path| !path.starts_with(FOLDER));
    paths.into_iter().map(|path| Ok((path.clone(), repository::read(&path)?))).collect()
}

/// Why a link of a page leads nowhere; none if it leads somewhere, or out of the repository.
fn broken(page: &Path, link: &str, pages: &BTreeMap<PathBuf, String>) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { page.to_owned() } else { resolved(page, path)? };
    if let Some(text) = pages.get(&target) {
        let anchor = anchor?;
        let is_there = text.lines().filter_map(heading).any(|heading| slug(heading) == anchor);
        return (!is_there).then(|| format!("{link}: the page has no such heading"));
    }
    let is_staged = FILES.iter().chain(&PAGES).any(|file| target.starts_with(file));
    match repository::root().join(&target).exists() {
        true if is_staged => None,
        true => Some(format!("{link} is not part of the site")),
        false => Some(format!("{link}: there is no {}", target.display())),
    }
}

/// A path beside a page, from the root of the repository.
fn resolved(page: &Path, path: &str) -> Option<PathBuf> {
    let mut target = page.parent()?.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(target.pop()),
            Component::CurDir => {}
            other => target.push(other),
        }
    }
    Some(target)
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    (text.len() < line.len() && text.starts_with(' ')).then(|| text.trim())
}

/// What a heading is called in links.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
    kept.map(|letter| if letter == ' ' { '-' } else { letter.to_ascii_lowercase() }).collect()
}

/// The targets of links, without those in code.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        }
        if is_code {
            continue;
        }
        // Every second piece between backticks is code; a link may have code in its text.
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, behind)) = after.split_once(')') else { break };
            let before = line.len() - after.len();
            let is_in_code = line[..before].matches('`').count() % 2 == 1;
            if !is_in_code && !target.contains(' ') {
                found.push(target);
            }
            rest = behind;
        }
    }
    found
}

/// Copies pages and files as they lie in the repository; the folder that mdbook takes.
fn stage() -> Result<PathBuf> {
    let staged = repository::root().join("target/book");
    let source = staged.join("src");
    if source.exists() {
        fs::remove_dir_all(&source).with_context(|| format!("failed to remove {}", source.display()))?;
    }
    for page in pages()?.keys() {
        copy(page, &source)?;
    }
    for file in FILES {
        if repository::root().join(file).is_file() {
            copy(Path::new(file), &source)?;
        }
        for extension in ["yaml", "json"] {
            for found in repository::files(file, extension)? {
                copy(&found, &source)?;
            }
        }
    }
    let from = repository::root().join(FOLDER);
    fs::copy(from.join("book.toml"), staged.join("book.toml")).context("failed to copy book.toml")?;
    fs::copy(from.join("SUMMARY.md"), source.join("SUMMARY.md")).context("failed to copy SUMMARY.md")?;
    Ok(staged)
}

fn copy(path: &Path, source: &Path) -> Result<()> {
    let target = source.join(path);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
    }
    fs::copy(repository::root().join(path), &target)
        .with_context(|| format!("failed to copy {}", path.display()))?;
    Ok(())
}

fn folder() -> Result<PathBuf> {
    Ok(folders::cache()?.join(format!("mdbook-{MDBOOK}")))
}

fn find() -> Option<PathBuf> {
    let ours = folder().ok()?.join("bin/mdbook");
    if ours.is_file() {
        return Some(ours);
    }
    let version = Command::new("mdbook").arg("--version").output().ok()?;
    String::from_utf8_lossy(&version.stdout).contains(MDBOOK).then(|| "mdbook".into())
}

fn install() -> Result<PathBuf> {
    let folder = folder()?;
    let package = format!("mdbook@{MDBOOK}");
    println!("building {package} into {}", folder.display());
    let root = folder.to_string_lossy();
    cargo::run(
        "install",
        ["--locked", "--no-default-features", "--features", "search", "--root", &*root, &*package],
    )?;
    Ok(folder.join("bin/mdbook"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "a [b](c.md) `[d](e.md)` [`f`](g.md#h)\n```\n[i](j.md)\n```\n[k](https://l.example.com)";
        assert_eq!(links(text), ["c.md", "g.md#h", "https://l.example.com"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_told() {
        let page = |text: &str| text.to_owned();
        let pages = BTreeMap::from([
            (PathBuf::from("docs/a.md"), page("# A\n## What happens, when?\n")),
            (PathBuf::from("README.md"), page("# R\n")),
        ]);
        let broken = |link| broken(Path::new("docs/a.md"), link, &pages);
        for fine in [
            "../README.md",
            "#what-happens-when",
            "a.md#a",
            "https://x.example.com/y.md",
            "../examples/colony.yaml",
        ] {
            assert_eq!(broken(fine), None, "{fine}");
        }
        assert!(broken("b.md").unwrap().contains("there is no docs/b.md"));
        assert!(broken("#who").unwrap().contains("no such heading"));
        assert!(broken("../src/lib.rs").unwrap().contains("not part of the site"));
    }

    #[test]
    fn the_site_has_every_page_and_no_broken_link() {
        check().unwrap();
    }
}
