//! The end of all processes when the cluster stops in good order.

use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Requests the end of processes and waits for it. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Shutdown {
    requested: CancellationToken,
    running: TaskTracker,
}

impl Shutdown {
    /// Counts a process until the token is dropped. Never returns once the end is requested: nothing starts any more.
    pub(super) async fn begin(&self) -> TaskTrackerToken {
        if self.requested.is_cancelled() {
            std::future::pending::<()>().await;
        }
        self.running.token()
    }

    /// Waits until the end is requested.
    pub(super) async fn requested(&self) {
        self.requested.cancelled().await;
    }

    /// Requests the end of all processes, and waits for it no longer than `grace`.
    pub(crate) async fn finish(&self, grace: Duration) {
        self.requested.cancel();
        self.running.close();
        if timeout(grace, self.running.wait()).await.is_err() {
            tracing::warn!("programs are killed: they did not exit within {} s", grace.as_secs());
        }
    }
}
