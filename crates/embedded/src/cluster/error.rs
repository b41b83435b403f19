//! Why a cluster could not be started or stopped.

use std::io;
use std::path::{Path, PathBuf};

/// A cluster could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A port is not free or not permitted.
    #[error("cannot bind the {socket} port")]
    Bind {
        /// The socket: `ingress` or `API`.
        socket: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file in the state folder cannot be used.
    #[error("cannot {action} the state file `{}`", file.display())]
    State {
        /// `read`, `write` or `remove`.
        action: &'static str,
        /// The path of the file.
        file: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The snapshot does not contain the objects of a cluster.
    #[error("cannot restore the objects from `{}`: {reason}", file.display())]
    Snapshot {
        /// The path of the file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The trust anchor of the mesh cannot be generated.
    #[error("cannot generate the trust anchor of the mesh")]
    TrustAnchor(#[from] rcgen::Error),
    /// The API server failed or rejected a built-in object.
    #[error("the API server of the embedded cluster failed")]
    Api(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    pub(super) fn write(file: &Path, source: io::Error) -> Self {
        Self::State { action: "write", file: file.to_owned(), source }
    }
}

impl From<meshy_apiserver::ApiError> for Error {
    fn from(error: meshy_apiserver::ApiError) -> Self {
        Self::Api(error.into())
    }
}

impl From<crate::api::ApiError> for Error {
    fn from(error: crate::api::ApiError) -> Self {
        Self::Api(error.into())
    }
}
