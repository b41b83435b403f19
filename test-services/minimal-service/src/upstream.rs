//! The requests that bounces make: a small client with kept connections.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HOST, HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use meshy_net::SharedNetwork;
use thiserror::Error;
use tokio::time::timeout;

use self::idle::Idle;
use crate::random::Random;
use crate::{REQUEST_ID, service::LARGEST_BODY};

mod idle;

/// One address is given this long to accept; as in efbar/minimal-service.
const CONNECT: Duration = Duration::from_secs(1);

/// The whole exchange is given this long: more than any timeout a mesh would be taught with.
const WHOLE: Duration = Duration::from_secs(60);

const AGENT: HeaderValue = HeaderValue::from_static(concat!("minimal-service/", env!("CARGO_PKG_VERSION")));

type Sender = SendRequest<Empty<Bytes>>;

/// A client of one service.
pub(crate) struct Upstream {
    network: SharedNetwork,
    idle: Idle,
    ids: Mutex<Random>,
}

/// Why there is no answer to tell of.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("the endpoint `{0}` is not an http:// address; TLS is the mesh's matter")]
    NotHttp(Uri),
    #[error("resolve `{host}`: {error}")]
    Resolve { host: String, error: std::io::Error },
    #[error("connect to {address}: {error}")]
    Connect { address: SocketAddr, error: std::io::Error },
    #[error("no answer: {0}")]
    Broken(#[from] hyper::Error),
    #[error("no answer within {} s", WHOLE.as_secs())]
    Late,
}

impl Upstream {
    pub(crate) fn new(network: SharedNetwork) -> Self {
        Self { network, idle: Idle::default(), ids: Mutex::new(Random::new(None)) }
    }

    /// An id for a request that came without one: 32 hexadecimal digits.
    pub(crate) fn new_id(&self) -> HeaderValue {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let digits = format!("{:016x}{:016x}", ids.bits(), ids.bits());
        HeaderValue::from_str(&digits).expect("digits are plain text")
    }

    /// Asks an endpoint; gives the answer's head, its body read and dropped.
    pub(crate) async fn get(&self, endpoint: &Uri, id: &HeaderValue) -> Result<Response<()>, UpstreamError> {
        timeout(WHOLE, self.exchange(endpoint, id)).await.unwrap_or(Err(UpstreamError::Late))
    }

    async fn exchange(&self, endpoint: &Uri, id: &HeaderValue) -> Result<Response<()>, UpstreamError> {
        let not_http = || UpstreamError::NotHttp(endpoint.clone());
        let authority = endpoint.authority().filter(|_| endpoint.scheme_str() == Some("http"));
        let authority = authority.ok_or_else(not_http)?;
        // What a client may put before an `@` is for the server's eyes in another header, and not wanted here.
        let place = authority.as_str().rsplit('@').next().unwrap_or_default();
        let mut request = Request::new(Empty::new());
        *request.uri_mut() =
            endpoint.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(|_| not_http())?;
        let headers = request.headers_mut();
        headers.insert(HOST, HeaderValue::from_str(place).map_err(|_| not_http())?);
        headers.insert(USER_AGENT, AGENT);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(REQUEST_ID, id.clone());

        // A kept connection may have been closed by its other end meanwhile. Only a request that was not sent goes on
        // to the next one: one that was may have been counted, and a second would be a retry of our own making.
        while let Some(mut sender) = self.idle.take(place) {
            // It may still be putting the last answer away.
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(answer) => return self.finish(place, sender, answer).await,
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let mut sender = self.connect(host, authority.port_u16().unwrap_or(80)).await?;
        let answer = sender.send_request(request).await?;
        self.finish(place, sender, answer).await
    }

    async fn connect(&self, host: &str, port: u16) -> Result<Sender, UpstreamError> {
        let resolve = |error| UpstreamError::Resolve { host: host.to_owned(), error };
        let addresses = self.network.resolve(host).await.map_err(resolve)?;
        let mut last = resolve(std::io::ErrorKind::NotFound.into());
        for address in addresses {
            let address = SocketAddr::new(address, port);
            let late = || Err(std::io::ErrorKind::TimedOut.into());
            match timeout(CONNECT, self.network.connect(address)).await.unwrap_or_else(|_| late()) {
                Ok(stream) => {
                    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
                    // Ends by itself when its sender is dropped, so nothing here has to remember it.
                    tokio::spawn(connection);
                    return Ok(sender);
                }
                Err(error) => last = UpstreamError::Connect { address, error },
            }
        }
        Err(last)
    }

    /// Reads the body to its end, without which the connection cannot be used again.
    async fn finish(
        &self,
        place: &str,
        sender: Sender,
        answer: Response<Incoming>,
    ) -> Result<Response<()>, UpstreamError> {
        let (head, body) = answer.into_parts();
        if Limited::new(body, LARGEST_BODY).collect().await.is_ok() {
            self.idle.keep(place, sender);
        }
        Ok(Response::from_parts(head, ()))
    }
}
