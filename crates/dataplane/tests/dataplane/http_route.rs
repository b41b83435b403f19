//! HTTPRoutes: matches, weights, filters, and their precedence over the service's annotations.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use meshy_dataplane::policy::{
    Backend, BackendKind, Filter, HeaderModifier, HttpRoute, PathMatch, PathRewrite, Policy, Redirect, Retry,
    RouteMatch, RouteRule, ServiceRef,
};

use crate::counters::failing;
use crate::measured::pods::{client, mesh, pod};
use crate::policy::{retries, statuses, web};
use crate::support::{Client, Lab, Memory, Responder, Server, WEB, endpoint, serve_http};

const POD: &str = "10.244.1.1:9090";
const OTHER: &str = "10.244.1.2:9090";

/// Returns a client of a meshed pod with a policy, as in the measured rows.
fn meshed(policy: Policy, responder: Responder) -> (Arc<Client>, Server) {
    let (lab, app) = (Lab::default(), Memory::default());
    let server = serve_http(&app, POD.parse().unwrap(), responder);
    mesh(&lab, &app, POD);
    lab.service("web", WEB, &[pod(POD)]).policy(policy);
    (client(&lab), server)
}

fn rule(path: &str) -> RouteRule {
    let path = Some(PathMatch::Prefix(path.into()));
    RouteRule { matches: vec![RouteMatch { path, ..RouteMatch::default() }], ..RouteRule::default() }
}

fn routed(rules: Vec<RouteRule>) -> Policy {
    let route =
        HttpRoute { namespace: "default".into(), name: "to-web".into(), rules, ..HttpRoute::default() };
    Policy { routes: vec![route], ..Policy::default() }
}

#[tokio::test]
async fn a_request_that_matches_no_attached_route_is_a_404() {
    let (client, server) = meshed(routed(vec![rule("/a")]), statuses(&[200]));
    let reply = client.get("/b").await;
    let reason = &reply.headers["l5d-proxy-error"];
    assert_eq!((reply.status, reason), (404, &"logical service 10.96.0.1:9090: no route".parse().unwrap()));
    assert!(!reply.headers.contains_key("connection"));
    let counted = ["route_request_statuses", "route_backend_requests"];
    assert_eq!(counted.map(|name| client.metric(&format!("outbound_http_{name}_total"), &[])), [0, 0]);
    assert_eq!(client.metric("outbound_http_errors_total", &[("error", "unexpected")]), 1);
    client.has_the_keys_of(&["f04"]);
    assert_eq!((client.get("/a/b").await.status, server.count()), (200, 1));
    let labels =
        [("route_kind", "HTTPRoute"), ("route_name", "to-web"), ("route_group", "gateway.networking.k8s.io")];
    assert_eq!(client.metric("outbound_http_route_request_statuses_total", &labels), 1);
}

#[tokio::test(start_paused = true)]
async fn a_routes_retries_replace_those_of_the_service() {
    let own = RouteRule { retry: Some(Retry::parse("503", None, None).unwrap()), ..rule("/own") };
    let policy = Policy { retry: retries("500", 2).retry, ..routed(vec![own, rule("/")]) };
    let (client, server) = web(policy, statuses(&[500]));
    client.get("/own").await;
    assert_eq!(server.count(), 1);
    client.get("/").await;
    assert_eq!(server.count(), 1 + 3);
}

fn backend(name: &str, weight: u32) -> Backend {
    let service = ServiceRef { namespace: "default".into(), name: name.into(), port: 9090 };
    let authority = format!("{name}.default.svc.cluster.local:9090");
    Backend { kind: BackendKind::Service, authority, service, weight, filters: Vec::new() }
}

