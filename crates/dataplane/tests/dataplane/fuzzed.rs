//! What must hold for any bytes: from a caller, from an upstream, in the mesh's own headers.
//!
//! `fuzz/` runs these functions under libFuzzer; the tests at the end replay its corpora. A panic in any task counts, even
//! where the runtime would swallow it.

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

use super::support::{Client, Lab, Memory, WEB, endpoint, route, serve_http, serve_raw};

const POD: &str = "10.244.1.1:9090";
const OTHER_POD: &str = "10.244.1.2:9090";
const WEB_NAME: &str = "web.default.svc.cluster.local";
const OTHER_NAME: &str = "other.default.svc.cluster.local";

thread_local! {
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Runs one input on a clock of its own that jumps whenever nothing else can happen.
fn run(case: impl Future<Output = ()>) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            before(info);
        }));
    });
    PANICKED.set(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(case);
    assert!(!PANICKED.get(), "a task panicked");
}

/// Writes in pieces and reads to the end.
async fn talk(io: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin), bytes: &[u8]) -> Vec<u8> {
    write_pieces(io, bytes).await;
    read_to_end(io).await
}

async fn read_to_end(io: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = timeout(Duration::from_secs(60), io.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "hangs after {:?}", String::from_utf8_lossy(&answer));
    answer
}

/// Pieces of the length that the first byte says, 0 for all at once.
async fn write_pieces(io: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) {
    let Some((&length, bytes)) = bytes.split_first() else { return };
    // A few hundred pieces tell as much as all.
    let length = if length == 0 { bytes.len().max(1) } else { usize::from(length).max(bytes.len() / 256) };
    for piece in bytes.chunks(length) {
        if !matches!(timeout(Duration::from_secs(60), io.write_all(piece)).await, Ok(Ok(()))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A good request still works, and every connection is closed once idle.
async fn still_well(client: &Client) {
    let request = Request::get("/well").header("host", "web").header("connection", "close");
    assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    at_rest(client).await;
}

async fn at_rest(client: &Client) {
    // Connections are kept for 3 s, a destination and its HTTP/2 connection for 5 s, which is looked at every 5 s.
    sleep(Duration::from_secs(15)).await;
    let open = client.metric("tcp_open_connections", &[("direction", "outbound"), ("peer", "dst")]);
    assert_eq!(open, 0, "connections are left");
}

fn retry_all() -> Profile {
    let routes = [Method::GET, Method::POST, Method::PUT].map(|method| route("all", method, "/.*", true));
    Profile { routes: routes.into(), ..Profile::default() }
}

/// An application that says something the mesh must not pass on.
fn telling(lab: &Lab, app: &Memory, pod: &str) -> super::support::Server {
    let behind = lab.proxy(app, |_| {});
    lab.mesh(&behind, pod.parse().unwrap());
    let answer = |_, request: Request<Bytes>| {
        assert_no_mesh_headers(request.headers(), &[]);
        let (length, coding) = ("content-length", "transfer-encoding");
        let two = request.headers().contains_key(length) && request.headers().contains_key(coding);
        assert!(!two, "framed two ways: {request:?}");
        Response::builder().header("l5d-secret", "1").body(Bytes::from_static(b"ok")).unwrap()
    };
    serve_http(app, pod.parse().unwrap(), Arc::new(answer))
}

fn assert_no_mesh_headers(headers: &HeaderMap, but: &[&str]) {
    let passed =
        headers.keys().find(|name| name.as_str().starts_with("l5d-") && !but.contains(&name.as_str()));
    assert_eq!(passed, None, "passed on");
}

/// What the proxy itself may say to its own side.
const OWN_WORDS: [&str; 2] = ["l5d-proxy-error", "l5d-proxy-connection"];

/// Any bytes from a caller to a pair of proxies.
pub(crate) fn caller(bytes: &[u8]) {
    run(async {
        let (lab, app) = (Lab::default(), Memory::default());
        telling(&lab, &app, POD);
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = lab.client();
        let mut io = client.dial(WEB);
        write_pieces(&mut io, bytes).await;
        // What is no whole request would wait for ever. Who says that nothing more comes may be left without an answer,
        // as one that goes away is.
        let _ = io.shutdown().await;
        let answer = read_to_end(&mut io).await;
        assert!(!answer.windows(10).any(|part| part == b"l5d-secret"), "a header of the mesh was passed on");
        still_well(&client).await;
    });
}

/// Any bytes as the answer of an upstream to a good request; the second byte says to which.
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
        let said: Arc<[u8]> = bytes.into();
        serve_raw(&lab.wire, POD.parse().unwrap(), move |mut io| {
            let said = said.clone();
            async move {
                let mut head = [0; 4096];
                let _ = io.read(&mut head).await;
                write_pieces(&mut io, &said).await;
            }
        });
        lab.service("web", WEB, &[endpoint(POD)]).profile(retry_all());
        let client = lab.client();
        let answer = talk(&mut client.dial(WEB), REQUESTS[usize::from(which) % REQUESTS.len()]).await;
        // A head whose body breaks at once may be cut with it; without a head there is always an answer.
        let headed = bytes.windows(2).any(|part| part == b"\n\n" || part == b"\n\r");
        if answer.is_empty() && headed {
            return at_rest(&client).await;
        }
        assert!(answer.starts_with(b"HTTP/1.1 "), "{:?}", String::from_utf8_lossy(&answer));
        let end = answer.windows(4).position(|part| part == b"\r\n\r\n").expect("a whole head");
        for line in answer[..end].split(|byte| *byte == b'\n') {
            let own = OWN_WORDS.iter().any(|name| line.starts_with(name.as_bytes()));
            assert!(!line.starts_with(b"l5d-") || own, "{:?} was passed on", String::from_utf8_lossy(line));
        }
        as_hyper_reads_it(&lab, &client, &METHODS[usize::from(which) % METHODS.len()]).await;
        at_rest(&client).await;
    });
}

