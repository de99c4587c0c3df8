//! The paths that a file names, and what they lead to.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{self, Token};

/// A file of the crates: where its module stands in the table, and its words without comments, literals and tests.
#[derive(Debug)]
pub struct File {
    /// The module, from the root of the table.
    pub module: Vec<String>,
    /// How many parts of the module name its crate.
    pub root: usize,
    /// The words outside `use` statements and declarations of modules.
    pub body: Vec<Token>,
    /// What its `use` statements name.
    pub uses: Vec<Use>,
    /// The modules that it declares for more than tests.
    pub declared: Vec<String>,
}

/// One leaf of a `use` statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// What is named, as it is written.
    pub path: Vec<String>,
    /// What the file calls it.
    pub name: String,
    /// The line that it stands on.
    pub line: usize,
    /// Whether other modules may name it through this one.
    pub is_re_export: bool,
    /// Whether it stands for everything below the path.
    pub is_glob: bool,
}

/// A path that a file names, with the line it stands on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The parts of the path.
    pub path: Vec<String>,
    /// What a `use` calls it, when not by its last part.
    pub alias: Option<String>,
    /// The line, from 1.
    pub line: usize,
    /// Whether it is a field or a method: it stands behind a dot.
    pub is_member: bool,
}

/// Where what a module imports lives: `colony::Id` in `colony::model::Id`.
pub type Homes = BTreeMap<Vec<String>, Vec<String>>;

impl File {
    /// Reads the source of a module.
    pub fn new(module: Vec<String>, root: usize, text: &str) -> Self {
        let (tokens, _) = source::without_tests(&source::tokens(text));
        let (mut body, mut uses, mut declared) = (Vec::new(), Vec::new(), Vec::new());
        let mut index = 0;
        while let Some(token) = tokens.get(index) {
            if token.text == "use" && !is(&tokens, index + 1, "<") {
                let end = index + tokens[index..].iter().take_while(|token| token.text != ";").count();
                read_use(&tokens[index + 1..end], is_visible(&body), &mut uses);
                index = end + 1;
            } else if token.text == "mod" && is(&tokens, index + 2, ";") {
                declared.push(tokens[index + 1].text.clone());
                index += 3;
            } else {
                body.push(token.clone());
                index += 1;
            }
        }
        Self { module, root, body, uses, declared }
    }

    /// The path from the root of the table, or nothing when it leads out of the crate.
    pub fn resolve(&self, path: &[String]) -> Option<Vec<String>> {
        let first = path.first()?;
        if let Some(absolute) = resolve(&self.module, self.root, path) {
            return Some(absolute);
        }
        if self.declared.contains(first) {
            return Some([&self.module[..], path].concat());
        }
        let imported = self.uses.iter().find(|import| import.name == *first && import.path != path)?;
        let absolute = resolve(&self.module, self.root, &imported.path).or_else(|| {
            let declared = imported.path.first().is_some_and(|first| self.declared.contains(first));
            declared.then(|| [&self.module[..], &imported.path].concat())
        })?;
        Some([&absolute, &path[1..]].concat())
    }

    /// The paths in code.
    pub fn mentions(&self) -> Vec<Mention> {
        let mut found = Vec::new();
        let mut index = 0;
        while index < self.body.len() {
            if is(&self.body, index, "(") && is(&self.body, index + 1, "in") {
                // `pub(in crate::colony)` says who may look, and imports nothing.
                index += self.body[index..].iter().take_while(|token| token.text != ")").count();
            } else if is_word(&self.body[index]) {
                let dots = self.body[..index].iter().rev().take_while(|token| token.text == ".").count();
                let from = found.len();
                index = read_path(&self.body, index, &[], &mut found);
                found[from..].iter_mut().for_each(|mention| mention.is_member = dots == 1);
            } else {
                index += 1;
            }
        }
        found
    }
}

/// Where the names that these files import live.
pub fn homes<'a>(files: impl IntoIterator<Item = &'a File>) -> Homes {
    let mut homes = Homes::new();
    for file in files {
        for import in file.uses.iter().filter(|import| !import.is_glob) {
            // A function may have the name of its module; a path through that name means the module.
            if file.declared.contains(&import.name) {
                continue;
            }
            if let Some(absolute) = file.resolve(&import.path) {
                homes.insert([&file.module[..], std::slice::from_ref(&import.name)].concat(), absolute);
            }
        }
    }
    homes
}

/// Where the named item lives, through every re-export.
pub fn home(mut target: Vec<String>, homes: &Homes) -> Vec<String> {
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

/// The module among `modules` that holds what `target` names: the longest that the path begins with.
pub fn holder<'a>(target: &[String], modules: &'a BTreeSet<Vec<String>>) -> Option<&'a Vec<String>> {
    (1..=target.len()).rev().find_map(|end| modules.get(&target[..end]))
}

/// Whether what stands before a `use` opens it to other modules.
fn is_visible(before: &[Token]) -> bool {
    let last = before.last().map(|token| token.text.as_str());
    // `pub(crate)`, `pub(in crate::colony)`: no statement ends in a parenthesis without a sign behind it.
    last == Some("pub") || last == Some(")")
}

fn read_use(tokens: &[Token], is_re_export: bool, uses: &mut Vec<Use>) {
    let mut found = Vec::new();
    read_path(tokens, 0, &[], &mut found);
    for Mention { mut path, alias, line, .. } in found {
        let is_glob = path.last().is_some_and(|last| last == "*");
        if is_glob || path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let Some(name) = alias.or_else(|| path.last().cloned()) else { continue };
        uses.push(Use { path, name, line, is_re_export, is_glob });
    }
}

/// Reads the path that begins at `index`, adds its leaves to `found`, and returns the index behind it.
fn read_path(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    let line = tokens.get(index).map_or(0, |token| token.line);
    let mut path = prefix.to_vec();
    loop {
        match tokens.get(index) {
            Some(token) if is_word(token) => path.push(token.text.clone()),
            Some(token) if token.text == "{" => return read_group(tokens, index + 1, &path, found),
            // Behind `::`, this is a glob.
            Some(token) if token.text == "*" => path.push(token.text.clone()),
            _ => break,
        }
        index += 1;
        if !(is(tokens, index, ":") && is(tokens, index + 1, ":")) {
            break;
        }
        index += 2;
    }
    // In an expression, `as` names a type, which is a path of its own.
    let is_use = tokens.get(index + 2).is_none_or(|token| matches!(token.text.as_str(), "," | "}"));
    let renamed = is(tokens, index, "as") && is_use;
    let alias = renamed.then(|| tokens.get(index + 1).map(|token| token.text.clone())).flatten();
    index += if renamed { 2 } else { 0 };
    found.push(Mention { path, alias, line, is_member: false });
    index
}

/// Reads the leaves of `{a, b::c as d}`, from behind its opening brace.
fn read_group(tokens: &[Token], mut index: usize, prefix: &[String], found: &mut Vec<Mention>) -> usize {
    while let Some(token) = tokens.get(index) {
        match token.text.as_str() {
            "}" => return index + 1,
            _ if is_word(token) => index = read_path(tokens, index, prefix, found),
            _ => index += 1,
        }
    }
    index
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

fn is(tokens: &[Token], index: usize, text: &str) -> bool {
    tokens.get(index).is_some_and(|token| token.text == text)
}

fn is_word(token: &Token) -> bool {
    token.text.starts_with(|first: char| first.is_alphabetic() || first == '_')
}
