//! Routes of a Server: which requests match, who may send them, and what their filters change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use meshy_dataplane::policy::{
    Authorization, Filter, HeaderModifier, HttpRoute, Identities, InboundPolicy, InboundRoute, Network,
    ObjectRef, PathMatch, RateLimit, Redirect, RouteKind, RouteMatch, RouteRule,
};

use crate::measured::inbound::{CLIENT, CLIENT2, Pair, authenticated, denying, pair, probes, server};
use crate::measured::{all_are, gets, load};
use crate::support::scrape;

const TENTH: Duration = Duration::from_millis(100);

/// Returns a route for GET requests below a path, whose policies allow these callers.
fn route(name: &str, path: &str, allowed: &[Identities]) -> InboundRoute {
    let matches = vec![RouteMatch {
        path: Some(PathMatch::Prefix(path.into())),
        method: Some(Method::GET),
        ..RouteMatch::default()
    }];
    let rules = vec![RouteRule { matches, ..RouteRule::default() }];
    let policy = ObjectRef { kind: "authorizationpolicy".into(), ..server(&format!("{name}-callers")) };
    let authorization = |identities: &Identities| Authorization {
        object: policy.clone(),
        networks: Network::all(),
        identities: identities.clone(),
    };
    InboundRoute {
        route: HttpRoute { namespace: "default".into(), name: name.into(), rules, ..HttpRoute::default() },
        authorizations: allowed.iter().map(authorization).collect(),
    }
}

fn routed(routes: Vec<InboundRoute>) -> InboundPolicy {
    InboundPolicy { routes, ..denying() }
}

fn get(path: &str) -> Request<Bytes> {
    Request::get(path).header("host", "web:9090").body(Bytes::new()).unwrap()
}

