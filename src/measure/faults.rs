//! Changes of faults: when a test service began to fail in another way while load ran.

use std::time::Duration;

use meshy_metrics::Pod;
use meshy_policy::test_service::{self, Fault};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// How often the service's admin port is read: a load is shown second by second.
const EVERY: Duration = Duration::from_secs(1);

/// Reads how a test service fails each second; it ends with this value.
pub(super) struct Faults {
    changes: mpsc::Receiver<String>,
    _task: AbortOnDropHandle<()>,
}

impl Faults {
    /// Begins to watch the pods, which fail like this now.
    pub(super) fn of(client: &kube::Client, servers: &[Pod], now: &Fault) -> Self {
        let (report, changes) = mpsc::channel(64);
        let (client, servers, mut known) = (client.clone(), servers.to_vec(), now.clone());
        let task = tokio::spawn(async move {
            loop {
                sleep(EVERY).await;
                // A pod that does not respond now may respond in a second; the last reading is compared in any case.
                let Ok(fault) = test_service::fault(&client, &servers).await else { continue };
                if fault != known && report.send(test_service::fault_words(&fault)).await.is_err() {
                    return;
                }
                known = fault;
            }
        });
        Self { changes, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns what changed since the last call.
    pub(super) fn take(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.changes.try_recv().ok()).collect()
    }
}