const METHODS: [Method; 4] = [Method::GET, Method::POST, Method::HEAD, Method::PUT];

/// The proxy reads responses with hyper's client and writes them with hyper's server: what a caller gets is what hyper's
/// client alone would read.
async fn as_hyper_reads_it(lab: &Lab, client: &Client, method: &Method) {
    let request = || {
        let request = Request::builder().method(method).uri("/").header("host", "web");
        request.body(Bytes::from_static(if method == Method::GET { b"" } else { b"hello" })).unwrap()
    };
    // A service without retries: what is said after an answer would be the answer of the next request.
    const ONCE: &str = "10.96.0.3:9090";
    lab.service("once", ONCE, &[endpoint(POD)]);
    let direct = lab.wire.connect(POD.parse().unwrap()).await.unwrap();
    let (theirs, ours) = (by_hyper(direct, request()).await, client.send_to(ONCE, request()).await);
    match (theirs, ours) {
        (Err(_), Ok(reply)) => assert!([500, 502].contains(&reply.status), "hyper sees no answer: {reply:?}"),
        (Ok((_, Err(error))), Ok(reply)) => panic!("for hyper the body breaks, {error}: {reply:?}"),
        (Ok((head, Ok(body))), Ok(reply)) => {
            // Nobody asked for another protocol.
            let status = if head.status == 101 { 502 } else { head.status.as_u16() };
            assert_eq!((status, &body), (reply.status, &reply.body));
            if head.status != 101 {
                same_headers(&head.headers, &reply.headers);
            }
        }
        (Ok((_, Err(_))), Err(_)) => {}
        (theirs, Err(error)) => panic!("{error}, but for hyper {theirs:?}"),
    }
}

/// A head, and the whole body or why it broke.
type Read = hyper::Result<(http::response::Parts, hyper::Result<Bytes>)>;

async fn by_hyper(io: meshy_net::BoxIo, request: Request<Bytes>) -> Read {
    let io = hyper_util::rt::TokioIo::new(io);
    let (mut sender, driver) = hyper::client::conn::http1::handshake(io).await?;
    tokio::spawn(driver);
    let (head, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
    Ok((head, body.collect().await.map(|body| body.to_bytes())))
}

/// All headers pass but those of one connection, of the mesh, and what frames the message.
fn same_headers(theirs: &HeaderMap, ours: &HeaderMap) {
    const HOP: [&str; 7] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
        "content-length",
    ];
    let values = theirs.get_all("connection").iter().filter_map(|value| value.to_str().ok());
    let named: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
    for name in theirs.keys() {
        let hop = HOP.contains(&name.as_str()) || named.iter().any(|named| name == named);
        if !hop && !name.as_str().starts_with("l5d-") {
            let all = |headers: &HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            assert_eq!(all(theirs), all(ours), "{name}");
        }
    }
}

/// Lines as the mesh's headers of a caller of an ingress: `=VALUE` is an override, `NAME:VALUE` is `l5d-NAME`. The first
/// byte chooses the version of HTTP.
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
        // Two pods are two networks: each has an application at its own address.
        let web = telling(&lab, &Memory::default(), POD);
        let other = telling(&lab, &Memory::default(), OTHER_POD);
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
        let reply = client.send_to(WEB, request).await.expect("an answer");
        assert_no_mesh_headers(&reply.headers, &OWN_WORDS);
        let counts = (web.count(), other.count());
        match named.map(|value| where_to(&value)) {
            None | Some(Some(WEB_NAME)) => assert_eq!((reply.status, counts), (200, (1, 0))),
            Some(Some(_)) => assert_eq!((reply.status, counts), (200, (0, 1))),
            Some(None) => {
                assert!([400, 502].contains(&reply.status), "{reply:?}");
                assert_eq!(counts, (0, 0), "a request that names nobody reached somebody");
            }
        }
        at_rest(&client).await;
    });
}

/// The service that an override names, told without the proxy's own reading of it.
fn where_to(value: &HeaderValue) -> Option<&'static str> {
    let text = value.to_str().ok()?.trim().to_ascii_lowercase();
    let host = text.strip_suffix(":9090")?.trim_end_matches('.').to_owned();
    [WEB_NAME, OTHER_NAME].into_iter().find(|name| *name == host)
}
