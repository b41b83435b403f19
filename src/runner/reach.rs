//! Whether a request reaches a service: what comes back is a response of the service, or of a proxy that leads nowhere yet.

use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Response, StatusCode};
use meshy_linkerd::names;
use meshy_load::{Target, request_once};
use meshy_policy::policy::Pauses;
use meshy_policy::policy::probe::until;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

/// The gRPC status of a service without an endpoint.
const UNAVAILABLE: &str = "14";
/// What ingress-nginx writes below its own error pages; a service's nginx has its version there by default.
const NGINX: &str = "<center>nginx</center>";
/// How long a response may take; a service that is slower is reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// Waits until a request reaches the service; returns false if none does in time.
pub(super) async fn reached(target: &Target, deadline: Instant) -> bool {
    let probed = until(Pauses::Short, deadline, async || Ok(is_reached(target).await)).await;
    probed.unwrap_or(false)
}

async fn is_reached(target: &Target) -> bool {
    match request_once(target, PATIENCE).await {
        Ok(response) => !is_of_proxy(&response),
        Err(error) => error.is::<Elapsed>(),
    }
}

/// Whether a response says that nothing leads to the service yet. The service may respond with each of these statuses itself.
fn is_of_proxy(response: &Response<impl AsRef<[u8]>>) -> bool {
    let status = response.status();
    if response.headers().contains_key(names::PROXY_ERROR) {
        // Others are decisions, such as a denied or limited request: the proxy is that of the service.
        let is_unavailable = response.headers().get("grpc-status").is_some_and(|code| code == UNAVAILABLE);
        return status.is_server_error() || status == StatusCode::NOT_FOUND || is_unavailable;
    }
    let is_gateway = [404, 502, 503, 504].contains(&status.as_u16());
    let body = String::from_utf8_lossy(response.body().as_ref());
    // The second is that of the embedded cluster's ingress.
    is_gateway && (body.contains(NGINX) || is_plain(response) && body == plain_page(status))
}

fn is_plain<T>(response: &Response<T>) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/plain")
}

fn plain_page(status: StatusCode) -> String {
    format!("{} {}\n", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    const NGINX_503: &str = "HTTP/1.1 503 Service Temporarily Unavailable\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n\
        <html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n\
        <center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

    /// A service that sends these responses, the last one again and again, and counts its requests.
    struct Fake {
        address: SocketAddr,
        requests: Arc<AtomicUsize>,
        _serving: AbortOnDropHandle<()>,
    }

    async fn fake(responses: Vec<String>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let count = requests.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let number = count.fetch_add(1, Ordering::Relaxed);
                let response = &responses[number.min(responses.len() - 1)];
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        Fake { address, requests, _serving: AbortOnDropHandle::new(serving) }
    }

    fn response(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n{body}")
    }

    async fn requests_until_reached(responses: Vec<String>) -> usize {
        let service = fake(responses).await;
        let target = Target::new(service.address, "web", "/").unwrap();
        assert!(reached(&target, Instant::now() + Duration::from_secs(600)).await);
        service.requests.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_service_that_responds_503_on_purpose_does_not_delay_the_start() {
        for (status, headers, body) in [
            ("503 Service Unavailable", "", "maintenance"),
            (
                "503 Service Unavailable",
                "content-type: text/plain\r\n",
                "Service Unavailable\nthe queue is full\n",
            ),
            ("404 Not Found", "content-type: text/plain; charset=utf-8\r\n", "404 Not Found\n"),
            ("404 Not Found", "content-type: text/html\r\n", "<hr><center>nginx/1.27.0</center>"),
            ("504 Gateway Timeout", "", ""),
            ("403 Forbidden", "l5d-proxy-error: unauthorized request on route\r\n", ""),
        ] {
            assert_eq!(
                requests_until_reached(vec![response(status, headers, body)]).await,
                1,
                "{status} {headers}{body}"
            );
        }
    }

    #[tokio::test]
    async fn the_own_errors_of_proxies_are_waited_for() {
        let good = response("200 OK", "", "good");
        for away in [
            NGINX_503.to_owned(),
            response("503 Service Unavailable", "l5d-proxy-error: no endpoints\r\n", ""),
            response("504 Gateway Timeout", "l5d-proxy-error: logical service: timed out\r\n", ""),
            response("502 Bad Gateway", "content-type: text/plain\r\n", "502 Bad Gateway\n"),
            String::new(),
        ] {
            assert_eq!(
                requests_until_reached(vec![away.clone(), away.clone(), good.clone()]).await,
                3,
                "{away}"
            );
        }
    }

    #[tokio::test]
    async fn a_refused_connection_is_no_service() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = Target::new(listener.local_addr().unwrap(), "web", "/").unwrap();
        drop(listener);
        assert!(!reached(&target, Instant::now()).await);
    }
}
