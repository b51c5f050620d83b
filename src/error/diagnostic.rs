//! A mistake in a pipeline: what is wrong, where, and what to do.

use std::fmt;

use super::suggest::suggestion;

/// A mistake in a pipeline, reported by the stage that found it. The document adds file, line and caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Where, inside the stage's settings: `["constants", "domain"]`. Empty for the stage as a whole.
    pub path: Vec<String>,
    /// Its stable code.
    pub code: Code,
    /// What is wrong: lowercase, no final stop, names in backticks.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Its place in a document; added by the document, `None` for a stage built in code.
    pub location: Option<Box<Location>>,
}

/// The place of a diagnostic in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, or the argument of the command line (`--set count=x`).
    pub origin: String,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// Length of the marked text, characters, at least 1.
    pub length: usize,
    /// The text of the line.
    pub source: String,
    /// A second place that explains the first, and how: `first used here`.
    pub related: Option<(Box<Location>, &'static str)>,
}

/// The stable code of a diagnostic, printed in brackets and safe to match on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Code {
    /// The text is not YAML.
    Syntax,
    /// A key that is not defined there.
    UnknownKey,
    /// A required key is missing.
    MissingKey,
    /// A kind that the section does not have.
    UnknownKind,
    /// One key twice in the same place.
    DuplicateKey,
    /// One label for two steps.
    DuplicateLabel,
    /// A label that is reserved or not an identifier.
    BadLabel,
    /// A column that no earlier step makes.
    UnknownColumn,
    /// A column of another type than the stage reads.
    WrongColumn,
    /// A value of another type than the key takes.
    WrongType,
    /// A value outside what the key allows.
    OutOfRange,
    /// A parameter without a value.
    UnsetParameter,
    /// A file that does not exist or cannot be read.
    MissingFile,
    /// A service that does not answer now, such as a broker: nothing to mend in the document, so the command exits 3.
    Unreachable,
    /// A model whose card is unusable or does not fit its image.
    ModelMismatch,
    /// Settings that exclude each other.
    Conflict,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 16] = [
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
        Self::Unreachable,
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
            Self::Unreachable => "unreachable",
            Self::ModelMismatch => "model-mismatch",
            Self::Conflict => "conflict",
        }
    }
}

impl Diagnostic {
    /// A diagnostic at a key of the stage's settings (`"constants.domain"`; empty for the whole stage).
    pub fn at(key: &str, code: Code, message: impl Into<String>) -> Self {
        let path = key.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { path, code, message: message.into(), help: None, location: None }
    }

    /// The same with a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with help for an unknown name: the known name that was probably meant, else a list of all. `what` names them
    /// in the plural: `columns`, `bands`.
    #[must_use]
    pub fn suggest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>, what: &str) -> Self {
        let help = suggestion(name, known, what);
        self.help(help)
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Location { origin, line, column, .. }) = self.location.as_deref() {
            write!(f, "{origin}:{line}:{column}: ")?;
        }
        write!(f, "[{}] {}", self.code.name(), self.message)?;
        if !self.path.is_empty() && self.location.is_none() {
            write!(f, " (at `{}`)", self.path.join("."))?;
        }
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; help: {help}"))
    }
}
