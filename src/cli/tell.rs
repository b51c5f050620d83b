//! What goes to the terminal: errors with whose fault they are, and results.

use std::io::{ErrorKind, IsTerminal, Write};

use super::Exit;
use crate::{
    error::{Error, Result},
    pipeline::{Paint, render},
};

/// Prints an error to stderr; the exit code that it means.
pub(super) fn error(error: &Error) -> Exit {
    let paint = paint();
    let (red, off) = if paint == Paint::Colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let blame = match error {
        Error::Pipeline(mistakes) => {
            eprint!("{}", render(mistakes, paint));
            return Exit::Usage;
        }
        Error::Interrupted => {
            eprintln!("interrupted after a commit: `--resume` goes on from there");
            return Exit::Interrupted;
        }
        Error::Data(_) => "data",
        Error::Outside(_) => "outside",
        Error::Bug(_) => "bug",
    };
    eprintln!("{red}error{off} ({blame}): {error}");
    Exit::Failed
}

/// Prints a result to stdout. A reader that has gone away (`| head`) is no error.
pub(super) fn result(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Outside(format!("cannot write to the standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Colours on a terminal that wants them.
pub(super) fn paint() -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stderr().is_terminal() { Paint::Colour } else { Paint::Plain }
}
