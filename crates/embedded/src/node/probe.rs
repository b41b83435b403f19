//! Probes: asking a container whether it has started, lives, and may be sent requests.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use meshy_net::Network;
use serde_json::Value;
use tokio::time::timeout;

use crate::network::PodNetwork;
use crate::object::{int, list, text};

/// What a probe does each time.
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
    /// A kind this node does not carry out; it always holds.
    Nothing,
}

/// One of a container's three probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    check: Check,
    pub(crate) delay: Duration,
    pub(crate) period: Duration,
    timeout: Duration,
    pub(crate) successes: u32,
    pub(crate) failures: u32,
}

impl Probe {
    /// Reads `livenessProbe`, `readinessProbe` or `startupProbe` of a container.
    pub(crate) fn of(container: &Value, field: &str) -> Option<Self> {
        let probe = container.get(field).filter(|probe| !probe.is_null())?;
        let number = |name: &str, fallback: u32| {
            int(probe, &format!("/{name}")).and_then(|n| u32::try_from(n).ok()).unwrap_or(fallback)
        };
        let seconds = |name, fallback| Duration::from_secs(number(name, fallback).into());
        Some(Self {
            check: check(container, probe),
            delay: seconds("initialDelaySeconds", 0),
            period: seconds("periodSeconds", 10).max(Duration::from_secs(1)),
            timeout: seconds("timeoutSeconds", 1).max(Duration::from_secs(1)),
            successes: number("successThreshold", 1).max(1),
            failures: number("failureThreshold", 3).max(1),
        })
    }

    /// The port that is asked.
    pub(crate) fn port(&self) -> Option<u16> {
        match self.check {
            Check::Http { port, .. } | Check::Tcp { port } => Some(port),
            Check::Nothing => None,
        }
    }

    /// Asks once.
    ///
    /// # Errors
    /// What was answered instead, in the words of the Unhealthy event.
    pub(crate) async fn ask(&self, node: &PodNetwork, pod: Ipv4Addr) -> Result<(), String> {
        let asked = async {
            match &self.check {
                Check::Nothing => Ok(()),
                Check::Tcp { port } => node
                    .connect(SocketAddr::from((pod, *port)))
                    .await
                    .map(drop)
                    .map_err(|error| format!("dial tcp {pod}:{port}: {error}")),
                Check::Http { port, path, headers } => get(node, pod, *port, path, headers).await,
            }
        };
        timeout(self.timeout, asked)
            .await
            .unwrap_or_else(|_| Err("context deadline exceeded while awaiting an answer".to_owned()))
    }
}

fn check(container: &Value, probe: &Value) -> Check {
    let port = |at: &str| match probe.pointer(at) {
        Some(Value::String(name)) => list(container, "/ports")
            .iter()
            .find(|port| text(port, "/name") == name)
            .and_then(|port| int(port, "/containerPort"))
            .or_else(|| name.parse().ok()),
        other => other.and_then(Value::as_i64),
    };
    let port = |at: &str| port(at).and_then(|port| u16::try_from(port).ok());
    if let Some(port) = port("/httpGet/port") {
        let path = text(probe, "/httpGet/path");
        let headers = list(probe, "/httpGet/httpHeaders")
            .iter()
            .map(|header| (text(header, "/name").to_owned(), text(header, "/value").to_owned()))
            .collect();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        return Check::Http { port, path, headers };
    }
    port("/tcpSocket/port").map_or(Check::Nothing, |port| Check::Tcp { port })
}

async fn get(
    node: &PodNetwork,
    pod: Ipv4Addr,
    port: u16,
    path: &str,
    headers: &[(String, String)],
) -> Result<(), String> {
    let place = format!("http://{pod}:{port}{path}");
    let failed = |error: &dyn std::fmt::Display| format!("Get \"{place}\": {error}");
    let stream = node.connect(SocketAddr::from((pod, port))).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let mut request = hyper::Request::get(path)
        .header("host", format!("{pod}:{port}"))
        .header("user-agent", "kube-probe/1.35")
        .header("connection", "close");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| failed(&error))?;
    let status = {
        // The connection moves only while it is polled, and ends with this scope.
        let asked = sender.send_request(request);
        tokio::pin!(connection, asked);
        tokio::select! {
            biased;
            answer = &mut asked => answer,
            _ = &mut connection => asked.await,
        }
    }
    .map_err(|error| failed(&error))?
    .status();
    if (200..400).contains(&status.as_u16()) {
        return Ok(());
    }
    Err(format!("HTTP probe failed with statuscode: {}", status.as_u16()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{Check, Probe};

    #[test]
    fn a_probe_finds_its_port_by_name_and_has_the_defaults_of_kubernetes() {
        let container = json!({
            "ports": [{ "name": "http", "containerPort": 9090 }],
            "readinessProbe": { "httpGet": { "path": "/health", "port": "http" } },
        });
        let probe = Probe::of(&container, "readinessProbe").expect("there is one");
        let check = Check::Http { port: 9090, path: "/health".into(), headers: vec![] };
        assert_eq!(probe.check, check);
        assert_eq!((probe.period, probe.failures), (Duration::from_secs(10), 3));
        assert_eq!(Probe::of(&container, "livenessProbe"), None);
    }
}
