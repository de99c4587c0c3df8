//! `colonyos-operator completion SHELL`: a script with which a shell completes commands and options.

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use super::{Failure, output};

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Shell {
    /// source <(colonyos-operator completion bash)
    Bash,
    /// source <(colonyos-operator completion zsh)
    Zsh,
    /// colonyos-operator completion fish | source
    Fish,
}

/// Prints the script for a command that is installed under this name.
///
/// # Errors
///
/// When it cannot be written.
pub(super) fn print(arguments: &Arguments, mut command: Command, name: &str) -> Result<(), Failure> {
    let generator = match arguments.shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut script = Vec::new();
    generate(generator, &mut command, name, &mut script);
    output::write(&script).map(|_| ())
}
