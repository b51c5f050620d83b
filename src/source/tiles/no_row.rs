//! Why an object of the catalogue has no row.

use crate::error::Error;

/// Why an object has no row.
pub(super) enum NoRow {
    /// It is a reject, with this reason.
    Rejected(String),
    /// The run cannot continue.
    Failed(Error),
}

impl From<String> for NoRow {
    fn from(reason: String) -> Self {
        Self::Rejected(reason)
    }
}
