//! The metric families that are read. Of the rest of a proxy's dump (runtime, control plane, stacks) nothing is kept, so a
//! reader of another family has to declare it here: [`Scrape::of`](super::Scrape::of) checks that in debug builds.

/// How a family's values change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They increase until the proxy restarts.
    Counter,
    /// They are a state.
    Gauge,
}

/// Families by the beginning of their names. Each of them holds numbers from 0 to 2^53.
const FAMILIES: [(&str, Kind); 12] = [
    ("request_", Kind::Counter),
    ("response_", Kind::Counter),
    ("route_", Kind::Counter),
    ("inbound_http_authz_deny_", Kind::Counter),
    ("inbound_http_local_ratelimit_", Kind::Counter),
    ("outbound_http_route_", Kind::Counter),
    ("outbound_grpc_route_", Kind::Counter),
    ("outbound_http_balancer_endpoints", Kind::Gauge),
    ("tcp_open_", Kind::Gauge),
    ("process_start_time_seconds", Kind::Gauge),
    // When the proxy's certificate ends: edge-25 and later write `control_` before the name.
    ("control_identity_cert_expiration_timestamp_seconds", Kind::Gauge),
    ("identity_cert_expiration_timestamp_seconds", Kind::Gauge),
];

/// Returns the beginnings of the names of all families.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|(family, _)| *family)
}

/// Returns the kind of a metric; none for one that no process reads.
pub(super) fn kind(name: &str) -> Option<Kind> {
    FAMILIES.iter().find(|(family, _)| name.starts_with(family)).map(|(_, kind)| *kind)
}