impl Pair {
    fn route_count(&self, name: &str, route: &str) -> u64 {
        self.at_server(name, &[("route_kind", "HTTPRoute"), ("route_name", route), ("srv_name", "web-http")])
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_of_a_server_allows_the_callers_of_its_policies_only() {
    let routes = vec![
        route("read", "/a", &[authenticated(CLIENT)]),
        route("all", "/a/open", &[Identities::Unauthenticated]),
        route("none", "/a/closed", &[]),
    ];
    let pair = pair(routed(routes));
    all_are(&load(&pair.client, TENTH, gets(10)).await, 200, "", false);
    all_are(&load(&pair.client2, TENTH, gets(5)).await, 403, "", false);
    assert_eq!(pair.plain.send(get("/a/open/x")).await.status, 200, "the most specific route applies");
    assert_eq!(pair.client.send(get("/a/closed")).await.status, 403, "a route without a policy denies");
    assert_eq!(pair.route_count("inbound_http_authz_allow_total", "read"), 10);
    assert_eq!(pair.route_count("inbound_http_authz_deny_total", "read"), 5);
    assert_eq!(pair.route_count("inbound_http_authz_deny_total", "none"), 1);
    assert_eq!(pair.route_count("request_total", "read"), 10);
    let served =
        [("parent_name", "web-http"), ("route_group", "gateway.networking.k8s.io"), ("route_name", "all")];
    assert_eq!(pair.at_server("inbound_http_requests_total", &served), 1);
    assert_eq!(
        pair.at_server("inbound_http_statuses_total", &[&served[..], &[("status", "200")]].concat()),
        1
    );
    let by = [("authz_kind", "authorizationpolicy"), ("authz_name", "read-callers"), ("client_id", CLIENT)];
    assert_eq!(pair.at_server("inbound_http_authz_allow_total", &by), 10);
    assert_eq!(pair.at_server("inbound_http_authz_deny_total", &[("client_id", CLIENT2)]), 5);
    assert_eq!(pair.server.count(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_no_route_of_a_server_matches_is_a_404_that_keeps_the_connection() {
    let pair = pair(routed(vec![route("read", "/a", &[Identities::Unauthenticated])]));
    let post = || Request::post("/a").header("host", "web:9090").body(Bytes::new()).unwrap();
    let requests = [get("/b"), post(), get("/ab")];
    all_are(&load(&pair.client, TENTH, requests).await, 404, "", false);
    assert_eq!(pair.plain.send(get("/b")).await.status, 404);
    let not_found = |more: (&str, &str)| {
        pair.at_server("inbound_http_route_not_found_total", &[("srv_name", "web-http"), more])
    };
    assert_eq!((not_found(("client_id", CLIENT)), not_found(("tls", "no_identity"))), (3, 1));
    for name in ["inbound_http_errors_total", "inbound_http_authz_deny_total", "request_total"] {
        assert_eq!(pair.at_server(name, &[]), 0, "{name}: {}", scrape(&pair.proxy));
    }
    assert_eq!(pair.server.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn with_routes_of_a_server_probes_need_a_route_as_every_request_does() {
    let with_routes = pair(routed(vec![route("read", "/a", &[Identities::Unauthenticated])]));
    all_are(&load(&with_routes.plain, TENTH, probes(3)).await, 404, "", false);
    let health = route("health", "/health", &[Identities::Unauthenticated]);
    with_routes.policy.send_replace(Arc::new(routed(vec![health])));
    all_are(&load(&with_routes.plain, TENTH, probes(3)).await, 200, "", false);
    assert_eq!(with_routes.route_count("inbound_http_authz_allow_total", "health"), 3);
    let without_routes = pair(denying());
    all_are(&load(&without_routes.plain, TENTH, probes(3)).await, 200, "", false);
}

#[tokio::test(start_paused = true)]
async fn what_a_server_allows_is_allowed_on_its_routes_and_a_policy_of_the_route_comes_first() {
    let all = InboundPolicy::default().authorizations;
    let read = route("read", "/a", &[authenticated(CLIENT)]);
    let pair = pair(InboundPolicy { authorizations: all, ..routed(vec![read]) });
    all_are(&load(&pair.client, TENTH, gets(2)).await, 200, "", false);
    all_are(&load(&pair.plain, TENTH, gets(3)).await, 200, "", false);
    let by = |name| pair.at_server("inbound_http_authz_allow_total", &[("authz_name", name)]);
    assert_eq!((by("read-callers"), by("all-unauthenticated")), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn filters_of_a_servers_route_change_headers_and_redirect_authorized_requests() {
    let modifier = HeaderModifier {
        set: vec![("x-route".parse().unwrap(), "read".parse().unwrap())],
        ..HeaderModifier::default()
    };
    let mut read = route("read", "/a", &[Identities::Unauthenticated]);
    read.route.rules[0].filters = vec![Filter::RequestHeaders(modifier)];
    let redirect = Redirect { hostname: Some("other".into()), ..Redirect::default() };
    let mut moved = route("moved", "/a/old", &[authenticated(CLIENT)]);
    moved.route.rules[0].filters = vec![Filter::Redirect(redirect)];
    let pair = pair(routed(vec![read, moved]));
    assert_eq!(pair.client.send(get("/a/x")).await.status, 200);
    let redirected = pair.client.send(get("/a/old")).await;
    assert_eq!(
        (redirected.status, &redirected.headers["location"]),
        (302, &"http://other:9090/a/old".parse().unwrap())
    );
    assert_eq!(pair.client2.send(get("/a/old")).await.status, 403, "authorization comes before the filters");
    assert_eq!(pair.at_server("inbound_http_errors_total", &[("error", "unexpected")]), 1, "the redirect");
    assert_eq!(pair.server.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_applies_after_the_route_was_found_and_its_caller_allowed() {
    let rate_limit = Some(RateLimit { total: Some(0), ..RateLimit::default() });
    let routes = vec![route("read", "/a", &[authenticated(CLIENT)])];
    let pair = pair(InboundPolicy { rate_limit, ..routed(routes) });
    assert_eq!(pair.client.send(get("/a")).await.status, 429);
    assert_eq!(pair.client2.send(get("/a")).await.status, 403);
    assert_eq!(pair.client.send(get("/b")).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn a_grpc_route_of_a_server_matches_methods_and_answers_with_a_grpc_status() {
    let mut read = route("read", "/pkg.Svc/Read", &[Identities::Unauthenticated]);
    read.route.kind = RouteKind::Grpc;
    read.route.rules[0].matches[0].method = None;
    let pair = pair(routed(vec![read]));
    let call = |path: &str| {
        let request = Request::post(format!("http://web:9090{path}")).version(http::Version::HTTP_2);
        request.header("content-type", "application/grpc").body(Bytes::new()).unwrap()
    };
    assert_eq!(pair.client.send(call("/pkg.Svc/Read")).await.status, 200);
    let unknown = pair.client.send(call("/pkg.Svc/Write")).await;
    assert_eq!((unknown.status, &unknown.headers["grpc-status"]), (200, &"5".parse().unwrap()), "NOT_FOUND");
    let labels = [("route_kind", "GRPCRoute"), ("route_name", "read")];
    assert_eq!(pair.at_server("inbound_http_authz_allow_total", &labels), 1);
}
