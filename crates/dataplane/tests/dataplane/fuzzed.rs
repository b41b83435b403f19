//! Properties that hold for any bytes from a caller, from an upstream and in Linkerd's headers.
//!
//! `fuzz/` runs these functions under libFuzzer; `corpora.rs` replays its corpora. A panic in any task is a failure, also if
//! the runtime catches it.

mod trailers;

use std::cell::Cell;
use std::future::Future;
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use meshy_dataplane::Mode;
use meshy_dataplane::profile::Profile;
use meshy_net::Network;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

pub(crate) use trailers::grpc_trailers;

use super::support::{Client, Lab, Memory, WEB, endpoint, route, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";
const OTHER_POD: &str = "10.244.1.2:9090";
const WEB_NAME: &str = "web.default.svc.cluster.local";
const OTHER_NAME: &str = "other.default.svc.cluster.local";

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs one input on a paused clock.
fn run(case: impl Future<Output = ()>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            default(info);
        }));
    });
    PANICKED.set(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(case);
    assert!(!PANICKED.get(), "a task panicked");
}

/// Writes in pieces and reads to the end.
async fn exchange(io: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> Vec<u8> {
    write_pieces(io, bytes).await;
    read_to_end(io).await
}

async fn read_to_end(io: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut received = Vec::new();
    let read = timeout(Duration::from_secs(60), io.read_to_end(&mut received)).await;
    assert!(read.is_ok(), "no end after {:?}", String::from_utf8_lossy(&received));
    received
}

/// Writes pieces of the length of the first byte, or all at once if it is 0.
async fn write_pieces(io: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) {
    let Some((&length, bytes)) = bytes.split_first() else { return };
    // At most a few hundred pieces, to limit the time.
    let length = if length == 0 { bytes.len().max(1) } else { usize::from(length).max(bytes.len() / 256) };
    for piece in bytes.chunks(length) {
        if !matches!(timeout(Duration::from_secs(60), io.write_all(piece)).await, Ok(Ok(()))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// Checks that a valid request works and that every connection is closed after the idle timeout.
async fn still_works(client: &Client) {
    let request = Request::get("/works").header("host", "web").header("connection", "close");
    assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    connections_are_closed(client).await;
}

async fn connections_are_closed(client: &Client) {
    // Idle connections are closed after 3 to 4.5 s; a destination with its HTTP/2 connection is dropped after 5 to 10 s.
    sleep(Duration::from_secs(15)).await;
    let open = client.metric("tcp_open_connections", &[("direction", "outbound"), ("peer", "dst")]);
    assert_eq!(open, 0, "open connections");
}

fn retry_all() -> Profile {
    let routes = [Method::GET, Method::POST, Method::PUT].map(|method| route("all", method, "/.*", true));
    Profile { routes: routes.into(), ..Profile::default() }
}

/// An application, with its proxy, that responds with an `l5d-` header, which must not reach the caller.
fn with_l5d_header(lab: &Lab, app: &Memory, pod: &str) -> super::support::Server {
    let server_proxy = lab.proxy(app, |_| {});
    lab.mesh(&server_proxy, pod.parse().unwrap());
    let respond = |_, request: Request<Bytes>| {
        assert_no_l5d_headers(request.headers(), &[]);
        let (length, coding) = ("content-length", "transfer-encoding");
        let both = request.headers().contains_key(length) && request.headers().contains_key(coding);
        assert!(!both, "two framings: {request:?}");
        Response::builder().header("l5d-secret", "1").body(Bytes::from_static(b"ok")).unwrap()
    };
    serve_http(app, pod.parse().unwrap(), Arc::new(respond))
}

fn assert_no_l5d_headers(headers: &HeaderMap, but: &[&str]) {
    let passed =
        headers.keys().find(|name| name.as_str().starts_with("l5d-") && !but.contains(&name.as_str()));
    assert_eq!(passed, None, "was passed on");
}

/// The headers that the proxy itself sends to its caller.
const PROXY_HEADERS: [&str; 2] = ["l5d-proxy-error", "l5d-proxy-connection"];

/// Any bytes from a caller to a pair of proxies.
pub(crate) fn caller(bytes: &[u8]) {
    run(async {
        let (lab, app) = (Lab::default(), Memory::default());
        with_l5d_header(&lab, &app, POD);
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = lab.client();
        let mut io = client.dial(WEB);
        write_pieces(&mut io, bytes).await;
        // The proxy waits for the rest of an incomplete request. A caller that closes its write half may get no response.
        let _ = io.shutdown().await;
        let response = read_to_end(&mut io).await;
        assert!(!response.windows(10).any(|part| part == b"l5d-secret"), "an l5d header was passed on");
        still_works(&client).await;
    });
}

/// Any bytes as the response of an upstream to a valid request, which the first byte chooses.
pub(crate) fn upstream(bytes: &[u8]) {
    const REQUESTS: [&[u8]; 4] = [
        b"\0GET / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n",
        b"\0POST /a HTTP/1.1\r\nhost: web\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        b"\0HEAD / HTTP/1.1\r\nhost: web\r\nconnection: close\r\n\r\n",
        b"\0PUT / HTTP/1.1\r\nhost: web\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ];
    let Some((&which, bytes)) = bytes.split_first() else { return };
    run(async {
        let lab = Lab::default();
        let response: Arc<[u8]> = bytes.into();
        serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
            let response = response.clone();
            async move {
                let mut head = [0; 4096];
                let _ = io.read(&mut head).await;
                write_pieces(&mut io, &response).await;
            }
        });
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = lab.client();
        let received = exchange(&mut client.dial(WEB), REQUESTS[usize::from(which) % REQUESTS.len()]).await;
        // A head may be lost with a body that breaks at once; without a head the proxy synthesizes a response.
        let has_head = bytes.windows(2).any(|part| part == b"\n\n" || part == b"\n\r");
        if received.is_empty() && has_head {
            return connections_are_closed(&client).await;
        }
        assert!(received.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&received));
        let end = received.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head");
        for line in received[..end].split(|byte| *byte == b'\n') {
            let is_own = PROXY_HEADERS.iter().any(|name| line.starts_with(name.as_bytes()));
            assert!(
                !line.starts_with(b"l5d-") || is_own,
                "{:?} was passed on",
                String::from_utf8_lossy(line)
            );
        }
        matches_hyper(&lab, &client, &METHODS[usize::from(which) % METHODS.len()]).await;
        connections_are_closed(&client).await;
    });
}

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::PUT];

/// The proxy reads responses with hyper's client and writes them with hyper's server: what a caller gets is what hyper's
/// client alone would read.
async fn matches_hyper(lab: &Lab, client: &Client, method: &Method) {
    // A service without retries: bytes after a response would be the response to the retry.
    const ONCE: &str = "10.96.0.3:9090";
    let request = || {
        let request = Request::builder().method(method).uri("/").header("host", "web");
        request.body(Bytes::from_static(if method == Method::GET { b"" } else { b"hello" })).unwrap()
    };
    lab.service("once", ONCE, &[endpoint(POD)]);
    let direct = lab.wire.connect(POD.parse().unwrap()).await.unwrap();
    let (direct, proxied) = (by_hyper(direct, request()).await, client.send_to(ONCE, request()).await);
    match (direct, proxied) {
        (Err(_), Ok(reply)) => {
            assert!([500, 502].contains(&reply.status), "hyper reads no response: {reply:?}");
        }
        (Ok((_, Err(error))), Ok(reply)) => panic!("hyper reads a broken body, {error}: {reply:?}"),
        (Ok((head, Ok(body))), Ok(reply)) => {
            // The request did not request an upgrade.
            let status = if head.status == 101 { 502 } else { head.status.as_u16() };
            assert_eq!((status, &body), (reply.status, &reply.body));
            if head.status != 101 {
                same_headers(&head.headers, &reply.headers);
            }
        }
        (Ok((_, Err(_))), Err(_)) => {}
        (direct, Err(error)) => panic!("{error}, but hyper reads {direct:?}"),
    }
}

/// A head, and the whole body or the error that broke it.
type Read = hyper::Result<(http::response::Parts, hyper::Result<Bytes>)>;

async fn by_hyper(io: meshy_net::BoxIo, request: Request<Bytes>) -> Read {
    let io = hyper_util::rt::TokioIo::new(io);
    let (mut sender, driver) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(driver);
    let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    Ok((head, body.collect().await.map(|body| body.to_bytes())))
}

/// Checks that all headers pass but hop-by-hop headers, `l5d-*` and `content-length`.
fn same_headers(direct: &HeaderMap, proxied: &HeaderMap) {
    const HOP: [&str; 7] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ];
    let values = direct.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    for name in direct.keys() {
        let hop = HOP.contains(&name.as_str()) || named.iter().any(|named| name == named);
        if !hop && !name.as_str().starts_with("l5d-") {
            let all = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            assert_eq!(all(direct), all(proxied), "{name}");
        }
    }
}

