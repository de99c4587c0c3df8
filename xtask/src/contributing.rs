//! Keeps `CONTRIBUTING.md` true: what it says that a change touches exists, and each kind of the table is found there.

use std::fs;

use crate::repository;

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
    for section in ["A field of a kind", "A condition", "A kind"] {
        let files = files_of(&guide, section);
        assert!(files.len() >= 2, "{section}: {files:?}");
        for file in files {
            assert!(repository::root().join(&file).is_file(), "{section}: there is no {file}");
        }
    }
}

/// What a kind touches is small, and each place does hold what every other kind has there.
#[test]
fn a_kind_touches_few_files_and_those_name_the_kinds_that_there_are() {
    let files = files_of(&guide(), "A kind");
    assert!(files.len() <= MOST_OF_A_KIND, "{files:?}");
    for file in files.iter().filter(|file| file.starts_with("src/") && !file.ends_with("names.rs")) {
        let text = fs::read_to_string(repository::root().join(file)).unwrap();
        let names = ["colony_cron", "ColonyCron"];
        assert!(names.iter().any(|name| text.contains(name)), "{file} knows nothing of ColonyCron");
    }
}
