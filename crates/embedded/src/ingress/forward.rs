//! One request from the ingress to an endpoint of its Service.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_net::{BoxIo, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::PodNetwork;

/// An answer's body: the endpoint's own or a few words of the ingress.
pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// Keeps connections to endpoints.
pub(super) type Upstreams = Client<Connector, Incoming>;

/// Headers that concern one connection only.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

pub(super) fn upstreams(network: PodNetwork) -> Upstreams {
    Client::builder(TokioExecutor::new()).build(Connector(network))
}

/// Sends a request to an endpoint; what is wrong there becomes a 502.
pub(super) async fn send(
    upstreams: &Upstreams,
    to: SocketAddr,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{to}{path}").parse::<Uri>() else { return say(StatusCode::BAD_REQUEST) };
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_11;
    let is_trailers = request.headers().get(header::TE).is_some_and(|te| te == "trailers");
    for name in HOP_BY_HOP {
        request.headers_mut().remove(name);
    }
    if is_trailers {
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
    }
    match upstreams.request(request).await {
        Ok(mut answer) => {
            for name in HOP_BY_HOP {
                answer.headers_mut().remove(name);
            }
            answer.map(BodyExt::boxed)
        }
        Err(error) => {
            tracing::debug!(%error, %to, "forward a request");
            say(StatusCode::BAD_GATEWAY)
        }
    }
}

/// An answer of the ingress itself.
pub(super) fn say(status: StatusCode) -> Response<Body> {
    let words = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = Full::new(Bytes::from(words)).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    answer
}

/// Opens connections over the pod's network.
#[derive(Clone)]
pub(super) struct Connector(PodNetwork);

impl tower_service::Service<Uri> for Connector {
    type Response = TokioIo<Upstream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let network = self.0.clone();
        Box::pin(async move {
            let address = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
            let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
            Ok(TokioIo::new(Upstream(network.connect(address).await?)))
        })
    }
}

/// A connection to an endpoint.
pub(super) struct Upstream(BoxIo);

impl Connection for Upstream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Upstream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
