//! Errors that end a run, by domain, and diagnostics of pipelines.
//!
//! Three severities, never mixed: a [`Reject`](crate::stage::Reject) is one unusable row, and the run continues; a
//! [`Diagnostic`] is a mistake in a pipeline, found before the run; an [`Error`] ends a run.

mod diagnostic;
mod suggest;

use std::{fmt::Write as _, io, path::Path};

pub use self::{
    diagnostic::{Code, Diagnostic, Location},
    suggest::{did_you_mean, nearest, quoted_list},
};

/// The error underneath an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The result of anything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A run that cannot continue. Match on the variant; `Display` gives its own message only, [`report`](Self::report) the whole
/// chain of causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input is not what the pipeline was promised, and not for one row only.
    #[error("{message}")]
    Data {
        /// What was found and what was expected.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<Cause>,
    },
    /// The environment failed: a disk, a missing library, a device, a network.
    #[error("{message}")]
    Environment {
        /// What could not be done.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<Cause>,
    },
    /// A stage broke its contract: it panicked, lost rows, or is the caller's own and returned an error.
    #[error("stage `{label}` {message}")]
    Stage {
        /// The label of the stage; `source` for the source.
        label: String,
        /// What it did: `failed`, `panicked: ...`, `lost rows: ...`.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<Cause>,
    },
    /// A defect in lucarne itself.
    #[error("{message}")]
    Bug {
        /// The invariant that does not hold.
        message: String,
        /// The error underneath.
        #[source]
        source: Option<Cause>,
    },
    /// The pipeline has mistakes: all that could be found.
    #[error("{}", lines(.0))]
    Pipeline(Vec<Diagnostic>),
    /// Stopped on request. The run continues from its last commit.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Unusable input.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data { message: message.into(), source: None }
    }

    /// A failure of the environment.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::Environment { message: message.into(), source: None }
    }

    /// A defect in lucarne.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::Bug { message: message.into(), source: None }
    }

    /// A stage that broke its contract.
    pub fn stage(label: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Stage { label: label.into(), message: message.into(), source: None }
    }

    /// A failed operation on a file: `Error::io("read", path, error)` reads "cannot read `path`".
    pub fn io(operation: &str, path: &Path, error: io::Error) -> Self {
        Self::environment(format!("cannot {operation} `{}`", path.display())).caused_by(error)
    }

    /// The same error with the one underneath. Mistakes and interruptions have none.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        match &mut self {
            Self::Data { source, .. }
            | Self::Environment { source, .. }
            | Self::Stage { source, .. }
            | Self::Bug { source, .. } => *source = Some(cause.into()),
            Self::Pipeline(_) | Self::Interrupted => {}
        }
        self
    }

    /// The message with those of all causes, on one line: `cannot read `a.fits`: permission denied`.
    pub fn report(&self) -> String {
        let mut report = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let _ = write!(report, ": {error}");
            cause = error.source();
        }
        report
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            // What we wrapped ourselves on the way through an Arrow reader comes out unchanged.
            arrow::error::ArrowError::ExternalError(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(other) => Self::bug("an Arrow operation failed").caused_by(other),
            },
            other => Self::bug("an Arrow operation failed").caused_by(other),
        }
    }
}

impl From<Vec<Diagnostic>> for Error {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        Self::Pipeline(diagnostics)
    }
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_cause_and_reports_the_whole_chain() {
        let error = Error::io("read", Path::new("a.fits"), io::Error::from(io::ErrorKind::PermissionDenied));
        assert_eq!(error.to_string(), "cannot read `a.fits`");
        assert_eq!(error.report(), "cannot read `a.fits`: permission denied");
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        assert_eq!(cause.map(io::Error::kind), Some(io::ErrorKind::PermissionDenied));
    }

    #[test]
    fn an_error_comes_back_out_of_arrow_unchanged() {
        let wrapped = arrow::error::ArrowError::ExternalError(Box::new(Error::data("no such column")));
        assert!(matches!(Error::from(wrapped), Error::Data { message, .. } if message == "no such column"));
    }
}
