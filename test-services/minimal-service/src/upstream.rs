//! The client for bounce requests and calls, which keeps connections and never sends a request twice.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http::uri::Authority;
use http::{Method, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use meshy_net::{BoxIo, SharedNetwork};
use thiserror::Error;
use tokio::time::timeout;

use self::idle::{Idle, Sender};
use crate::body::{Payload, drain};
use crate::headers::{CALLER_NAME, REQUEST_ID_NAME};
use crate::random::Random;

mod grpc;
mod idle;

/// The timeout of connecting to one address; the value is that of efbar/minimal-service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of a request with its response: longer than any timeout that an experiment sets in the mesh.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The largest buffer of a connection, and so the largest head of a response. A connection keeps its buffer while it is
/// idle.
const MAX_BUFFER: usize = 64 * 1024;

const PRODUCT: HeaderValue = HeaderValue::from_static(concat!("minimal-service/", env!("CARGO_PKG_VERSION")));

/// The HTTP client of one service.
pub(crate) struct Upstream {
    network: SharedNetwork,
    idle: Idle,
    calls: grpc::Connections,
    ids: Mutex<Random>,
}

/// A request to an upstream.
pub(crate) struct Outgoing<'a> {
    pub(crate) endpoint: &'a Uri,
    pub(crate) id: &'a HeaderValue,
    /// The name of the service that sends the request.
    pub(crate) caller: Option<&'a HeaderValue>,
    /// The size of the body: 0 is a `GET`, more a `POST`.
    pub(crate) bytes: u64,
}

/// Why there is no response.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("invalid endpoint `{0}`, expected http://HOST:PORT/PATH or grpc://HOST:PORT/SERVICE/METHOD")]
    NotHttp(Uri),
    #[error("cannot resolve `{host}`: {error}")]
    Resolve { host: String, error: std::io::Error },
    #[error("cannot connect to {address}: {error}")]
    Connect { address: SocketAddr, error: std::io::Error },
    #[error("no response: {0}")]
    Http(#[from] hyper::Error),
    #[error("no response within {} s", TIMEOUT.as_secs())]
    TimedOut,
}

/// Returns the host to resolve.
fn host_of(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

impl<'a> Outgoing<'a> {
    /// Returns a `GET` without a caller.
    pub(crate) fn get(endpoint: &'a Uri, id: &'a HeaderValue) -> Self {
        Self { endpoint, id, caller: None, bytes: 0 }
    }

    /// Returns the request for the host and port of its endpoint.
    fn request(&self, host_and_port: &str) -> Option<Request<Payload>> {
        let mut request = Request::new(Payload::of_size(self.bytes));
        if self.bytes > 0 {
            *request.method_mut() = Method::POST;
        }
        *request.uri_mut() = self.endpoint.path_and_query().map_or("/", |path| path.as_str()).parse().ok()?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(host_and_port).ok()?);
        headers.insert(USER_AGENT, PRODUCT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(REQUEST_ID_NAME, self.id.clone());
        if let Some(caller) = self.caller {
            headers.insert(CALLER_NAME, caller.clone());
        }
        Some(request)
    }
}

impl Upstream {
    pub(crate) fn new(network: SharedNetwork) -> Self {
        Self {
            network,
            idle: Idle::default(),
            calls: grpc::Connections::default(),
            ids: Mutex::new(Random::new(None)),
        }
    }

    /// Returns a random id for a request without one: 32 hexadecimal digits.
    pub(crate) fn new_id(&self) -> HeaderValue {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let digits = format!("{:016x}{:016x}", ids.bits(), ids.bits());
        HeaderValue::from_str(&digits).expect("digits are plain text")
    }

    /// Sends a request; returns the head of the response, whose body is received and dropped.
    ///
    /// # Errors
    /// Returns an error if the endpoint is not valid, cannot be reached or does not respond within [`TIMEOUT`].
    pub(crate) async fn send(&self, outgoing: &Outgoing<'_>) -> Result<Response<()>, UpstreamError> {
        let exchange = async {
            match outgoing.endpoint.scheme_str() {
                Some("grpc") => self.call(outgoing).await,
                _ => self.exchange(outgoing).await,
            }
        };
        timeout(TIMEOUT, exchange).await.unwrap_or(Err(UpstreamError::TimedOut))
    }

    async fn exchange(&self, outgoing: &Outgoing<'_>) -> Result<Response<()>, UpstreamError> {
        let endpoint = outgoing.endpoint;
        let not_http = || UpstreamError::NotHttp(endpoint.clone());
        let authority = endpoint.authority().filter(|_| endpoint.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(not_http)?;
        // User information before an `@` is not part of the `Host` header.
        let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
        let mut request = outgoing.request(host_and_port).ok_or_else(not_http)?;

        // The peer may have closed an idle connection. Only a request that was not sent is sent on the next one: the
        // upstream may have counted one that was sent, and sending it again would be a retry.
        while let Some(mut sender) = self.idle.take(host_and_port) {
            // The connection may still be reading the end of the last response.
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return self.finish(host_and_port, sender, response).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let mut sender = self.connect(host_of(authority), authority.port_u16().unwrap_or(80)).await?;
        let response = sender.send_request(request).await?;
        self.finish(host_and_port, sender, response).await
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Sender, UpstreamError> {
        let stream = self.open(host, port).await?;
        let (sender, connection) =
            http1::Builder::new().max_buf_size(MAX_BUFFER).handshake(TokioIo::new(stream)).await?;
        // The task ends when the sender is dropped.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Opens a connection to the first address that accepts one.
    async fn open(&self, host: &str, port: u16) -> Result<BoxIo, UpstreamError> {
        let resolve = |error| UpstreamError::Resolve { host: host.to_owned(), error };
        let addresses = self.network.resolve(host).await.map_err(resolve)?;
        let mut last = resolve(std::io::ErrorKind::NotFound.into());
        for address in addresses {
            let address = SocketAddr::new(address, port);
            let timed_out = || Err(std::io::ErrorKind::TimedOut.into());
            match timeout(CONNECT_TIMEOUT, self.network.connect(address))
                .await
                .unwrap_or_else(|_| timed_out())
            {
                Ok(stream) => return Ok(stream),
                Err(error) => last = UpstreamError::Connect { address, error },
            }
        }
        Err(last)
    }

    /// Reads the body to its end, so that the connection can be used again.
    async fn finish(
        &self,
        host_and_port: &str,
        sender: Sender,
        response: Response<Incoming>,
    ) -> Result<Response<()>, UpstreamError> {
        let (head, body) = response.into_parts();
        if drain(body).await {
            self.idle.keep(host_and_port, sender);
        }
        Ok(Response::from_parts(head, ()))
    }
}
