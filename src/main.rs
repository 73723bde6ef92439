//! The command line: parse, call, exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    segmill::cli::main()
}
