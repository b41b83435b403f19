//! Whether a Service has a ready endpoint, and waiting for one.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::anyhow;
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Client, ResourceExt as _};
use tokio::time::{Instant, timeout_at};

use meshy_base::error::{Advise, Exit};

/// Waits until a Service has a ready endpoint.
///
/// # Errors
/// Time ran out.
pub async fn ready(client: &Client, namespace: &str, service: &str, deadline: Instant) -> anyhow::Result<()> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let config = watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
    let mut last = None;
    let wait = async {
        let mut known = BTreeMap::new();
        let mut events = pin!(watch(slices, config).default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(slice) | Event::InitApply(slice)) => {
                    known.insert(slice.name_any(), has_ready(&slice));
                }
                Ok(Event::Delete(slice)) => {
                    known.remove(&slice.name_any());
                }
                Ok(Event::Init) => known.clear(),
                Ok(Event::InitDone) => {}
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            }
            last = None;
            if known.values().any(|ready| *ready) {
                return;
            }
        }
    };
    if timeout_at(deadline, wait).await.is_ok() {
        return Ok(());
    }
    let error = match last {
        Some(error) => anyhow::Error::new(error)
            .context(format!("cannot see the endpoints of service `{service}` in `{namespace}`")),
        None => anyhow!("service `{service}` in `{namespace}` has no ready endpoint"),
    };
    Err(error).exit(Exit::Timeout)
}

fn has_ready(slice: &EndpointSlice) -> bool {
    // An absent condition counts as ready, by the API's own words.
    let ready = |e: &k8s_openapi::api::discovery::v1::Endpoint| {
        e.conditions.as_ref().and_then(|c| c.ready).unwrap_or(true)
    };
    slice.endpoints.iter().any(ready)
}
