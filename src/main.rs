//! The command line: parse, call, exit status.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: segmill_allocator::Allocator = segmill_allocator::Allocator;

fn main() -> ExitCode {
    segmill::cli::main()
}
