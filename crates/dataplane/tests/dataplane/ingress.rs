//! Ingress mode and its header.

use bytes::Bytes;
use http::{Request, Version};
use meshy_dataplane::Mode;

use crate::counting::failing;
use crate::support::{Client, Lab, Memory, Reply, Server, WEB, endpoint, serve_http};

const POD: &str = "10.244.1.1:9090";
const OTHER: &str = "10.244.1.2:9090";
const V2: &str = "v2.default.svc.cluster.local:9090";

/// An ingress's proxy before two services, `web` and `v2`.
fn ingress(mode: Mode) -> (Client, Server, Server) {
    let lab = Lab::default();
    let web = serve_http(&lab.wire, POD.parse().unwrap(), failing(&[false]));
    let v2 = serve_http(&lab.wire, OTHER.parse().unwrap(), failing(&[false]));
    lab.service("web", WEB, &[endpoint(POD)]);
    lab.service("v2", "10.96.0.2:9090", &[endpoint(OTHER)]);
    (Client::new(lab.proxy(&Memory::default(), |config| config.mode = mode)), web, v2)
}

async fn ask(client: &Client, overrides: &[&str]) -> Reply {
    let mut request = Request::get("/").header("host", "web.example").body(Bytes::new()).unwrap();
    for name in overrides {
        request.headers_mut().append("l5d-dst-override", name.parse().unwrap());
    }
    client.send(request).await
}

#[tokio::test]
async fn the_header_names_the_service_and_is_gone_behind_the_proxy() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(ask(&client, &[V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
    assert!(!v2.last().headers().contains_key("l5d-dst-override"));
    assert_eq!(client.metric("request_total", &[("authority", V2)]), 1);
}

#[tokio::test]
async fn without_the_header_the_address_the_ingress_connected_to_counts_and_not_the_host() {
    let (client, web, v2) = ingress(Mode::Ingress);
    let request = Request::get("/").header("host", V2).body(Bytes::new()).unwrap();
    assert_eq!(client.send(request).await.status, 200);
    assert_eq!((web.count(), v2.count()), (1, 0));
}

#[tokio::test]
async fn requests_of_one_connection_go_each_to_its_own_service() {
    let (client, web, v2) = ingress(Mode::Ingress);
    for n in 0..10 {
        let name = if n % 2 == 0 { "web.default.svc.cluster.local:9090" } else { V2 };
        assert_eq!(ask(&client, &[name]).await.status, 200);
    }
    assert_eq!((web.count(), v2.count()), (5, 5));
}

#[tokio::test]
async fn a_name_nobody_knows_and_a_malformed_one_fail_the_request() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(ask(&client, &["evil.example:80"]).await.status, 502);
    assert_eq!(ask(&client, &["v2.default.svc.cluster.local"]).await.status, 502, "port 80 when missing");
    for bad in ["", "a b", "v2:port", "10.0.0.1:80", "u@v2.default.svc.cluster.local:9090"] {
        assert_eq!(ask(&client, &[bad]).await.status, 400, "{bad:?}");
    }
    assert_eq!((web.count(), v2.count()), (0, 0));
}

#[tokio::test]
async fn of_several_headers_the_last_is_the_ingresss_own() {
    let (client, web, v2) = ingress(Mode::Ingress);
    assert_eq!(ask(&client, &["web.default.svc.cluster.local:9090", V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
}

#[tokio::test]
async fn only_ingress_mode_reads_the_header_and_every_mode_drops_it() {
    let (client, web, v2) = ingress(Mode::Enabled);
    assert_eq!(ask(&client, &[V2]).await.status, 200);
    assert_eq!((web.count(), v2.count()), (1, 0));
    assert!(!web.last().headers().contains_key("l5d-dst-override"));
}

#[tokio::test]
async fn http2_requests_are_routed_by_the_header_too() {
    let (client, web, v2) = ingress(Mode::Ingress);
    let request = Request::get("http://web:9090/").version(Version::HTTP_2).header("l5d-dst-override", V2);
    assert_eq!(client.send(request.body(Bytes::new()).unwrap()).await.status, 200);
    assert_eq!((web.count(), v2.count()), (0, 1));
}
