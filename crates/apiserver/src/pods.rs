//! The backend for logs and ports of pods.

use bytes::Bytes;
use futures::stream::BoxStream;
use meshy_net::{BoxFuture, BoxIo};

use crate::error::Result;

/// Options of a log request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// Container; `None` for the only container of a pod.
    pub container: Option<String>,
    /// Whether the stream continues with new lines.
    pub follow: bool,
    /// Whether to return the log of the previous instance of the container.
    pub previous: bool,
    /// Maximum number of lines, counted from the end.
    pub tail_lines: Option<u64>,
    /// Maximum age of lines in seconds.
    pub since_seconds: Option<u64>,
    /// Maximum size in bytes.
    pub limit_bytes: Option<u64>,
    /// Whether each line starts with its timestamp.
    pub timestamps: bool,
}

/// Access to running pods.
pub trait PodBackend: Send + Sync + 'static {
    /// Returns the log of a container.
    ///
    /// # Errors
    /// Those of a kubelet: 400 if the container has not started, 404 if it does not exist.
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, Result<BoxStream<'static, std::io::Result<Bytes>>>>;

    /// Connects to a port of a pod.
    ///
    /// # Errors
    /// 503 if the pod is not running or does not listen on the port.
    fn connect<'a>(&'a self, namespace: &'a str, pod: &'a str, port: u16) -> BoxFuture<'a, Result<BoxIo>>;
}
