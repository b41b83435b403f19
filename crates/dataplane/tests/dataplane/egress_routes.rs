//! Routes of an EgressNetwork: what they match, where they send requests, and what remains for the network's own policy.

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::{
    Backend, BackendKind, Egress, EgressNetwork, HttpRoute, PathMatch, Policy, Retry, RouteKind, RouteMatch,
    RouteRule, ServiceRef,
};

use crate::measured::{BR, RS, serve};
use crate::support::{Client, Lab, Server, endpoint};

const OUTSIDE: &str = "198.51.100.7:19090";
const INSIDE: &str = "10.96.0.2:9090";
const POD: &str = "10.244.1.1:9090";

fn rule(path: &str, backends: Vec<Backend>) -> RouteRule {
    let path = Some(PathMatch::Prefix(path.into()));
    RouteRule {
        matches: vec![RouteMatch { path, ..RouteMatch::default() }],
        backends,
        ..RouteRule::default()
    }
}

fn network_backend(name: &str) -> Backend {
    Backend {
        kind: BackendKind::EgressNetwork,
        authority: String::new(),
        service: ServiceRef { namespace: "default".into(), name: name.into(), port: 0 },
        weight: 1,
        filters: Vec::new(),
    }
}

fn service_backend() -> Backend {
    let service = ServiceRef { namespace: "default".into(), name: "mirror".into(), port: 9090 };
    let authority = "mirror.default.svc.cluster.local:9090".to_owned();
    Backend { kind: BackendKind::Service, authority, service, weight: 1, filters: Vec::new() }
}

/// Returns a client of an address outside of the cluster, the server there, and a pod of a Service inside.
fn outside(allow: bool, policy: Policy, statuses: &'static [u16]) -> (Client, Server, Server) {
    let lab = Lab::default();
    let server = serve(&lab, OUTSIDE, move |n| (0, statuses[n % statuses.len()]));
    let inside = serve(&lab, POD, |_| (0, 200));
    lab.service("mirror", INSIDE, &[endpoint(POD)]);
    let (namespace, name) = ("default".to_owned(), "all-egress".to_owned());
    let network = EgressNetwork { namespace, name, port: 19_090, allow };
    lab.outside_with(OUTSIDE, Egress::Network(network), policy);
    (lab.client(), server, inside)
}

fn routed(rules: Vec<RouteRule>) -> Policy {
    let (namespace, name) = ("default".to_owned(), "to-outside".to_owned());
    let route = HttpRoute { namespace, name, rules, ..HttpRoute::default() };
    Policy { routes: vec![route], ..Policy::default() }
}

async fn get(client: &Client, path: &str) -> (u16, String) {
    let request = Request::get(path).header("host", OUTSIDE).body(Bytes::new()).unwrap();
    let reply = client.send_to(OUTSIDE, request).await.unwrap();
    let reason = reply.headers.get("l5d-proxy-error").map(|value| value.to_str().unwrap().to_owned());
    (reply.status, reason.unwrap_or_default())
}

#[tokio::test(start_paused = true)]
async fn a_route_of_an_egress_network_allows_what_it_matches_and_the_network_decides_about_the_rest() {
    let rules = vec![rule("/open", vec![network_backend("all-egress")]), rule("/plain", Vec::new())];
    let (client, server, _) = outside(false, routed(rules.clone()), &[200]);
    assert_eq!(get(&client, "/open/a").await.0, 200);
    assert_eq!(get(&client, "/plain").await.0, 200);
    assert_eq!(get(&client, "/other").await, (403, "traffic not allowed".to_owned()));
    assert_eq!(server.count(), 2);
    let parent = [("parent_kind", "EgressNetwork"), ("parent_name", "all-egress"), ("parent_port", "19090")];
    let of = |name: &str, labels: &[(&str, &str)]| client.metric(name, &[&parent[..], labels].concat());
    assert_eq!(of(RS, &[("route_kind", "HTTPRoute"), ("route_name", "to-outside")]), 2);
    let backend =
        [("backend_kind", "EgressNetwork"), ("backend_name", "all-egress"), ("backend_port", "19090")];
    assert_eq!(of(BR, &backend), 1);
    assert_eq!(of(BR, &[("backend_name", "unknown")]), 1, "a rule without backends sends to the address");
    assert_eq!(of(RS, &[("route_name", "http-egress-deny"), ("http_status", "403")]), 1);
    let (client, server, _) = outside(true, routed(rules), &[200]);
    assert_eq!((get(&client, "/other").await.0, server.count()), (200, 1));
    assert_eq!(client.metric(RS, &[("route_name", "http-egress-allow")]), 1);
}

#[tokio::test(start_paused = true)]
async fn a_route_of_an_egress_network_can_send_requests_to_a_service() {
    let (client, server, inside) = outside(false, routed(vec![rule("/", vec![service_backend()])]), &[200]);
    assert_eq!(get(&client, "/a").await.0, 200);
    assert_eq!((server.count(), inside.count()), (0, 1));
    assert_eq!(client.metric(BR, &[("backend_kind", "Service"), ("backend_name", "mirror")]), 1);
}

#[tokio::test(start_paused = true)]
async fn another_egress_network_as_a_backend_is_a_500() {
    let (client, server, _) = outside(true, routed(vec![rule("/", vec![network_backend("other")])]), &[200]);
    assert_eq!((get(&client, "/a").await.0, server.count()), (500, 0));
    assert_eq!(client.metric(BR, &[("backend_kind", "default"), ("backend_name", "fail")]), 1);
}

#[tokio::test(start_paused = true)]
async fn retries_of_an_egress_network_apply_to_requests_without_a_route() {
    let retry = Some(Retry::parse("5xx", Some(2), None).unwrap());
    let (client, server, _) = outside(true, Policy { retry, ..Policy::default() }, &[500, 200]);
    assert_eq!((get(&client, "/a").await.0, server.count()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_route_of_an_egress_network_denies_the_rest_with_a_grpc_status() {
    let mut policy = routed(vec![rule("/pkg.Svc/Read", Vec::new())]);
    policy.routes[0].kind = RouteKind::Grpc;
    let (client, _, _) = outside(false, policy, &[200]);
    let request = Request::post("http://outside:19090/pkg.Svc/Write").version(http::Version::HTTP_2);
    let request = request.header("content-type", "application/grpc").body(Bytes::new()).unwrap();
    let reply = client.send_to(OUTSIDE, request).await.unwrap();
    assert_eq!(&reply.headers["grpc-status"], "7", "PERMISSION_DENIED");
    let denied = [("route_kind", "default"), ("route_name", "grpc-egress-deny")];
    assert_eq!(client.metric("outbound_grpc_route_request_statuses_total", &denied), 1);
}
