//! Refuses snapshots that were taken with other settings.
//!
//! [`decode`](crate::run::snapshot::decode) refuses damaged snapshots and those of another kind or format. What a state was
//! computed from (scores, classes, upstream monitors) is part of the state, and each monitor compares it with its own settings.

use std::fmt::Debug;

use crate::error::{Error, Result};

/// Refuses the snapshot of the monitor `label` unless `what` is the same in the snapshot and in the settings.
///
/// # Errors
/// [`Error::Data`] with both values.
pub(crate) fn expect_same<T: PartialEq + Debug>(label: &str, what: &str, found: &T, expected: &T) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(other_settings(label, &format!("{what} is {found:?}, expected {expected:?}")))
}

/// A snapshot of the monitor `label` that was taken with other settings, and the difference.
pub(crate) fn other_settings(label: &str, difference: &str) -> Error {
    Error::data(format!(
        "the snapshot of `{label}` was taken with other settings: {difference}; finish the run with the settings that began \
         it, or overwrite it"
    ))
}

/// A snapshot whose parts contradict each other.
pub(crate) fn damaged(label: &str) -> Error {
    Error::data(format!("the snapshot of `{label}` is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_differs_and_both_values() {
        assert!(expect_same("drift", "score", &"a", &"a").is_ok());
        let error = expect_same("drift", "score", &"a", &"b").expect_err("refused").to_string();
        assert!(error.contains("`drift`") && error.contains("score is \"a\", expected \"b\""), "{error}");
    }
}
