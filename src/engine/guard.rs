//! Calls into stages. Errors and panics inside a stage name the stage.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::error::{Error, Result};

/// Calls a stage. A panic becomes [`Error::Stage`]; so does every error of a custom stage, one that lucarne does not ship.
pub(super) fn guarded<T>(label: &str, custom: bool, call: impl FnOnce() -> Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Err(error)) if custom && !matches!(error, Error::Interrupted | Error::Stage { .. }) => {
            Err(Error::stage(label, "failed").caused_by(error))
        }
        Ok(outcome) => outcome,
        Err(panic) => Err(Error::stage(label, format!("panicked: {}", panic_message(panic.as_ref())))),
    }
}

/// Calls code of the engine on another thread, and turns a panic into an error, because no caller would see it.
pub(super) fn guarded_engine<T>(call: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| Error::bug(format!("the engine panicked: {}", panic_message(panic.as_ref()))))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blames_the_stage_for_panics_and_a_custom_one_for_its_errors_too() {
        let fails = || -> Result<()> { Err(Error::bug("no column `flux` in the batch")) };
        assert!(matches!(guarded("mine", false, fails), Err(Error::Bug { .. })));
        let error = guarded("mine", true, fails).expect_err("an error");
        assert!(matches!(&error, Error::Stage { label, .. } if label == "mine"));
        assert_eq!(error.report(), "stage `mine` failed: no column `flux` in the batch");
        let error = guarded("mine", false, || -> Result<()> { panic!("row {}", 3) }).expect_err("a panic");
        assert_eq!(error.report(), "stage `mine` panicked: row 3");
        assert!(matches!(guarded("mine", true, || -> Result<()> { Err(Error::Interrupted) }), Err(Error::Interrupted)));
    }
}
