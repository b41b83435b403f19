//! Time limits and displacement of connections. The clock is paused where a limit is tested.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::connections::{Connections, FIRST_REQUEST_TIMEOUT, UNAUTHENTICATED_IDLE_TIMEOUT};
use super::{RunningServer, connection};
use crate::server::Server;
use crate::state::Options;
use crate::tls::CertificateAuthority;

/// Longer than each limit; a connection that is still open after this time has no limit.
const STUCK: Duration = Duration::from_secs(180);
const TOKEN: &str = "secret";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

fn server() -> Server {
    Server::new(Options { token: crate::auth::Token::new(TOKEN), ..Options::default() })
}

fn connector(authority: &CertificateAuthority) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes());
    roots.add(certificate.expect("a certificate")).expect("a root");
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A server for connections without a socket.
struct InMemory {
    server: Server,
    authority: CertificateAuthority,
    acceptor: TlsAcceptor,
    connections: Arc<Connections>,
}

impl InMemory {
    fn new() -> Self {
        let authority = CertificateAuthority::new().expect("an authority");
        let acceptor = TlsAcceptor::from(Arc::new(authority.server_config().expect("a configuration")));
        Self { server: server(), authority, acceptor, connections: Arc::new(Connections::new(10)) }
    }

    /// Opens a connection without a TLS handshake.
    fn open(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let place = self.connections.open().expect("a place");
        tokio::spawn(connection::serve(self.server.clone(), far, self.acceptor.clone(), place));
        near
    }

    async fn open_tls(&self) -> TlsStream<DuplexStream> {
        self.tls(self.open()).await
    }

    async fn tls(&self, stream: DuplexStream) -> TlsStream<DuplexStream> {
        let name = "localhost".try_into().expect("a name");
        connector(&self.authority).connect(name, stream).await.expect("a handshake")
    }
}

