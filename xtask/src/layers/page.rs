//! The table of the page: it must say what the check does, of modules that exist.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    paths::File,
    table::{FOR_ALL, MAY_IMPORT, PURE},
};

/// Where the rules are explained.
pub const PATH: &str = "docs/architecture.md";

/// The section of the page whose table is compared.
const SECTION: &str = "## Who may import whom\n";

/// A row of the page: a layer, and what else it may import.
type Row = (String, Vec<String>);

/// The modules that the rules name and no file holds.
pub fn missing_modules(files: &[(PathBuf, File)]) -> Vec<String> {
    let held: BTreeSet<_> = files.iter().map(|(_, file)| file.module.join("::")).collect();
    let of_rows = MAY_IMPORT.iter().flat_map(|(layer, allowed)| allowed.iter().chain([layer]));
    let named: BTreeSet<_> = of_rows.chain(FOR_ALL).chain(PURE.iter().map(|(module, _)| module)).collect();
    let missing = named.into_iter().filter(|module| !held.contains(**module));
    missing.map(|module| format!("xtask/src/layers/table.rs: there is no module {module}")).collect()
}

/// Where the table of the page and the rules differ.
pub fn differences(page: &str) -> Vec<String> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let rules: Vec<Row> =
        MAY_IMPORT.iter().map(|(layer, allowed)| ((*layer).to_owned(), owned(allowed))).collect();
    let page = rows(page);
    let only_in = |these: &[Row], others: &[Row], place: &str| -> Vec<String> {
        let missing = these.iter().filter(|row| !others.contains(row));
        missing.map(|(layer, allowed)| format!("only {place} has {layer}: {}", allowed.join(", "))).collect()
    };
    let mut found = only_in(&page, &rules, PATH);
    found.extend(only_in(&rules, &page, "xtask/src/layers/table.rs"));
    if found.is_empty() && page != rules {
        found.push(format!("{PATH} and xtask/src/layers/table.rs name the layers in another order"));
    }
    found
}

/// The rows of the table: the names in backticks of the first column and of the second.
fn rows(page: &str) -> Vec<Row> {
    let section = page.split_once(SECTION).map_or("", |(_, rest)| rest);
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    rows.map(|(layer, rest)| {
        let allowed = rest.split(" | ").next().unwrap_or_default();
        (layer.to_owned(), allowed.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn page(rules: &[(&str, &[&str])]) -> String {
        let mut page = format!("# Page\n\n{SECTION}\n| layer | may also import | reason |\n|---|---|---|\n");
        for (layer, allowed) in rules {
            let allowed: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
            let allowed = if allowed.is_empty() { "–".to_owned() } else { allowed.join(", ") };
            writeln!(page, "| `{layer}` | {allowed} | a reason with `code` |").unwrap();
        }
        page + "\n## Next\n\n| `other` | `table` | – |\n"
    }

    #[test]
    fn a_page_that_says_what_the_check_does_is_right() {
        assert!(differences(&page(MAY_IMPORT)).is_empty());
    }

    #[test]
    fn a_row_that_only_one_of_them_has_is_reported() {
        assert_eq!(differences(&page(&MAY_IMPORT[1..])), ["only xtask/src/layers/table.rs has api: "]);
        let more = [MAY_IMPORT, &[("more", &["api"])]].concat();
        assert_eq!(differences(&page(&more)), ["only docs/architecture.md has more: api"]);
    }

    #[test]
    fn a_row_that_allows_something_else_is_reported() {
        let mut other = MAY_IMPORT.to_vec();
        other[0].1 = &["desired"];
        assert_eq!(differences(&page(&other)).len(), 2);
    }

    #[test]
    fn the_order_counts_because_the_first_row_that_fits_does() {
        let mut other = MAY_IMPORT.to_vec();
        other.swap(0, 1);
        assert_eq!(differences(&page(&other)).len(), 1);
    }

    #[test]
    fn a_module_that_no_file_holds_is_reported() {
        let file = |module: &str| {
            let module = module.split("::").map(str::to_owned).collect();
            (PathBuf::new(), File::new(module, 0, ""))
        };
        let of_rows = MAY_IMPORT.iter().map(|(layer, _)| *layer);
        let mut files: Vec<_> = of_rows.chain(PURE.iter().map(|(module, _)| *module)).map(file).collect();
        assert!(missing_modules(&files).is_empty());
        files.retain(|(_, file)| file.module != ["kinds"]);
        assert_eq!(missing_modules(&files), ["xtask/src/layers/table.rs: there is no module kinds"]);
    }
}