#[tokio::test]
async fn backends_share_the_requests_by_weight() {
    let lab = Lab::default();
    let first = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    let second = serve_http(&lab.wire, OTHER.parse().unwrap(), failing(&[false]));
    lab.service("v1", "10.96.0.2:9090", &[endpoint(POD)]);
    lab.service("v2", "10.96.0.3:9090", &[endpoint(OTHER)]);
    let web = lab.service("web", WEB, &[]);
    let backends = vec![backend("v1", 3), backend("v2", 1), backend("v3", 0)];
    web.policy(routed(vec![RouteRule { backends, ..rule("/") }]));
    let client = lab.client();
    for _ in 0..1_000 {
        assert_eq!(client.get("/").await.status, 200);
    }
    assert_eq!(first.count() + second.count(), 1_000);
    // Five standard deviations around 250.
    assert!((180..=320).contains(&second.count()), "{}", second.count());
    let of = |name| client.metric("outbound_http_route_backend_requests_total", &[("backend_name", name)]);
    assert_eq!((of("v1"), of("v2")), (first.count() as u64, second.count() as u64));
}

#[tokio::test]
async fn a_backend_that_does_not_exist_is_a_500() {
    let rules = vec![RouteRule { backends: vec![backend("missing", 1)], ..rule("/") }];
    let (client, _) = meshed(routed(rules), statuses(&[200]));
    let reply = client.get("/").await;
    assert_eq!(
        (reply.status, &reply.headers["l5d-proxy-error"]),
        (500, &"Service not found missing".parse().unwrap())
    );
    assert!(!reply.headers.contains_key("connection") && !reply.headers.contains_key("l5d-proxy-connection"));
    let labels = [("backend_kind", "default"), ("backend_name", "fail"), ("http_status", "500")];
    assert_eq!(client.metric("outbound_http_route_backend_response_statuses_total", &labels), 1);
    assert_eq!(client.metric("outbound_http_route_request_statuses_total", &[("http_status", "500")]), 1);
    client.has_the_keys_of(&["f07"]);
}

#[tokio::test]
async fn filters_change_headers_of_requests_and_responses_and_redirect() {
    let change = |name: &'static str| HeaderModifier {
        set: vec![(name.parse().unwrap(), "set".parse().unwrap())],
        add: vec![("x-both".parse().unwrap(), "added".parse().unwrap())],
        remove: vec!["x-gone".parse().unwrap()],
    };
    let filters =
        vec![Filter::RequestHeaders(change("x-request")), Filter::ResponseHeaders(change("x-response"))];
    let redirect = Redirect { path: Some(PathRewrite::Full("/elsewhere".into())), ..Redirect::default() };
    let rules = vec![
        RouteRule { filters, ..rule("/") },
        RouteRule { filters: vec![Filter::Redirect(redirect)], ..rule("/old") },
    ];
    let (client, server) = meshed(
        routed(rules),
        Arc::new(|_, _| {
            Response::builder().header("x-gone", "1").header("x-both", "own").body("ok".into()).unwrap()
        }),
    );
    let request =
        Request::get("/a").header("host", "web:9090").header("x-gone", "1").body(Bytes::new()).unwrap();
    let reply = client.send(request).await;
    let received = server.last();
    assert_eq!(
        (&received.headers()["x-request"], &reply.headers["x-response"]),
        (&"set".parse().unwrap(), &"set".parse().unwrap())
    );
    assert!(!received.headers().contains_key("x-gone") && !reply.headers.contains_key("x-gone"));
    assert_eq!(reply.headers.get_all("x-both").iter().count(), 2);
    client.has_the_keys_of(&["f05", "f08"]);
    let moved = client.get("/old").await;
    assert_eq!(
        (moved.status, &moved.headers["location"]),
        (302, &"http://web:9090/elsewhere".parse().unwrap())
    );
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn a_redirect_replaces_the_matched_prefix_and_keeps_the_rest() {
    let redirect = Redirect { path: Some(PathRewrite::Prefix("/new".into())), ..Redirect::default() };
    let rules = vec![RouteRule { filters: vec![Filter::Redirect(redirect)], ..rule("/old") }];
    let (client, server) = meshed(routed(rules), statuses(&[200]));
    let moved = client.get("/old/a?b=1").await;
    let (location, reason) = (&moved.headers["location"], &moved.headers["l5d-proxy-error"]);
    assert_eq!((moved.status, location), (302, &"http://web:9090/new/a?b=1".parse().unwrap()));
    assert_eq!((reason, server.count()), (&"redirected".parse().unwrap(), 0));
    assert_eq!(client.metric("outbound_http_errors_total", &[("error", "unexpected")]), 1);
    client.has_the_keys_of(&["f06"]);
}
