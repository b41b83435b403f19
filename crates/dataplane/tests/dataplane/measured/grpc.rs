//! Rows c10 to c13: gRPC requests with and without a GRPCRoute.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meshy_dataplane::policy::{HttpRoute, PathMatch, Policy, Retry, RouteKind, RouteMatch, RouteRule};

use super::pods::{client, mesh, pod};
use super::{BR, POD, RR, RS, load, moved};
use crate::support::{Client, Lab, Memory, Server, WEB, serve_raw};

const FIFTH: Duration = Duration::from_millis(200);
const UNAVAILABLE: &str = "14";
const INTERNAL: &str = "13";

/// Where a server puts the gRPC status.
#[derive(Clone, Copy)]
enum Place {
    /// In the head of a response without a body.
    Head,
    /// In trailers after a head.
    Trailers,
}

/// Returns a client of a gRPC service whose responses have a status.
fn web(policy: Policy, status: &'static str, place: Place) -> (Arc<Client>, Server) {
    let (lab, app, server) = (Lab::default(), Memory::default(), Server::default());
    let counted = server.clone();
    mesh(&lab, &app, POD);
    serve_raw(&app, POD.parse().unwrap(), move |io| {
        let counted = counted.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let counted = counted.clone();
            async move {
                counted.add();
                let _ = request.into_body().collect().await;
                let response = Response::builder().header("content-type", "application/grpc");
                let trailers = HeaderMap::from_iter([(
                    "grpc-status".parse().unwrap(),
                    HeaderValue::from_static(status),
                )]);
                let empty = Full::<Bytes>::default();
                let (response, body) = match place {
                    Place::Head => (response.header("grpc-status", status), empty.boxed()),
                    Place::Trailers => (response, empty.with_trailers(ready(Some(Ok(trailers)))).boxed()),
                };
                Ok::<_, Infallible>(response.body(body).unwrap())
            }
        });
        async move {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = builder.serve_connection(TokioIo::new(io), service).await;
        }
    });
    lab.service("web", WEB, &[pod(POD)]).policy(policy);
    (client(&lab), server)
}

fn calls(n: usize) -> Vec<Request<Bytes>> {
    let call = || {
        let request = Request::post("http://web:9090/pkg.Svc/Method").version(Version::HTTP_2);
        request.header("content-type", "application/grpc").body(Bytes::from_static(b"\0\0\0\0\0")).unwrap()
    };
    (0..n).map(|_| call()).collect()
}

/// Returns the policy of a GRPCRoute for one method that retries UNAVAILABLE.
fn routed() -> Policy {
    let path = Some(PathMatch::Exact("/pkg.Svc/Method".into()));
    let retry = Some(Retry { grpc: vec![14], limit: 2, ..Retry::default() });
    let matches = vec![RouteMatch { path, ..RouteMatch::default() }];
    let rules = vec![RouteRule { matches, retry, ..RouteRule::default() }];
    let (namespace, name) = ("default".to_owned(), "web-grpc".to_owned());
    let route = HttpRoute { kind: RouteKind::Grpc, namespace, name, rules, ..HttpRoute::default() };
    Policy { routes: vec![route], ..Policy::default() }
}

#[tokio::test(start_paused = true)]
async fn grpc_requests_without_a_grpc_route_are_http_requests_and_not_retried() {
    let on_service = Some(Retry { grpc: vec![14], limit: 2, ..Retry::default() });
    for (row, retry) in [("c10", None), ("c11", on_service)] {
        let (client, server) = web(Policy { retry, ..Policy::default() }, UNAVAILABLE, Place::Head);
        load(&client, FIFTH, calls(30)).await;
        assert_eq!(server.count(), 30);
        let failed = [("status_code", "200"), ("classification", "failure"), ("grpc_status", "14")];
        moved(
            &client,
            &[(BR, &[], 30), (RS, &[("http_status", "200")], 30), ("response_total", &failed, 30)],
        );
        moved(&client, &[(RR, &[], 0), ("outbound_grpc_route_backend_requests_total", &[], 0)]);
        client.has_the_keys_of(&[row]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_route_retries_the_listed_statuses() {
    for place in [Place::Head, Place::Trailers] {
        let (client, server) = web(routed(), UNAVAILABLE, place);
        let received = load(&client, FIFTH, calls(30)).await;
        assert!(received.iter().all(|one| one.status == 200 && one.reason.is_empty()), "{received:?}");
        assert_eq!(server.count(), 90);
        let route = [("route_kind", "GRPCRoute"), ("route_name", "web-grpc")];
        let ended = [&route[..], &[("grpc_status", "UNAVAILABLE")]].concat();
        let of = |end: &str| format!("outbound_grpc_route_{end}_total");
        moved(
            &client,
            &[
                (&of("backend_requests"), &route, 90),
                (&of("backend_response_statuses"), &ended, 90),
                (&of("request_statuses"), &ended, 30),
                (&of("retry_requests"), &route, 60),
                (&of("retry_limit_exceeded"), &route, 30),
                (BR, &[], 0),
            ],
        );
        client.has_the_keys_of(&["c12"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_grpc_status_that_is_not_listed_is_not_retried() {
    for place in [Place::Head, Place::Trailers] {
        let (client, server) = web(routed(), INTERNAL, place);
        load(&client, FIFTH, calls(30)).await;
        assert_eq!(server.count(), 30);
        let internal = [("grpc_status", "INTERNAL")];
        moved(
            &client,
            &[
                ("outbound_grpc_route_request_statuses_total", &internal, 30),
                ("outbound_grpc_route_backend_response_statuses_total", &internal, 30),
                ("outbound_grpc_route_retry_requests_total", &[], 0),
            ],
        );
        client.has_the_keys_of(&["c13"]);
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_conditions_of_the_service_apply_to_grpc_routes_without_retries() {
    let mut policy = routed();
    let of_service = policy.routes[0].rules[0].retry.take();
    policy.retry = Some(Retry { limit: 9, ..Retry::default() });
    policy.grpc_retry = of_service;
    let (client, server) = web(policy, UNAVAILABLE, Place::Trailers);
    load(&client, FIFTH, calls(10)).await;
    assert_eq!(server.count(), 30, "the limit of the Service's gRPC retries");
}

#[tokio::test(start_paused = true)]
async fn trailers_that_were_read_ahead_reach_the_caller() {
    let (client, _) = web(routed(), INTERNAL, Place::Trailers);
    let reply = client.send(calls(1).remove(0)).await;
    assert_eq!(reply.trailers.expect("trailers")["grpc-status"], INTERNAL);
    let request = Request::post("http://web:9090/pkg.Svc/Other").version(Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").body(Bytes::new()).unwrap();
    let reply = client.send(request).await;
    assert_eq!((reply.status, &reply.headers["grpc-status"]), (200, &"5".parse().unwrap()), "no route");
}
