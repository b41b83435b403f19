//! How a run ends: exit status, the hint beside an error, and the one place that prints errors.

use std::fmt;
use std::process::ExitCode;

use console::style;

pub mod api;

use api::Shown;

/// The exit status of the program. A signal gives 128 plus its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// The command line or a file that the user wrote is wrong.
    Usage = 2,
    /// Something that the machine or the cluster must bring is missing.
    Prerequisite = 3,
    /// Time ran out.
    Timeout = 4,
    /// An expectation (`--expect`, the demo's story) did not hold.
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

/// Adds a hint or an exit status to an error.
pub trait Advise<T> {
    /// Says in one line what the user can do.
    ///
    /// # Errors
    /// Passes the error on.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;

    /// Says with which status the program ends if this error gets there.
    ///
    /// # Errors
    /// Passes the error on.
    fn exit(self, exit: Exit) -> anyhow::Result<T>;

    /// Names the error's page: `docs/errors/ID.md`, which `meshy explain ID` shows.
    ///
    /// # Errors
    /// Passes the error on.
    fn id(self, id: &'static str) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> Advise<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|e| Advised { inner: e.into(), hint: Some(hint.into()), exit: None, id: None }.into())
    }

    fn exit(self, exit: Exit) -> anyhow::Result<T> {
        self.map_err(|e| Advised { inner: e.into(), hint: None, exit: Some(exit), id: None }.into())
    }

    fn id(self, id: &'static str) -> anyhow::Result<T> {
        self.map_err(|e| Advised { inner: e.into(), hint: None, exit: None, id: Some(id) }.into())
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

/// The status for an error: the outermost that was set, else [`Exit::Failed`].
pub fn exit_of(error: &anyhow::Error) -> Exit {
    advice(error).iter().find_map(|a| a.exit).unwrap_or(Exit::Failed)
}

/// The error's page: the innermost that was named, since it is nearest to the cause.
pub fn id_of(error: &anyhow::Error) -> Option<&'static str> {
    advice(error).iter().rev().find_map(|a| a.id)
}

/// The hints of an error, outermost first, each once.
pub fn hints(error: &anyhow::Error) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    for hint in advice(error).iter().filter_map(|a| a.hint.as_deref()) {
        if !found.contains(&hint) {
            found.push(hint);
        }
    }
    found
}

/// An error with its causes on one line, for a table or a warning.
pub fn plain(error: &anyhow::Error) -> String {
    texts(error).join(": ")
}

/// What failed and then each cause, as far as it says something new.
fn texts(error: &anyhow::Error) -> Vec<String> {
    texts_of(error.chain())
}

fn texts_of<'a>(chain: impl Iterator<Item = &'a (dyn std::error::Error + 'static)>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for cause in chain {
        let cause = unwrapped(cause);
        let (text, last) = match api::shown(cause) {
            Some(Shown::As(text)) => (text, false),
            Some(Shown::WithItsSources(text)) => (text, true),
            Some(Shown::ByItsSource) => continue,
            None => (cause.to_string(), false),
        };
        // Libraries often repeat their cause in their own text; once is enough.
        if !texts.last().is_some_and(|shown| shown.contains(&text)) {
            texts.push(text);
        }
        if last {
            break;
        }
    }
    texts
}

/// Returns the cause of that type, also inside an error with a hint.
pub fn cause<T: std::error::Error + 'static>(error: &anyhow::Error) -> Option<&T> {
    error.chain().find_map(|cause| unwrapped(cause).downcast_ref())
}

/// The error inside an [`Advised`], which shows it.
fn unwrapped<'a>(mut cause: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(advised) = cause.downcast_ref::<Advised>() {
        cause = &*advised.inner;
    }
    cause
}

/// Prints an error on stderr: what failed, the causes, the hints.
pub fn print(error: &anyhow::Error) {
    eprint!("{}", render(error));
}

/// The text that [`print`] prints.
pub fn render(error: &anyhow::Error) -> String {
    use fmt::Write;
    let mut text = String::new();
    let mut texts = texts(error).into_iter();
    let first = texts.next().unwrap_or_default();
    let _ = writeln!(text, "{} {first}", style("error:").for_stderr().red().bold());
    for cause in texts {
        let _ = writeln!(text, "  {} {}", style("cause:").for_stderr().bold(), without_label(&cause));
    }
    let mut hints = hints(error);
    // The same trouble of two parts has the same cure.
    let mut seen = std::collections::HashSet::new();
    hints.retain(|hint| seen.insert(*hint));
    if !hints.is_empty() {
        text.push('\n');
    }
    for hint in hints {
        let _ = writeln!(text, "{} {hint}", style("hint:").for_stderr().cyan().bold());
    }
    if let Some(id) = id_of(error) {
        let _ = writeln!(text, "{} `meshy explain {id}`", style("more:").for_stderr().cyan().bold());
    }
    text
}

/// A cause without the words that another program, or meshy in another process, put before it.
fn without_label(cause: &str) -> &str {
    let cause = cause.trim();
    ["error: ", "cause: "].iter().find_map(|word| cause.strip_prefix(word)).map_or(cause, str::trim_start)
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn an_error_shows_its_causes_once_and_its_hint_last() {
        let error = Err::<(), _>(anyhow!("connection refused"))
            .hint("start the engine")
            .exit(Exit::Prerequisite)
            .context("cannot reach the Docker engine")
            .unwrap_err();
        assert_eq!(exit_of(&error), Exit::Prerequisite);
        console::set_colors_enabled_stderr(false);
        assert_eq!(
            render(&error),
            "error: cannot reach the Docker engine\n  cause: connection refused\n\nhint: start the engine\n"
        );
    }

    #[test]
    fn an_error_of_the_kubernetes_client_is_shown_without_rust_types() {
        let status = kube::core::Status::failure("address not allowed", "BadRequest").with_code(400).boxed();
        let error = kube::Error::Api(status);
        assert!(error.to_string().contains("Status {"), "the client's own text would do by now: {error}");
        assert_eq!(api::words(&error), "address not allowed");
        let error = Err::<(), _>(error).hint("a hint").context("cannot read the pod").unwrap_err();
        assert_eq!(plain(&error), "cannot read the pod: address not allowed");
        let status = kube::core::Status::failure("gone", "Expired").with_code(410).boxed();
        let watch = kube::runtime::watcher::Error::InitialListFailed(kube::Error::Api(status));
        assert_eq!(plain(&watch.into()), "cannot list the objects to watch: gone");
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
    fn a_cause_that_another_process_printed_as_one_is_not_marked_twice() {
        let error = anyhow!("  cause: Node \"a b\" is invalid").context("the embedded cluster did not start");
        console::set_colors_enabled_stderr(false);
        assert_eq!(
            render(&error),
            "error: the embedded cluster did not start\n  cause: Node \"a b\" is invalid\n"
        );
    }

    #[test]
    fn an_error_without_advice_fails() {
        assert_eq!(exit_of(&anyhow!("no")), Exit::Failed);
    }
}
