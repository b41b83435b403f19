//! Connections that the upstream resets, before its response and within it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use meshy_net::{BoxFuture, BoxIo, Listener, Network};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use crate::counters::retry_all;
use crate::support::{Client, Lab, Memory, WEB, endpoint, serve_raw};

const POD: &str = "10.244.1.1:9090";
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nthe beginning of a body";

/// A network on which a connection that the upstream closes is reset.
struct Resetting(Memory);

impl Network for Resetting {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.0.resolve(host)
    }

    fn connect(&self, to: SocketAddr) -> BoxFuture<'_, io::Result<BoxIo>> {
        Box::pin(async move { Ok(Box::new(Reset(self.0.connect(to).await?)) as BoxIo) })
    }

    fn listen(&self, on: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        self.0.listen(on)
    }
}

struct Reset(BoxIo);

impl AsyncRead for Reset {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        let ended = buf.filled().len() == before;
        Poll::Ready(if ended { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) })
    }
}

impl AsyncWrite for Reset {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Returns a client of `web`, which sends these bytes, in turn, and resets the connection.
fn resetting(responses: &'static [&'static [u8]]) -> (Lab, Client, crate::support::Server) {
    let lab = Lab::default();
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
        let turn = turn.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        async move {
            let _ = io.read(&mut [0; 4096]).await;
            let _ = io.write_all(responses[turn % responses.len()]).await;
        }
    });
    lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
    let network = Arc::new(Resetting(lab.wire.clone()));
    let client = Client::new(lab.proxy(&Memory::default(), |config| config.network = network));
    (lab, client, server)
}

#[tokio::test(start_paused = true)]
async fn a_connection_reset_before_its_response_is_a_502_before_the_retry_decision() {
    let (_lab, client, server) = resetting(&[b"", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]);
    assert_eq!(client.get("/").await.status, 200, "the 502 was retried");
    assert_eq!(server.count(), 2);
    assert_eq!(client.metric("route_actual_response_total", &[("status_code", "502")]), 1);
    assert_eq!(client.metric("route_response_total", &[("status_code", "200")]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_in_the_body_breaks_the_response_and_is_counted_as_a_failure() {
    let (_lab, client, server) = resetting(&[RESPONSE]);
    let request = Request::get("/").header("host", "web").body(Bytes::new()).unwrap();
    assert!(client.send_to(WEB, request).await.is_err(), "the body is incomplete");
    let broken = [("classification", "failure"), ("error", "unclassified"), ("status_code", "200")];
    client.wait_for_metric("response_total", &broken, 1).await;
    client.wait_for_metric("tcp_close_total", &[("peer", "dst"), ("errno", "ECONNRESET")], 1).await;
    client.wait_for_metric("tcp_open_connections", &[("peer", "dst")], 0).await;
    assert_eq!(server.count(), 1, "a response that began is not retried");
}