/// Reads until the server closes the connection and returns how long that took.
async fn time_to_end(mut stream: impl tokio::io::AsyncRead + Unpin) -> Duration {
    let start = Instant::now();
    let mut received = Vec::new();
    let _ = timeout(STUCK, stream.read_to_end(&mut received)).await;
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn connection_without_a_request_is_closed_after_10_seconds() {
    let server = InMemory::new();
    assert_limit(time_to_end(server.open()).await, FIRST_REQUEST_TIMEOUT, "no TLS handshake");
    for (sent, what) in [
        (&b""[..], "only a TLS handshake"),
        (b"PRI * HT", "a part of the preface of HTTP/2"),
        (PREFACE, "the preface of HTTP/2"),
        (b"GET /readyz HTTP/1.1\r\nhost: loc", "a part of a head"),
    ] {
        let mut stream = server.open_tls().await;
        stream.write_all(sent).await.expect("sends");
        stream.flush().await.expect("sends");
        assert_limit(time_to_end(stream).await, FIRST_REQUEST_TIMEOUT, what);
    }
    assert_eq!(server.connections.len(), 0);
}

fn assert_limit(actual: Duration, expected: Duration, what: &str) {
    let range = expected..expected + Duration::from_secs(1);
    assert!(range.contains(&actual), "{what}: closed after {actual:?}");
}

/// Sends a request over HTTP/2 and returns the status, the sender, and the connection.
async fn http2_request(
    stream: TlsStream<DuplexStream>,
    path: &str,
    token: &str,
) -> (StatusCode, http2::SendRequest<Empty<Bytes>>, impl Future<Output = hyper::Result<()>> + use<>) {
    let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.expect("an HTTP/2 connection");
    let mut connection = Box::pin(connection);
    let request = Request::get(format!("https://localhost{path}")).header("authorization", token);
    let response = sender.send_request(request.body(Empty::new()).expect("a request"));
    let status = tokio::select! {
        response = response => response.expect("a response").status(),
        ended = &mut connection => panic!("the connection ended: {ended:?}"),
    };
    (status, sender, connection)
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_closed_after_60_seconds_unless_its_client_authenticated() {
    let server = InMemory::new();
    for (path, status) in [("/readyz", 200), ("/api", 401)] {
        let (actual, _sender, connection) = http2_request(server.open_tls().await, path, "").await;
        assert_eq!(actual, status);
        let start = Instant::now();
        let _ = timeout(STUCK, connection).await;
        assert_limit(start.elapsed(), UNAUTHENTICATED_IDLE_TIMEOUT, path);
    }
    let stream = server.open_tls().await;
    let (actual, _sender, connection) = http2_request(stream, "/api", &format!("Bearer {TOKEN}")).await;
    assert_eq!(actual, 200);
    tokio::select! {
        ended = connection => panic!("the connection ended: {ended:?}"),
        () = sleep(Duration::from_secs(24 * 3600)) => {}
    }
}

/// client-go and hyper's client keep an idle connection for 90 s. If the server closed first, a request that is just being sent would be
/// lost: `cannot list pods` after a load of 10 s, when the server closed after 10 s.
#[tokio::test(start_paused = true)]
async fn idle_http1_connection_is_kept_longer_than_clients_keep_theirs() {
    let server = InMemory::new();
    let stream = TokioIo::new(server.open_tls().await);
    let (mut sender, connection) = http1::handshake(stream).await.expect("an HTTP/1.1 connection");
    let connection = tokio::spawn(connection);
    for pause in [0, 10, 60, 90] {
        sleep(Duration::from_secs(pause)).await;
        let request = Request::get("/version")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response =
            sender.send_request(request).await.unwrap_or_else(|error| panic!("after {pause} s: {error}"));
        assert_eq!(response.status(), 200, "after {pause} s");
        response.into_body().collect().await.expect("a body");
    }
    let begun = Instant::now();
    let _ = timeout(STUCK, connection).await;
    assert_limit(begun.elapsed(), Duration::from_secs(120), "without a further request");
}

#[tokio::test(start_paused = true)]
async fn http2_client_that_does_not_respond_to_pings_is_closed() {
    let server = InMemory::new();
    let (near, middle) = tokio::io::duplex(64 * 1024);
    let (mut from_client, mut to_client) = tokio::io::split(middle);
    let (mut from_server, mut to_server) = tokio::io::split(server.open());
    tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let requests = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let stream = server.tls(near).await;
    let (status, _sender, _connection) = http2_request(stream, "/api", &format!("Bearer {TOKEN}")).await;
    assert_eq!((status.as_u16(), server.connections.len()), (200, 1));
    requests.abort();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(server.connections.len(), 0);
}

async fn listen(max: usize) -> (RunningServer, CertificateAuthority, Arc<Connections>) {
    let authority = CertificateAuthority::new().expect("an authority");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let connections = Arc::new(Connections::new(max));
    let running = server().serve_connections(listener, &authority, connections.clone()).expect("serves");
    (running, authority, connections)
}

/// A client that authenticates with each request on one HTTP/1.1 connection.
struct Client(TlsStream<TcpStream>);

impl Client {
    async fn connect(running: &RunningServer, authority: &CertificateAuthority) -> std::io::Result<Self> {
        let stream = TcpStream::connect(running.address()).await?;
        Ok(Self(connector(authority).connect("localhost".try_into().expect("a name"), stream).await?))
    }

    /// Sends a request and returns the first line of the response.
    async fn request(&mut self) -> std::io::Result<String> {
        let request =
            format!("GET /version HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
        self.0.write_all(request.as_bytes()).await?;
        let mut received = Vec::new();
        // The document ends with `"platform": …}`.
        while !received.ends_with(b"}") {
            if self.0.read_buf(&mut received).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(String::from_utf8_lossy(&received).lines().next().unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn oldest_connection_without_authentication_makes_room_for_a_new_one() {
    let (running, authority, connections) = listen(4).await;
    let mut first = Client::connect(&running, &authority).await.expect("a connection");
    assert_eq!(first.request().await.expect("a response"), "HTTP/1.1 200 OK");
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Client::connect(&running, &authority).await.expect("a connection"));
    }
    let mut new = Client::connect(&running, &authority).await.expect("a connection");
    assert_eq!(new.request().await.expect("a response"), "HTTP/1.1 200 OK");
    let mut received = [0; 16];
    let read = timeout(STUCK, silent[0].0.read(&mut received)).await.expect("closed");
    assert!(matches!(read, Ok(0) | Err(_)), "the oldest silent connection is closed: {read:?}");
    assert_eq!(first.request().await.expect("a response"), "HTTP/1.1 200 OK");
    assert_eq!(connections.len(), 4);
}

#[tokio::test]
async fn ended_connections_leave_room_immediately() {
    let (running, authority, connections) = listen(2).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(&running, &authority).await.expect("a connection");
        client.request().await.expect("a response");
        clients.push(client);
    }
    let mut refused = Client::connect(&running, &authority).await;
    if let Ok(client) = &mut refused {
        assert!(client.request().await.is_err(), "two authenticated clients fill the server");
    }
    drop(clients);
    while connections.len() > 0 {
        tokio::task::yield_now().await;
    }
    let mut next = Client::connect(&running, &authority).await.expect("a connection");
    assert_eq!(next.request().await.expect("a response"), "HTTP/1.1 200 OK");
}
