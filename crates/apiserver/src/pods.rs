//! What the API cannot answer itself about pods: their logs and their ports.

use bytes::Bytes;
use futures::stream::BoxStream;
use meshy_net::{BoxFuture, BoxIo};

use crate::error::Result;

pub(crate) mod forward;
pub(crate) mod proxy;

/// Which part of a log is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The container; `None` for a pod's only one.
    pub container: Option<String>,
    /// Goes on with what is written later.
    pub follow: bool,
    /// Of the container's run before this one.
    pub previous: bool,
    /// Only so many of the last lines.
    pub tail_lines: Option<u64>,
    /// Only what is younger than so many seconds.
    pub since_seconds: Option<u64>,
    /// Ends after so many bytes.
    pub limit_bytes: Option<u64>,
    /// Each line begins with its time.
    pub timestamps: bool,
}

/// Where pods run.
pub trait PodBackend: Send + Sync + 'static {
    /// The log of a container as a stream of bytes.
    ///
    /// # Errors
    /// As the kubelet would answer: 400 while the container has not started, 404 when there is none.
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, std::io::Result<Bytes>>>>;

    /// A stream to a port of a pod.
    ///
    /// # Errors
    /// When the pod does not run or nothing listens there.
    fn connect<'a>(&'a self, namespace: &'a str, pod: &'a str, port: u16) -> BoxFuture<'a, Result<BoxIo>>;
}
