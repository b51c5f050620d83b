//! Output: errors with their domain to stderr, results to stdout.

use std::io::{ErrorKind, IsTerminal, Write};

use super::Exit;
use crate::{
    error::{Code, Error, Result},
    pipeline::{Paint, render},
};

/// Prints an error to stderr and returns its exit code.
pub(super) fn error(error: &Error) -> Exit {
    let paint = paint();
    let (red, off) = if paint == Paint::Colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    let domain = match error {
        Error::Pipeline(mistakes) => {
            note(&render(mistakes, paint));
            let nothing_to_mend = mistakes.iter().all(|mistake| mistake.code == Code::Unreachable);
            return if nothing_to_mend { Exit::Failed } else { Exit::Usage };
        }
        Error::Interrupted => {
            note("interrupted after a commit; continue with `--resume`");
            return Exit::Interrupted;
        }
        Error::Data { .. } => "data",
        Error::Environment { .. } => "environment",
        // All stages of the command are lucarne's own.
        Error::Stage { .. } | Error::Bug { .. } => "a bug in lucarne, please report it",
    };
    note(&format!("{red}error{off} ({domain}): {}", error.report()));
    Exit::Failed
}

/// Prints lines to stderr. That the disk of a log is full must not change how a run ends.
pub(super) fn note(text: &str) {
    let mut error = std::io::stderr().lock();
    let _ = writeln!(error, "{}", text.strip_suffix('\n').unwrap_or(text));
}

/// Prints a result to stdout. A closed pipe (`| head`) is not an error.
pub(super) fn result(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::environment("cannot write to the standard output").caused_by(error))
        }
        _ => Ok(()),
    }
}

/// Colours on a terminal, unless `NO_COLOR` is set.
pub(super) fn paint() -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && std::io::stderr().is_terminal() { Paint::Colour } else { Paint::Plain }
}
