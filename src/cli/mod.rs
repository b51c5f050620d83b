//! The command line: one file per command. The only module that prints.
//!
//! Results go to stdout, everything else to stderr. Exit codes: 0 done; 1 done with findings or too many rejects; 2 wrong usage or
//! mistakes in the document; 3 the run failed, or brokers do not answer; 130 interrupted.

mod calibrate;
#[cfg(feature = "onnx")]
mod card;
mod check;
mod compact;
mod explain;
mod kinds;
#[cfg(feature = "sql")]
mod limited;
mod path_argument;
mod pipeline;
#[cfg(feature = "sql")]
mod query;
#[cfg(feature = "report")]
mod report;
mod run;
#[cfg(feature = "report")]
mod serve;
mod terminal;
mod verify;

use std::{
    io::IsTerminal,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

use clap::{ArgAction, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::io::parquet::panics_are_contained;

/// Stream galaxy cutouts through simulated survey observations and ONNX models, and measure how robust the scores are
#[derive(Parser)]
#[command(name = "lucarne", version, arg_required_else_help = true)]
struct Cli {
    /// Log more to stderr: once for the steps of a run, twice for every batch
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Print only errors to stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Run),
    Check(check::Check),
    Explain(explain::Explain),
    Kinds(kinds::Kinds),
    #[cfg(feature = "sql")]
    Query(query::Query),
    Calibrate(calibrate::Calibrate),
    #[cfg(feature = "onnx")]
    Card(card::Card),
    Compact(compact::Compact),
    Verify(verify::Verify),
    #[cfg(feature = "report")]
    Report(report::Report),
}

/// How a command ended; the discriminant is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done = 0,
    Found = 1,
    Usage = 2,
    Failed = 3,
    Interrupted = 130,
}

/// Runs the command and returns its exit code.
pub fn main() -> ExitCode {
    let arguments = std::env::args_os();
    #[cfg(feature = "sql")]
    let arguments = arguments.map(query::argument);
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap returns help and version as errors, with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    log(cli.verbose, cli.quiet);
    std::panic::set_hook(Box::new(|panic| {
        if panics_are_contained() {
            return;
        }
        terminal::note(&format!("error: {panic}\n  = this is a bug in lucarne, please report it"));
    }));
    let exit = catch_unwind(AssertUnwindSafe(|| match &cli.command {
        Command::Run(command) => command.run(cli.quiet).map(Into::into),
        Command::Check(command) => command.run().map(Into::into),
        Command::Explain(command) => command.run().map(Into::into),
        Command::Kinds(command) => command.run().map(Into::into),
        #[cfg(feature = "sql")]
        Command::Query(command) => command.run(),
        Command::Calibrate(command) => command.run().map(Into::into),
        #[cfg(feature = "onnx")]
        Command::Card(command) => command.run().map(Into::into),
        Command::Compact(command) => command.run(cli.quiet).map(Into::into),
        Command::Verify(command) => command.run().map(Into::into),
        #[cfg(feature = "report")]
        Command::Report(command) => command.run().map(Into::into),
    }));
    match exit {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => terminal::error(&error).into(),
        Err(_) => Exit::Failed.into(),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Logs to stderr: warnings by default, more with `-v`. `LUCARNE_LOG` overrides both.
fn log(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) => "warn",
        (_, 1) => "lucarne=info,warn",
        _ => "lucarne=debug,info",
    };
    let filter = EnvFilter::try_from_env("LUCARNE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let terminal = std::io::stderr().is_terminal();
    let logger = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // Otherwise it panics when it cannot write.
    let logger = logger.log_internal_errors(false);
    // Tests may install a second logger in one process; the first one stays.
    let _ = logger.compact().try_init();
}
