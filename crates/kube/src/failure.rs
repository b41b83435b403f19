//! Failures of the Kubernetes API, and errors as text.

use std::error::Error as StdError;
use std::sync::Arc;

use kube::core::Status;
use kube::runtime::watcher;
use meshy_base::error::unwrapped;

type BoxError = Box<dyn StdError + Send + Sync>;

/// An API server did not do its part. Its text names the server and is complete without its sources.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection, or one that the server does not authenticate.
    #[error("cannot reach the API server at {server}: {why}")]
    Unreachable {
        /// Its URL.
        server: Arc<str>,
        /// The innermost cause.
        why: String,
        /// All of it.
        #[source]
        source: BoxError,
    },
    /// A connection that ended or broke before the response was complete.
    #[error("lost the connection to the API server at {server}: {why}")]
    Lost {
        /// Its URL.
        server: Arc<str>,
        /// The innermost cause.
        why: String,
        /// All of it.
        #[source]
        source: BoxError,
    },
    /// A response that no Kubernetes API server sends.
    #[error("the API server at {server} {what}")]
    Unexpected {
        /// Its URL.
        server: Arc<str>,
        /// A verb and what it did.
        what: String,
    },
}

/// Returns the API server's failure behind an error; none where the server responded as it should, or was not involved.
pub fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.chain().find_map(|cause| of_cause(unwrapped(cause)))
}

fn of_cause<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a Failure> {
    let boxed = cause.downcast_ref::<Box<Failure>>().map(|boxed| &**boxed);
    cause.downcast_ref::<Failure>().or(boxed)
}

/// Returns the text of a client error.
pub fn words(error: &kube::Error) -> String {
    texts_of(chain(error)).join(": ")
}

/// An error and its sources.
pub(crate) fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// Whether the API server refused a request for lack of rights.
pub fn is_forbidden(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.is_forbidden())
}

/// The API server's own words, or what little there is.
pub fn words_of(status: &Status) -> String {
    match (status.message.is_empty(), status.reason.is_empty()) {
        (false, _) => status.message.clone(),
        (true, false) => status.reason.clone(),
        (true, true) => format!("the API server returned status {}", status.code),
    }
}

/// How a cause is shown.
enum Shown {
    /// As this text.
    As(String),
    /// As this text, which has the texts of its sources.
    WithItsSources(String),
    /// Only its source is.
    ByItsSource,
}

/// How an error of the Kubernetes client is shown, whose own texts hold the Debug form of an object; none for others.
fn shown(cause: &(dyn StdError + 'static)) -> Option<Shown> {
    if let Some(failure) = of_cause(cause) {
        return Some(Shown::WithItsSources(failure.to_string()));
    }
    if let Some(error) = cause.downcast_ref::<kube::Error>() {
        return match error {
            kube::Error::Api(status) => Some(Shown::WithItsSources(words_of(status))),
            kube::Error::Service(_) | kube::Error::HyperError(_) => Some(Shown::ByItsSource),
            kube::Error::SerdeError(source) => {
                Some(Shown::WithItsSources(format!("the API server's response cannot be read: {source}")))
            }
            _ => None,
        };
    }
    Some(match cause.downcast_ref::<watcher::Error>()? {
        watcher::Error::InitialListFailed(_) => Shown::As("cannot list the objects to watch".to_owned()),
        watcher::Error::WatchStartFailed(_) | watcher::Error::WatchFailed(_) => {
            Shown::As("cannot watch the objects".to_owned())
        }
        watcher::Error::WatchError(status) => Shown::WithItsSources(words_of(status)),
        watcher::Error::NoResourceVersion => return None,
    })
}

/// Returns an error with its causes on one line, for a table or a warning.
pub fn plain(error: &anyhow::Error) -> String {
    texts(error).join(": ")
}

/// An error that several owners keep, to show it later. As text it is on one line, as [`plain`] writes it.
#[derive(Clone, Debug)]
pub struct SharedError(Arc<anyhow::Error>);

impl From<anyhow::Error> for SharedError {
    fn from(error: anyhow::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl std::fmt::Display for SharedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&plain(&self.0))
    }
}

/// Returns what failed, then each cause that adds something to the one before.
pub fn texts(error: &anyhow::Error) -> Vec<String> {
    texts_of(error.chain())
}

fn texts_of<'a>(chain: impl Iterator<Item = &'a (dyn StdError + 'static)>) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for cause in chain {
        let cause = unwrapped(cause);
        let (text, last) = match shown(cause) {
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

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use meshy_base::error::Advise as _;

    use super::*;

    #[test]
    fn an_error_of_the_kubernetes_client_is_shown_without_rust_types() {
        let status = Status::failure("address not allowed", "BadRequest").with_code(400).boxed();
        let error = kube::Error::Api(status);
        assert!(error.to_string().contains("Status {"), "the client's text would be readable: {error}");
        assert_eq!(words(&error), "address not allowed");
        let error = Err::<(), _>(error).hint("a hint").context("cannot read the pod").unwrap_err();
        assert_eq!(plain(&error), "cannot read the pod: address not allowed");
        let status = Status::failure("gone", "Expired").with_code(410).boxed();
        let watch = watcher::Error::InitialListFailed(kube::Error::Api(status));
        assert_eq!(plain(&watch.into()), "cannot list the objects to watch: gone");
    }
}
