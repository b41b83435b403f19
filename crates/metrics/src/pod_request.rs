//! One HTTP request to a pod's port: through the API server's pod proxy path, else through a port-forward.

use anyhow::{Context as _, anyhow};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;

use meshy_kube::failure;

/// A dump of a proxy that talks to a thousand services has some 20 MiB.
const LARGEST: usize = 32 << 20;

/// How much of a refusal's body is quoted, in characters.
const QUOTED: usize = 200;

/// The words of an API server that reached the pod's address and found no listener at the port.
const REFUSED: &str = "connection refused";

/// A pod was reached and did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum PodFailure {
    /// It returned a status that is not a success.
    #[error("pod `{pod}` returned status {status}: {body}")]
    Status {
        /// Its name.
        pod: String,
        /// The status.
        status: StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// Nothing listens at the port.
    #[error("nothing listens at port {port} of pod `{pod}`")]
    Closed {
        /// Its name.
        pod: String,
        /// The port.
        port: u16,
    },
}

/// Sends a request to a pod's port and returns the body of the response. The request's URI is a path.
///
/// # Errors
/// A [`PodFailure`], or neither way leads to the pod.
pub async fn pod_request(
    client: &kube::Client,
    namespace: &str,
    pod: &str,
    port: u16,
    request: Request<Vec<u8>>,
) -> anyhow::Result<String> {
    let (head, body) = request.into_parts();
    let mut detour = head.clone();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    detour.uri = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy{path}").parse()?;
    let first = match client.request_text(Request::from_parts(detour, body.clone())).await {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    let first = failure::words(&first);
    if first.to_lowercase().contains(REFUSED) {
        return Err(PodFailure::Closed { pod: pod.to_owned(), port }.into());
    }
    let forwarded = by_port_forward(client, namespace, pod, port, Request::from_parts(head, body)).await;
    let (status, body) = forwarded
        .with_context(|| format!("neither the pod's proxy path ({first}) nor a port-forward works"))?;
    if !status.is_success() {
        let body = body.trim().chars().take(QUOTED).collect();
        return Err(PodFailure::Status { pod: pod.to_owned(), status, body }.into());
    }
    Ok(body)
}

async fn by_port_forward(
    client: &kube::Client,
    namespace: &str,
    pod: &str,
    port: u16,
    mut request: Request<Vec<u8>>,
) -> anyhow::Result<(StatusCode, String)> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut forward = api.portforward(pod, &[port]).await.context("cannot forward the port")?;
    let stream = forward.take_stream(port).context("the port-forward gave no stream")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    // Polled next to the request, not spawned: when the caller fails, the connection goes with it.
    let exchange = async move {
        let answer = sender.send_request(request.map(|body| Full::new(bytes::Bytes::from(body)))).await?;
        let status = answer.status();
        let body =
            Limited::new(answer.into_body(), LARGEST).collect().await.map_err(|error| anyhow!(error))?;
        anyhow::Ok((status, String::from_utf8(body.to_bytes().to_vec())?))
    };
    tokio::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => { ended?; exchange.await }
    }
}
