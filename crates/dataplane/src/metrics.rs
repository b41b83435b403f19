//! The proxy's metrics, with Linkerd's names, labels and buckets.

mod histogram;
mod http;
mod inbound;
mod labels;
mod policy;
mod registry;
mod route;
mod tcp;

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

pub(crate) use histogram::Histogram;
pub(crate) use http::{HttpScope, Outcome};
pub(crate) use inbound::InboundScope;
pub(crate) use labels::Labels;
pub(crate) use policy::PolicyFamilies;
pub(crate) use registry::{Counter, Family, Gauge};
pub(crate) use route::{BackendScope, End, RetryScope, RouteProtocol, RouteScope};
pub(crate) use tcp::TcpScope;

use crate::identity::Identity;

/// All metric families of one proxy.
pub(crate) struct Metrics {
    pub(crate) request_total: Family<Counter>,
    pub(crate) response_latency: Family<Histogram>,
    pub(crate) response_total: Family<Counter>,
    pub(crate) route_request_total: Family<Counter>,
    pub(crate) route_response_latency: Family<Histogram>,
    pub(crate) route_response_total: Family<Counter>,
    pub(crate) route_retryable_total: Family<Counter>,
    pub(crate) route_actual_request_total: Family<Counter>,
    pub(crate) route_actual_response_total: Family<Counter>,
    pub(crate) http_policy: PolicyFamilies,
    pub(crate) grpc_policy: PolicyFamilies,
    pub(crate) outbound_errors: Family<Counter>,
    pub(crate) inbound_allowed: Family<Counter>,
    pub(crate) inbound_denied: Family<Counter>,
    pub(crate) inbound_not_found: Family<Counter>,
    pub(crate) inbound_rate_limited: Family<Counter>,
    pub(crate) inbound_errors: Family<Counter>,
    pub(crate) inbound_requests: Family<Counter>,
    pub(crate) inbound_statuses: Family<Counter>,
    pub(crate) tcp_open_total: Family<Counter>,
    pub(crate) tcp_open_connections: Family<Gauge>,
    pub(crate) tcp_read_bytes: Family<Counter>,
    pub(crate) tcp_write_bytes: Family<Counter>,
    pub(crate) tcp_close_total: Family<Counter>,
    started: f64,
    identity: Option<watch::Receiver<Identity>>,
}

impl Metrics {
    /// Returns metrics at zero; `identity` is the source of the certificate's expiration.
    pub(crate) fn new(identity: Option<watch::Receiver<Identity>>) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            request_total: Family::new("request_total", "HTTP requests."),
            response_latency: Family::new(
                "response_latency_ms",
                "Time from a request to the first data of its response.",
            ),
            response_total: Family::new("response_total", "HTTP responses that ended."),
            route_request_total: Family::new("route_request_total", "Requests of a profile's route."),
            route_response_latency: Family::new(
                "route_response_latency_ms",
                "Time from a request to the first data of its response, over all attempts.",
            ),
            route_response_total: Family::new("route_response_total", "Responses of a profile's route."),
            route_retryable_total: Family::new(
                "route_retryable_total",
                "Failed responses of a retryable route.",
            ),
            route_actual_request_total: Family::new(
                "route_actual_request_total",
                "Attempts of a profile's route.",
            ),
            route_actual_response_total: Family::new(
                "route_actual_response_total",
                "Responses to the attempts of a profile's route.",
            ),
            http_policy: PolicyFamilies::http(),
            grpc_policy: PolicyFamilies::grpc(),
            outbound_errors: Family::new(
                "outbound_http_errors_total",
                "Outbound requests that the proxy responded to with an error.",
            ),
            inbound_allowed: Family::new(
                "inbound_http_authz_allow_total",
                "Inbound requests that an authorization allowed.",
            ),
            inbound_denied: Family::new(
                "inbound_http_authz_deny_total",
                "Inbound requests that no authorization allowed.",
            ),
            inbound_not_found: Family::new(
                "inbound_http_route_not_found_total",
                "Inbound requests that no route of the Server matches.",
            ),
            inbound_rate_limited: Family::new(
                "inbound_http_local_ratelimit_total",
                "Inbound requests over a rate limit.",
            ),
            inbound_errors: Family::new(
                "inbound_http_errors_total",
                "Inbound requests that the proxy responded to with an error.",
            ),
            inbound_requests: Family::new(
                "inbound_http_requests_total",
                "Inbound requests passed to the application.",
            ),
            inbound_statuses: Family::new("inbound_http_statuses_total", "Finished inbound responses."),
            tcp_open_total: Family::new("tcp_open_total", "Connections opened."),
            tcp_open_connections: Family::new("tcp_open_connections", "Connections open now."),
            tcp_read_bytes: Family::new("tcp_read_bytes_total", "Bytes read from peers."),
            tcp_write_bytes: Family::new("tcp_write_bytes_total", "Bytes written to peers."),
            tcp_close_total: Family::new("tcp_close_total", "Connections closed."),
            started: since_epoch.as_secs_f64(),
            identity,
        }
    }

    /// Renders the metrics in Prometheus' text format. Series that are not in use and did not change for ten minutes are
    /// removed.
    pub(crate) fn render(&self) -> String {
        let mut out = String::with_capacity(8 * 1024);
        self.request_total.render(&mut out);
        self.response_latency.render(&mut out);
        self.response_total.render(&mut out);
        self.route_request_total.render(&mut out);
        self.route_response_latency.render(&mut out);
        self.route_response_total.render(&mut out);
        self.route_retryable_total.render(&mut out);
        self.route_actual_request_total.render(&mut out);
        self.route_actual_response_total.render(&mut out);
        self.tcp_open_total.render(&mut out);
        self.tcp_open_connections.render(&mut out);
        self.tcp_read_bytes.render(&mut out);
        self.tcp_write_bytes.render(&mut out);
        self.tcp_close_total.render(&mut out);
        self.http_policy.render(&mut out);
        self.grpc_policy.render(&mut out);
        self.outbound_errors.render(&mut out);
        self.inbound_allowed.render(&mut out);
        self.inbound_denied.render(&mut out);
        self.inbound_not_found.render(&mut out);
        self.inbound_rate_limited.render(&mut out);
        self.inbound_errors.render(&mut out);
        self.inbound_requests.render(&mut out);
        self.inbound_statuses.render(&mut out);
        if let Some(identity) = &self.identity {
            let help = "When the certificate of the mesh identity expires, since the epoch.";
            let expires = identity.borrow().expires() as f64;
            value("control_identity_cert_expiration_timestamp_seconds", help, expires, &mut out);
        }
        let help = "When the proxy started, since the epoch.";
        value("process_start_time_seconds", help, self.started, &mut out);
        out.push_str("# EOF\n");
        out
    }
}

/// Writes a gauge without labels.
fn value(name: &str, help: &str, value: f64, out: &mut String) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value:?}");
}
