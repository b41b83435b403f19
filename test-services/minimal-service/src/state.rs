//! What the connections of one service share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use meshy_net::{BoxFuture, SharedNetwork};
use tokio::sync::{Notify, mpsc, watch};

use crate::config::Config;
use crate::ledger::Ledger;
use crate::node::Node;
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

/// Whether the service port accepts connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listening {
    pub(crate) open: bool,
    /// How often it was closed. A connection from before the last outage serves no further request.
    pub(crate) outages: u64,
}

/// The state that all connections of one service share.
pub(crate) struct State {
    pub(crate) host_name: String,
    pub(crate) upstream: Upstream,
    pub(crate) debug: bool,
    pub(crate) node: Option<Arc<Node>>,
    /// Notified after a change of the faults, for the service port, which is closed while the service is down.
    pub(crate) fault_changed: Notify,
    pub(crate) door: watch::Sender<Listening>,
    ledger: Mutex<Ledger>,
    logs: Logs,
    phase: watch::Sender<Phase>,
    work: mpsc::UnboundedSender<Work>,
}

/// Work that continues when its connection ends. Its number is bounded by the workers and the queue of the node.
pub(crate) type Work = BoxFuture<'static, ()>;

impl State {
    /// Returns the state and the receiver of [`State::spawn`].
    pub(crate) fn new(
        config: Config,
        network: SharedNetwork,
        logs: Logs,
    ) -> (Self, mpsc::UnboundedReceiver<Work>) {
        let (work, works) = mpsc::unbounded_channel();
        let state = Self {
            ledger: Mutex::new(Ledger::new(config.fault, config.node.as_ref())),
            node: config.node.map(Arc::new),
            host_name: config.host_name,
            upstream: Upstream::new(network),
            debug: config.debug,
            fault_changed: Notify::new(),
            door: watch::Sender::new(Listening { open: true, outages: 0 }),
            logs,
            phase: watch::Sender::new(Phase::Serving),
            work,
        };
        (state, works)
    }

    /// Runs work in a task of the service port. It ends early if the service ends.
    pub(crate) fn spawn(&self, work: Work) {
        // Without a receiver the service ended; the work is dropped.
        let _ = self.work.send(work);
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
