//! Errors with what the user can do about them: a hint, the exit code of the program, the id of a page.

use std::fmt;
use std::process::ExitCode;

/// The exit code of the program. A signal gives 128 plus its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The command succeeded.
    Done = 0,
    /// The command failed.
    Failed = 1,
    /// The command line or a file that the user wrote is wrong.
    Usage = 2,
    /// The machine or the cluster does not meet a requirement.
    Prerequisite = 3,
    /// Time ran out.
    Timeout = 4,
    /// An expectation (`--expect`, the verdict of a scenario) was not met.
    Expectation = 5,
    /// Lint findings.
    Lint = 6,
    /// Ended by ctrl-C.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// An error with what the user can do about it and the status the program should end with.
///
/// It is transparent in the chain of causes: it shows the error that it wraps.
#[derive(Debug)]
pub struct Advised {
    inner: anyhow::Error,
    hint: Option<String>,
    exit: Option<Exit>,
    id: Option<&'static str>,
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner, f)
    }
}

impl std::error::Error for Advised {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source()
    }
}

/// Adds a hint or an exit code to an error.
pub trait Advise<T> {
    /// Adds one line about what the user can do.
    ///
    /// # Errors
    /// Returns the error with it.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;

    /// Sets the status with which the program ends because of this error.
    ///
    /// # Errors
    /// Returns the error with it.
    fn exit(self, exit: Exit) -> anyhow::Result<T>;

    /// Names the error's page: `docs/errors/ID.md`, which `meshy explain ID` shows.
    ///
    /// # Errors
    /// Returns the error with it.
    fn id(self, id: &'static str) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| error.into().hint(hint))
    }

    fn exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|error| error.into().exit(exit))
    }

    fn id(self, id: &'static str) -> anyhow::Result<T> {
        self.map_err(|error| error.into().id(id))
    }
}

/// Adds a hint, an exit code or a page to an error that is at hand, as [`Advise`] does to the error of a result.
pub trait AdviseError {
    /// Adds one line about what the user can do.
    #[must_use]
    fn hint(self, hint: impl Into<String>) -> anyhow::Error;

    /// Sets the status with which the program ends because of this error.
    #[must_use]
    fn exit(self, exit: Exit) -> anyhow::Error;

    /// Names the error's page.
    #[must_use]
    fn id(self, id: &'static str) -> anyhow::Error;
}

impl AdviseError for anyhow::Error {
    fn hint(self, hint: impl Into<String>) -> anyhow::Error {
        Advised { inner: self, hint: Some(hint.into()), exit: None, id: None }.into()
    }

    fn exit(self, exit: Exit) -> anyhow::Error {
        Advised { inner: self, hint: None, exit: Some(exit), id: None }.into()
    }

    fn id(self, id: &'static str) -> anyhow::Error {
        Advised { inner: self, hint: None, exit: None, id: Some(id) }.into()
    }
}

fn advice(error: &anyhow::Error) -> Vec<&Advised> {
    let mut found = Vec::new();
    for cause in error.chain() {
        let mut next = cause.downcast_ref::<Advised>();
        // The chain skips an `Advised` directly inside another one, since each shows the error that it wraps.
        while let Some(advised) = next {
            found.push(advised);
            next = advised.inner.downcast_ref::<Advised>();
        }
    }
    found
}

/// Returns the exit code of an error: the outermost that was set, else [`Exit::Failed`].
pub fn exit_of(error: &anyhow::Error) -> Exit {
    advice(error).iter().find_map(|a| a.exit).unwrap_or(Exit::Failed)
}

/// Returns the id of the error's page: the innermost one, since it is nearest to the cause.
pub fn id_of(error: &anyhow::Error) -> Option<&'static str> {
    advice(error).iter().rev().find_map(|a| a.id)
}

/// Returns the hints of an error, outermost first, each once.
pub fn hints(error: &anyhow::Error) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for hint in advice(error).iter().filter_map(|a| a.hint.as_deref()) {
        if !found.contains(&hint) {
            found.push(hint);
        }
    }
    found
}

/// Returns the cause of that type, also inside an error with a hint.
pub fn cause<T: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| unwrapped(cause).downcast_ref())
}

/// Returns the error inside an [`Advised`], which shows it.
pub fn unwrapped<'a>(
    mut cause: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    while let Some(advised) = cause.downcast_ref::<Advised>() {
        cause = &*advised.inner;
    }
    cause
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn the_outermost_status_counts_and_the_innermost_page() {
        let error =
            Err::<(), _>(anyhow!("refused")).id("api-failed").exit(Exit::Prerequisite).hint("start it");
        let error = error.context("cannot reach the engine").id("timed-out").exit(Exit::Usage).unwrap_err();
        assert_eq!(
            (exit_of(&error), id_of(&error), hints(&error)),
            (Exit::Usage, Some("api-failed"), vec!["start it"])
        );
    }

    #[test]
    fn a_cause_is_found_inside_an_error_with_a_hint() {
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        let error = Err::<(), _>(Inner).hint("a").exit(Exit::Usage).context("outer").unwrap_err();
        assert!(cause::<Inner>(&error).is_some());
        assert!(cause::<Inner>(&anyhow!("inner")).is_none());
    }

    #[test]
    fn an_error_without_advice_fails() {
        assert_eq!(exit_of(&anyhow!("no")), Exit::Failed);
    }
}
