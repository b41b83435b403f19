//! One request from the ingress to an endpoint of its Service.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use meshy_net::{BoxIo, Network};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::network::PodNetwork;

/// An answer's body: the endpoint's own or a few words of the ingress.
pub(super) type Body = BoxBody<Bytes, hyper::Error>;

/// Keeps connections to endpoints.
pub(super) type Upstreams<B = Incoming> = Client<Connector, B>;

/// How long a connection to an endpoint is kept without a request; ingress-nginx's default.
const IDLE: Duration = Duration::from_secs(60);

/// Headers that concern one connection only.
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
    // Without a timer the pool closes nothing: what one stall opened would stay open, here and in every proxy on the way.
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .build(Connector(network))
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

#[cfg(test)]
mod tests {
    use http_body_util::Empty;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::network::Fabric;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_no_request_needs_is_closed() {
        let fabric = Fabric::new();
        let ingress = fabric.join("default", "ingress").expect("a place");
        let pod = fabric.join("default", "pod").expect("a place");
        let mut listener = pod.listen(([0, 0, 0, 0], 80).into()).await.expect("a free port");
        let served = tokio::spawn(async move {
            let (mut io, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1024];
            assert!(io.read(&mut head).await.expect("a request") > 0);
            io.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.expect("an answer is taken");
            assert_eq!(io.read(&mut head).await.expect("an end"), 0);
        });
        let upstreams = upstreams::<Empty<Bytes>>(ingress);
        let request =
            Request::get(format!("http://{}:80/", pod.address())).body(Empty::new()).expect("a request");
        let begun = Instant::now();
        let answer = upstreams.request(request).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        timeout(3 * IDLE, served).await.expect("it is closed in time").expect("the pod saw its end");
        assert!(begun.elapsed() >= IDLE, "it was kept for the next request");
    }
}
