//! The command `neuralsmpl`; all of it lives in the library.

use std::process::ExitCode;

use neuralsmpl_health::pool::PoolAllocator;

/// The system's, but for what the networks' engine asks for while `neuralsmpl run` follows people.
#[global_allocator]
static ALLOCATOR: PoolAllocator = PoolAllocator::system();

fn main() -> ExitCode {
    neuralsmpl::cli::main()
}
