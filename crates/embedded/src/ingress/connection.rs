//! One connection of the ingress.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use meshy_net::BoxIo;

use super::body::{RequestBody, ResponseBody};
use super::connections::Connection;
use super::forward::Body;
use crate::program::TerminationSignal;

/// A connection that sends no complete request head for this long is closed.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Serves a connection until it ends, must be closed, or termination is requested and the open request has its response.
pub(super) async fn serve<F, R>(io: BoxIo, connection: Connection, termination: TerminationSignal, respond: F)
where
    F: Fn(Request<RequestBody>) -> R + Clone,
    R: Future<Output = Response<Body>>,
{
    let place = Arc::new(connection);
    let service = {
        let place = place.clone();
        service_fn(move |request: Request<Incoming>| {
            let (place, respond) = (place.clone(), respond.clone());
            place.set_response();
            async move {
                let response = respond(request.map(|body| RequestBody::new(body, place.clone()))).await;
                Ok::<_, Infallible>(response.map(|body| ResponseBody::new(body, place)))
            }
        })
    };
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // An error means that the client has closed the connection or does not speak HTTP.
        _ = connection.as_mut() => return,
        () = place.expired() => return,
        () = termination.requested() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = place.expired() => {}
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt as _;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::{Instant, timeout};
    use tokio_util::sync::CancellationToken;

    use super::super::connections::{BODY_TIMEOUT, Connections, FIRST_HEAD_TIMEOUT};
    use super::super::forward::plain_response;
    use super::*;

    const HALF_HEAD: &[u8] = b"GET / HTTP/1.1\r\nhost: a";
    const WHOLE: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    const HALF_BODY: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\nhalf";

    /// Longer than each limit; a connection that is still open after this time has no limit.
    const STUCK: Duration = Duration::from_secs(600);

    /// Opens a connection to a service that reads the body and responds with 200.
    async fn open(connections: &Arc<Connections>, sent: &[u8]) -> DuplexStream {
        let (mut near, far) = duplex(4096);
        let termination = TerminationSignal::new(CancellationToken::new(), Duration::from_secs(30));
        let respond = |request: Request<RequestBody>| async move {
            let _ = request.into_body().collect().await;
            plain_response(StatusCode::OK)
        };
        tokio::spawn(serve(Box::new(far), connections.open(), termination, respond));
        near.write_all(sent).await.expect("sends");
        near
    }

    /// Reads until the ingress closes the connection and returns how long that took.
    async fn time_to_end(mut stream: DuplexStream) -> Duration {
        let start = Instant::now();
        let _ = timeout(STUCK, stream.read_to_end(&mut Vec::new())).await;
        start.elapsed()
    }

    async fn is_open(stream: &mut DuplexStream) -> bool {
        timeout(Duration::from_millis(1), stream.read_to_end(&mut Vec::new())).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_sends_no_complete_request_is_closed() {
        let connections = Arc::new(Connections::default());
        for (sent, limit) in [
            (&b""[..], FIRST_HEAD_TIMEOUT),
            (HALF_HEAD, FIRST_HEAD_TIMEOUT),
            (HALF_BODY, BODY_TIMEOUT),
            (WHOLE, HEADER_TIMEOUT),
        ] {
            let time = time_to_end(open(&connections, sent).await).await;
            let range = limit..limit + Duration::from_secs(1);
            assert!(range.contains(&time), "{:?}: {time:?}", String::from_utf8_lossy(sent));
        }
        assert_eq!(connections.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn client_that_has_been_waiting_longest_makes_room() {
        let connections = Arc::new(Connections::new(3, 3));
        let mut streams = Vec::new();
        for sent in [WHOLE, HALF_BODY, b"", HALF_HEAD] {
            streams.push(open(&connections, sent).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut open = Vec::new();
        for stream in &mut streams {
            open.push(is_open(stream).await);
        }
        assert_eq!(open, [false, true, true, true]);
        assert_eq!(connections.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn incomplete_bodies_have_a_smaller_limit() {
        let connections = Arc::new(Connections::new(10, 2));
        let mut idle = open(&connections, WHOLE).await;
        let mut streams = Vec::new();
        for _ in 0..4 {
            streams.push(open(&connections, HALF_BODY).await);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let mut open = Vec::new();
        for stream in &mut streams {
            open.push(is_open(stream).await);
        }
        assert_eq!(open, [false, false, true, true]);
        assert!(is_open(&mut idle).await, "a connection without a body is not displaced by bodies");
    }
}
