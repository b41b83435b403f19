//! Forwards one request to an endpoint of its Service.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use meshy_net::{BoxIo, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::PodNetwork;

/// The body of a response: that of the endpoint, or a short text of the ingress.
pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// The client that keeps connections to endpoints.
pub(super) type Upstreams<B> = Client<Connector, B>;

/// How long an idle connection to an endpoint is kept; the default of ingress-nginx.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Headers that apply to one connection only.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

pub(super) fn upstreams<B>(network: PodNetwork) -> Upstreams<B>
where
    B: hyper::body::Body<Data = Bytes> + Send,
{
    // Without a timer the pool never closes a connection: those opened during a stall would stay open, here and in each
    // proxy of the path.
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .build(Connector(network))
}

/// Sends a request to an endpoint and returns its response; 502 if the connection fails.
pub(super) async fn send<B>(
    upstreams: &Upstreams<B>,
    to: SocketAddr,
    mut request: Request<B>,
) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let Ok(uri) = format!("http://{to}{path}").parse::<Uri>() else {
        return plain_response(StatusCode::BAD_REQUEST);
    };
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
        Ok(mut response) => {
            for name in HOP_BY_HOP {
                response.headers_mut().remove(name);
            }
            response.map(BodyExt::boxed)
        }
        Err(error) => {
            tracing::debug!(%error, %to, "cannot forward a request");
            plain_response(StatusCode::BAD_GATEWAY)
        }
    }
}

/// Returns a response of the ingress itself: the status as text.
pub(super) fn plain_response(status: StatusCode) -> Response<Body> {
    let text = format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// Opens connections over the network of the pod.
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

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::network::Fabric;

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_to_an_endpoint_is_closed() {
        let fabric = Fabric::new();
        let ingress = PodNetwork::join(&fabric, "default", "ingress").expect("an address");
        let pod = PodNetwork::join(&fabric, "default", "pod").expect("an address");
        let mut listener = pod.listen(([0, 0, 0, 0], 80).into()).await.expect("a free port");
        let served = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1024];
            assert!(io.read(&mut head).await.expect("a request") > 0);
            io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("a response");
            assert_eq!(io.read(&mut head).await.expect("the end"), 0);
        });
        let upstreams = upstreams::<Empty<Bytes>>(ingress);
        let request =
            Request::get(format!("http://{}:80/", pod.address())).body(Empty::new()).expect("a request");
        let start = Instant::now();
        let response = upstreams.request(request).await.expect("a response");
        assert_eq!(response.status(), StatusCode::OK);
        timeout(3 * IDLE_TIMEOUT, served).await.expect("the connection is closed in time").expect("no panic");
        assert!(start.elapsed() >= IDLE_TIMEOUT, "the connection was kept for the next request");
    }
}
