//! Images under the names that manifests of the repository use, made of programs that this machine has: a shell, a
//! container that stays, and PostgreSQL. A stack has no way to a registry, and needs none.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::archive::{Content, Entry};
use crate::{cluster, packages};

/// Names of the image with a shell.
pub const SHELL: &[&str] = &["busybox:stable"];
/// Names of the image that does nothing until it is stopped.
pub const STAYS: &[&str] = &["nginx:stable", "localhost/web:dev"];
/// Names of the image of the example executor.
pub const WORKS: &[&str] = &["localhost/worker:dev"];
/// Names of the image of PostgreSQL, whichever version this machine has.
pub const DATABASE: &[&str] = &["postgres:16"];
/// User and group of PostgreSQL, as in the image that is usual.
pub const DATABASE_USER: &str = "999:999";

/// Programs of the image with a shell.
const SHELL_PROGRAMS: &[&str] = &["sh", "sleep", "cat"];
/// Programs of PostgreSQL in its image.
const DATABASE_PROGRAMS: &[&str] = &["postgres", "initdb", "pg_isready", "psql"];
/// What the image of PostgreSQL does: the part of what the usual one promises that manifests here count on.
const DATABASE_ENTRY_POINT: &str = r#"#!/bin/sh
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    umask 077
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth scram-sha-256 \
        --encoding UTF8 --locale C
    printf 'CREATE DATABASE "%s"\n' "$POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
fi
exec postgres -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/var/run/postgresql
"#;

/// A shell and what scripts need.
///
/// # Errors
/// When a program of it cannot be read.
pub fn shell() -> Result<Vec<Entry>> {
    let mut entries = BTreeSet::from([shared_folder("tmp")]);
    add_programs(&mut entries, SHELL_PROGRAMS, None)?;
    Ok(entries.into_iter().collect())
}

/// PostgreSQL, from the folder of its programs, as `/usr/lib/postgresql/15/bin`.
///
/// # Errors
/// When a file of it cannot be read.
pub fn database(programs: &Path) -> Result<Vec<Entry>> {
    let mut entries = BTreeSet::from([shared_folder("tmp"), shared_folder("var/run/postgresql")]);
    add_programs(&mut entries, SHELL_PROGRAMS, None)?;
    add_programs(&mut entries, DATABASE_PROGRAMS, Some(programs))?;
    let shown = |option: &str| {
        let told = cluster::output(Command::new(programs.join("pg_config")).arg(option))?;
        Ok::<_, anyhow::Error>(PathBuf::from(told.trim()))
    };
    for folder in [shown("--sharedir")?, shown("--pkglibdir")?] {
        add_folder(&mut entries, &folder)?;
    }
    let file = |path: &str, text: &str| Entry { path: path.to_owned(), content: Content::File(text.into()) };
    // PostgreSQL asks who it is.
    entries.insert(file("etc/passwd", "postgres:x:999:999::/:/bin/sh\n"));
    let entry_point = Content::Program(DATABASE_ENTRY_POINT.into());
    entries.insert(Entry { path: "entry-point".to_owned(), content: entry_point });
    Ok(entries.into_iter().collect())
}

fn shared_folder(path: &str) -> Entry {
    Entry { path: path.to_owned(), content: Content::SharedFolder }
}

/// Programs where they lie on this machine, linked from `/bin`, with the libraries that they load.
fn add_programs(entries: &mut BTreeSet<Entry>, names: &[&str], folder: Option<&Path>) -> Result<()> {
    for name in names {
        let found = folder.map_or_else(|| packages::find(name), |folder| Some(folder.join(name)));
        let found = found.with_context(|| format!("failed to find {name}"))?;
        let program =
            fs::canonicalize(&found).with_context(|| format!("failed to find {}", found.display()))?;
        add_file(entries, &program, Content::Program)?;
        let path = format!("bin/{name}");
        if inside(&program) != path {
            let target = program.to_string_lossy().into_owned();
            entries.insert(Entry { path, content: Content::Link(target) });
        }
        for library in libraries(&program)? {
            add_file(entries, &library, Content::Program)?;
        }
    }
    Ok(())
}

/// What a program loads, by the paths under which it looks for it.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let told = cluster::output(Command::new("ldd").arg(program))?;
    Ok(told.lines().filter_map(library).collect())
}

/// The path in a line of `ldd`, as in `libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x0000ffff)`.
fn library(line: &str) -> Option<PathBuf> {
    let line = line.trim();
    let found = line.split_once(" => ").map_or(line, |(_, found)| found);
    let path = found.split_once(" (").map_or(found, |(path, _)| path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// A folder with all that is in it, but for compilers of queries, which are large and not needed.
fn add_folder(entries: &mut BTreeSet<Entry>, folder: &Path) -> Result<()> {
    let failed = || format!("failed to read {}", folder.display());
    for found in fs::read_dir(folder).with_context(failed)? {
        let path = found.with_context(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("llvmjit") || name == "bitcode" || name == "bin" {
            continue;
        }
        if path.is_dir() {
            add_folder(entries, &path)?;
        } else {
            add_file(entries, &path, Content::File)?;
        }
    }
    Ok(())
}

fn add_file(entries: &mut BTreeSet<Entry>, path: &Path, content: fn(Vec<u8>) -> Content) -> Result<()> {
    let bytes = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    if !path.is_absolute() {
        bail!("{} is no absolute path", path.display());
    }
    entries.insert(Entry { path: inside(path), content: content(bytes) });
    Ok(())
}

/// A path in an image.
fn inside(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_of_libraries_are_read_and_what_the_kernel_brings_is_not() {
        let told = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tnone.so => not found\n\tstatically linked\n";
        let found: Vec<PathBuf> = told.lines().filter_map(library).collect();
        assert_eq!(
            found,
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_shell_is_found_under_its_usual_name() {
        let entries = shell().unwrap();
        let shell = entries.iter().find(|entry| entry.path == "bin/sh");
        assert!(shell.is_some(), "{:?}", entries.iter().map(|entry| &entry.path).collect::<Vec<_>>());
        assert!(
            entries.iter().any(
                |entry| matches!(&entry.content, Content::Program(bytes) if bytes.starts_with(b"\x7fELF"))
            )
        );
    }
}
