//! `colonyos-operator definitions import FILE`: definitions of kinds as ColonyOS writes them, as `ResourceDefinitions`.

use std::{fs, io, io::Read as _, path::PathBuf};

use clap::Subcommand;
use serde::Deserialize as _;
use serde_json::Value;

use super::{Failure, output};
use crate::kinds::definition::{DEFAULT_GROUP, import};

/// What `definitions` takes.
#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the definitions in a file that was written for ColonyOS as definitions of this operator; needs no server
    Import(Import),
}

#[derive(clap::Args)]
struct Import {
    /// File with one definition, a list of them or a stream, as JSON or YAML; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[arg(long, value_name = "NAME", help = format!("API group of the kinds, whatever the file says [default: the file's, or {DEFAULT_GROUP}]"))]
    group: Option<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Command::Import(arguments) = &arguments.command;
    let text = if arguments.file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        fs::read_to_string(&arguments.file)
            .map_err(|error| format!("failed to read {}: {error}", arguments.file.display()))?
    };
    let definitions = definitions(&text)?;
    if definitions.is_empty() {
        return Err(format!("{}: there is no definition in it", arguments.file.display()).into());
    }
    let mut text = String::new();
    for (index, file) in definitions.iter().enumerate() {
        let imported = import(file, arguments.group.as_deref())
            .map_err(|error| format!("definition {} of {}: {error}", index + 1, arguments.file.display()))?;
        for note in &imported.notes {
            output::complain(format_args!("note: {note}"));
        }
        text.push_str("---\n");
        text.push_str(&serde_norway::to_string(&imported.definition)?);
    }
    output::print(&text)
}

/// The definitions in a stream of documents, each of which may be a list.
fn definitions(text: &str) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for document in serde_norway::Deserializer::from_str(text) {
        match Value::deserialize(document).map_err(|error| format!("failed to read JSON or YAML: {error}"))? {
            Value::Null => {}
            Value::Array(list) => found.extend(list),
            one => found.push(one),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_hold_several_definitions() {
        assert_eq!(definitions("[{\"kind\": \"a\"}, {\"kind\": \"b\"}]").unwrap().len(), 2);
        assert_eq!(definitions("kind: a\n---\nkind: b\n---\n").unwrap().len(), 2);
        assert_eq!(definitions("").unwrap(), [] as [Value; 0]);
        assert!(definitions("{").is_err());
    }
}
