//! What the API asks the node for: logs and ports of pods.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use meshy_apiserver::{ApiError, LogOptions, PodBackend};
use meshy_net::{BoxFuture, BoxIo, Network};

use crate::node::logs::Wanted;
use crate::node::{Node, Pod};

/// The node as the API knows it.
pub(crate) struct Backend {
    /// Set once the node is there.
    pub(crate) node: std::sync::OnceLock<Arc<Node>>,
}

impl Backend {
    fn pod(&self, namespace: &str, name: &str) -> Result<(Arc<Node>, Arc<Pod>), ApiError> {
        let node = self.node.get().ok_or_else(|| ApiError::internal("the node has not started"))?;
        let pod = node
            .pod(namespace, name)
            .ok_or_else(|| ApiError::bad_request(format!("pod {name} does not have a host assigned")))?;
        Ok((node.clone(), pod))
    }
}

impl PodBackend for Backend {
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxStream<'static, io::Result<Bytes>>>> {
        Box::pin(async move {
            let (_, found) = self.pod(namespace, pod)?;
            let called = container(&found, pod, options.container.as_deref())?;
            let container = found.container(&called).ok_or_else(|| {
                ApiError::bad_request(format!("container {called} is not valid for pod {pod}"))
            })?;
            let log = container.log(options.previous).ok_or_else(|| {
                let why = format!("previous terminated container \"{called}\" in pod \"{pod}\" not found");
                ApiError::bad_request(why)
            })?;
            if let Some(reason) = container.waits_for() {
                let why = format!("container \"{called}\" in pod \"{pod}\" is waiting to start: {reason}");
                return Err(ApiError::bad_request(why));
            }
            let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
            let since = options.since_seconds.and_then(|seconds| i64::try_from(seconds).ok());
            let chunks = log.read(Wanted {
                tail: options.tail_lines.map(number),
                since: since.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds)),
                timestamps: options.timestamps,
                follow: options.follow,
                limit: options.limit_bytes.map(number),
            });
            let stream = stream::unfold(chunks, |mut chunks| async {
                let chunk = chunks.recv().await?;
                Some((Ok(Bytes::from(chunk)), chunks))
            });
            Ok(stream.boxed())
        })
    }

    fn connect<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        port: u16,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxIo>> {
        Box::pin(async move {
            let (node, found) = self.pod(namespace, pod)?;
            // A port-forward enters the pod's own network: past its proxy, and to loopback as well.
            let inside = node.fabric.inside(found.address);
            let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            inside.connect(to).await.map_err(|error| {
                ApiError::new(
                    503,
                    "ServiceUnavailable",
                    format!("error trying to reach port {port} of pod {pod}: {error}"),
                )
            })
        })
    }
}

/// The container meant: the one named, else the pod's only one.
fn container(pod: &Pod, name: &str, wanted: Option<&str>) -> Result<String, ApiError> {
    match (wanted, pod.containers.as_slice()) {
        (Some(wanted), _) if !wanted.is_empty() => Ok(wanted.to_owned()),
        (_, [only]) => Ok(only.name.clone()),
        (_, several) => {
            let names: Vec<_> = several.iter().map(|container| container.name.as_str()).collect();
            Err(ApiError::bad_request(format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                names.join(" ")
            )))
        }
    }
}
