//! Requests that are sent once. kube's client repeats a request up to 15 times, for minutes, if the status is 503: through the proxy
//! path of a pod or Service that is the response for a port without a listener, and no failure of the API server.

use http::Request;
use kube::Client;
use kube::client::Body;
use tower::{BoxError, service_fn};

/// Returns a client that sends requests to pods and Services with `once`, and all others with `retrying`.
pub(super) fn client(retrying: Client, once: Client) -> Client {
    let namespace = retrying.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| {
        let client = if is_proxied(request.uri().path()) { &once } else { &retrying }.clone();
        async move { client.send(request).await.map_err(BoxError::from) }
    });
    Client::new(service, namespace)
}

/// Whether a path is `/api/VERSION/namespaces/NAMESPACE/(pods|services)/NAME/proxy…`.
fn is_proxied(path: &str) -> bool {
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    matches!(words[..], ["api", _, "namespaces", _, "pods" | "services", _, "proxy", ..])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::client_from_text;
    use super::*;

    /// A server whose first two responses have status 503, and that counts requests. Returns its port.
    async fn server(requests: Arc<AtomicU32>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.expect("a request"));
                }
                let status =
                    if requests.fetch_add(1, Ordering::Relaxed) < 2 { "503 Unavailable" } else { "200 OK" };
                let body = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"m","reason":"ServiceUnavailable","code":503}"#;
                let text = format!(
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len()
                );
                stream.write_all(text.as_bytes()).await.expect("a response");
            }
        });
        port
    }

    /// Returns how many requests one GET of a path causes.
    async fn requests_for(path: &str) -> u32 {
        let count = Arc::new(AtomicU32::new(0));
        let port = server(count.clone()).await;
        let text = format!(
            "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
             users: [{{name: u, user: {{}}}}], contexts: [{{name: x, context: {{cluster: c, user: u}}}}]}}"
        );
        let client = client_from_text(&text, "x").await.expect("a client");
        let request = Request::get(path).body(Vec::new()).expect("a request");
        let _ = client.request_text(request).await;
        count.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_request_to_a_pod_is_sent_once_and_one_to_the_api_again() {
        assert_eq!(requests_for("/api/v1/namespaces/shop/pods/a:9091/proxy/counts").await, 1);
        assert_eq!(requests_for("/api/v1/namespaces/shop/services/a:80/proxy/").await, 1);
        assert_eq!(requests_for("/api/v1/namespaces/shop/pods").await, 3);
    }
}
