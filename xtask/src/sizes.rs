//! `cargo xtask sizes`: no source file may be longer than a person reads in one go.

use anyhow::{Result, bail};

use crate::{repository, source};

/// Lines a file may have, its test items not counted: a reviewer's screenful is about 50, and eight of them are what
/// the authors found they could keep in mind.
const LIMIT: usize = 400;

/// Folders whose files are measured; integration tests read top to bottom and may be long.
const FOLDERS: [&str; 5] = ["src", "crates", "xtask/src", "examples", "benches"];

/// Reports each file above the limit.
///
/// # Errors
/// When one is, or when a file cannot be read.
pub fn run() -> Result<()> {
    let mut measured = 0;
    let mut too_long = Vec::new();
    for folder in FOLDERS {
        for path in repository::files(folder, "rs")? {
            let lines = length(&repository::read(&path)?);
            measured += 1;
            if lines > LIMIT {
                too_long.push(format!(
                    "{}: {lines} lines without its tests, {LIMIT} are allowed",
                    path.display()
                ));
            }
        }
    }
    if !too_long.is_empty() {
        bail!(
            "{}\nSplit along the nouns of the flow (docs/architecture.md), not by size.",
            too_long.join("\n")
        );
    }
    println!("sizes: {measured} files, none above {LIMIT} lines");
    Ok(())
}

fn length(text: &str) -> usize {
    let (_, test_lines) = source::without_tests(&source::tokens(text));
    text.lines().count().saturating_sub(test_lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_do_not_count() {
        let text = "fn a() {\n}\n\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n";
        assert_eq!(length(text), 3);
    }
}
