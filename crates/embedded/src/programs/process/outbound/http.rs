//! HTTP requests of a program: with the authority of their Service, over one stream to the proxy for each connection.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Upstream;
use crate::network::PodNetwork;

type Body = BoxBody<Bytes, hyper::Error>;

/// Where requests go.
#[derive(Clone)]
pub(super) enum Target {
    /// To one Service, with this authority.
    Fixed { upstream: Upstream, authority: Arc<str> },
    /// To the host of each request's URI.
    OfRequest(PodNetwork),
}

/// The stream to the Service that the last request used.
struct Connection {
    to: (String, u16),
    sender: Sender,
    /// The task that drives the stream; ends with it.
    _driver: JoinSet<()>,
}

enum Sender {
    Http1(http1::SendRequest<Incoming>),
    Http2(http2::SendRequest<Incoming>),
}

/// Serves the requests of one connection until it ends.
pub(super) async fn serve(socket: TcpStream, target: Target) {
    let connection: Arc<Mutex<Option<Connection>>> = Arc::default();
    let local = socket.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let service = service_fn(move |request: Request<Incoming>| {
        let (target, connection, local) = (target.clone(), connection.clone(), local.clone());
        async move { Ok::<_, Infallible>(respond(request, &target, &connection, &local).await) }
    });
    // An error means that the client has closed the connection or does not speak HTTP.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
}

async fn respond(
    mut request: Request<Incoming>,
    target: &Target,
    connection: &Mutex<Option<Connection>>,
    local: &str,
) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return text(StatusCode::METHOD_NOT_ALLOWED, "CONNECT is not supported: use http URLs");
    }
    let fixed;
    let (upstream, authority) = match target {
        Target::Fixed { upstream, authority } => (upstream, authority.to_string()),
        Target::OfRequest(network) => {
            let Some(host) = request.uri().host() else {
                return text(StatusCode::BAD_REQUEST, "the URI of a request to a proxy has a host");
            };
            let port = request.uri().port_u16().unwrap_or(80);
            let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
            fixed = Upstream { network: network.clone(), host: host.into(), port, authority: None };
            (&fixed, authority)
        }
    };
    if let Err(error) = set_authority(&mut request, &authority) {
        return text(StatusCode::BAD_REQUEST, &error.to_string());
    }
    match send(request, upstream, connection).await {
        Ok(response) => with_local_location(response.map(BodyExt::boxed), &authority, local),
        Err(error) => text(StatusCode::BAD_GATEWAY, &format!("cannot reach {authority}: {error}")),
    }
}

/// Sets the host of the request as the Service gets it.
fn set_authority<B>(request: &mut Request<B>, authority: &str) -> Result<(), http::Error> {
    let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if request.version() == Version::HTTP_2 {
        let uri = Uri::builder().scheme(Scheme::HTTP).authority(authority).path_and_query(path).build()?;
        *request.uri_mut() = uri;
        request.headers_mut().remove(header::HOST);
    } else {
        authority.parse::<Authority>()?;
        *request.uri_mut() = Uri::from(path);
        request.headers_mut().insert(header::HOST, HeaderValue::from_str(authority)?);
    }
    Ok(())
}

async fn send(
    request: Request<Incoming>,
    upstream: &Upstream,
    connection: &Mutex<Option<Connection>>,
) -> Result<Response<Incoming>, SendError> {
    let is_http2 = request.version() == Version::HTTP_2;
    let mut open = connection.lock().await;
    let to = (upstream.host.to_string(), upstream.port);
    // A stream that the proxy has closed, or that leads elsewhere, is replaced.
    let mut current = open.take().filter(|current| current.to == to);
    if let Some(found) = &mut current
        && !found.sender.is_ready().await
    {
        current = None;
    }
    let current = match current {
        Some(current) => current,
        None => Connection::open(upstream, to, is_http2).await?,
    };
    let current = open.insert(current);
    match &mut current.sender {
        Sender::Http1(sender) => Ok(sender.send_request(request).await?),
        Sender::Http2(sender) => {
            let mut sender = sender.clone();
            drop(open);
            Ok(sender.send_request(request).await?)
        }
    }
}

impl Connection {
    async fn open(upstream: &Upstream, to: (String, u16), is_http2: bool) -> Result<Self, SendError> {
        let io = TokioIo::new(upstream.connect().await?);
        let mut driver = JoinSet::new();
        let sender = if is_http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
            driver.spawn(async move { drop(connection.await) });
            Sender::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await?;
            driver.spawn(async move { drop(connection.await) });
            Sender::Http1(sender)
        };
        Ok(Self { to, sender, _driver: driver })
    }
}

impl Sender {
    /// Waits until another request can be sent; false if the stream is closed.
    async fn is_ready(&mut self) -> bool {
        match self {
            Self::Http1(sender) => sender.ready().await.is_ok(),
            Self::Http2(sender) => sender.ready().await.is_ok(),
        }
    }
}

/// A request that got no response.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Connect(#[from] io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// Replaces the Service in `location`, which the program could not reach by its name.
fn with_local_location(mut response: Response<Body>, authority: &str, local: &str) -> Response<Body> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let path = location.and_then(|location| location.strip_prefix("http://")?.strip_prefix(authority));
    let new = path
        .filter(|path| path.is_empty() || path.starts_with(['/', '?', '#']))
        .and_then(|path| HeaderValue::from_str(&format!("http://{local}{path}")).ok());
    if let Some(new) = new {
        response.headers_mut().insert(header::LOCATION, new);
    }
    response
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(format!("{message}\n"))).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}
