//! What the wait reads from the API: all pods, by a watch, and the service's own addresses.

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Pod as CorePod, Service as CoreService};
use kube::api::Api;
use kube::runtime::reflector::{self, Store};
use kube::runtime::{WatchStreamExt as _, watcher};
use meshy_base::error::{Advise, Exit};
use meshy_metrics::routes::Service;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// A store of all pods, once it is complete.
pub(super) async fn watched(
    client: &kube::Client,
    deadline: Instant,
) -> anyhow::Result<(Store<CorePod>, AbortOnDropHandle<()>)> {
    let (store, writer) = reflector::store();
    let stream = watcher(Api::<CorePod>::all(client.clone()), watcher::Config::default());
    let stream = reflector::reflector(writer, stream).default_backoff();
    let (errors, mut first) = mpsc::channel(1);
    let task = tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            // Only the first error is of interest, before the store is complete; later ones are tried again.
            if let Err(error) = event {
                let _ = errors.try_send(error);
            }
        }
    });
    let task = AbortOnDropHandle::new(task);
    let ready = async {
        tokio::select! {
            biased;
            ready = store.wait_until_ready() => ready.map_err(anyhow::Error::from),
            Some(error) = first.recv() => Err(error.into()),
        }
    };
    let ready = timeout_at(deadline, ready).await;
    let ready =
        ready.map_err(|_| anyhow!("the API server did not list the pods in time")).exit(Exit::Timeout)?;
    ready.context("cannot watch the pods")?;
    Ok((store, task))
}

/// The service's own addresses, which clients connect to; a headless one has none.
pub(super) async fn addresses(client: &kube::Client, service: &Service) -> anyhow::Result<Vec<String>> {
    let services: Api<CoreService> = Api::namespaced(client.clone(), &service.namespace);
    let there = services.get_opt(&service.name).await.context("cannot read the service")?;
    Ok(there.and_then(|s| s.spec).and_then(|s| s.cluster_ips).unwrap_or_default())
}
