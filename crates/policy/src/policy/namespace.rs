//! Namespaces that a run creates.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams};
use tokio::time::{Instant, sleep};

use meshy_base::error::Advise as _;
use meshy_kube::is_from_meshy;

/// How long a deletion may take; the cluster completes a longer one by itself. A namespace of four meshed services took 11 s on a
/// busy KinD, and more than 40 s when other programs needed the machine.
const DELETION: Duration = Duration::from_secs(55);

/// Deletes a namespace that carries meshy's label, and waits until it is gone. Returns whether there was one.
pub(super) async fn delete(client: &kube::Client, name: &str) -> anyhow::Result<bool> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.get_opt(name).await.with_context(|| format!("cannot read namespace `{name}`"))?;
    let Some(found) = found else { return Ok(false) };
    if !is_from_meshy(&found) {
        return Err(anyhow!("namespace `{name}` was not created by meshy and is left as it is"));
    }
    let deleted = api.delete(name, &DeleteParams::default()).await;
    deleted.with_context(|| format!("cannot delete namespace `{name}`"))?;
    let until = Instant::now() + DELETION;
    while api.get_opt(name).await?.is_some() {
        if Instant::now() > until {
            return Err(anyhow!("namespace `{name}` is still being deleted"))
                .hint("the cluster completes that by itself");
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
}
