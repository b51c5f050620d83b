//! The command line: one file per command. The only code that prints.

pub mod query;

/// Runs the command and gives its exit code.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
