//! Errors of FITS files.

use std::{
    fmt::{self, Write as _},
    io,
};

use super::header::WrongKey;
use crate::error::{Cause, Error};

/// Why a file, or one HDU of it, cannot be read. `Display` names the file; the cause is its source.
#[derive(Debug)]
pub struct FitsError {
    /// The path of the file, or the name that was given to its bytes.
    pub name: String,
    /// The index of the HDU, if only one is affected.
    pub hdu: Option<usize>,
    reason: Reason,
}

impl FitsError {
    pub(super) fn new(name: &str, hdu: Option<usize>, reason: Reason) -> Self {
        Self { name: name.to_owned(), hdu, reason }
    }

    /// The error of the system, if it does not depend on the file: too many open files, a failing disk. The file may be good.
    pub fn outside(&self) -> Option<&io::Error> {
        self.io_error().filter(|error| is_outside(error))
    }

    /// The error of the system, whatever it is about.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.reason.cause.as_deref()?.downcast_ref()
    }

    /// What was found and what was expected, with all causes but without the name of the file: the reason of a reject, which
    /// names its origin itself.
    pub fn reason(&self) -> String {
        self.reason.report()
    }
}

impl fmt::Display for FitsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hdu {
            Some(hdu) => write!(f, "`{}[{hdu}]` {}", self.name, self.reason.message),
            None => write!(f, "`{}` {}", self.name, self.reason.message),
        }
    }
}

impl std::error::Error for FitsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.reason.cause.as_deref().map(|cause| cause as _)
    }
}

impl From<FitsError> for Error {
    fn from(error: FitsError) -> Self {
        let data = Self::data(error.to_string());
        match error.reason.cause {
            Some(cause) => data.caused_by(cause),
            None => data,
        }
    }
}

/// Whether an error does not depend on the file. A file that is missing, forbidden or cut off would fail again.
pub(crate) fn is_outside(error: &io::Error) -> bool {
    use io::ErrorKind::{
        InvalidData, InvalidFilename, InvalidInput, IsADirectory, NotADirectory, NotFound, PermissionDenied,
        UnexpectedEof,
    };
    let of_the_file = [
        NotFound,
        PermissionDenied,
        UnexpectedEof,
        InvalidData,
        InvalidInput,
        InvalidFilename,
        IsADirectory,
        NotADirectory,
    ];
    // A chain of links that leads in a circle has no name in stable Rust.
    !of_the_file.contains(&error.kind()) && !error.to_string().contains("symbolic links")
}

/// Why something cannot be read, before it is known in which file: `is cut off: ...`.
#[derive(Debug)]
pub(super) struct Reason {
    message: String,
    cause: Option<Cause>,
}

impl Reason {
    pub(super) fn caused_by(message: &str, cause: impl Into<Cause>) -> Self {
        Self { message: message.to_owned(), cause: Some(cause.into()) }
    }

    /// The message and those of all causes.
    pub(super) fn report(&self) -> String {
        let mut report = self.message.clone();
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
        while let Some(error) = cause {
            let _ = write!(report, ": {error}");
            cause = error.source();
        }
        report
    }
}

impl From<String> for Reason {
    fn from(message: String) -> Self {
        Self { message, cause: None }
    }
}

impl From<&str> for Reason {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

impl From<WrongKey> for Reason {
    fn from(error: WrongKey) -> Self {
        error.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, io, path::Path};

    use super::*;
    use crate::fits::{FitsFile, Limits, Writer};

    #[test]
    fn an_unreadable_file_keeps_its_cause() {
        let error = FitsFile::open(Path::new("no/such.fits"), &Limits::default()).expect_err("no file");
        let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
        assert_eq!(
            (error.to_string().as_str(), cause),
            ("`no/such.fits` cannot be read", Some(io::ErrorKind::NotFound))
        );
        assert!(error.reason().starts_with("cannot be read: No such file"), "{}", error.reason());
        let error = Error::from(error);
        assert!(matches!(error, Error::Data { .. }));
        assert!(error.report().starts_with("`no/such.fits` cannot be read: No such file"), "{}", error.report());
    }

    #[test]
    fn a_missing_hdu_is_named() {
        let mut file = Writer::new();
        file.image(&[2, 2], &[0.0; 4], &[]);
        let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
        let error = file.image(3).map(|_| ()).expect_err("no such HDU");
        assert_eq!(error.to_string(), "`memory[3]` is missing: the file has 1 HDU");
        assert_eq!((error.hdu, error.reason()), (Some(3), "is missing: the file has 1 HDU".to_owned()));
        assert!(error.source().is_none());
    }
}
