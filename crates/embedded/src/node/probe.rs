//! Probes: requests that decide whether a container has started, is ready, or must be restarted.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::StatusCode;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, Probe as ProbeSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use meshy_net::Network;
use tokio::time::timeout;

use crate::network::PodNetwork;

/// The user agent of HTTP probes.
const USER_AGENT: &str = "kube-probe/1.35";

#[derive(Clone, Debug, PartialEq, Eq)]
enum Check {
    Http {
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        port: u16,
    },
    /// `exec` or `grpc`, which always succeed here.
    Unsupported,
}

/// One probe of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    check: Check,
    pub(super) initial_delay: Duration,
    pub(super) period: Duration,
    timeout: Duration,
    pub(super) success_threshold: u32,
    pub(super) failure_threshold: u32,
}

/// A failed probe. The messages are those of the kubelet.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProbeError {
    #[error("context deadline exceeded")]
    Timeout,
    #[error("dial tcp {address}: {source}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("Get \"{url}\": {source}")]
    Connect { url: String, source: io::Error },
    #[error("Get \"{url}\": {source}")]
    Http { url: String, source: hyper::Error },
    #[error("Get \"{url}\": {source}")]
    Request { url: String, source: http::Error },
    #[error("HTTP probe failed with statuscode: {}", .0.as_u16())]
    Status(StatusCode),
}

impl Probe {
    /// Reads a probe of a container.
    pub(super) fn of(container: &Container, spec: &ProbeSpec) -> Self {
        let number = |value: Option<i32>, default: u32| {
            value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default)
        };
        let seconds = |value, default| Duration::from_secs(number(value, default).into());
        Self {
            check: check(container, spec),
            initial_delay: seconds(spec.initial_delay_seconds, 0),
            period: seconds(spec.period_seconds, 10).max(Duration::from_secs(1)),
            timeout: seconds(spec.timeout_seconds, 1).max(Duration::from_secs(1)),
            success_threshold: number(spec.success_threshold, 1).max(1),
            failure_threshold: number(spec.failure_threshold, 3).max(1),
        }
    }

    /// Returns the port of the probe, if it uses one.
    pub(super) fn port(&self) -> Option<u16> {
        match self.check {
            Check::Http { port, .. } | Check::Tcp { port } => Some(port),
            Check::Unsupported => None,
        }
    }

    /// Runs the probe once.
    ///
    /// # Errors
    /// The reason of the failure, for the event Unhealthy.
    pub(super) async fn run(&self, node: &PodNetwork, pod: Ipv4Addr) -> Result<(), ProbeError> {
        let check = async {
            match &self.check {
                Check::Unsupported => Ok(()),
                Check::Tcp { port } => {
                    let address = SocketAddr::from((pod, *port));
                    let stream = node.connect(address).await;
                    stream.map(drop).map_err(|source| ProbeError::Tcp { address, source })
                }
                Check::Http { port, path, headers } => {
                    http_get(node, SocketAddr::from((pod, *port)), path, headers).await
                }
            }
        };
        timeout(self.timeout, check).await.unwrap_or(Err(ProbeError::Timeout))
    }
}

fn check(container: &Container, spec: &ProbeSpec) -> Check {
    if let Some(get) = &spec.http_get
        && let Some(port) = container_port(container, &get.port)
    {
        let path = get.path.as_deref().unwrap_or_default();
        let headers = get.http_headers.iter().flatten();
        return Check::Http {
            port,
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
        };
    }
    let port = spec.tcp_socket.as_ref().and_then(|socket| container_port(container, &socket.port));
    port.map_or(Check::Unsupported, |port| Check::Tcp { port })
}

/// Returns a port by number or by the name that the container gives it.
fn container_port(container: &Container, port: &IntOrString) -> Option<u16> {
    let name = match port {
        IntOrString::Int(number) => return u16::try_from(*number).ok(),
        IntOrString::String(name) => name,
    };
    let named = container.ports.iter().flatten().find(|port| port.name.as_ref() == Some(name));
    match named {
        Some(port) => u16::try_from(port.container_port).ok(),
        None => name.parse().ok(),
    }
}

async fn http_get(
    node: &PodNetwork,
    address: SocketAddr,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), ProbeError> {
    let url = || format!("http://{address}{path}");
    let http_error = |source| ProbeError::Http { url: url(), source };
    let mut request = hyper::Request::get(path)
        .header("host", address.to_string())
        .header("user-agent", USER_AGENT)
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|source| ProbeError::Request { url: url(), source })?;
    let stream = node.connect(address).await;
    let stream = stream.map_err(|source| ProbeError::Connect { url: url(), source })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http_error)?;
    let response = {
        // The connection makes progress only while it is polled, and ends with this scope.
        let response = sender.send_request(request);
        tokio::pin!(connection, response);
        tokio::select! {
            biased;
            received = &mut response => received,
            _ = &mut connection => response.await,
        }
    };
    let status = response.map_err(http_error)?.status();
    if (200..400).contains(&status.as_u16()) { Ok(()) } else { Err(ProbeError::Status(status)) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::core::v1::Container;
    use serde_json::json;

    use super::{Check, Probe};

    #[test]
    fn a_probe_resolves_a_named_port_and_has_the_defaults_of_kubernetes() {
        let container: Container = serde_json::from_value(json!({
            "name": "web",
            "ports": [{ "name": "http", "containerPort": 9090 }],
            "readinessProbe": { "httpGet": { "path": "/health", "port": "http" } },
        }))
        .expect("a container");
        let probe = Probe::of(&container, container.readiness_probe.as_ref().expect("a probe"));
        let check = Check::Http { port: 9090, path: "/health".into(), headers: vec![] };
        assert_eq!(probe.check, check);
        assert_eq!((probe.period, probe.failure_threshold), (Duration::from_secs(10), 3));
    }
}
