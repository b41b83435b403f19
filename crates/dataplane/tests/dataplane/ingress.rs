//! Ingress mode and `l5d-dst-override`.

use bytes::Bytes;
use http::{Request, Version};
use meshy_dataplane::Mode;

use crate::counters::failing;
use crate::support::{Client, ClientResponse, Lab, Memory, Server, WEB, endpoint, serve_http};

const POD: &str = "10.244.1.1:9090";
const OTHER: &str = "10.244.1.2:9090";
const V2: &str = "v2.default.svc.cluster.local:9090";

/// Returns a client behind an ingress's proxy, and two services, `web` and `v2`.
fn ingress(mode: Mode) -> (Client, Server, Server) {
    let lab = Lab::default();
    let web = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    let v2 = serve_http(&lab.wire, OTHER.parse().unwrap(), failing(&[false]));
    lab.service("web", WEB, &[endpoint(POD)]);
    lab.service("v2", "10.96.0.2:9090", &[endpoint(OTHER)]);
    (Client::new(lab.proxy(&Memory::default(), |config| config.mode = mode)), web, v2)
}

async fn send(client: &Client, overrides: &[&str]) -> ClientResponse {
    let mut request = Request::get("/").header("host", "web.example").body(Bytes::new()).unwrap();
    for name in overrides {
        request.headers_mut().append("l5d-dst-override", name.parse().unwrap());
    }
    client.send(request).await
}

#[tokio::test]
async fn the_override_names_the_service_and_is_removed() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(send(&client, &[V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
    assert!(!v2.last().headers().contains_key("l5d-dst-override"));
    assert_eq!(client.metric("request_total", &[("authority", V2)]), 1);
}

#[tokio::test]
async fn without_the_override_the_original_address_decides_and_not_the_host() {
    let (client, web, v2) = ingress(Mode::Ingress);
    let request = Request::get("/").header("host", V2).body(Bytes::new()).unwrap();
    assert_eq!(client.send(request).await.status, 200);
    assert_eq!((web.count(), v2.count()), (1, 0));
}

#[tokio::test]
async fn requests_of_one_connection_can_go_to_different_services() {
    let (client, web, v2) = ingress(Mode::Ingress);
    for n in 0..10 {
        let name = if n % 2 == 0 { "web.default.svc.cluster.local:9090" } else { V2 };
        assert_eq!(send(&client, &[name]).await.status, 200);
    }
    assert_eq!((web.count(), v2.count()), (5, 5));
}

#[tokio::test]
async fn an_unknown_override_is_a_502_and_an_invalid_one_a_400() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(send(&client, &["evil.example:80"]).await.status, 502);
    assert_eq!(send(&client, &["v2.default.svc.cluster.local"]).await.status, 502, "port 80 if missing");
    for invalid in ["", "a b", "v2:port", "10.0.0.1:80", "u@v2.default.svc.cluster.local:9090"] {
        assert_eq!(send(&client, &[invalid]).await.status, 400, "{invalid:?}");
    }
    assert_eq!((web.count(), v2.count()), (0, 0));
}

#[tokio::test]
async fn of_several_overrides_the_last_one_applies() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(send(&client, &["web.default.svc.cluster.local:9090", V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
}

#[tokio::test]
async fn only_ingress_mode_reads_the_override_and_every_mode_removes_it() {
    let (client, web, v2) = ingress(Mode::Enabled);
    assert_eq!(send(&client, &[V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (1, 0));
    assert!(!web.last().headers().contains_key("l5d-dst-override"));
}

#[tokio::test]
async fn the_override_works_over_http2() {
    let (client, web, v2) = ingress(Mode::Ingress);
    let request = Request::get("http://web:9090/").version(Version::HTTP_2).header("l5d-dst-override", V2);
    assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
}
