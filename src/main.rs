//! The command `neuralsmpl`; all of it lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    neuralsmpl::cli::main()
}
