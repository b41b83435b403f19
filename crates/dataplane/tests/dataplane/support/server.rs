//! Applications: HTTP with scripted responses, or raw bytes.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use meshy_net::BoxIo;

use super::Memory;

/// Returns the response of an application to a request, with its body, and its number, from 0.
pub(crate) type Responder = Arc<dyn Fn(usize, Request<Bytes>) -> Response<Bytes> + Send + Sync>;

/// The requests of an application that listens.
#[derive(Clone, Default)]
pub(crate) struct Server {
    requests: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Request<Bytes>>>>,
}

impl Server {
    /// Returns the number of requests, or of connections of a raw application.
    pub(crate) fn count(&self) -> usize {
        self.requests.load(SeqCst)
    }

    /// Counts a request.
    pub(crate) fn add(&self) {
        self.requests.fetch_add(1, SeqCst);
    }

    /// Returns the last request.
    pub(crate) fn last(&self) -> Request<Bytes> {
        self.last.lock().unwrap().take().expect("a request arrived")
    }
}

/// Serves HTTP/1 and HTTP/2 at an address.
pub(crate) fn serve_http(network: &Memory, addr: SocketAddr, responder: Responder) -> Server {
    let server = Server::default();
    let mut accepted = network.listen_at(addr);
    let shared = server.clone();
    tokio::spawn(async move {
        while let Some(io) = accepted.recv().await {
            let (responder, server) = (responder.clone(), shared.clone());
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (responder, server) = (responder.clone(), server.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let request = Request::from_parts(head, body);
                    *server.last.lock().unwrap() = Some(request.clone());
                    let number = server.requests.fetch_add(1, SeqCst);
                    Ok::<_, Infallible>(responder(number, request).map(Full::new))
                }
            });
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(io), service)
                    .await;
            });
        }
    });
    server
}

/// Passes every connection to an address to a function, and counts the connections.
pub(crate) fn serve_raw<F: Future<Output = ()> + Send + 'static>(
    network: &Memory,
    addr: SocketAddr,
    each: impl Fn(BoxIo) -> F + Send + 'static,
) -> Server {
    let server = Server::default();
    let mut accepted = network.listen_at(addr);
    let connections = server.requests.clone();
    tokio::spawn(async move {
        while let Some(io) = accepted.recv().await {
            connections.fetch_add(1, SeqCst);
            tokio::spawn(each(io));
        }
    });
    server
}
