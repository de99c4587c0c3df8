//! Files that import each other in a circle.
//!
//! A file imports another when it takes something that the other defines. What a `mod.rs` only declares or re-exports
//! does not make it import that file, and an import through it counts as one of the file that defines the item. So
//! a child may take what its parent defines as long as the parent does not use the child.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    slice,
};

use super::paths::{self, File, Homes};

/// What each module imports, and the first line on which it does.
type Imports = BTreeMap<Vec<String>, BTreeMap<Vec<String>, usize>>;

/// Every circle among the files, as `a.rs:1 -> b.rs:2 -> a.rs` with the lines of the imports: for each file in one,
/// a shortest circle that it is part of.
pub fn of(files: &[(PathBuf, File)], homes: &Homes) -> Vec<String> {
    let paths: BTreeMap<_, _> = files.iter().map(|(path, file)| (file.module.clone(), path)).collect();
    let imports = imports(files, homes);
    let circles: BTreeSet<_> = imports.keys().filter_map(|module| circle_of(module, &imports)).collect();
    let shown = |circle: &Vec<Vec<String>>| {
        let next = circle.iter().cycle().skip(1);
        let steps = circle.iter().zip(next);
        let steps = steps.map(|(from, to)| format!("{}:{} -> ", paths[from].display(), imports[from][to]));
        format!("{}{}", steps.collect::<String>(), paths[&circle[0]].display())
    };
    circles.iter().map(|circle| format!("circle: {}", shown(circle))).collect()
}

fn imports(files: &[(PathBuf, File)], homes: &Homes) -> Imports {
    let all: BTreeSet<_> = files.iter().map(|(_, file)| file.module.clone()).collect();
    let declared: BTreeSet<_> = files
        .iter()
        .flat_map(|(_, file)| {
            file.declared.iter().map(|name| [&file.module[..], slice::from_ref(name)].concat())
        })
        .collect();
    // What only tests declare is a part of the tests.
    let is_shipped =
        |module: &Vec<String>| declared.contains(module) || !all.contains(&module[..module.len() - 1]);
    let modules: BTreeSet<_> = all.iter().filter(|module| is_shipped(module)).cloned().collect();
    let shipped = files.iter().filter(|(_, file)| modules.contains(&file.module));
    shipped.map(|(_, file)| (file.module.clone(), imports_of(file, &modules, homes))).collect()
}

/// The modules that define what the file uses, each with the first line on which it is named.
fn imports_of(file: &File, modules: &BTreeSet<Vec<String>>, homes: &Homes) -> BTreeMap<Vec<String>, usize> {
    let mentions: Vec<_> = file.mentions().into_iter().filter(|mention| !mention.is_member).collect();
    let is_used = |name: &String| mentions.iter().any(|mention| mention.path.first() == Some(name));
    // A trait is used without being named, so only of a re-export it is asked.
    let imported = file.uses.iter().filter(|import| !import.is_re_export || is_used(&import.name));
    let imported = imported.map(|import| (import.line, &import.path, import.is_glob));
    let named = mentions.iter().filter(|mention| mention.path.len() > 1);
    let named = named.map(|mention| (mention.line, &mention.path, false));
    let mut found = BTreeMap::new();
    for (line, path, is_glob) in imported.chain(named) {
        let Some(target) = file.resolve(path) else { continue };
        let target = paths::home(target, homes);
        let Some(holder) = paths::holder(&target, modules) else { continue };
        // A module that is only named is used where a path goes through it.
        if *holder != file.module && (is_glob || *holder != target) {
            let first = found.entry(holder.clone()).or_insert(line);
            *first = line.min(*first);
        }
    }
    found
}

/// A shortest way from `module` back to itself, beginning at the least of the modules on it.
fn circle_of(module: &Vec<String>, imports: &Imports) -> Option<Vec<Vec<String>>> {
    let mut from: BTreeMap<&Vec<String>, &Vec<String>> = BTreeMap::new();
    let mut open = VecDeque::from([module]);
    while let Some(here) = open.pop_front() {
        for next in imports.get(here)?.keys() {
            if next == module {
                let mut circle = vec![here.clone()];
                while let Some(before) = circle.last().and_then(|last| from.get(last)) {
                    circle.push((*before).clone());
                }
                circle.reverse();
                let least = circle.iter().enumerate().min_by_key(|(_, module)| *module)?.0;
                circle.rotate_left(least);
                return Some(circle);
            }
            if !from.contains_key(next) {
                from.insert(next, here);
                open.push_back(next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The circles among files, given by module and text.
    fn circles(texts: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<_> = texts
            .iter()
            .map(|(module, text)| {
                let module: Vec<String> = module.split("::").map(str::to_owned).collect();
                (PathBuf::from(module.join("/")), File::new(module, 0, text))
            })
            .collect();
        of(&files, &paths::homes(files.iter().map(|(_, file)| file)))
    }

    #[test]
    fn files_that_import_each_other_are_found() {
        let found = circles(&[
            ("a", "use crate::b::B;"),
            ("b", "use crate::{c::{C, d}};\nuse crate::d;"),
            ("c", "\nfn c() { crate::a::A::new() }"),
            ("d", "use crate::c;\nfn d(x: c::C) {}"),
        ]);
        assert_eq!(found, ["circle: a:1 -> b:1 -> c:2 -> a"]);
    }

    #[test]
    fn a_chain_is_no_circle() {
        assert!(circles(&[("a", "use crate::b::B;"), ("b", "use crate::c::C;"), ("c", "")]).is_empty());
    }

    #[test]
    fn a_parent_that_uses_its_child_is_in_a_circle_with_it() {
        let child = ("a::b", "use super::A;");
        assert_eq!(circles(&[("a", "mod b;\nstruct A(b::B);"), child]), ["circle: a:2 -> a/b:1 -> a"]);
        assert_eq!(circles(&[("a", "mod b;\npub use b::B;\nstruct A(B);"), child]).len(), 1);
        assert_eq!(circles(&[("a", "mod b;\nuse b::Trait;\nstruct A;"), child]).len(), 1);
    }

    #[test]
    fn a_declaration_and_a_re_export_are_no_import() {
        let child = ("a::b", "use super::A;");
        assert!(
            circles(&[("a", "mod b;\npub(crate) use b::{B, C as D};\nstruct A { x: E.B }"), child])
                .is_empty()
        );
    }

    #[test]
    fn an_import_through_a_re_export_is_one_of_the_file_that_defines_the_item() {
        let parent = ("a", "mod b;\nmod c;\npub use b::B;\npub use c::Named as C;");
        assert!(circles(&[parent, ("a::b", "use super::C;"), ("a::c", "")]).is_empty());
        assert_eq!(
            circles(&[parent, ("a::b", "use super::C;"), ("a::c", "use crate::a;\nfn c(b: a::B) {}")]),
            ["circle: a/b:1 -> a/c:2 -> a/b"]
        );
    }

    #[test]
    fn what_only_tests_import_makes_no_circle() {
        let tests = "#[cfg(test)]\nmod tests { use crate::a::A; }";
        assert!(circles(&[("a", "use crate::b::B;"), ("b", tests)]).is_empty());
        let parent = ("a", "#[cfg(test)]\nmod fixtures;\nuse crate::b::B;");
        assert!(circles(&[parent, ("a::fixtures", ""), ("b", "use crate::a::fixtures::x;")]).len() == 1);
        assert!(
            circles(&[("a", "#[cfg(test)] mod b;\nstruct A;\nuse b::B;"), ("a::b", "use super::A;")])
                .is_empty()
        );
    }
}
