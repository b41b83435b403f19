//! Rows a14b, a14c, a17, f02 and f03: HTTPRoutes as the objects of the rows arrive at the proxy. How an object becomes these
//! settings is tested where it is translated, in `crates/embedded/src/mesh/routes.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use meshy_dataplane::policy::{
    Backend, BackendKind, HeaderMatch, HttpRoute, PathMatch, Policy, RouteMatch, RouteRule, ServiceRef,
    Timeouts, ValueMatch,
};

use super::pods::{client, pod, serve};
use super::{BACKEND, BR, BS, ERRORS, POD, RR, RS, all_are, gets, load, moved};
use crate::support::{Client, Lab, Server, WEB};

const FIFTH: Duration = Duration::from_millis(200);
const QUARTER: Duration = Duration::from_millis(250);
const OTHER: &str = "10.244.1.2:9090";

fn routed(rules: Vec<RouteRule>) -> Policy {
    let (namespace, name) = ("default".to_owned(), "web-route".to_owned());
    Policy { routes: vec![HttpRoute { namespace, name, rules, ..HttpRoute::default() }], ..Policy::default() }
}

/// Sends requests to a pod that needs 500 ms, by a route with a request timeout.
async fn with_timeout(request: Option<u64>, n: usize) -> Arc<Client> {
    let lab = Lab::default();
    let server = serve(&lab, POD, |_| (500, 200));
    let request = request.map(Duration::from_millis);
    let timeouts = request.map(|_| Timeouts { request, ..Timeouts::default() });
    let rule = RouteRule { timeouts, ..RouteRule::default() };
    lab.service("web", WEB, &[pod(POD)]).policy(routed(vec![rule]));
    let client = client(&lab);
    let received = load(&client, QUARTER, gets(n)).await;
    match request {
        None => all_are(&received, 200, "", false),
        Some(time) => {
            let backend = BACKEND.replace("default.http", "HTTPRoute.default.web-route");
            let reason =
                format!("{backend}timed out waiting for response headers: request timeout: {time:?}");
            all_are(&received, 504, &reason, false);
        }
    }
    let expected = request.unwrap_or(Duration::from_millis(500));
    for one in &received {
        assert!((expected..expected + Duration::from_millis(5)).contains(&one.took), "{one:?}");
    }
    assert_eq!(server.count(), n, "one attempt for each request");
    client
}

const ROUTE: [(&str, &str); 3] =
    [("route_kind", "HTTPRoute"), ("route_namespace", "default"), ("route_name", "web-route")];

#[tokio::test(start_paused = true)]
async fn a_backend_request_timeout_alone_has_no_effect() {
    let client = with_timeout(None, 60).await;
    let ended = [&ROUTE[..], &[("http_status", "200"), ("error", "")]].concat();
    moved(&client, &[(RS, &ended, 60), (BS, &ended, 60), (BR, &ROUTE, 60), (RR, &[], 0), (ERRORS, &[], 0)]);
    client.has_the_keys_of(&["a14b"]);
}

#[tokio::test(start_paused = true)]
async fn the_request_timeout_of_a_rule_or_of_the_annotation_ends_every_request() {
    for (row, millis, n) in [("a14c", 400, 60), ("a17", 100, 40)] {
        let client = with_timeout(Some(millis), n).await;
        let (ended, n) = ([&ROUTE[..], &[("error", "REQUEST_TIMEOUT")]].concat(), n as u64);
        moved(&client, &[(RS, &ended, n), (BS, &ended, n), (BR, &ROUTE, n), (RR, &[], 0)]);
        moved(&client, &[(ERRORS, &[("error", "unexpected")], n)]);
        client.has_the_keys_of(&[row]);
    }
}

/// Returns a client of `web` whose requests go to `v2` by header or by path and method, and the two servers.
fn canary() -> (Arc<Client>, [Server; 2]) {
    let lab = Lab::default();
    let servers = [POD, OTHER].map(|pod| serve(&lab, pod, |_| (1, 200)));
    let web = lab.service("web", WEB, &[pod(POD)]);
    lab.service("v2", "10.96.0.2:9090", &[pod(OTHER)]);
    let backend = |name: &str| Backend {
        kind: BackendKind::Service,
        authority: format!("{name}.default.svc.cluster.local:9090"),
        service: ServiceRef { namespace: "default".into(), name: name.into(), port: 9090 },
        weight: 1,
        filters: Vec::new(),
    };
    let header = HeaderMatch { name: "x-canary".parse().unwrap(), value: ValueMatch::Exact("yes".into()) };
    let by_header = RouteMatch { headers: vec![header], ..RouteMatch::default() };
    let by_path = RouteMatch {
        path: Some(PathMatch::Prefix("/api".into())),
        method: Some(Method::POST),
        ..RouteMatch::default()
    };
    let rule = |one: RouteMatch, to: &str| RouteRule {
        matches: vec![one],
        backends: vec![backend(to)],
        ..RouteRule::default()
    };
    web.policy(routed(vec![rule(by_header, "v2"), rule(by_path, "v2"), rule(RouteMatch::default(), "web")]));
    (client(&lab), servers)
}

/// Asserts that 20 requests were sent by the route to `v2`.
#[track_caller]
fn at_v2(client: &Client, servers: &[Server; 2]) {
    assert_eq!(servers.each_ref().map(Server::count), [0, 20]);
    let backend = [
        &ROUTE[..],
        &[
            ("backend_kind", "Service"),
            ("backend_namespace", "default"),
            ("backend_name", "v2"),
            ("backend_port", "9090"),
        ],
    ]
    .concat();
    let ended = [&backend[..], &[("http_status", "200"), ("error", "")]].concat();
    let of_route = [&ROUTE[..], &[("http_status", "200")]].concat();
    let authority = [("authority", "v2.default.svc.cluster.local:9090"), ("classification", "success")];
    moved(client, &[(BR, &backend, 20), (BS, &ended, 20), (RS, &of_route, 20), (ERRORS, &[], 0)]);
    moved(client, &[("response_total", &authority, 20), ("request_total", &authority[..1], 20)]);
}

#[tokio::test(start_paused = true)]
async fn requests_with_a_header_go_to_the_backend_of_its_match() {
    let (client, servers) = canary();
    let get = || Request::get("/x").header("host", "web:9090").header("x-canary", "yes");
    let requests = (0..20).map(|_| get().body(Bytes::new()).unwrap());
    all_are(&load(&client, FIFTH, requests).await, 200, "", false);
    at_v2(&client, &servers);
    client.has_the_keys_of(&["f02"]);
}

#[tokio::test(start_paused = true)]
async fn requests_with_a_path_and_a_method_go_to_the_backend_of_their_match() {
    let (client, servers) = canary();
    let post = || Request::post("/api/1").header("host", "web:9090");
    let requests = (0..20).map(|_| post().body(Bytes::from_static(b"0123456789")).unwrap());
    all_are(&load(&client, FIFTH, requests).await, 200, "", false);
    at_v2(&client, &servers);
    client.has_the_keys_of(&["f03"]);
}
