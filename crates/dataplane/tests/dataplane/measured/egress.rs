//! Section g: requests to an address outside of the cluster.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use meshy_dataplane::policy::{Egress, EgressNetwork};

use super::pods::client;
use super::{BR, BS, ERRORS, RS, moved, serve};
use crate::support::{Client, Lab, Server};

const OUTSIDE: &str = "198.51.100.7:19090";

/// Sends 25 requests; returns the client, the server and the response that all of them got.
async fn send(network: Option<bool>) -> (Arc<Client>, Server, u16, String) {
    let lab = Lab::default();
    let server = serve(&lab, OUTSIDE, |_| (0, 200));
    let of = |allow| {
        let (namespace, name) = ("default".to_owned(), "all-egress".to_owned());
        Egress::Network(EgressNetwork { namespace, name, port: 19_090, allow })
    };
    lab.outside(OUTSIDE, network.map_or(Egress::Fallback, of));
    let client = client(&lab);
    let mut all = Vec::new();
    for _ in 0..25 {
        let request = Request::get("/g").header("host", OUTSIDE).body(Bytes::new()).unwrap();
        let reply = client.send_to(OUTSIDE, request).await.unwrap();
        assert!(!reply.headers.contains_key("connection"));
        let reason = reply.headers.get("l5d-proxy-error").map(|value| value.to_str().unwrap().to_owned());
        all.push((reply.status, reason.unwrap_or_default()));
    }
    all.dedup();
    assert_eq!(all.len(), 1, "{all:?}");
    let (status, reason) = all.remove(0);
    (client, server, status, reason)
}

#[tokio::test(start_paused = true)]
async fn without_an_egress_network_requests_to_the_outside_use_the_fallback() {
    let (client, server, status, _) = send(None).await;
    assert_eq!((status, server.count()), (200, 25));
    let fallback =
        [("parent_kind", "default"), ("parent_name", "egress-fallback"), ("route_name", "egress-fallback")];
    let backend = [("backend_kind", "default"), ("backend_name", "unknown")];
    moved(
        &client,
        &[
            (RS, &fallback, 25),
            (BR, &[&fallback[..], &backend[..]].concat(), 25),
            (BS, &[("http_status", "200")], 25),
            ("request_total", &[("tls", "no_identity")], 25),
        ],
    );
    client.has_the_keys_of(&["g00"]);
}

#[tokio::test(start_paused = true)]
async fn an_egress_network_allows_or_denies_requests() {
    let parent = [("parent_kind", "EgressNetwork"), ("parent_name", "all-egress"), ("parent_port", "19090")];
    let (client, server, status, _) = send(Some(true)).await;
    assert_eq!((status, server.count()), (200, 25));
    let route = |name| [&parent[..], &[("route_kind", "default"), ("route_name", name)]].concat();
    moved(&client, &[(RS, &route("http-egress-allow"), 25), (BR, &[("backend_name", "unknown")], 25)]);
    client.has_the_keys_of(&["g01"]);
    let (client, server, status, reason) = send(Some(false)).await;
    assert_eq!((status, &*reason, server.count()), (403, "traffic not allowed", 0));
    let denied = [&route("http-egress-deny")[..], &[("http_status", "403")]].concat();
    moved(&client, &[(RS, &denied, 25), (BR, &[], 0), (ERRORS, &[("error", "unexpected")], 25)]);
    client.has_the_keys_of(&["g02"]);
}
