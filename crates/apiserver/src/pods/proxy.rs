//! `pods/NAME:PORT/proxy/PATH`: an HTTP request into a pod.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;

use crate::error::{ApiError, Result};
use crate::http::path::Target;
use crate::http::{Body, Call};
use crate::store::Key;

/// How long a pod may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Forwards the request over a stream to the pod.
pub(crate) async fn serve<B>(call: Call, target: Target, body: B) -> Result<Response<Body>>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: std::fmt::Display,
{
    let (pod, port) = name_and_port(&target.name)?;
    let pods_now = call.core.store.collection("pods");
    let found =
        pods_now.get(&Key::new(&target.namespace, &pod)).ok_or_else(|| ApiError::not_found("pods", &pod))?;
    let port = match port {
        Some(port) => port,
        None => {
            first_port(&found).ok_or_else(|| ApiError::bad_request(format!("pod {pod} names no port")))?
        }
    };
    let pods =
        call.core.pods().ok_or_else(|| ApiError::new(503, "ServiceUnavailable", "no node runs pods here"))?;
    let unreachable = |why: &dyn std::fmt::Display| {
        ApiError::new(503, "ServiceUnavailable", format!("error trying to reach service: {why}"))
    };
    let stream = pods.connect(&target.namespace, &pod, port).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "proxied connection ended");
        }
    });
    let query = call.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::builder()
        .method(call.method.clone())
        .uri(format!("/{}{query}", target.rest))
        .body(body.map_err(|error| std::io::Error::other(error.to_string())).boxed_unsync())
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    *request.headers_mut() = call.headers.clone();
    // The token is for this server and not for the pod.
    for name in [AUTHORIZATION, CONNECTION, UPGRADE, TRANSFER_ENCODING] {
        request.headers_mut().remove(name);
    }
    let host = HeaderValue::from_str(&format!("{pod}:{port}")).map_err(ApiError::internal)?;
    request.headers_mut().insert(HOST, host);
    let answer = tokio::time::timeout(PATIENCE, sender.send_request(request))
        .await
        .map_err(|_| ApiError::new(504, "Timeout", "the pod did not answer in time"))?
        .map_err(|error| unreachable(&error))?;
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    // The sender lives as long as the body, so that the connection is not closed under it.
    let body = body.map_frame(move |frame| {
        let _ = &sender;
        frame
    });
    Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed_unsync()))
}

/// `[http:]NAME[:PORT]`.
fn name_and_port(text: &str) -> Result<(String, Option<u16>)> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, port) = match parts.as_slice() {
        [name] => (*name, ""),
        [name, port] => (*name, *port),
        ["http" | "", name, port] => (*name, *port),
        ["https", ..] => return Err(ApiError::bad_request("the embedded cluster proxies plain http only")),
        _ => return Err(ApiError::bad_request(format!("invalid pod request {text:?}"))),
    };
    if port.is_empty() {
        return Ok((name.to_owned(), None));
    }
    let port = port.parse().map_err(|_| ApiError::bad_request(format!("invalid port {port:?}")))?;
    Ok((name.to_owned(), Some(port)))
}

fn first_port(pod: &serde_json::Value) -> Option<u16> {
    let ports = crate::value::items(&pod["spec"]["containers"])
        .flat_map(|container| crate::value::items(&container["ports"]));
    ports.filter_map(|port| port["containerPort"].as_u64()).find_map(|port| u16::try_from(port).ok())
}
