//! Failures of the Kubernetes API, and the words for them.

use std::error::Error as StdError;
use std::sync::Arc;

use kube::core::Status;
use kube::runtime::watcher;

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
    error.chain().find_map(|cause| of_cause(super::unwrapped(cause)))
}

fn of_cause<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a Failure> {
    let boxed = cause.downcast_ref::<Box<Failure>>().map(|boxed| &**boxed);
    cause.downcast_ref::<Failure>().or(boxed)
}

/// Returns the text of a client error.
pub fn words(error: &kube::Error) -> String {
    super::texts_of(chain(error)).join(": ")
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
pub(super) enum Shown {
    /// As this text.
    As(String),
    /// As this text, which says what its sources say.
    WithItsSources(String),
    /// Only its source is.
    ByItsSource,
}

/// How an error of the Kubernetes client is shown, whose own texts hold the Debug form of an object; none for others.
pub(super) fn shown(cause: &(dyn StdError + 'static)) -> Option<Shown> {
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
