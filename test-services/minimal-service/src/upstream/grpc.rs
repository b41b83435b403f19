//! Unary gRPC calls, over one HTTP/2 connection to each host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, TE, USER_AGENT};
use http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::{Outgoing, PRODUCT, Upstream, UpstreamError, host_of};
use crate::body::Payload;
use crate::grpc;
use crate::headers::{CALLER_NAME, REQUEST_ID_NAME};

/// The method that is called where an endpoint names none.
const METHOD: &str = "/minimal.v1.Minimal/Call";

/// The open connections, by host and port.
#[derive(Default)]
pub(super) struct Connections(Mutex<HashMap<String, http2::SendRequest<Payload>>>);

impl Connections {
    /// Returns a connection that was not closed.
    fn get(&self, host_and_port: &str) -> Option<http2::SendRequest<Payload>> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, sender| !sender.is_closed());
        open.get(host_and_port).cloned()
    }

    fn keep(&self, host_and_port: &str, sender: &http2::SendRequest<Payload>) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(host_and_port.to_owned(), sender.clone());
    }
}

impl Upstream {
    /// Sends a call; returns a response with the HTTP status that the gRPC status counts as.
    pub(super) async fn call(&self, outgoing: &Outgoing<'_>) -> Result<Response<()>, UpstreamError> {
        let not_valid = || UpstreamError::NotHttp(outgoing.endpoint.clone());
        let authority = outgoing.endpoint.authority().ok_or_else(not_valid)?;
        let host_and_port = authority.as_str();
        let request = call(outgoing, host_and_port).ok_or_else(not_valid)?;
        let mut sender = match self.calls.get(host_and_port) {
            Some(sender) => sender,
            None => {
                let stream = self.open(host_of(authority), authority.port_u16().unwrap_or(80)).await?;
                let (sender, connection) =
                    http2::Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream)).await?;
                // The task ends when the last sender is dropped.
                tokio::spawn(connection);
                self.calls.keep(host_and_port, &sender);
                sender
            }
        };
        sender.ready().await?;
        finish(sender.send_request(request).await?).await
    }
}

/// Returns the request of a call: one message with a body of the wanted size.
fn call(outgoing: &Outgoing<'_>, host_and_port: &str) -> Option<Request<Payload>> {
    let path = match outgoing.endpoint.path() {
        "" | "/" => METHOD,
        path => path,
    };
    let uri = Uri::builder().scheme("http").authority(host_and_port).path_and_query(path).build().ok()?;
    let prefix = grpc::prefix(outgoing.bytes);
    let mut request = Request::new(Payload::of_size(outgoing.bytes).after(prefix));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, grpc::CONTENT);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, PRODUCT);
    headers.insert(REQUEST_ID_NAME, outgoing.id.clone());
    if let Some(caller) = outgoing.caller {
        headers.insert(CALLER_NAME, caller.clone());
    }
    Some(request)
}

/// Reads a response to its end. Its status is in the trailers, or in the headers of a response without a message.
async fn finish(response: Response<Incoming>) -> Result<Response<()>, UpstreamError> {
    let (mut head, mut body) = response.into_parts();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame?.into_trailers() {
            Ok(found) => trailers = Some(found),
            Err(frame) => drop::<Option<Bytes>>(frame.into_data().ok()),
        }
    }
    if head.status.is_success() {
        let code = |headers: &HeaderMap| headers.get(grpc::STATUS)?.to_str().ok()?.parse().ok();
        // A response without a status counts as UNKNOWN.
        let code: u16 = trailers.as_ref().and_then(code).or_else(|| code(&head.headers)).unwrap_or(2);
        head.status = grpc::http_status(code);
    }
    Ok(Response::from_parts(head, ()))
}
