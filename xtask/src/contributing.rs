//! Keeps `CONTRIBUTING.md` and the pages that it leads to true: a field, a condition and a kind that exist touch the files
//! of its tables and no other, and what pages link to exists.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::{repository, source};

/// Most files that a new kind may touch.
const MOST_OF_A_KIND: usize = 15;

/// The files that a section of the guide names, in the first column of its table.
fn files_of(text: &str, section: &str) -> Vec<String> {
    let begin = text.find(&format!("### {section}\n")).unwrap_or_else(|| panic!("no section {section}"));
    let body = &text[begin + 4..];
    let body = body.find("\n### ").map_or(body, |end| &body[..end]);
    let cells = body.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(path, _)| path.to_owned()).collect()
}

fn guide() -> String {
    fs::read_to_string(repository::root().join("CONTRIBUTING.md")).unwrap()
}

#[test]
fn what_a_change_touches_exists() {
    let guide = guide();
    for section in ["A field of a kind", "A condition", "A kind", "A kind with children of its own"] {
        let files = files_of(&guide, section);
        assert!(files.len() >= 2, "{section}: {files:?}");
        for file in files {
            assert!(repository::root().join(&file).is_file(), "{section}: there is no {file}");
        }
    }
}

/// A door without its test is not known to be closed.
#[test]
fn the_tests_that_the_security_page_names_exist() {
    let page = repository::read(Path::new("docs/security.md")).unwrap();
    let doors = page.split("\n## ").find(|section| section.starts_with("Doors\n")).unwrap();
    let mut named = 0;
    for row in doors.lines().filter(|line| line.starts_with("| ") && line.contains(".rs`")) {
        let cells: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let from = cells.iter().position(|cell| cell.contains(".rs")).unwrap();
        for pair in cells[from..].chunks(2) {
            let text = repository::read(Path::new(pair[0])).unwrap();
            let function = pair.get(1).map(|name| format!("fn {name}("));
            assert!(function.is_none_or(|function| text.contains(&function)), "{pair:?}");
            named += 1;
        }
    }
    assert!(named > 10, "{named}");
}

/// The files of the operator whose code contains one of `words`; tests, and files whose path has `own` in it, are left out.
fn files_with(words: &[&str], own: &str) -> BTreeSet<String> {
    let words: Vec<_> = words.iter().map(|words| source::tokens(words)).collect();
    let files = repository::files("src", "rs").unwrap().into_iter();
    let named = files.filter(|path| {
        let shown = path.to_string_lossy();
        if shown.contains(own) || shown.contains("tests") {
            return false;
        }
        let (tokens, _) = source::without_tests(&source::tokens(&repository::read(path).unwrap()));
        let texts =
            |tokens: &[source::Token]| -> Vec<_> { tokens.iter().map(|token| token.text.clone()).collect() };
        words.iter().any(|words| tokens.windows(words.len()).any(|window| texts(window) == texts(words)))
    });
    named.map(|path| path.to_string_lossy().into_owned()).collect()
}

fn sources_of(section: &str) -> BTreeSet<String> {
    files_of(&guide(), section).into_iter().filter(|file| file.starts_with("src/")).collect()
}

/// `nodeSelector` is a plain field.
#[test]
fn a_field_touches_the_files_of_the_guide() {
    assert_eq!(files_with(&["node_selector"], "\0"), sources_of("A field of a kind"));
}

/// `Established` is a condition of one kind.
#[test]
fn a_condition_touches_the_files_of_the_guide() {
    let mut files = files_with(&["ConditionType::Established"], "\0");
    files.insert("src/api/condition.rs".to_owned());
    assert_eq!(files, sources_of("A condition"));
}

/// `ColonyCron` is a kind with a step of its own.
#[test]
fn a_kind_touches_the_files_of_the_guide() {
    let mut files = sources_of("A kind");
    assert!(files_of(&guide(), "A kind").len() <= MOST_OF_A_KIND, "{files:?}");
    files.append(&mut sources_of("A kind with children of its own"));
    assert_eq!(files_with(&["ColonyCron", "colony_cron", "CRON_LABEL"], "cron"), files);
}

