//! Packets and status of many cameras on a Zenoh network.

use std::process::ExitCode;

fn main() -> ExitCode {
    neuralsmpl_zenoh::cli::main()
}
