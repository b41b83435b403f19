//! The families `outbound_http_route_*` and `outbound_grpc_route_*`, which differ in their names and in a status label.

use super::histogram::Histogram;
use super::registry::{Counter, Family};

/// The families of routes of one protocol.
pub(crate) struct PolicyFamilies {
    /// The label of a response's status: `http_status` or `grpc_status`.
    pub(super) status_label: &'static str,
    pub(super) request_statuses: Family<Counter>,
    pub(super) request_duration: Family<Histogram>,
    pub(super) request_frames: Family<Histogram>,
    pub(super) retry_requests: Family<Counter>,
    pub(super) retry_successes: Family<Counter>,
    pub(super) retry_limit_exceeded: Family<Counter>,
    pub(super) retry_overflow: Family<Counter>,
    pub(super) backend_requests: Family<Counter>,
    pub(super) backend_statuses: Family<Counter>,
    pub(super) backend_duration: Family<Histogram>,
    pub(super) backend_frames: Family<Histogram>,
}

macro_rules! families {
    ($protocol:literal) => {
        PolicyFamilies {
            status_label: concat!($protocol, "_status"),
            request_statuses: Family::new(
                concat!("outbound_", $protocol, "_route_request_statuses_total"),
                "Finished requests.",
            ),
            request_duration: Family::new(
                concat!("outbound_", $protocol, "_route_request_duration_seconds"),
                "Time from a request to the end of its response.",
            ),
            request_frames: Family::new(
                concat!("outbound_", $protocol, "_route_request_frame_size_bytes"),
                "Sent data frames.",
            ),
            retry_requests: Family::new(
                concat!("outbound_", $protocol, "_route_retry_requests_total"),
                "Retries sent.",
            ),
            retry_successes: Family::new(
                concat!("outbound_", $protocol, "_route_retry_successes_total"),
                "Requests that succeeded after a retry.",
            ),
            retry_limit_exceeded: Family::new(
                concat!("outbound_", $protocol, "_route_retry_limit_exceeded_total"),
                "Failed requests at the retry limit.",
            ),
            retry_overflow: Family::new(
                concat!("outbound_", $protocol, "_route_retry_overflow_total"),
                "Retries not sent because no endpoint was available.",
            ),
            backend_requests: Family::new(
                concat!("outbound_", $protocol, "_route_backend_requests_total"),
                "Attempts sent to a backend.",
            ),
            backend_statuses: Family::new(
                concat!("outbound_", $protocol, "_route_backend_response_statuses_total"),
                "Finished responses of a backend.",
            ),
            backend_duration: Family::new(
                concat!("outbound_", $protocol, "_route_backend_response_duration_seconds"),
                "Time from the end of a request to the end of its response.",
            ),
            backend_frames: Family::new(
                concat!("outbound_", $protocol, "_route_backend_response_frame_size_bytes"),
                "Received data frames.",
            ),
        }
    };
}

impl PolicyFamilies {
    /// The families of HTTPRoutes and of services without routes.
    pub(super) fn http() -> Self {
        families!("http")
    }

    /// The families of GRPCRoutes.
    pub(super) fn grpc() -> Self {
        families!("grpc")
    }

    pub(super) fn render(&self, out: &mut String) {
        self.request_statuses.render(out);
        self.request_duration.render(out);
        self.request_frames.render(out);
        self.retry_requests.render(out);
        self.retry_successes.render(out);
        self.retry_limit_exceeded.render(out);
        self.retry_overflow.render(out);
        self.backend_requests.render(out);
        self.backend_statuses.render(out);
        self.backend_duration.render(out);
        self.backend_frames.render(out);
    }
}