/// Each condition has its row in the architecture page, in which users look it up.
#[test]
fn the_table_of_conditions_is_complete() {
    let source = repository::read(Path::new("src/api/condition.rs")).unwrap();
    let (tokens, _) = source::without_tests(&source::tokens(&source));
    let texts: Vec<_> = tokens.iter().map(|token| token.text.as_str()).collect();
    let start = texts.windows(3).position(|words| words == ["enum", "ConditionType", "{"]).unwrap() + 3;
    let variants = texts[start..].iter().take_while(|text| **text != "}").filter(|text| **text != ",");
    let page = repository::read(Path::new("docs/architecture.md")).unwrap();
    let section = page.split("\n## ").find(|section| section.starts_with("Conditions\n")).unwrap();
    let section = section.split("\n| kind |").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0));
    assert_eq!(rows.collect::<BTreeSet<_>>(), variants.copied().collect());
}

/// Each link of a page to a file of the repository, and each path below `examples/` that it names.
fn references(page: &Path, text: &str) -> Vec<PathBuf> {
    let folder = page.parent().unwrap();
    let mut found = Vec::new();
    for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(link, _)| link)) {
        let file = link.split('#').next().unwrap();
        // The patterns of fields look like links.
        if !file.is_empty() && !link.contains("://") && !link.contains(['[', '*', '?']) {
            found.push(folder.join(file));
        }
    }
    let is_part = |character: char| character.is_ascii_alphanumeric() || "._-/".contains(character);
    // Crates have examples of their own.
    let is_outer = !page.starts_with("crates");
    for (at, _) in
        text.match_indices("examples/").filter(|(at, _)| is_outer && !text[..*at].ends_with(is_part))
    {
        let path: String = text[at..].chars().take_while(|character| is_part(*character)).collect();
        found.push(PathBuf::from(path.trim_end_matches('.')));
    }
    found
}

#[test]
fn what_pages_refer_to_exists() {
    let folders = ["docs", "examples", "crates", "charts", ".github"];
    let pages = folders.iter().flat_map(|folder| repository::files(folder, "md").unwrap());
    // The table of contents of the site names pages from the root: `book::check` looks at it.
    let pages = pages.filter(|page| !page.starts_with("docs/book"));
    let root = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(PathBuf::from);
    let (mut missing, mut count) = (Vec::new(), 0);
    for page in root.into_iter().chain(pages) {
        for file in references(&page, &repository::read(&page).unwrap()) {
            count += 1;
            if !repository::root().join(&file).exists() {
                missing.push(format!("{}: {}", page.display(), file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 50, "{count}");
}

/// Each link into a page leads to one of its headings.
#[test]
fn headings_that_pages_refer_to_exist() {
    let pages = repository::files("docs", "md").unwrap();
    let anchor = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase().replace(' ', "-");
        kept.chars().filter(|one| one.is_alphanumeric() || "-_".contains(*one)).collect()
    };
    let (mut missing, mut count) = (Vec::new(), 0);
    for page in pages.iter().chain([&PathBuf::from("README.md")]) {
        let text = repository::read(page).unwrap();
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link);
        for (file, heading) in links.filter_map(|link| link.split_once('#')) {
            if !file.is_empty() && Path::new(file).extension().is_none_or(|is| is != "md") {
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let target = repository::read(&target).unwrap();
            let headings = target.lines().filter_map(|line| line.strip_prefix('#'));
            count += 1;
            if !headings.map(|line| anchor(line.trim_start_matches('#'))).any(|found| found == heading) {
                missing.push(format!("{}: {file}#{heading}", page.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(count > 5, "{count}");
}

/// Each example is named once, and what is named exists.
#[test]
fn the_list_of_examples_is_complete() {
    let folder = repository::root().join("examples");
    let list = fs::read_to_string(folder.join("README.md")).unwrap();
    let cells = list.lines().filter_map(|line| line.strip_prefix("| [")?.split_once(']'));
    let mut listed: Vec<_> = cells.map(|(name, _)| name.to_owned()).collect();
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut found: Vec<_> = entries.filter(|name| name != "README.md").collect();
    listed.sort();
    found.sort();
    assert_eq!(listed, found);
}
