//! The kubelet as the API server uses it: logs and ports of pods.

use std::io;
use std::sync::{Arc, OnceLock};

use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use meshy_apiserver::{ApiError, LogOptions, PodBackend};
use meshy_net::{BoxFuture, BoxIo};

use crate::logs::LogQuery;
use crate::node::{Kubelet, PodWorker};

/// Serves the requests of the API server that concern running pods.
pub(crate) struct KubeletBackend {
    /// Set when the kubelet has started, after the API server.
    pub(crate) kubelet: OnceLock<Arc<Kubelet>>,
}

impl KubeletBackend {
    fn pod(&self, namespace: &str, name: &str) -> Result<(&Kubelet, Arc<PodWorker>), ApiError> {
        let kubelet = self.kubelet.get().ok_or_else(|| ApiError::internal("the node has not started"))?;
        let pod = kubelet
            .pod(namespace, name)
            .ok_or_else(|| ApiError::bad_request(format!("pod {name} does not have a host assigned")))?;
        Ok((kubelet, pod))
    }
}

impl PodBackend for KubeletBackend {
    fn logs<'a>(
        &'a self,
        namespace: &'a str,
        pod: &'a str,
        options: LogOptions,
    ) -> BoxFuture<'a, meshy_apiserver::Result<BoxStream<'static, io::Result<Bytes>>>> {
        Box::pin(async move {
            let (_, worker) = self.pod(namespace, pod)?;
            let name = container_name(&worker, pod, options.container.as_deref())?;
            let container = worker.container(&name).ok_or_else(|| {
                ApiError::bad_request(format!("container {name} is not valid for pod {pod}"))
            })?;
            let log = container.log(options.previous).ok_or_else(|| {
                let message = format!("previous terminated container \"{name}\" in pod \"{pod}\" not found");
                ApiError::bad_request(message)
            })?;
            if let Some(reason) = container.waiting_reason() {
                let message = format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {reason}");
                return Err(ApiError::bad_request(message));
            }
            let chunks = log.read(log_query(&options));
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
            let (kubelet, worker) = self.pod(namespace, pod)?;
            kubelet.connect(&worker, port).await.map_err(|error| {
                let message = format!("error trying to reach port {port} of pod {pod}: {error}");
                ApiError::new(503, "ServiceUnavailable", message)
            })
        })
    }
}

fn log_query(options: &LogOptions) -> LogQuery {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let since = options.since_seconds.and_then(|seconds| i64::try_from(seconds).ok());
    LogQuery {
        tail: options.tail_lines.map(number),
        since: since.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds)),
        timestamps: options.timestamps,
        follow: options.follow,
        limit: options.limit_bytes.map(number),
    }
}

/// Returns the requested container, or the only one of the pod.
fn container_name(worker: &PodWorker, pod: &str, requested: Option<&str>) -> Result<String, ApiError> {
    match (requested, worker.containers.as_slice()) {
        (Some(requested), _) if !requested.is_empty() => Ok(requested.to_owned()),
        (_, [only]) => Ok(only.name.clone()),
        (_, several) => {
            let names: Vec<_> = several.iter().map(|container| container.name.as_str()).collect();
            let names = names.join(" ");
            let message =
                format!("a container name must be specified for pod {pod}, choose one of: [{names}]");
            Err(ApiError::bad_request(message))
        }
    }
}
