//! The inbound proxy: profiles by name, synthesized responses, probes.

use bytes::Bytes;
use http::{Method, Request, Version};
use meshy_dataplane::profile::Profile;
use meshy_dataplane::{Probe, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::counters::failing;
use crate::support::{Lab, Memory, Server, WEB, endpoint, route, scrape, serve_http, sum};

const POD: &str = "10.244.1.1:9090";
const WEB_NAME: &str = "web.default.svc.cluster.local:9090";

/// Returns a meshed `web` with a profile of one route.
fn meshed() -> (Lab, Proxy, Server) {
    let lab = Lab::default();
    let app = Memory::default();
    let server = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let server_proxy =
        lab.proxy(&app, |config| config.probes = vec![Probe { port: 9090, path: "/health".into() }]);
    lab.mesh(&server_proxy, POD.parse().unwrap());
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.profile(Profile { routes: vec![route("GET /a", Method::GET, "/a", true)], ..Profile::default() });
    (lab, server_proxy, server)
}

/// Sends a request as a caller without a proxy; returns the response.
async fn plain(proxy: &Proxy, head: &str) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let proxy = proxy.clone();
    tokio::spawn(async move {
        proxy.inbound(Box::new(far), POD.parse().unwrap(), "10.0.0.1:1".parse().unwrap()).await
    });
    near.write_all(format!("GET {head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = String::new();
    near.read_to_string(&mut response).await.unwrap();
    response
}

fn routed(proxy: &Proxy) -> u64 {
    sum(&scrape(proxy), "route_request_total", &[("direction", "inbound"), ("dst", WEB_NAME)])
}

#[tokio::test]
async fn the_profile_is_found_by_canonical_name_else_authority_else_host() {
    let (lab, server_proxy, _) = meshed();
    let canonical = format!("/a HTTP/1.1\r\nhost: other\r\nl5d-dst-canonical: {WEB_NAME}\r\n");
    plain(&server_proxy, &canonical).await;
    assert_eq!(routed(&server_proxy), 1);
    plain(&server_proxy, &format!("http://{WEB_NAME}/a HTTP/1.1\r\nhost: other\r\n")).await;
    assert_eq!(routed(&server_proxy), 2);
    plain(&server_proxy, &format!("/a HTTP/1.1\r\nhost: {WEB_NAME}\r\n")).await;
    assert_eq!(routed(&server_proxy), 3);
    plain(&server_proxy, "/a HTTP/1.1\r\nhost: 10.244.1.1:9090\r\n").await;
    assert_eq!(routed(&server_proxy), 3, "an address is not a name");
    drop(lab);
}

#[tokio::test]
async fn an_inbound_request_that_matches_no_route_is_not_in_the_route_metrics() {
    let (_lab, server_proxy, server) = meshed();
    let response = plain(&server_proxy, &format!("/b HTTP/1.1\r\nhost: {WEB_NAME}\r\n")).await;
    assert!(response.starts_with("HTTP/1.1 200"));
    assert_eq!((routed(&server_proxy), server.count()), (0, 1));
    assert!(!scrape(&server_proxy).contains("route_request_total"));
}

#[tokio::test]
async fn probes_have_series_by_port_and_path() {
    let (_lab, server_proxy, _) = meshed();
    plain(&server_proxy, "/health?x HTTP/1.1\r\nhost: a\r\n").await;
    plain(&server_proxy, "/a HTTP/1.1\r\nhost: a\r\n").await;
    let text = scrape(&server_proxy);
    assert_eq!(sum(&text, "request_total", &[("route_name", "probe"), ("authz_name", "probe")]), 1);
    assert_eq!(sum(&text, "request_total", &[("route_name", "default")]), 1);
}

#[tokio::test]
async fn an_application_that_does_not_listen_is_a_502() {
    let lab = Lab::default();
    let server_proxy = lab.proxy(&Memory::default(), |_| {});
    let response = plain(&server_proxy, "/ HTTP/1.1\r\nhost: a\r\n").await;
    assert!(response.starts_with("HTTP/1.1 502") && response.contains("l5d-proxy-error"), "{response}");
    assert_eq!(sum(&scrape(&server_proxy), "response_total", &[("status_code", "502")]), 1);
}

#[tokio::test]
async fn http2_passes_a_pair_as_http2() {
    let (lab, server_proxy, server) = meshed();
    let client = lab.client();
    for _ in 0..3 {
        let request = Request::get("http://web:9090/a").version(Version::HTTP_2).body(Bytes::new()).unwrap();
        assert_eq!(client.send(request).await.status, 200);
        assert_eq!(server.last().version(), Version::HTTP_2);
    }
    assert_eq!(client.metric("tcp_open_total", &[("peer", "dst")]), 1, "one connection for all streams");
    assert_eq!(routed(&server_proxy), 3);
}
