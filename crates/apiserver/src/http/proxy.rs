//! The subresources `pods/NAME:PORT/proxy/PATH` and `services/NAME:PORT/proxy/PATH`: forward an HTTP request to a pod.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;

use super::path::ResourcePath;
use super::request::ApiRequest;
use super::response::Body;
use super::service_proxy;
use crate::error::{ApiError, Result};
use crate::store::Key;

/// Timeout until the response headers of the pod.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// Forwards a request to a pod.
///
/// # Errors
/// 404 if the pod or Service does not exist, 503 if it cannot be reached, 504 if it does not respond in time.
pub(super) async fn proxy<B>(request: ApiRequest, path: ResourcePath, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (name, port) = name_and_port(&path.name)?;
    let (pod, port) = match path.kind.kind.as_str() {
        "Service" => service_proxy::endpoint(&request.state, &path.namespace, &name, port)?,
        _ => pod_port(&request, &path.namespace, name, port)?,
    };
    let pods = request.pod_backend()?;
    let unreachable = |why: &dyn std::fmt::Display| {
        ApiError::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"))
    };
    let stream = pods.connect(&path.namespace, &pod, port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "proxied connection ended");
        }
    });
    let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut forwarded = Request::builder()
        .method(request.method.clone())
        .uri(format!("/{}{query}", path.rest))
        .body(body.map_err(|error| std::io::Error::other(error.to_string())).boxed_unsync())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    *forwarded.headers_mut() = request.headers.clone();
    // The token authenticates to this server only and must not reach the pod.
    for name in [AUTHORIZATION, CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        forwarded.headers_mut().remove(name);
    }
    let host = HeaderValue::from_str(&format!("{pod}:{port}")).map_err(ApiError::internal)?;
    forwarded.headers_mut().insert(HOST, host);
    let response = tokio::time::timeout(RESPONSE_TIMEOUT, sender.send_request(forwarded))
        .await
        .map_err(|_| ApiError::new(504, "Timeout", "the pod did not respond in time"))?
        .map_err(|error| unreachable(&error))?;
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    // The body keeps the sender, because dropping the sender closes the connection.
    let body = body.map_frame(move |frame| {
        let _ = &sender;
        frame
    });
    Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed_unsync()))
}

/// Parses `[http:]NAME[:PORT]`; the port may be empty.
fn name_and_port(text: &str) -> Result<(String, &str)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, port) = match parts.as_slice() {
        [name] => (*name, ""),
        [name, port] => (*name, *port),
        ["http" | "", name, port] => (*name, *port),
        ["https", ..] => return Err(ApiError::bad_request("the embedded cluster proxies plain HTTP only")),
        _ => return Err(ApiError::bad_request(format!("invalid proxy request {text:?}"))),
    };
    Ok((name.to_owned(), port))
}

/// Returns an existing pod with a port number, by default that of its first container port.
fn pod_port(request: &ApiRequest, namespace: &str, pod: String, port: &str) -> Result<(String, u16)> {
    let found = request.state.store.collection("pods").get(&Key::new(namespace, &pod));
    let found = found.ok_or_else(|| ApiError::not_found("pods", &pod))?;
    let port = match port {
        "" => first_port(&found)
            .ok_or_else(|| ApiError::bad_request(format!("pod {pod} has no container port")))?,
        port => port.parse().map_err(|_| ApiError::bad_request(format!("invalid port {port:?}")))?,
    };
    Ok((pod, port))
}

fn first_port(pod: &serde_json::Value) -> Option<u16> {
    let ports = crate::value::items(&pod["spec"]["containers"])
        .flat_map(|container| crate::value::items(&container["ports"]));
    ports.filter_map(|port| port["containerPort"].as_u64()).find_map(|port| u16::try_from(port).ok())
}
