//! The operator's binary: everything it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    colonyos_operator::cli::main()
}
