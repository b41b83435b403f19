//! Rows measured on a real Linkerd, sent again to this proxy: the same settings, the same load, the same counts.
//!
//! `docs/dataplane-rows.md` lists each row with its kind of comparison and its test.

mod breaker;
mod egress;
mod endpoints;
mod grpc;
mod hops;
pub(crate) mod inbound;
mod keys;
pub(crate) mod pods;
mod retries;
mod routes;
mod rows;
mod timeouts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::support::{Client, Lab, Memory, Server, WEB, serve_raw};

/// The address of the first pod of `web`.
pub(crate) const POD: &str = "10.244.1.1:9090";
/// What `l5d-proxy-error` of an attempt's errors begins with.
pub(crate) const BACKEND: &str = "logical service 10.96.0.1:9090: route default.http: backend Service.default.web:9090: Service.default.web:9090: ";
/// What `l5d-proxy-error` of load shedding begins with.
pub(crate) const ROUTE: &str = "logical service 10.96.0.1:9090: route default.http: ";

/// A response with its times.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// When the request was sent, from the start of the load.
    pub(crate) sent: Duration,
    pub(crate) took: Duration,
    /// 0 for a response whose body broke.
    pub(crate) status: u16,
    /// `l5d-proxy-error`.
    pub(crate) reason: String,
    /// Whether the response closes the connection.
    pub(crate) closes: bool,
    /// The names of its headers, sorted.
    pub(crate) headers: Vec<String>,
}

/// Sends requests at a fixed rate, whether or not responses arrive, and returns the responses in the order of the requests.
pub(crate) async fn load(
    client: &Arc<Client>,
    every: Duration,
    requests: impl IntoIterator<Item = Request<Bytes>>,
) -> Vec<Received> {
    let (start, mut tasks) = (Instant::now(), JoinSet::new());
    for (number, request) in requests.into_iter().enumerate() {
        let at = start + every * u32::try_from(number).unwrap();
        let client = client.clone();
        tasks.spawn(async move {
            // Clocks of real senders are not in step with the proxy's.
            sleep_until(at + Duration::from_micros(137)).await;
            let begun = Instant::now();
            let reply = client.send_to(WEB, request).await;
            let took = begun.elapsed();
            let header = |name: &str| {
                let headers = reply.as_ref().ok().map(|reply| &reply.headers);
                headers.and_then(|headers| headers.get(name)).map(|value| value.to_str().unwrap().to_owned())
            };
            let received = Received {
                sent: begun - start,
                took,
                status: reply.as_ref().map_or(0, |reply| reply.status),
                reason: header("l5d-proxy-error").unwrap_or_default(),
                closes: header("connection").is_some_and(|value| value == "close"),
                headers: reply.as_ref().map(|reply| names(&reply.headers)).unwrap_or_default(),
            };
            (number, received)
        });
    }
    let mut all = tasks.join_all().await;
    all.sort_by_key(|(number, _)| *number);
    all.into_iter().map(|(_, received)| received).collect()
}

/// Returns `n` GET requests.
pub(crate) fn gets(n: usize) -> Vec<Request<Bytes>> {
    let get = || Request::get("/a").header("host", "web:9090").body(Bytes::new()).unwrap();
    (0..n).map(|_| get()).collect()
}

fn names(headers: &HeaderMap) -> Vec<String> {
    let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    names
}

/// Asserts that all responses are the application's own 200, or the proxy's own with one status, one reason and the headers
/// of the measured ones.
#[track_caller]
pub(crate) fn all_are(received: &[Received], status: u16, reason: &str, closes: bool) {
    for one in received {
        assert_eq!((one.status, &*one.reason, one.closes), (status, reason, closes), "{one:?}");
        if status != 200 {
            assert_eq!(one.headers, own_headers(reason, closes), "{one:?}");
        }
    }
}

/// Returns the names of the headers of a response that a proxy made: the measured ones without `date`, which this proxy does
/// not add (a difference of `docs/dataplane-rules.md`).
pub(crate) fn own_headers(reason: &str, closes: bool) -> Vec<&'static str> {
    let connection = closes.then_some("connection");
    let l5d_connection = (closes && !reason.is_empty()).then_some("l5d-proxy-connection");
    let l5d_error = (!reason.is_empty()).then_some("l5d-proxy-error");
    let all = [connection, Some("content-length"), l5d_connection, l5d_error];
    all.into_iter().flatten().collect()
}

/// Returns how many responses have a status.
pub(crate) fn count(received: &[Received], status: u16) -> usize {
    received.iter().filter(|one| one.status == status).count()
}

/// Serves at a pod's address: the response to each request, from its number, is a time to wait and a status.
pub(crate) fn serve(
    lab: &Lab,
    addr: &str,
    plan: impl Fn(usize) -> (u64, u16) + Send + Sync + 'static,
) -> Server {
    serve_on(&lab.wire, addr, plan)
}

/// Serves an application behind a proxy as [`serve`] does.
pub(crate) fn serve_on(
    network: &Memory,
    addr: &str,
    plan: impl Fn(usize) -> (u64, u16) + Send + Sync + 'static,
) -> Server {
    let (server, plan) = (Server::default(), Arc::new(plan));
    let counted = server.clone();
    serve_raw(network, addr.parse().unwrap(), move |io| {
        let (counted, plan) = (counted.clone(), plan.clone());
        let service = service_fn(move |request: Request<hyper::body::Incoming>| {
            let (counted, plan) = (counted.clone(), plan.clone());
            async move {
                let number = counted.count();
                counted.add();
                let _ = request.into_body().collect().await;
                let (millis, status) = plan(number);
                sleep(Duration::from_millis(millis)).await;
                Response::builder().status(status).body(Full::new(Bytes::from_static(b"body")))
            }
        });
        async move {
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
        }
    });
    server
}

/// The expected sum of a metric: the family, the labels that select series, and the value.
pub(crate) type Expected<'a> = (&'a str, &'a [(&'a str, &'a str)], u64);

/// Checks the sums of metrics.
#[track_caller]
pub(crate) fn moved(client: &Client, expected: &[Expected<'_>]) {
    for (name, labels, value) in expected {
        assert_eq!(client.metric(name, labels), *value, "{name} {labels:?}");
    }
}

/// Family names of the policy mode, as the rows shorten them.
pub(crate) const BR: &str = "outbound_http_route_backend_requests_total";
pub(crate) const BS: &str = "outbound_http_route_backend_response_statuses_total";
pub(crate) const RS: &str = "outbound_http_route_request_statuses_total";
pub(crate) const RR: &str = "outbound_http_route_retry_requests_total";
pub(crate) const RSUC: &str = "outbound_http_route_retry_successes_total";
pub(crate) const RLIM: &str = "outbound_http_route_retry_limit_exceeded_total";
pub(crate) const ERRORS: &str = "outbound_http_errors_total";
