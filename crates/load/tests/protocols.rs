//! Loads over HTTP/1.1 and HTTP/2, with TLS and without.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_load::{Outcome, Plan, Protocol, Summary, Target, Targets, Tls, run};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A server and the number of connections that it accepted.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

/// Responds with 200 to requests of HTTP/2 and with 203 to those of HTTP/1.1; with 400 to one whose host is not `cart.shop`.
async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().host().or(host).unwrap_or_default();
    let status = match (host.starts_with("cart.shop"), request.version()) {
        (false, _) => 400,
        (true, Version::HTTP_2) => 200,
        (true, _) => 203,
    };
    Ok(Response::builder().status(status).body(Full::from("x")).unwrap())
}

async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, http2: bool) {
    let io = TokioIo::new(io);
    let _ = if http2 {
        let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.serve_connection(io, service_fn(respond)).await
    } else {
        hyper::server::conn::http1::Builder::new().serve_connection(io, service_fn(respond)).await
    };
}

/// A server without TLS of this version.
async fn plain(http2: bool) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap(), connections: Arc::default() };
    let connections = server.connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(stream, http2));
        }
    });
    server
}

/// A server with TLS that offers these protocols, and the certificate of its authority in PEM form.
async fn encrypted(offered: &[&str]) -> (Server, String) {
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let (authority_key, key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let leaf = rcgen::CertificateParams::new(vec!["cart.shop".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![leaf.der().clone()], key).unwrap();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server { address: listener.local_addr().unwrap(), connections: Arc::default() };
    let connections = server.connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                serve(stream, http2).await;
            });
        }
    });
    (server, pem)
}

fn target(server: &Server) -> Target {
    Target::of_url_by("http://cart.shop/", server.address).unwrap()
}

fn with_tls(server: &Server, pem: &str, protocol: Protocol) -> Target {
    let tls = Tls::with_authorities(pem.as_bytes()).unwrap();
    Target { tls: Some(tls), protocol, ..target(server) }
}

async fn load(targets: impl Into<Targets>) -> Summary {
    let (_go, stop) = watch::channel(false);
    let plan = Plan { rate: 400.0, length: Duration::from_millis(500), connections: 8, ..Plan::default() };
    run(targets, plan, stop, |_| {}).await.unwrap()
}

fn count(summary: &Summary, outcome: Outcome) -> u64 {
    summary.outcomes_count.get(&outcome.to_string()).copied().unwrap_or(0)
}

#[tokio::test]
async fn http2_by_prior_knowledge_shares_one_connection() {
    let server = plain(true).await;
    let summary = load(Target { protocol: Protocol::Http2, ..target(&server) }).await;
    assert_eq!(count(&summary, Outcome::Answer(200)), 200, "{:?}", summary.outcomes_count);
    assert_eq!(server.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn alpn_chooses_http2_or_http1() {
    for (offered, outcome) in
        [(&["h2", "http/1.1"][..], Outcome::Answer(200)), (&["http/1.1"], Outcome::Answer(203))]
    {
        let (server, pem) = encrypted(offered).await;
        let summary = load(with_tls(&server, &pem, Protocol::Negotiated)).await;
        assert_eq!(count(&summary, outcome), 200, "{offered:?}: {:?}", summary.outcomes_count);
    }
}

#[tokio::test]
async fn a_server_that_does_not_choose_the_wanted_http2_gets_no_request() {
    let (server, pem) = encrypted(&["http/1.1"]).await;
    let summary = load(with_tls(&server, &pem, Protocol::Http2)).await;
    assert_eq!(count(&summary, Outcome::Broken), 200, "{:?}", summary.outcomes_count);
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_for_another_host_is_refused() {
    let (server, pem) = encrypted(&["http/1.1"]).await;
    let (_, other) = encrypted(&[]).await;
    let mut elsewhere = with_tls(&server, &pem, Protocol::Http1);
    elsewhere.header("host: stock.shop").unwrap();
    for target in [with_tls(&server, &other, Protocol::Http1), elsewhere] {
        let summary = load(target).await;
        assert_eq!(count(&summary, Outcome::Broken), 200, "{:?}", summary.outcomes_count);
    }
    assert!(Tls::with_authorities(b"no certificate").is_err());
}

#[tokio::test]
async fn targets_get_their_weights_exactly() {
    let (first, second) = (plain(false).await, plain(true).await);
    let second = Target { protocol: Protocol::Http2, ..target(&second) };
    let summary = load(Targets::new(vec![(target(&first), 3), (second, 1)]).unwrap()).await;
    let counts = (count(&summary, Outcome::Answer(203)), count(&summary, Outcome::Answer(200)));
    assert_eq!(counts, (150, 50), "{:?}", summary.outcomes_count);
}
