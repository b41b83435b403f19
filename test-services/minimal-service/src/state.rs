//! What the connections of one service share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meshy_net::SharedNetwork;
use tokio::sync::watch;

use crate::config::Config;
use crate::ledger::Ledger;
use crate::upstream::Upstream;

/// Receives log lines, without their line ends. It is called from any thread and must not block.
pub type Logs = Arc<dyn Fn(String) + Send + Sync>;

/// The lifecycle of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    /// Shutdown was requested: new connections are still accepted, and each response closes its connection.
    Draining,
    /// No new connections; open requests complete.
    Closing,
    Crashed,
}

/// The state that all connections of one service share.
pub(crate) struct State {
    pub(crate) host_name: String,
    pub(crate) upstream: Upstream,
    pub(crate) debug: bool,
    ledger: Mutex<Ledger>,
    logs: Logs,
    phase: watch::Sender<Phase>,
}

impl State {
    pub(crate) fn new(config: Config, network: SharedNetwork, logs: Logs) -> Self {
        Self {
            host_name: config.host_name,
            upstream: Upstream::new(network),
            debug: config.debug,
            ledger: Mutex::new(Ledger::new(config.fault)),
            logs,
            phase: watch::Sender::new(Phase::Serving),
        }
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self, line: String) {
        (self.logs)(line);
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Waits until the service enters a phase.
    pub(crate) async fn wait_for(&self, phase: Phase) {
        // This cannot fail: the sender is `self.phase`.
        let _ = self.phase.subscribe().wait_for(|now| *now == phase).await;
    }

    /// Enters a phase; a crash is final.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| *now != Phase::Crashed && std::mem::replace(now, phase) != phase);
    }
}
