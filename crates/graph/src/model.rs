//! The types of a call graph.

use serde::{Deserialize, Serialize};

/// Services and the calls between them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallGraph {
    /// The services and other clients, in the order in which they are shown.
    pub nodes: Vec<CallNode>,
    /// The calls. A service that only an edge names is shown too.
    pub edges: Vec<CallEdge>,
}

/// A service, or a client outside of the mesh.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallNode {
    /// The name; the edges refer to it.
    pub name: String,
    /// Whether clients outside of the graph call it.
    #[serde(default)]
    pub entrypoint: bool,
    /// Whether it is a client without a proxy.
    #[serde(default)]
    pub unmeshed: bool,
    /// A description in one line, such as its capacity.
    #[serde(default)]
    pub detail: Option<String>,
}

/// Calls from one service to another. Numbers that were not measured are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CallEdge {
    /// The client.
    pub from: String,
    /// The service that it calls.
    pub to: String,
    /// Requests of the client, without retries.
    #[serde(default)]
    pub requests_count: Option<u64>,
    /// Requests of the client per second, without retries.
    #[serde(default)]
    pub requests_per_second: Option<f64>,
    /// The share of requests that succeeded for the client, after retries.
    #[serde(default)]
    pub effective_success_ratio: Option<f64>,
    /// The share of attempts that succeeded.
    #[serde(default)]
    pub actual_success_ratio: Option<f64>,
    /// Attempts divided by requests: above 1 because of retries.
    #[serde(default)]
    pub attempts_per_request: Option<f64>,
    /// Calls for one request at the client, as the topology defines them.
    #[serde(default)]
    pub calls_per_request: Option<f64>,
    /// The median of the latency for the client.
    #[serde(default)]
    pub p50_ms: Option<f64>,
    /// The 99th percentile of the latency for the client.
    #[serde(default)]
    pub p99_ms: Option<f64>,
    /// Whether the connections use mutual TLS; absent if that is not known.
    #[serde(default)]
    pub mutual_tls: Option<bool>,
    /// The policy in force on the client's side, one line.
    #[serde(default)]
    pub policy: Option<String>,
    /// Whether a failure leaves the client's request successful.
    #[serde(default)]
    pub optional: bool,
    /// Whether the client has no proxy: no policy applies, and the numbers are those of the server's proxy.
    #[serde(default)]
    pub unmeshed_client: bool,
}

impl CallNode {
    /// Returns a meshed service.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

impl CallEdge {
    /// Returns an edge without numbers.
    #[must_use]
    pub fn new(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), ..Self::default() }
    }
}

impl CallGraph {
    /// Returns the graph as JSON with all fields.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers by type.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}
