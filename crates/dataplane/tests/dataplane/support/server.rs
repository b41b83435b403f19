//! Applications: HTTP with a scripted answer, or bytes by hand.

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

/// What an application answers; told the request with its body and its number from 0.
pub(crate) type Answers = Arc<dyn Fn(usize, Request<Bytes>) -> Response<Bytes> + Send + Sync>;

/// An application that listens.
#[derive(Clone, Default)]
pub(crate) struct Server {
    seen: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Request<Bytes>>>>,
}

impl Server {
    /// Requests it answered.
    pub(crate) fn count(&self) -> usize {
        self.seen.load(SeqCst)
    }

    /// Counts a request by hand.
    pub(crate) fn add(&self) {
        self.seen.fetch_add(1, SeqCst);
    }

    /// The last request it saw.
    pub(crate) fn last(&self) -> Request<Bytes> {
        self.last.lock().unwrap().take().expect("a request arrived")
    }
}

/// Serves HTTP/1 and HTTP/2 at an address.
pub(crate) fn serve_http(network: &Memory, addr: SocketAddr, answers: Answers) -> Server {
    let server = Server::default();
    let mut accepted = network.listen_at(addr);
    let shared = server.clone();
    tokio::spawn(async move {
        while let Some(io) = accepted.recv().await {
            let (answers, server) = (answers.clone(), shared.clone());
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let (answers, server) = (answers.clone(), server.clone());
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                    let request = Request::from_parts(head, body);
                    *server.last.lock().unwrap() = Some(request.clone());
                    let number = server.seen.fetch_add(1, SeqCst);
                    Ok::<_, Infallible>(answers(number, request).map(Full::new))
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

/// Hands every connection to an address to a function; counts the connections.
pub(crate) fn serve_raw<F: Future<Output = ()> + Send + 'static>(
    network: &Memory,
    addr: SocketAddr,
    each: impl Fn(BoxIo) -> F + Send + 'static,
) -> Server {
    let server = Server::default();
    let mut accepted = network.listen_at(addr);
    let seen = server.seen.clone();
    tokio::spawn(async move {
        while let Some(io) = accepted.recv().await {
            seen.fetch_add(1, SeqCst);
            tokio::spawn(each(io));
        }
    });
    server
}
