//! What can go wrong, and whose fault it is.
//!
//! Three kinds of trouble, never mixed: a [`Reject`](crate::stage::Reject) is one bad row, and the run goes on;
//! a [`Mistake`] is in the pipeline document, found before the run; an [`Error`] ends a run.

use std::{fmt, path::Path};

/// A run that cannot go on, by whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input is not what the pipeline was promised, and not for one row only.
    #[error("{0}")]
    Data(String),
    /// The world outside failed: a disk, a missing library, a device.
    #[error("{0}")]
    Outside(String),
    /// Something that cannot happen did.
    #[error("{0} (a bug of lucarne, please report it)")]
    Bug(String),
    /// The pipeline document has mistakes: all that could be found.
    #[error("{}", list(.0))]
    Pipeline(Vec<Mistake>),
    /// Stopped on request, after a commit.
    #[error("interrupted")]
    Interrupted,
}

/// The result of anything that can end a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An input or output failure, with what was being done to which file.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Outside(format!("cannot {doing} `{}`: {error}", path.display()))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::Bug(format!("arrow: {error}"))
    }
}

impl From<Vec<Mistake>> for Error {
    fn from(mistakes: Vec<Mistake>) -> Self {
        Self::Pipeline(mistakes)
    }
}

/// A mistake in a pipeline, said by the stage that found it. The document adds file, line and caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, inside the stage's settings: `["constants", "domain"]`. Empty for the stage as a whole.
    pub path: Vec<String>,
    /// What sort of mistake.
    pub code: Code,
    /// What is wrong: lowercase, no final stop, names in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where it stands in a document; added by the document, `None` for a stage built in code.
    pub place: Option<Box<Place>>,
}

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the argument of the command line (`--set count=x`).
    pub origin: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// How many characters are meant, at least 1.
    pub length: usize,
    /// The text of the line.
    pub source: String,
    /// What belongs to it elsewhere, and why it does: `first here`.
    pub related: Option<(Box<Place>, &'static str)>,
}

/// The stable code of a mistake, printed in brackets and safe to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The text is not YAML.
    Syntax,
    /// A key that its place does not have.
    UnknownKey,
    /// A key that has to be there and is not.
    MissingKey,
    /// A kind that its section does not have.
    UnknownKind,
    /// One key twice in the same place.
    DuplicateKey,
    /// One label for two steps.
    DuplicateLabel,
    /// A label that is reserved or no identifier.
    BadLabel,
    /// A column that no step above makes.
    UnknownColumn,
    /// A column of another type than the stage reads.
    WrongColumn,
    /// A value of another type than the key takes.
    WrongType,
    /// A value outside what the key allows.
    OutOfRange,
    /// A parameter without a value.
    UnsetParameter,
    /// A file that is not there or cannot be read.
    MissingFile,
    /// A model whose card is unusable or does not fit its image.
    ModelMismatch,
    /// Settings that exclude each other.
    Conflict,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Syntax,
        Self::UnknownKey,
        Self::MissingKey,
        Self::UnknownKind,
        Self::DuplicateKey,
        Self::DuplicateLabel,
        Self::BadLabel,
        Self::UnknownColumn,
        Self::WrongColumn,
        Self::WrongType,
        Self::OutOfRange,
        Self::UnsetParameter,
        Self::MissingFile,
        Self::ModelMismatch,
        Self::Conflict,
    ];

    /// The code as printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownKey => "unknown-key",
            Self::MissingKey => "missing-key",
            Self::UnknownKind => "unknown-kind",
            Self::DuplicateKey => "duplicate-key",
            Self::DuplicateLabel => "duplicate-label",
            Self::BadLabel => "bad-label",
            Self::UnknownColumn => "unknown-column",
            Self::WrongColumn => "wrong-column",
            Self::WrongType => "wrong-type",
            Self::OutOfRange => "out-of-range",
            Self::UnsetParameter => "unset-parameter",
            Self::MissingFile => "missing-file",
            Self::ModelMismatch => "model-mismatch",
            Self::Conflict => "conflict",
        }
    }
}

impl Mistake {
    /// A mistake at a key of the stage's settings (`"constants.domain"`; empty for the whole stage).
    pub fn at(key: &str, code: Code, message: impl Into<String>) -> Self {
        let path = key.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { path, code, message: message.into(), help: None, place: None }
    }

    /// The same with a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { origin, line, column, .. }) = self.place.as_deref() {
            write!(f, "{origin}:{line}:{column}: ")?;
        }
        write!(f, "[{}] {}", self.code.name(), self.message)?;
        if !self.path.is_empty() && self.place.is_none() {
            write!(f, " (at `{}`)", self.path.join("."))?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; help: {help}"))
    }
}

fn list(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The known name nearest to a misspelt one, if any is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().min(name.len()) / 3))
        .min()
        .map(|(_, candidate)| candidate)
}
