//! The metrics of connections.

use std::sync::Arc;

use super::Metrics;
use super::labels::Labels;
use super::registry::{Counter, Gauge};

/// The series of one kind of connection.
pub(crate) struct TcpScope {
    opened: Arc<Counter>,
    open: Arc<Gauge>,
    pub(crate) read: Arc<Counter>,
    pub(crate) written: Arc<Counter>,
    labels: Labels,
    metrics: Arc<Metrics>,
}

impl TcpScope {
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        Self {
            opened: metrics.tcp_open_total.get(&labels),
            open: metrics.tcp_open_connections.get(&labels),
            read: metrics.tcp_read_bytes.get(&labels),
            written: metrics.tcp_write_bytes.get(&labels),
            metrics: metrics.clone(),
            labels,
        }
    }

    pub(crate) fn opened(&self) {
        self.opened.inc();
        self.open.add(1);
    }

    /// Counts the end of a connection; `errno` names the error that broke it and is empty without one.
    pub(crate) fn closed(&self, errno: &'static str) {
        self.open.add(-1);
        self.metrics.tcp_close_total.get(&self.labels.with("errno", errno)).inc();
    }
}
