//! The way in: profiles by name, made-up answers, probes.

use bytes::Bytes;
use http::{Method, Request, Version};
use meshy_dataplane::profile::Profile;
use meshy_dataplane::{Probe, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::counting::failing;
use crate::support::{Lab, Memory, Server, WEB, endpoint, route, scrape, serve_http, sum};

const POD: &str = "10.244.1.1:9090";
const WEB_NAME: &str = "web.default.svc.cluster.local:9090";

/// A meshed `web` with a profile of one route, and a plain network before it.
fn meshed() -> (Lab, Proxy, Server) {
    let lab = Lab::default();
    let app = Memory::default();
    let server = serve_http(&app, POD.parse().unwrap(), failing(&[false]));
    let behind = lab.proxy(&app, |config| config.probes = vec![Probe { port: 9090, path: "/health".into() }]);
    lab.mesh(&behind, POD.parse().unwrap());
    let web = lab.service("web", WEB, &[endpoint(POD)]);
    web.profile(Profile { routes: vec![route("GET /a", Method::GET, "/a", true)], ..Profile::default() });
    (lab, behind, server)
}

/// Sends a request as a caller without a proxy.
async fn plain(proxy: &Proxy, head: &str) -> String {
    let (mut near, far) = tokio::io::duplex(64 * 1024);
    let proxy = proxy.clone();
    tokio::spawn(async move {
        proxy.inbound(Box::new(far), POD.parse().unwrap(), "10.0.0.1:1".parse().unwrap()).await
    });
    near.write_all(format!("GET {head}connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    near.read_to_string(&mut answer).await.unwrap();
    answer
}

fn routed(proxy: &Proxy) -> u64 {
    sum(&scrape(proxy), "route_request_total", &[("direction", "inbound"), ("dst", WEB_NAME)])
}

#[tokio::test]
async fn the_profile_is_found_by_canonical_name_else_authority_else_host() {
    let (lab, behind, _) = meshed();
    let canonical = format!("/a HTTP/1.1\r\nhost: other\r\nl5d-dst-canonical: {WEB_NAME}\r\n");
    plain(&behind, &canonical).await;
    assert_eq!(routed(&behind), 1);
    plain(&behind, &format!("http://{WEB_NAME}/a HTTP/1.1\r\nhost: other\r\n")).await;
    assert_eq!(routed(&behind), 2);
    plain(&behind, &format!("/a HTTP/1.1\r\nhost: {WEB_NAME}\r\n")).await;
    assert_eq!(routed(&behind), 3);
    plain(&behind, "/a HTTP/1.1\r\nhost: 10.244.1.1:9090\r\n").await;
    assert_eq!(routed(&behind), 3, "an address is no name");
    drop(lab);
}

#[tokio::test]
async fn a_request_that_matches_no_route_leaves_no_trace_in_the_inbound_route_metrics() {
    let (_lab, behind, server) = meshed();
    let answer = plain(&behind, &format!("/b HTTP/1.1\r\nhost: {WEB_NAME}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert_eq!((routed(&behind), server.count()), (0, 1));
    assert!(!scrape(&behind).contains("route_request_total"));
}

#[tokio::test]
async fn probes_are_told_apart_by_port_and_path() {
    let (_lab, behind, _) = meshed();
    plain(&behind, "/health?x HTTP/1.1\r\nhost: a\r\n").await;
    plain(&behind, "/a HTTP/1.1\r\nhost: a\r\n").await;
    let text = scrape(&behind);
    assert_eq!(sum(&text, "request_total", &[("route_name", "probe"), ("authz_name", "probe")]), 1);
    assert_eq!(sum(&text, "request_total", &[("route_name", "default")]), 1);
}

#[tokio::test]
async fn an_application_that_does_not_listen_is_a_502() {
    let lab = Lab::default();
    let behind = lab.proxy(&Memory::default(), |_| {});
    let answer = plain(&behind, "/ HTTP/1.1\r\nhost: a\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("l5d-proxy-error"), "{answer}");
    assert_eq!(sum(&scrape(&behind), "response_total", &[("status_code", "502")]), 1);
}

#[tokio::test]
async fn http2_passes_a_pair_as_http2() {
    let (lab, behind, server) = meshed();
    let client = lab.client();
    for _ in 0..3 {
        let request = Request::get("http://web:9090/a").version(Version::HTTP_2).body(Bytes::new()).unwrap();
        assert_eq!(client.send(request).await.status, 200);
        assert_eq!(server.last().version(), Version::HTTP_2);
    }
    assert_eq!(client.metric("tcp_open_total", &[("peer", "dst")]), 1, "one connection for all streams");
    assert_eq!(routed(&behind), 3);
}
