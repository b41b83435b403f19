//! The `inbound_http_*` metrics of a server's routes.

use std::sync::Arc;

use super::Metrics;
use super::http::SmallMap;
use super::labels::Labels;
use super::registry::Counter;

/// The series of one route of a server.
pub(crate) struct InboundScope {
    labels: Labels,
    metrics: Arc<Metrics>,
    pub(crate) requests: Arc<Counter>,
    by_status: SmallMap<Option<u16>, Counter>,
}

impl InboundScope {
    /// Creates the series; `labels` are those of the server and of the route.
    pub(crate) fn new(metrics: &Arc<Metrics>, labels: Labels) -> Self {
        let requests = metrics.inbound_requests.get(&labels);
        Self { labels, metrics: metrics.clone(), requests, by_status: SmallMap::default() }
    }

    /// Counts the end of a response, or an error in place of a response.
    pub(crate) fn ended(&self, status: Option<u16>) {
        let create = || {
            let text = status.map(|status| status.to_string()).unwrap_or_default();
            self.metrics.inbound_statuses.get(&self.labels.with("status", text))
        };
        self.by_status.with(&status, create, |counter| counter.inc());
    }
}