/// Any lines as Linkerd's headers of a caller of an ingress: `=VALUE` is an override, `NAME:VALUE` is `l5d-NAME`. The first
/// byte chooses the HTTP version.
pub(crate) fn mesh_headers(bytes: &[u8]) {
    let Some((&first, bytes)) = bytes.split_first() else { return };
    let mut headers = HeaderMap::new();
    let mut named = None;
    for line in bytes.split(|byte| *byte == b'\n').take(32) {
        let (name, value) = match line.strip_prefix(b"=") {
            Some(value) => (b"dst-override".as_slice(), value),
            None => match line.iter().position(|byte| *byte == b':') {
                Some(at) => (&line[..at], &line[at + 1..]),
                None => continue,
            },
        };
        let name = HeaderName::from_bytes(&[b"l5d-", name].concat());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            if name == "l5d-dst-override" {
                named = Some(value.clone());
            }
            headers.append(name, value);
        }
    }
    run(async {
        let lab = Lab::default();
        // Each pod has its own network, with an application at its address.
        let web = with_l5d_header(&lab, &Memory::default(), POD);
        let other = with_l5d_header(&lab, &Memory::default(), OTHER_POD);
        lab.service("web", WEB, &[endpoint(POD)]);
        lab.service("other", "10.96.0.2:9090", &[endpoint(OTHER_POD)]);
        let client = Client::new(lab.proxy(&Memory::default(), |config| config.mode = Mode::Ingress));
        let mut request = Request::get("http://web:9090/").body(Bytes::new()).unwrap();
        if first % 2 == 1 {
            *request.version_mut() = Version::HTTP_2;
        } else {
            *request.uri_mut() = "/".parse().unwrap();
            headers.insert("host", HeaderValue::from_static("web:9090"));
            headers.insert("connection", HeaderValue::from_static("close"));
        }
        *request.headers_mut() = headers;
        let reply = client.send_to(WEB, request).await.expect("a response");
        assert_no_l5d_headers(&reply.headers, &PROXY_HEADERS);
        let counts = (web.count(), other.count());
        match named.map(|value| named_service(&value)) {
            None | Some(Some(WEB_NAME)) => assert_eq!((reply.status, counts), (200, (1, 0))),
            Some(Some(_)) => assert_eq!((reply.status, counts), (200, (0, 1))),
            Some(None) => {
                assert!([400, 502].contains(&reply.status), "{reply:?}");
                assert_eq!(counts, (0, 0), "a request with an unknown override reached a service");
            }
        }
        connections_are_closed(&client).await;
    });
}

/// Returns the service that an override names, without the proxy's parser.
fn named_service(value: &HeaderValue) -> Option<&'static str> {
    let text = value.to_str().ok()?.trim().to_ascii_lowercase();
    let host = text.strip_suffix(":9090")?.trim_end_matches('.').to_owned();
    [WEB_NAME, OTHER_NAME].into_iter().find(|name| *name == host)
}
