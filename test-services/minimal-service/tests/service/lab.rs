//! Services under test and a client that sends requests to them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use minimal_service::{Config, Counts, run};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::network::Wire;

pub(crate) const SERVICE: u16 = 9090;
pub(crate) const ADMIN: u16 = 9091;
pub(crate) const NODE: u16 = 8080;

/// Services on one in-memory network.
#[derive(Default)]
pub(crate) struct Lab {
    pub(crate) wire: Arc<Wire>,
}

/// A running service.
pub(crate) struct Running {
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) code: JoinHandle<u8>,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

/// A response with its whole body.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Lab {
    /// Starts a service with a host name and environment variables; it listens when this returns.
    pub(crate) async fn start(&self, name: &str, env: &[(&str, &str)]) -> Running {
        let host_name = [("HOSTNAME", name)];
        let pairs =
            env.iter().chain(&host_name).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::from_env(pairs).unwrap();
        let (stop, stopped) = oneshot::channel();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (ready, listening) = oneshot::channel();
        let ready = Mutex::new(Some(ready));
        let kept = lines.clone();
        let logs = Arc::new(move |line: String| {
            // The admin port is the second one: after its line, both ports accept connections.
            if line.starts_with("INFO admin listens")
                && let Some(ready) = ready.lock().unwrap().take()
            {
                let _ = ready.send(());
            }
            kept.lock().unwrap().push(line);
        });
        let network = Arc::new(self.wire.join(name));
        let shutdown = async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let code = tokio::spawn(run(config, network, logs, shutdown));
        // If the service does not listen, `ready` is dropped; such a test checks the exit code.
        let _ = listening.await;
        Running { stop, code, lines }
    }

    /// Starts a node of a call graph with the rest of its JSON: `"name"` is added.
    pub(crate) async fn node(&self, name: &str, node: &Value) -> Running {
        let mut node = node.clone();
        node["name"] = name.into();
        self.start(name, &[("NODE", &node.to_string())]).await
    }

    /// Sends a `GET` to a node.
    pub(crate) async fn call(&self, name: &str) -> Response {
        self.send(name, NODE, Request::get("/"), "").await
    }

    /// Sends a `GET` to a node in a task; returns the response and when it arrived. Aborting the task disconnects.
    pub(crate) async fn open(&self, name: &str) -> JoinHandle<(Response, Duration)> {
        let mut client = self.connect(name, NODE).await;
        tokio::spawn(async move {
            let start = Instant::now();
            let response = send(&mut client, Request::get("/"), "").await.unwrap();
            (response, start.elapsed())
        })
    }

    /// Changes the faults of a service.
    pub(crate) async fn fault(&self, name: &str, change: &Value) -> Value {
        let response = self.send(name, ADMIN, Request::put("/fault"), &change.to_string()).await;
        assert_eq!(response.status, 200, "{}", response.body);
        response.json()
    }

    pub(crate) async fn counts(&self, name: &str) -> Counts {
        serde_json::from_value(self.admin(name, "/counts").await).unwrap()
    }

    pub(crate) async fn connect(&self, name: &str, port: u16) -> SendRequest<Full<Bytes>> {
        let stream = self.wire.open(self.wire.address(name, port)).unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Sends a request over a new connection.
    pub(crate) async fn send(
        &self,
        name: &str,
        port: u16,
        request: http::request::Builder,
        body: &str,
    ) -> Response {
        send(&mut self.connect(name, port).await, request, body).await.unwrap()
    }

    pub(crate) async fn get(&self, name: &str, path: &str) -> Response {
        self.send(name, SERVICE, Request::get(path), "").await
    }

    /// Sends a bounce request to a service, for an endpoint.
    pub(crate) async fn bounce(&self, name: &str, endpoint: &str) -> Response {
        let body = format!(r#"{{"rebound":"true","endpoint":"{endpoint}"}}"#);
        self.send(name, SERVICE, Request::post("/bounce"), &body).await
    }

    pub(crate) async fn admin(&self, name: &str, path: &str) -> Value {
        self.send(name, ADMIN, Request::get(path), "").await.json()
    }
}

/// Sends a request over an open connection.
pub(crate) async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: &str,
) -> hyper::Result<Response> {
    sender.ready().await?;
    let mut request = request.body(Full::from(body.to_owned())).unwrap();
    request.headers_mut().entry("host").or_insert(HeaderValue::from_static("service.test"));
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
    Ok(Response { status: head.status, headers: head.headers, body })
}

/// Returns the step that calls a service.
pub(crate) fn call(service: &str) -> Value {
    json!({"call": {"service": service, "url": format!("http://{service}:{NODE}/")}})
}
